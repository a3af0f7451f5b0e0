"""`birdssl evaluate`: embeddings of held-out clips to scores, comparisons, pictures and a page.

OUT/manifest.parquet   one row for each scored clip and model: truth, answer, score
OUT/metrics.json       every number of the report
OUT/report.html        the page, pictures inside
OUT/figures/           the same pictures as files, PNG and SVG
OUT/models/            how each input's answers came about
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from threadpoolctl import threadpool_limits

from birdssl import __version__
from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.artifacts.labelling import NOTHING
from birdssl.artifacts.manifest import CLIP_SCHEMA
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.evaluation import album, selection
from birdssl.evaluation.answers import Answers, head_answers, probe_answers
from birdssl.evaluation.each_album import draw_each
from birdssl.evaluation.each_answers import EachAnswers, head_each, probe_each
from birdssl.evaluation.each_label import EachSystems
from birdssl.evaluation.each_summary import each_table, headline_each
from birdssl.evaluation.lineage import (
    learned_from,
    model_fold,
    model_run,
    past,
    run_fold,
    seen_unlabelled,
    start_of,
)
from birdssl.evaluation.metrics import ClassList, class_list
from birdssl.evaluation.page import render_page
from birdssl.evaluation.scoring import Doubt, Systems
from birdssl.evaluation.starts import did_it_help, starts_of
from birdssl.evaluation.summary import headline, headline_table, left_out_in_all, seen_notes, shared_notes
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.names import ProbeName
from birdssl.stages.contract import Result, Source, Stage, Unit, relative
from birdssl.stages.each_label import EACH, tells_each
from birdssl.stages.portraits import NEEDED, Portraits, columns_of
from birdssl.stages.repeat import how_to_repeat

KEPT = ("id", "recording", "origin", "channel", "start", "seconds", "site", "recorder", "time", "utc_offset", "fold")
ASKED: dict[str, Any] = {
    "system": pl.String,
    "input": pl.Int16,  # which of the inputs answered, from 0
    "model_fold": pl.Int16,  # the fold that its model held out; null where there is none
    **{name: CLIP_SCHEMA[name] for name in KEPT},
}
SCHEMA: dict[str, Any] = {
    **ASKED,
    "truth": pl.String,
    "predicted": pl.String,
    "score": pl.Float32,  # probability of the answer
}
EACH_SCHEMA: dict[str, Any] = {  # where each class is told by itself
    **ASKED,
    "truth": pl.List(pl.String),  # those of the scored classes that the clip holds
    "none": pl.Boolean,  # it was looked at, and holds nothing of interest at all
    "predicted": pl.List(pl.String),  # the classes whose score reached their threshold
    "scores": pl.List(pl.Float32),  # of the scored classes, in the order of facts.classes in stage.json
}


@dataclass(frozen=True)
class Teacher:
    """What one probe learns from.

    Attributes:
        fold: left out.
        ids: of the clips; None for all that may be learned from.
        told: of the training run that had them: the share of labels that it drew, and where it is.
    """

    fold: int | None
    ids: frozenset[str] | None = None
    told: dict[str, Any] | None = None


@dataclass(frozen=True)
class Entry:
    """One input: whose answers it holds, and how they are to be made.

    Attributes:
        number: its place among the inputs.
        system: name of the system that it belongs to.
        path: its directory.
        fold: held out by the model that made the embeddings; None where there is none.
        probe: which classifier answers, where the model's own head doesn't.
        classes: of the model's head; empty for a probe.
        teachers: of each of its probes; of a head one that tells its fold alone.
    """

    number: int
    system: str
    path: Path
    fold: int | None
    probe: ProbeName
    classes: tuple[str, ...]
    teachers: tuple[Teacher, ...]


class Evaluate(Stage[EvaluateSettings]):
    """A unit is the answers of one input by one kind of classifier; all else is made from all answers at the end."""

    verb: ClassVar[str] = "evaluate"
    accepts: ClassVar[tuple[str, ...]] = ("embed",)
    owns: ClassVar[tuple[str, ...]] = ("metrics.json", "report.html", album.FOLDER, "models")
    classes: ClassList

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of an answer."""
        return EACH_SCHEMA if self.each else SCHEMA

    @cached_property
    def each(self) -> bool:
        """Whether clips may have several labels, each class told by itself."""
        return tells_each(self.artifacts(), self.settings)

    def sources(self) -> list[Source]:
        """Inputs, and the training runs that probes learn from."""
        runs = [Source(run.path, run.verb, run.digest) for run in self._training_runs()]
        return super().sources() + runs

    def plan(self) -> list[Unit]:
        """One unit an input and kind of classifier; fails early when names, folds or classes don't fit together."""
        inputs, runs = self.artifacts(), self._training_runs()
        names = self._names(inputs)
        entries = [self._entry(number, names[number], artifact, probe, runs)
                   for number, artifact in enumerate(inputs) for probe in self.settings.probes]  # fmt: skip
        _refuse_twins(entries)
        self.classes = class_list(self._known(entries, inputs), self.settings.classes)
        digests = " ".join(run.digest for run in runs)
        return [
            Unit(self._key(entry), f"{inputs[entry.number].digest} {digests}".strip(), entry,
                 inputs[entry.number].counts.get("rows", 0) * 100)
            for entry in entries
        ]  # fmt: skip

    def work(self, unit: Unit) -> Result:
        """Answers of one input's models, and `models/<key>.json` about them."""
        entry: Entry = unit.payload
        artifact = open_artifact(entry.path, self.accepts)
        table = artifact.scan().select(NEEDED).collect()
        parts, told, run = [], [], model_run(artifact)
        with threadpool_limits(1):
            for teacher in entry.teachers:
                fold = teacher.fold
                training = None if entry.classes else self._training(table, entry, teacher)
                rows, left_out, shared = self._scored(table, fold, entry, _origins_learned(artifact, run, training))
                answers = self._answer(artifact, training, rows, entry)
                checks = {"checked": run is not None or not artifact.facts.get("model"), "shared": shared,
                          "seen_unlabelled": seen_unlabelled(run, rows["id"].to_list())}  # fmt: skip
                told.append({"fold": fold, "left_out": left_out, **checks, **answers.facts, **(teacher.told or {})})
                parts.append(_as_rows(rows, answers, entry, fold))
        made = {"system": entry.system, "start": start_of(artifact), "models": told}
        write_json(self.out / "models" / f"{unit.key}.json", made)
        return Result(pl.concat(parts).select([pl.col(name).cast(kind) for name, kind in self.schema.items()]))

    def facts(self) -> dict[str, Any]:
        """What was scored."""
        return {
            "on": self.settings.on,
            "classes": list(self.classes.scored),
            "other_classes": list(self.classes.others),
            **({EACH: True} if self.each else {}),
        }

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all answers and write numbers, pictures and the page."""
        answers = manifest.collect()
        doubt = Doubt(self.settings.seed, self.settings.draws, self.settings.level)
        systems = (EachSystems if self.each else Systems)(answers, self.classes, doubt)
        with threadpool_limits(1):
            scores = systems.results(self.settings.baseline)
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
            results["pretraining"] = did_it_help(systems, starts_of(told))
        results["shared"] = any(model["shared"] for item in told for model in item["models"])
        results["checked"] = all(model["checked"] for item in told for model in item["models"])
        portraits = Portraits(self.classes, self.inputs, self.settings, self.settings.on)
        with threadpool_limits(1):
            pictures = draw_each(results, told) if self.each else portraits.draw(results, answers, told)
        for path, data in pictures.items():
            with atomic_path(self.out / path) as part:
                part.write_bytes(data)
        write_json(self.out / "metrics.json", results)
        write_text(self.out / "report.html", render_page(results, pictures, how_to_repeat(self)))
        return headline_each(results) if self.each else headline(results)

    def report(self, summary: dict[str, Any]) -> str:
        """The table for a person, the verdicts, and where the page is."""
        table = each_table(summary) if self.each else headline_table(summary)
        told = [*summary["verdicts"], *summary["pretraining"], *summary["notes"]]
        return "\n".join([*table, "", *told, f"report: {self.out / 'report.html'}"])

    def _names(self, inputs: Sequence[Artifact]) -> list[str]:
        names = self.settings.name or [artifact.path.resolve().name for artifact in inputs]
        if len(names) != len(inputs):
            raise UsageError(f"--name gives {len(names)} names for {len(inputs)} inputs; give one for each, in order")
        known = self.settings.systems(names)
        if self.settings.baseline is not None and self.settings.baseline not in known:
            raise UsageError(f"--baseline {self.settings.baseline!r} is none of the systems: {', '.join(known)}")
        return names

    def _key(self, entry: Entry) -> str:
        key = f"{entry.number:02d}-{entry.path.resolve().name}"
        return f"{key}-{entry.probe}" if len(self.settings.probe) > 1 else key

    def _training_runs(self) -> list[Artifact]:
        return [open_artifact(Path(path), ("finetune",)) for path in self.settings.train_ids]

    def _entry(
        self, number: int, name: str, artifact: Artifact, probe: ProbeName | None, runs: Sequence[Artifact]
    ) -> Entry:
        # The clips' own stages pass a class list on as well; only scores tell of a head.
        head = probe is None and "scores" in artifact.scan().collect_schema()
        classes = tuple(artifact.facts.get("classes") or ()) if head else ()
        fold = self._fold(artifact, head)
        if classes:
            if self.settings.on == "validation" and fold is None:
                raise IncompatibleError(
                    f"{artifact.path}: its model held out no fold, so it has no validation clips; score --on test"
                )
            teachers = [Teacher(fold)]
        elif runs:
            fitting = [run for run in runs if fold is None or run_fold(run) in (fold, None)]
            if not fitting:
                raise IncompatibleError(
                    f"{artifact.path} is of fold {fold}; none of --train-ids is of that fold: add the run that is"
                )
            teachers = [Teacher(run_fold(run), frozenset(learned_from(run)["id"]), self._told_of(run))
                        for run in fitting]  # fmt: skip
        elif self.settings.on == "validation" and fold is None:
            folds = _folds(artifact)
            if not folds:
                raise NoInputError(
                    f"{artifact.path} has no folds, so no validation clips; make them with `birdssl split` before "
                    "embedding, or score --on test"
                )
            teachers = [Teacher(number) for number in folds]
        else:
            teachers = [Teacher(fold)]
        system = self.settings.system(name, probe)
        return Entry(number, system, artifact.path, fold, probe or "linear", classes, tuple(teachers))

    def _fold(self, artifact: Artifact, head: bool) -> int | None:
        """The fold that the model behind embeddings held out, or the one that --fold says is left out."""
        own, asked = model_fold(artifact), self.settings.fold
        if asked is None or own == asked:
            return own
        if own is not None or head:
            held = "no fold" if own is None else f"fold {own}"
            raise IncompatibleError(
                f"{artifact.path}: --fold is {asked}, and its model held out {held}; leave --fold out, or give "
                f"embeddings by a model of fold {asked}, or of none and without a head"
            )
        if asked not in (folds := _folds(artifact)):
            known = ", ".join(map(str, folds)) or "none"
            raise IncompatibleError(f"{artifact.path} has no fold {asked} (folds: {known}); see `birdssl split`")
        return asked

    def _told_of(self, run: Artifact) -> dict[str, Any]:
        """What is told of a training run whose clips a probe learns from."""
        return {"labels": run.settings.get("train_fraction", 1.0), "train_ids": relative(run.path, self.out)}

    def _known(self, entries: Sequence[Entry], inputs: Sequence[Artifact]) -> list[str]:
        """Classes of the heads in their order; without any head, the labels that may be learned from."""
        if heads := [entry.classes for entry in entries if entry.classes]:
            return list(dict.fromkeys(label for classes in heads for label in classes))
        labels: set[str] = set()
        for artifact in inputs:
            table = artifact.scan().select("id", "role", "test", "fold", "labels").collect()
            labels |= set(selection.learnable(table, None, None, str(artifact.path))["labels"].explode().to_list())
        return sorted(labels - ({NOTHING} - (set() if self.each else set(self.settings.classes))))

    def _scored(
        self, table: pl.DataFrame, fold: int | None, entry: Entry, learned: set[str]
    ) -> tuple[pl.DataFrame, dict[str, int], int]:
        """Rows to be scored, with their truth; how many were left out, by reason; how many share a learned origin."""
        where = str(entry.path)
        rows = selection.held_out(table, self.settings.on, fold, where)
        if self.each:
            kept, left_out = selection.each_label(rows, self.classes.scored)
            found = kept.filter(pl.col("truth").list.len() > 0)
        else:
            rows, left_out = selection.single_label(rows, where, self.settings.several_labels == "leave-out")
            kept = found = rows.filter(pl.col("truth").is_in(self.classes.scored))
            left_out["of other classes"] = rows.height - kept.height
        if found.is_empty():
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

    def _training(self, table: pl.DataFrame, entry: Entry, teacher: Teacher) -> pl.DataFrame:
        """Rows that a probe learns from, with their truth."""
        where = str(entry.path)
        rows = selection.learnable(table, teacher.fold, teacher.ids, where)
        if self.each:
            return selection.each_label(rows, self.classes.scored)[0]
        rows, _ = selection.single_label(rows, where, self.settings.several_labels == "leave-out")
        return rows.filter(pl.col("truth").is_in(self.classes.answers))

    def _answer(
        self, artifact: Artifact, training: pl.DataFrame | None, rows: pl.DataFrame, entry: Entry
    ) -> Answers | EachAnswers:
        """By the model's head, or by a probe where there are rows to train one on."""
        where, ids, wanted = str(entry.path), rows["id"].to_list(), self.classes.scored
        if training is None:
            found = columns_of(artifact, ids, "scores")
            if self.each:
                return head_each(found, entry.classes, artifact.facts.get("thresholds"), wanted, where)
            return head_answers(found, entry.classes, where)
        vectors = columns_of(artifact, [*training["id"].to_list(), *ids], "embedding")
        examples = vectors.head(training.height).with_columns(training["truth"], training["origin"])
        if self.each:
            examples = examples.with_columns(training["labels"])
            return probe_each(entry.probe, examples, vectors.tail(len(ids)), wanted, self.settings.seed, where)
        return probe_answers(entry.probe, examples, vectors.tail(len(ids)), self.settings.seed, where)


def _folds(artifact: Artifact) -> list[int]:
    """The folds that clips behind embeddings lie in."""
    return artifact.scan().select(pl.col("fold").drop_nulls().unique().sort()).collect()["fold"].to_list()


def _refuse_twins(entries: Sequence[Entry]) -> None:
    seen: dict[tuple[str, int | None], Path] = {}
    for entry in entries:
        for fold in (teacher.fold for teacher in entry.teachers):
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


def _as_rows(rows: pl.DataFrame, answers: Answers | EachAnswers, entry: Entry, fold: int | None) -> pl.DataFrame:
    rows = rows.with_columns(
        system=pl.lit(entry.system), input=pl.lit(entry.number, pl.Int16), model_fold=pl.lit(fold, pl.Int16)
    )
    if isinstance(answers, EachAnswers):
        predicted = pl.Series(answers.predicted, dtype=pl.List(pl.String))
        scores = pl.Series(answers.scores.tolist(), dtype=pl.List(pl.Float32))
        return rows.with_columns(predicted=predicted, scores=scores).select(list(EACH_SCHEMA))
    return rows.with_columns(
        predicted=pl.Series(answers.predicted, dtype=pl.String), score=pl.Series(answers.score)
    ).select(list(SCHEMA))
