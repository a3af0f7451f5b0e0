"""Few-shot runs side by side: what `birdssl compare` does with OUT of `birdssl fewshot`.

The manifest has a row for each system and cell: its accuracy, and what it did inside the support.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.evaluation.fewshot import (
    CELL,
    CHOSEN,
    CLASSIFIERS,
    FEATURES,
    MEL,
    RANDOM,
    SYSTEM,
    System,
    cells,
    choose,
    merge_controls,
    systems,
)
from birdssl.evaluation.fewshot_table import method_pairs, own_pairs, tabulate
from birdssl.settings.base import nearest
from birdssl.settings.compare import CompareSettings
from birdssl.settings.fewshot import PRETRAIN, FewshotSettings
from birdssl.stages.contract import Result, Unit
from birdssl.stages.fewshot import CELLS
from birdssl.stages.fewshot_notes import notes
from birdssl.stages.fewshot_tables import told, write_tables

log = logging.getLogger(__name__)

DRAWN_BY = ("shots", "seed", "disjoint_origins", "query_share", "support_folds")
SCHEMA: dict[str, Any] = {
    "method": pl.String,
    "features": pl.String,
    "classifier": pl.String,
    "group": pl.String,
    "draw": pl.Int32,
    "seed": pl.Int32,
    "accuracy": pl.Float64,
    "queries": pl.Int64,
    "asked": pl.UInt64,  # the same for the same queries
    "folds_accuracy": pl.Float64,
    "folds_certainty": pl.Float64,
}


@dataclass(frozen=True)
class Entry:
    """One run and the method that it is part of."""

    path: Path
    method: str


class FewshotRuns:
    """A unit is one run's accuracies; everything else is made of all of them at the end."""

    schema: ClassVar[dict[str, Any]] = SCHEMA
    reads: ClassVar[frozenset[str]] = frozenset({"apart", "classifiers"})
    groups: dict[str, list[str]]
    protocol: str
    methods: list[str]

    def __init__(self, settings: CompareSettings, runs: Sequence[Artifact], out: Path) -> None:
        self.settings, self.runs, self.out = settings, runs, out

    def plan(self) -> list[Unit]:
        """One unit a run; fails early when names, groups or protocols don't fit together."""
        runs = self.runs
        names = self.settings.name or [str(run.facts["method"]) for run in runs]
        if len(names) != len(runs):
            raise UsageError(f"--name gives {len(names)} names for {len(runs)} inputs; give one for each, in order")
        self.methods = list(dict.fromkeys(names))
        self._check_baseline()
        self.protocol = _shared_protocol(runs)
        _check_draws(runs)
        self.groups = _shared_groups(runs)
        for name in self.settings.apart:
            if name not in self.groups:
                log.warning("--apart %s: there is no such group; there are %s", name, ", ".join(self.groups))
        if set(self.groups) <= set(self.settings.apart):
            log.warning("--apart names every group there is (%s), so they are averaged", ", ".join(self.groups))
        return [Unit(f"{number:02d}-{run.path.resolve().name}", f"{run.digest} {name}", Entry(run.path, name),
                     run.counts.get("rows", 0))
                for number, (run, name) in enumerate(zip(runs, names, strict=True))]  # fmt: skip

    def _check_baseline(self) -> None:
        wanted = self.settings.baseline
        rows = [System(method, features, classifier).words()
                for method in ("", *self.methods) for features in FEATURES for classifier in CLASSIFIERS]  # fmt: skip
        if wanted is not None and wanted not in self.methods and wanted not in rows:
            raise UsageError(
                f"--baseline {wanted!r} is no method and no row; {nearest(wanted, [*self.methods, *rows])}"
            )

    def work(self, unit: Unit) -> Result:
        """Accuracies of one run; its controls carry its name until all are known."""
        entry: Entry = unit.payload
        answers = open_artifact(entry.path).manifest()
        return Result(cells(answers, entry.method, entry.method).select(list(SCHEMA)))

    def facts(self) -> dict[str, Any]:
        """What was compared."""
        return {"protocol": self.protocol, "methods": self.methods, "groups": self.groups}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Merge controls, choose inside the supports, and write the tables."""
        whole = _whole(manifest.collect(), self.methods)
        found, shares = merge_controls(whole, self._labels())
        ran = {method: whole.filter(pl.col("method") == method).select(CELL).unique() for method in self.methods}
        chosen = [choose(found, method, [method], ran[method], shares) for method in self.methods]
        chosen += [choose(found, "")] if len(self.methods) > 1 else []
        shown = self._shown(found)
        table = pl.concat([shown, *chosen], how="diagonal")
        known = systems(table)
        pairs = [] if self.protocol == "own" else own_pairs(known, shares)
        baseline = self.settings.baseline
        against = [] if baseline is None else method_pairs(known, baseline)
        pairs += [pair for pair in against if pair not in pairs]
        score = "folds_accuracy" if self.protocol == "own" else "accuracy"
        absent = [name for name in self.settings.expected if name not in self.methods]
        apart = self.settings.apart if set(self.groups) - set(self.settings.apart) else []
        results = tabulate(table, self.groups, pairs, self.settings.level, score, absent, apart)
        results |= {"protocol": self.protocol, "methods": self.methods}
        results["notes"] = self._notes(results)
        if baseline is not None and not against:
            names = ", ".join(system.words() for system in known if system.control)
            results["notes"].append(f"Nothing is told from the baseline {baseline!r}: no row has that name; controls "
                                    f"are called {names}.")  # fmt: skip
        return write_tables(self.out, results, f"{len(self.methods)} methods, --protocol {self.protocol}")

    def _labels(self) -> dict[str, dict[str, str]]:
        """What tells controls of different methods apart: encoders of random starts, sample rates of mel statistics."""
        names = self.settings.name or [str(run.facts["method"]) for run in self.runs]
        runs = list(zip(names, self.runs, strict=True))
        encoders = {name: str(run.facts["encoder"]) for name, run in runs}
        rates = {name: f"{run.facts['sample_rate'] / 1000:g} kHz clips" for name, run in runs}
        return {RANDOM: encoders, MEL: rates}

    def _shown(self, found: pl.DataFrame) -> pl.DataFrame:
        wanted = [*self.settings.classifiers, CHOSEN]
        return found.filter(pl.col("classifier").is_in(wanted)) if self.settings.classifiers else found

    def _notes(self, results: dict[str, Any]) -> list[str]:
        asked = [FewshotSettings.model_construct(**run.settings) for run in self.runs]
        # what is to be known of pretraining holds for the table if it holds for one of its rows
        settings = next((one for one in asked if one.start == PRETRAIN), asked[0])
        cells_ = [json.loads(path.read_text(encoding="utf-8"))
                  for run in self.runs for path in sorted((run.path / CELLS).glob("*.json"))]  # fmt: skip
        return notes(settings, results, cells_)

    def report(self, summary: dict[str, Any]) -> str:
        """The averages, the verdicts, and what a reader should know of them."""
        return told(self.out, summary)


def _whole(table: pl.DataFrame, methods: Sequence[str]) -> pl.DataFrame:
    """All cells, in order of methods. Raises IncompatibleError for a cell that comes twice, or with other queries."""
    twins = table.filter(pl.struct(*SYSTEM, *CELL).is_duplicated())
    if twins.height:
        row = twins.row(0, named=True)
        raise IncompatibleError(
            f"{row['method']} has group {row['group']}, draw {row['draw']}, seed {row['seed']} in two inputs; give "
            "each once, or name different methods by --name"
        )
    differing = (
        table.group_by("group", "draw").agg(pl.col("asked").n_unique().alias("kinds")).filter(pl.col("kinds") > 1)
    )
    if differing.height:
        row = differing.sort("group", "draw").row(0, named=True)
        raise IncompatibleError(
            f"the runs asked other queries in group {row['group']}, draw {row['draw']}, so they can't be set side by "
            "side; run them on the same clips with the same --seed, --shots, --protocol and --disjoint-origins"
        )
    place = {method: number for number, method in enumerate(methods)}
    return table.sort(pl.col("method").replace_strict(place), *SYSTEM, *CELL)


def _shared_protocol(runs: Sequence[Artifact]) -> str:
    found = {str(run.facts["protocol"]): run.path for run in runs}
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise IncompatibleError(f"{first} is of --protocol {one} and {second} of {other}; compare runs of one protocol")
    return next(iter(found))


def _check_draws(runs: Sequence[Artifact]) -> None:
    """Draws are paired by their number, so what they are drawn by must be the same."""
    for name in DRAWN_BY:
        first, *others = runs
        for run in others:
            one, other = first.settings.get(name), run.settings.get(name)
            if one != other:
                raise IncompatibleError(
                    f"{first.path} was made with {FewshotSettings.flag(name)} {one!r} and {run.path} with {other!r}: "
                    "their draws aren't the same clips; compare runs that agree"
                )


def _shared_groups(runs: Sequence[Artifact]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for run in runs:
        for name, classes in run.facts["groups"].items():
            if groups.setdefault(name, classes) != classes:
                raise IncompatibleError(
                    f"group {name} is {', '.join(classes)} in {run.path} and {', '.join(groups[name])} in an earlier "
                    "input; compare runs over the same groups"
                )
    return groups
