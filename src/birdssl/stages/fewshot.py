"""`birdssl fewshot`: a few labelled clips a class to answers, scores and intervals, with controls and chance beside.

OUT/manifest.parquet    a row for each answer: group, draw, seed, features, classifier, clip, truth, predicted
OUT/results.json        every number of the tables; table.md, table.csv and latex.csv show them, systems.png draws them
OUT/cells/NAME.json     how pretraining went in each cell, and what was chosen inside its supports
OUT/encoder/            with --protocol own: the encoder, for `birdssl finetune --start`
OUT/classifier/         and the best classifier on it that runs on raw recordings, for `birdssl detect` and `embed`
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import table_digest
from birdssl.artifacts.atomic import write_json
from birdssl.artifacts.episodes import (
    Clips,
    Episode,
    EpisodePlan,
    Group,
    Positions,
    draw_episode,
    support_folds,
)
from birdssl.artifacts.manifest import ORIGINAL
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.evaluation.fewshot import (
    ANSWERS,
    FINETUNE,
    FOLDS,
    PRETRAINED,
    QUERY,
    SYSTEM,
    System,
    best_inside,
    cells,
    choose,
    systems,
)
from birdssl.evaluation.fewshot_table import own_pairs, tabulate
from birdssl.evaluation.lineage import Past, past
from birdssl.evaluation.scoring import STUCK
from birdssl.settings.fewshot import NONE, PRETRAIN, PUBLISHED, FewshotSettings
from birdssl.stages.clip_table import merged_facts, recording_contents, remove_strays
from birdssl.stages.contract import Result, Source, Stage, Unit, relative
from birdssl.stages.fewshot_cell import Cell, CellWork, build_start
from birdssl.stages.fewshot_groups import groups_path, wanted_groups
from birdssl.stages.fewshot_notes import notes
from birdssl.stages.fewshot_tables import told, write_tables
from birdssl.stages.frontends import check_length, holds_pictures, started_frontend, waveform_frontend
from birdssl.stages.inference import model_source
from birdssl.stages.tables import TABLES
from birdssl.stages.training import check_start_options, training_plan
from birdssl.training.joined import Joined, join
from birdssl.training.labelled import labelled_rows
from birdssl.training.methods import METHODS, frames_needed
from birdssl.training.optimisers import usual_batch
from birdssl.training.partition import without_test
from birdssl.training.saved_model import ModelSpec, SavedModel, load_model, save_model
from birdssl.training.session import training_session
from birdssl.training.waveforms import Frontend

log = logging.getLogger(__name__)

ENCODER, CLASSIFIER, CELLS = "encoder", "classifier", "cells"
PLACES = ("path", "shard", "row")  # columns that say where a clip lies, not what it is


class Fewshot(Stage[FewshotSettings]):
    """A unit is a cell: a group, a pretraining seed and, where the pool depends on it, a draw of the support."""

    verb: ClassVar[str] = "fewshot"
    owns: ClassVar[tuple[str, ...]] = (*TABLES, CELLS, ENCODER, CLASSIFIER)
    parallel: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...] | None] = ("render",)
    data: Joined
    groups: list[Group]
    frontend: Frontend
    keys: list[str]  # of the units

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of an answer."""
        return ANSWERS

    @property
    def model(self) -> Path | None:
        """The model to start from, where that is one."""
        return None if self.settings.start in (PRETRAIN, NONE, PUBLISHED) else Path(self.settings.start)

    @cached_property
    def started(self) -> SavedModel | None:
        """That model, as loaded."""
        if self.model is None:
            return None
        if not self.model.exists():
            raise NoInputError(
                f"--start {self.model}: no such directory; give pretrain, none, published, or a model's directory"
            )
        return load_model(self.model)

    @cached_property
    def past(self) -> Past | None:
        """What the model to start from has learned from; None where there is no such model."""
        return None if self.model is None or self.started is None else past(self.model, self.started.head is not None)

    @property
    def encoder_name(self) -> str:
        """The start's, the setting, or the objective's own."""
        return self.settings.trained_encoder if self.started is None else self.started.encoder.name

    @property
    def method(self) -> str:
        """The name of its rows in tables."""
        ways = {PRETRAIN: self.settings.objective, PUBLISHED: PUBLISHED, NONE: NONE}
        way = ways.get(self.settings.start, Path(self.settings.start).name)
        return self.settings.name or f"{self.encoder_name} {way}"

    @property
    def episode_plan(self) -> EpisodePlan:
        settings = self.settings
        return EpisodePlan(settings.protocol, settings.shots, settings.seed, settings.disjoint_origins,
                           settings.query_share, settings.pool_clips)  # fmt: skip

    def sources(self) -> list[Source]:
        """The clips, and the model to start from."""
        clips = super().sources()
        return clips if self.model is None else [*clips, model_source(self.model)]

    def recorded_settings(self) -> dict[str, Any]:
        """As every stage's; `start` and `groups` may be a word or a path."""
        values = super().recorded_settings()
        for name, path in (("start", self.model), ("groups", groups_path(self.settings))):
            if path is not None:
                values[name] = relative(path, self.out)
        return values

    def plan(self) -> list[Unit]:
        """Draw all episodes, and look at all that they need, before anything is trained."""
        settings, artifacts = self.settings, self.artifacts()
        self.data = join(artifacts, self.out)
        if holds_pictures(self.data.facts):
            raise IncompatibleError(
                f"{self.inputs[0]} holds pictures, and few-shot takes sound; run `birdssl render --kind waveform`"
            )
        rows = self._rows()
        clips = Clips(*(tuple(rows[name].to_list()) for name in ("id", "truth", "origin")))
        self.groups = wanted_groups(settings, clips)
        if settings.protocol == "own" and len(self.groups) > 1:
            raise UsageError(
                f"--protocol own learns one group's classes, and there are {len(self.groups)} groups; choose one by "
                "--only-groups"
            )
        self.frontend = self._frontend()
        self._check_method()
        contents = recording_contents(artifacts)
        cells_ = self._cells(rows, clips)
        self._check_start(cells_)
        units = [self._unit(cell, contents) for cell in cells_]
        self.keys = [unit.key for unit in units]
        if not units:
            raise NoInputError(f"{self.inputs[0]}: no group to run")
        return units

    def _check_method(self) -> None:
        """Says now what doesn't fit: sizes of the encoder, the objective's views, and its demands on the encoder."""
        settings = self.settings
        if settings.weights is not None and not settings.weights.is_file():
            raise NoInputError(f"--weights {settings.weights}: no such file")
        encoder = build_start(settings, self.started, self.frontend, settings.seed)
        check_length(encoder, self.frontend)
        if settings.start != PRETRAIN:
            return
        check_length(encoder, self.frontend, frames_needed(settings.objective, settings.own()))
        method = METHODS[settings.objective]
        if settings.shown_views not in method.views or settings.shown_views == "stored":
            known = ", ".join(name for name in method.views if name != "stored")
            raise UsageError(f"--views {settings.shown_views}: {settings.objective} learns from views of kind {known}")
        method.build(encoder, settings.own())

    def _rows(self) -> pl.DataFrame:
        """Originals outside the test part, with `truth`; with --protocol own those of no single label too, as ""."""
        originals = without_test(self.data.rows).filter(pl.col("role") == ORIGINAL)
        own = self.settings.protocol == "own"
        some = originals.filter(pl.col("labels").list.len() > 0) if own else originals
        labelled = labelled_rows(originals if some.is_empty() else some, self.settings.several_labels == "leave-out")
        rows = originals if own else labelled
        if rows["id"].is_duplicated().any():
            raise IncompatibleError("some clips are in the inputs twice; give each recording once")
        single = pl.when(pl.col("labels").list.len() == 1).then(pl.col("labels").list.first()).otherwise(pl.lit(""))
        return rows.with_columns(single.alias("truth"), pl.col("origin").fill_null(pl.col("recording")))

    def _frontend(self) -> Frontend:
        if self.started is None:
            return waveform_frontend(self.settings, self.encoder_name, self.data.facts)
        check_start_options(self.settings, self.started.encoder, str(self.model))
        if "kind" not in self.started.frontend:
            raise IncompatibleError(
                f"--start {self.model} takes pictures, and few-shot takes sound; start from another"
            )
        for name in ("sample_rate", "clip_seconds"):
            found, wanted = self.data.facts[name], self.started.frontend.get(name)
            if found != wanted:
                raise IncompatibleError(
                    f"{self.inputs[0]}: {name} is {found!r}, and {self.model} was trained at {wanted!r}; make the "
                    f"clips anew with --{name.replace('_', '-')} {wanted}"
                )
        return started_frontend(self.settings, self.started.frontend, str(self.model))

    def _cells(self, rows: pl.DataFrame, clips: Clips) -> list[Cell]:
        """In order of group, draw and seed; draws that share their pool are one cell."""
        settings, found = self.settings, []
        for group in self.groups:
            episodes = [draw_episode(clips, group, draw, self.episode_plan) for draw in settings.draw_numbers]
            if settings.protocol == "own":
                own = rows[episodes[0].support]
                support_folds(own["truth"].to_list(), own["origin"].to_list(), settings.support_folds, settings.seed)
            shared = [[episode] for episode in episodes] if settings.protocol == "paper" else [episodes]
            for together in shared:
                for seed in range(settings.pretraining_seeds):
                    found.append(self._cell(rows, clips.of(group.classes), seed, together))
        return found

    def _cell(self, rows: pl.DataFrame, theirs: Positions, seed: int, episodes: list[Episode]) -> Cell:
        """`theirs` are all clips of the group, so that what is drawn for a clip doesn't hang on which draws are run."""
        group = episodes[0].group
        places = np.unique(np.concatenate([theirs, *(episode.pool for episode in episodes)]))
        own = []
        for episode in episodes:
            moved = {part: np.searchsorted(places, getattr(episode, part)) for part in ("support", "query", "pool")}
            own.append(replace(episode, **moved))
        return Cell(group, seed, rows[places], own[0].pool, tuple(own), self._batch(len(own[0].pool), group))

    def _batch(self, pool: int, group: Group) -> int:
        """Clips in a batch of pretraining: the setting, or the usual one where the pool is as large."""
        settings = self.settings
        usual = usual_batch(self.encoder_name, pretraining=True)
        batch = settings.batch_size or max(2, min(usual, pool))
        training_plan(settings, self.encoder_name, batch, pretraining=True)  # says now what doesn't fit
        if settings.start == PRETRAIN and settings.epochs and pool < batch:
            raise IncompatibleError(
                f"group {group.name}: a pool of {pool} clips is smaller than the batch of {batch}; give --batch-size "
                f"{max(2, pool)} or less, or more clips"
            )
        return batch

    def _unit(self, cell: Cell, contents: dict[str, str]) -> Unit:
        names = [f"d{cell.episodes[0].draw:03d}"] if self.settings.protocol == "paper" else []
        parts = [",".join(map(str, part)) for episode in cell.episodes
                 for part in (episode.support, episode.query, episode.pool)]  # fmt: skip
        kept = cell.rows.drop(PLACES).write_ndjson()
        sounds = [contents.get(name, contents[""]) for name in cell.rows["recording"].unique().sort().to_list()]
        started = [] if self.model is None else [model_source(self.model).digest]
        if self.settings.weights is not None:
            started.append(table_digest(self.settings.weights))
        text = "\x1f".join([kept, *parts, *sounds, *started])
        identity = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        asked = sum(len(episode.query) + len(episode.support) for episode in cell.episodes)
        return Unit("-".join([_slug(cell.group.name), *names, f"s{cell.seed:02d}"]), identity, cell, 600 * asked)

    def work(self, unit: Unit) -> Result:
        """Pretrain, answer, and note how it went."""
        settings, scratch = self.settings, self.scratch / unit.key
        with training_session(
            self.options.device, settings.precision, settings.threads, self.encoder_name, scratch
        ) as session:
            work = CellWork(unit.payload, settings, self.data, self.started, self.frontend, session, scratch)
            rows, noted = work.run()
            for draw, episode in zip(noted["draws"], unit.payload.episodes, strict=True):
                draw |= self._met(unit.payload.rows[episode.query])
                draw["stuck"] = _stuck(rows.filter(pl.col("draw") == episode.draw), settings.protocol == "own")
            if settings.protocol == "own" and settings.start != NONE and unit.payload.seed == 0:
                noted["kept"] = self._keep(work, rows, noted)
        shutil.rmtree(scratch, ignore_errors=True)  # a checkpoint of each of many cells would fill a disk
        write_json(self.out / CELLS / f"{unit.key}.json", noted)
        return Result(rows)

    def _met(self, queries: pl.DataFrame) -> dict[str, Any]:
        """How many queries the start was trained on, and how many more by other clips of their origins."""
        if self.past is None:
            return {}
        heard = queries["id"].is_in(list(self.past.ids))
        near = queries["origin"].is_in(list(self.past.origins)) & ~heard
        return {"heard": int(heard.sum()), "heard_origins": int(near.sum()), "history": self.past.known}

    def _check_start(self, cells: Sequence[Cell]) -> None:
        """A start that has learned the queries' labels, or those of their recordings, would answer from memory."""
        if self.past is None:
            return
        for cell in cells:
            for episode in cell.episodes:
                queries = cell.rows[episode.query]
                count = int(queries["origin"].is_in(list(self.past.taught_origins)).sum())
                if count:
                    raise IncompatibleError(
                        f"--start {self.model} has learned the labels of recordings that {count} of {len(queries)} "
                        f"queries of group {cell.group.name} come from, so it would answer from memory; start from an "
                        "encoder that was pretrained without labels, or ask about other recordings"
                    )

    def _keep(self, work: CellWork, rows: pl.DataFrame, noted: dict[str, Any]) -> dict[str, Any] | None:
        """Save the encoder, and with it the best classifier that runs on raw recordings; returns its words and score.

        Mel statistics and neighbours can't stand in a model's directory, so the best of all may not be it.
        """
        provenance = {"verb": self.verb, "start": self.settings.start}
        if self.settings.start == PRETRAIN:
            provenance["objective"] = self.settings.objective
        spec = ModelSpec(work.frontend.to_dict(), provenance=provenance)
        save_model(self.out / ENCODER, work.encoders[PRETRAINED], None, spec)
        fitting = cells(rows, self.method).filter((pl.col("features") == PRETRAINED) & (pl.col("classifier") != "knn"))
        best = best_inside(fitting)
        if best.is_empty():
            return None
        system = System(*best.select(SYSTEM).row(0))
        encoder, head = work.classifier(system.classifier, noted["draws"][0]["finetune_rates"].get(PRETRAINED, 0.0))
        provenance = {**provenance, "classifier": system.classifier}
        classes = work.cell.group.classes
        save_model(self.out / CLASSIFIER, encoder, head, replace(spec, classes=classes, provenance=provenance))
        return {"words": system.words(), "score": best["folds_accuracy"][0]}

    def facts(self) -> dict[str, Any]:
        """What was asked, so that runs can be set beside each other."""
        return {
            **merged_facts(self.artifacts()),
            "protocol": self.settings.protocol,
            "method": self.method,
            "encoder": self.encoder_name,
            "groups": {group.name: list(group.classes) for group in self.groups},
        }

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all answers; write tables and picture."""
        settings = self.settings
        found = cells(manifest.collect(), self.method)
        found = pl.concat([found, choose(found, "")], how="diagonal")
        column_ = "folds_accuracy" if settings.protocol == "own" else "accuracy"
        groups = {group.name: group.classes for group in self.groups}
        results = tabulate(found, groups, [] if settings.protocol == "own" else own_pairs(systems(found)),
                           settings.level, column_)  # fmt: skip
        paths = [self.out / CELLS / f"{key}.json" for key in self.keys]
        remove_strays(self.out / CELLS, set(paths))
        cells_ = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        results |= {"method": self.method, "protocol": settings.protocol}
        results["notes"] = notes(settings, results, cells_)
        return write_tables(self.out, results, f"{self.method}, --protocol {settings.protocol}")

    def report(self, summary: dict[str, Any]) -> str:
        """The averages, the verdicts, and what a reader should know of them."""
        return told(self.out, summary)


def _stuck(rows: pl.DataFrame, own: bool) -> bool | None:
    """Whether fine-tuning gave nearly all clips of a draw one class; None where nothing was fine-tuned."""
    part = (pl.col("part") == (FOLDS if own else QUERY)) & (pl.col("classifier") == FINETUNE)
    answers = rows.filter(part & (pl.col("features") == PRETRAINED))["predicted"]
    if answers.is_empty():
        return None
    return max(answers.value_counts()["count"].to_list()) >= STUCK * len(answers)


def _slug(name: str) -> str:
    """A group's name as part of a file's name; names that would be alike are told apart by a digest."""
    plain = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)
    return plain if plain == name else f"{plain}-{hashlib.blake2b(name.encode(), digest_size=3).hexdigest()}"
