"""`birdssl evaluate`: embeddings of held-out clips to scores, comparisons, pictures and a page.

OUT/manifest.parquet   one row for each scored clip and model: truth, answer, score
OUT/metrics.json       every number of the report
OUT/report.html        the page, pictures inside
OUT/figures/           the same pictures as files, PNG and SVG
OUT/models/            how each input's answers came about
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from birdssl import __version__
from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.artifacts.labelling import NOTHING
from birdssl.artifacts.manifest import CLIP_SCHEMA
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.evaluation import album, selection
from birdssl.evaluation.answers import Answers, head_answers, how_in_words, probe_answers
from birdssl.evaluation.calibration import Reliability, reliability
from birdssl.evaluation.circumstances import SPECIES, circumstance_notes, circumstances
from birdssl.evaluation.lineage import (
    best_on_validation,
    learned_from,
    lineage,
    model_fold,
    model_run,
    past,
    run_fold,
    seen_unlabelled,
    start_of,
)
from birdssl.evaluation.metrics import ClassList, class_list, silhouette
from birdssl.evaluation.page import render_page
from birdssl.evaluation.projection import Projection, project
from birdssl.evaluation.scoring import Doubt, score
from birdssl.evaluation.starts import did_it_help, starts_of
from birdssl.evaluation.summary import headline, headline_table, left_out_in_all, seen_notes, shared_notes
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.stages.contract import Result, Source, Stage, Unit, relative

KEPT = ("id", "recording", "origin", "channel", "start", "seconds", "site", "recorder", "time", "utc_offset", "fold")
SCHEMA: dict[str, Any] = {
    "system": pl.String,
    "input": pl.Int16,  # which of the inputs answered, from 0
    "model_fold": pl.Int16,  # the fold that its model held out; null where there is none
    **{name: CLIP_SCHEMA[name] for name in KEPT},
    "truth": pl.String,
    "predicted": pl.String,
    "score": pl.Float32,  # probability of the answer
}
NEEDED = ("id", "role", "recording", "origin", "test", "labels", *KEPT[3:])


@dataclass(frozen=True)
class Entry:
    """One input: whose answers it holds, and how they are to be made.

    Attributes:
        number: its place among the inputs.
        system: name of the system that it belongs to.
        path: its directory.
        fold: held out by the model that made the embeddings; None where there is none.
        classes: of the model's head; empty for a probe.
        teachers: (fold, ids of training clips) for each probe; (fold, None) for all that may be learned from.
    """

    number: int
    system: str
    path: Path
    fold: int | None
    classes: tuple[str, ...]
    teachers: tuple[tuple[int | None, frozenset[str] | None], ...]


class Evaluate(Stage[EvaluateSettings]):
    """A unit is one input: the answers of its models. Everything else is made from all answers at the end."""

    verb: ClassVar[str] = "evaluate"
    accepts: ClassVar[tuple[str, ...]] = ("embed",)
    owns: ClassVar[tuple[str, ...]] = ("metrics.json", "report.html", album.FOLDER, "models")
    classes: ClassList

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of an answer."""
        return SCHEMA

    def sources(self) -> list[Source]:
        """Inputs, and the training runs that probes learn from."""
        runs = [Source(run.path, run.verb, run.digest) for run in self._training_runs()]
        return super().sources() + runs

    def plan(self) -> list[Unit]:
        """One unit an input; fails early when names, folds or classes don't fit together."""
        inputs, runs = self.artifacts(), self._training_runs()
        names = self._names(inputs)
        entries = [self._entry(number, names[number], artifact, runs) for number, artifact in enumerate(inputs)]
        _refuse_twins(entries)
        self.classes = class_list(self._known(entries, inputs), self.settings.classes)
        digests = " ".join(run.digest for run in runs)
        return [
            Unit(f"{entry.number:02d}-{artifact.path.resolve().name}", f"{artifact.digest} {digests}".strip(), entry,
                 artifact.counts.get("rows", 0) * 100)
            for entry, artifact in zip(entries, inputs, strict=True)
        ]  # fmt: skip

    def work(self, unit: Unit) -> Result:
        """Answers of one input's models, and `models/<key>.json` about them."""
        entry: Entry = unit.payload
        artifact = open_artifact(entry.path, self.accepts)
        table = artifact.scan().select(*dict.fromkeys(NEEDED)).collect()
        parts, told, run = [], [], model_run(artifact)
        with threadpool_limits(1):
            for fold, ids in entry.teachers:
                training = None if entry.classes else self._training(table, entry, fold, ids)
                rows, left_out, shared = self._scored(table, fold, entry, _origins_learned(artifact, run, training))
                answers = self._answer(artifact, training, rows, entry)
                checks = {"checked": run is not None or not artifact.facts.get("model"), "shared": shared,
                          "seen_unlabelled": seen_unlabelled(run, rows["id"].to_list())}  # fmt: skip
                told.append({"fold": fold, "left_out": left_out, **checks, **answers.facts})
                parts.append(_as_rows(rows, answers, entry, fold))
        made = {"system": entry.system, "start": start_of(artifact), "models": told}
        write_json(self.out / "models" / f"{unit.key}.json", made)
        return Result(pl.concat(parts).select([pl.col(name).cast(kind) for name, kind in SCHEMA.items()]))

    def facts(self) -> dict[str, Any]:
        """What was scored."""
        return {
            "on": self.settings.on,
            "classes": list(self.classes.scored),
            "other_classes": list(self.classes.others),
        }

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all answers and write numbers, pictures and the page."""
        answers = manifest.collect()
        doubt = Doubt(self.settings.seed, self.settings.draws, self.settings.level)
        with threadpool_limits(1):
            scores = score(answers, self.classes, doubt, self.settings.baseline)
        results = {
            "schema": 1,
            "birdssl": __version__,
            "on": self.settings.on,
            "settings": {"seed": doubt.seed, "draws": doubt.draws, "level": doubt.level},
            **scores,
        }
        told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((self.out / "models").glob("*.json"))]
        results["left_out"] = left_out_in_all(told, self.settings.on)
        results["notes"] += [*seen_notes(told), *shared_notes(told)]
        with threadpool_limits(1):
            results["pretraining"] = did_it_help(answers, starts_of(told), self.classes, doubt)
        results["shared"] = any(model["shared"] for item in told for model in item["models"])
        results["checked"] = all(model["checked"] for item in told for model in item["models"])
        with threadpool_limits(1):
            pictures = self._illustrate(results, answers, told)
        for path, data in pictures.items():
            with atomic_path(self.out / path) as part:
                part.write_bytes(data)
        write_json(self.out / "metrics.json", results)
        write_text(self.out / "report.html", render_page(results, pictures, self._repeat()))
        return headline(results)

    def report(self, summary: dict[str, Any]) -> str:
        """The table for a person, the verdicts, and where the page is."""
        told = [*summary["verdicts"], *summary["pretraining"], *summary["notes"]]
        return "\n".join([*headline_table(summary), "", *told, f"report: {self.out / 'report.html'}"])

    def _names(self, inputs: Sequence[Artifact]) -> list[str]:
        names = self.settings.name or [artifact.path.resolve().name for artifact in inputs]
        if len(names) != len(inputs):
            raise UsageError(f"--name gives {len(names)} names for {len(inputs)} inputs; give one for each, in order")
        if self.settings.baseline is not None and self.settings.baseline not in names:
            raise UsageError(f"--baseline {self.settings.baseline!r} is none of the systems: {', '.join(names)}")
        return names

    def _training_runs(self) -> list[Artifact]:
        return [open_artifact(Path(path), ("finetune",)) for path in self.settings.train_ids]

    def _entry(self, number: int, name: str, artifact: Artifact, runs: Sequence[Artifact]) -> Entry:
        fold = model_fold(artifact)
        # The clips' own stages pass a class list on as well; only scores tell of a head.
        head = self.settings.probe is None and "scores" in artifact.scan().collect_schema()
        classes = tuple(artifact.facts.get("classes") or ()) if head else ()
        if classes:
            if self.settings.on == "validation" and fold is None:
                raise IncompatibleError(
                    f"{artifact.path}: its model held out no fold, so it has no validation clips; score --on test"
                )
            teachers: list[tuple[int | None, frozenset[str] | None]] = [(fold, None)]
        elif runs:
            fitting = [run for run in runs if fold is None or run_fold(run) in (fold, None)]
            if not fitting:
                raise IncompatibleError(
                    f"{artifact.path} is of fold {fold}; none of --train-ids is of that fold: add the run that is"
                )
            teachers = [(run_fold(run), frozenset(learned_from(run)["id"])) for run in fitting]
        elif self.settings.on == "validation" and fold is None:
            folds = artifact.scan().select(pl.col("fold").drop_nulls().unique().sort()).collect()["fold"].to_list()
            if not folds:
                raise NoInputError(
                    f"{artifact.path} has no folds, so no validation clips; make them with `birdssl split` before "
                    "embedding, or score --on test"
                )
            teachers = [(number, None) for number in folds]
        else:
            teachers = [(fold, None)]
        return Entry(number, name, artifact.path, fold, classes, tuple(teachers))

    def _known(self, entries: Sequence[Entry], inputs: Sequence[Artifact]) -> list[str]:
        """Classes of the heads in their order; without any head, the labels that may be learned from."""
        if heads := [entry.classes for entry in entries if entry.classes]:
            return list(dict.fromkeys(label for classes in heads for label in classes))
        labels: set[str] = set()
        for artifact in inputs:
            table = artifact.scan().select("id", "role", "test", "fold", "labels").collect()
            labels |= set(selection.learnable(table, None, None, str(artifact.path))["labels"].explode().to_list())
        return sorted(labels - ({NOTHING} - set(self.settings.classes)))

    def _scored(
        self, table: pl.DataFrame, fold: int | None, entry: Entry, learned: set[str]
    ) -> tuple[pl.DataFrame, dict[str, int], int]:
        """Rows to be scored, with their truth; how many were left out, by reason; how many share a learned origin."""
        where = str(entry.path)
        rows = selection.held_out(table, self.settings.on, fold, where)
        rows, left_out = selection.single_label(rows, where, self.settings.several_labels == "leave-out")
        kept = rows.filter(pl.col("truth").is_in(self.classes.scored))
        left_out["of other classes"] = rows.height - kept.height
        if kept.is_empty():
            raise IncompatibleError(
                f"{where}: none of its {rows.height} labelled clips to be scored is of a class of interest "
                f"({', '.join(self.classes.scored)}); label clips of the held-out part, or name others with --classes"
            )
        apart, twins, shared = selection.apart(kept, learned, self.settings.shared_origins, where)
        if apart.is_empty():
            raise IncompatibleError(
                f"{where}: every origin to be scored was also learned from, so --shared-origins leave-out leaves no "
                "clip; split by origin with `birdssl split`"
            )
        return apart, left_out | twins, shared

    def _training(
        self, table: pl.DataFrame, entry: Entry, fold: int | None, ids: frozenset[str] | None
    ) -> pl.DataFrame:
        """Rows that a probe learns from, with their truth."""
        where = str(entry.path)
        rows = selection.learnable(table, fold, ids, where)
        rows, _ = selection.single_label(rows, where, self.settings.several_labels == "leave-out")
        return rows.filter(pl.col("truth").is_in(self.classes.answers))

    def _answer(self, artifact: Artifact, training: pl.DataFrame | None, rows: pl.DataFrame, entry: Entry) -> Answers:
        """By the model's head, or by a probe where there are rows to train one on."""
        where, ids = str(entry.path), rows["id"].to_list()
        if training is None:
            return head_answers(_with(artifact, ids, "scores"), entry.classes, where)
        vectors = _with(artifact, [*training["id"].to_list(), *ids], "embedding")
        examples = vectors.head(training.height).with_columns(training["truth"], training["origin"])
        kind = self.settings.probe or "linear"
        return probe_answers(kind, examples, vectors.tail(len(ids)), self.settings.seed, where)

    def _illustrate(self, results: dict[str, Any], answers: pl.DataFrame, told: Sequence[Any]) -> dict[str, bytes]:
        """Draw all pictures, and tell the results of silhouettes, projections and the pictures' paths."""
        pictures = album.comparison(results).files(f"{album.FOLDER}/comparison")
        results["figures"] = {"comparison": f"{album.FOLDER}/comparison.png"}
        for number, system in enumerate(results["systems"], 1):
            rows = answers.filter(pl.col("system") == system["name"])
            sure = reliability(rows["score"].clip(0, 1), rows["truth"] == rows["predicted"])
            system["reliability"] = _plain(sure)
            shown, chosen = best_on_validation([open_artifact(self.inputs[place]) for place in _inputs(rows)])
            rows = rows.filter(pl.col("input") == _inputs(rows)[shown]).unique("id").sort("id")
            artifact = open_artifact(self.inputs[int(rows["input"][0])])
            vectors = _with(artifact, rows["id"].to_list(), "embedding")["embedding"].to_numpy()
            truth = self.classes.truth(rows["truth"])
            system["how"] = how_in_words(told, system["name"])
            system["silhouette"] = vars(silhouette(vectors, truth, self.settings.seed))
            wanted = self.settings.projection_clips
            view = project(vectors, truth, self.settings.seed, wanted) if wanted else None
            system["projection"] = _view(view, rows, chosen)
            system["figures"] = {"projection": None}
            fold = rows["model_fold"][0]
            system["circumstances"] = self._circumstances(artifact, None if fold is None else int(fold))
            results["notes"] += circumstance_notes(system["name"], system["circumstances"])
            for kind, drawing in album.portraits(system, view, truth, sure).items():
                stem = f"{album.FOLDER}/{album.slug(system['name'], number)}-{kind}"
                system["figures"][kind] = f"{stem}.png"
                pictures |= drawing.files(stem)
        return pictures

    def _circumstances(self, artifact: Artifact, fold: int | None) -> list[dict[str, Any]]:
        """How well the embeddings of one input tell site, recorder and hour, next to species."""
        most, settings = self.settings.circumstance_clips, self.settings
        if not most:
            return []
        table = artifact.scan().select(*dict.fromkeys(NEEDED)).collect().filter(selection.ORIGINALS)
        held = selection.held_out(table, settings.on, fold, str(artifact.path))
        rest = table.filter(~selection.IN_TEST & ~pl.col("id").is_in(held["id"].implode())).sort("id")
        rest = rest.gather_every(max(1, -(-rest.height // most)))
        one = (pl.col("labels").list.n_unique() == 1) & pl.col("labels").list.first().is_in(self.classes.scored)
        rows = pl.concat([held, rest]).with_columns(
            pl.when(one).then(pl.col("labels").list.first()).alias(SPECIES),
            pl.col("origin").fill_null(pl.col("recording")),
        )
        vectors = _with(artifact, rows["id"].to_list(), "embedding")["embedding"].to_numpy()
        doubt = Doubt(settings.seed, settings.draws, settings.level)
        return circumstances(rows, vectors, np.arange(rows.height) < held.height, doubt)

    def _repeat(self) -> dict[str, Any]:
        """The command line that repeats the report, with paths as seen from the folder that holds OUT."""
        parts = [relative(path, self.out.parent) for path in self.inputs]
        for name, field in type(self.settings).model_fields.items():
            value = getattr(self.settings, name)
            if value != field.default:
                words = [relative(Path(path), self.out.parent) for path in value] if name == "train_ids" else value
                text = ",".join(words) if isinstance(words, list) else str(words)
                parts += [self.settings.flag(name), text]
        return {"command": " ".join(["birdssl evaluate", *(shlex.quote(part) for part in parts), "-o again"]),
                "inputs": lineage(self.inputs, self.out.parent)}  # fmt: skip


def _refuse_twins(entries: Sequence[Entry]) -> None:
    seen: dict[tuple[str, int | None], Path] = {}
    for entry in entries:
        for fold, _ in entry.teachers:
            if (entry.system, fold) in seen:
                held = "no fold" if fold is None else f"fold {fold}"
                raise UsageError(
                    f"{seen[entry.system, fold]} and {entry.path} are both called {entry.system!r} and hold out "
                    f"{held}; inputs of one name are different folds of one system: tell others apart with --name A,B"
                )
            seen[entry.system, fold] = entry.path


def _origins_learned(artifact: Artifact, run: Artifact | None, training: pl.DataFrame | None) -> set[str]:
    """Origins that labels were learned from: by the model, by those it started from, and by a probe."""
    by_model = past(run.path, "scores" in artifact.facts).taught_origins if run is not None else ()
    return {*by_model, *([] if training is None else training["origin"].to_list())}


def _with(artifact: Artifact, ids: Sequence[str], column: str) -> pl.DataFrame:
    """`id` and one wide column of some rows, in the order of `ids`."""
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    found = artifact.scan().filter(selection.ORIGINALS).select("id", column).join(wanted.lazy(), on="id", how="semi")
    return wanted.join(found.collect().unique("id", keep="first"), on="id", how="left", maintain_order="left")


def _as_rows(rows: pl.DataFrame, answers: Answers, entry: Entry, fold: int | None) -> pl.DataFrame:
    return rows.with_columns(
        system=pl.lit(entry.system),
        input=pl.lit(entry.number, pl.Int16),
        model_fold=pl.lit(fold, pl.Int16),
        predicted=pl.Series(answers.predicted, dtype=pl.String),
        score=pl.Series(answers.score),
    ).select(list(SCHEMA))


def _plain(found: Reliability) -> dict[str, Any]:
    """A reliability curve as JSON values: an empty bin's means are null."""
    return {name: [None if np.isnan(item) else round(float(item), 6) for item in value] if isinstance(value, np.ndarray)
            else round(value, 6) for name, value in vars(found).items()}  # fmt: skip


def _inputs(rows: pl.DataFrame) -> list[int]:
    return rows["input"].unique().sort().to_list()


def _view(view: Projection | None, rows: pl.DataFrame, chosen: bool) -> dict[str, Any]:
    """What is told of a projection."""
    if view is None:
        return {"shown": 0, "of": rows.height, "perplexity": None, "model": "", "reason": "not asked for"}
    folds = rows["model_fold"].drop_nulls().unique().to_list()
    why = " (the best on its validation clips)" if chosen else ""
    model = f", as the model of fold {folds[0]} sees them{why}" if len(folds) == 1 else ""
    return {"shown": len(view.rows), "of": rows.height, "perplexity": view.perplexity, "model": model,
            "reason": view.reason}  # fmt: skip
