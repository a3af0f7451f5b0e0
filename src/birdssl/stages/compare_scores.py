"""Evaluations side by side: what `birdssl compare` does with OUT of `birdssl evaluate`.

The manifest has a row for each answer. Evaluations of one system on other folds, made on whatever machine, are one
system here, so that a study's cells need not be scored in one go.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.evaluation import album
from birdssl.evaluation.fewshot_table import NOT_AT_HAND
from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.score_table import brief, latex_csv, long_csv, markdown, terminal, verdicts
from birdssl.evaluation.scoring import Doubt, score
from birdssl.evaluation.starts import did_it_help, starts_of
from birdssl.evaluation.summary import seen_notes, shared_notes, unchecked_notes
from birdssl.settings.base import nearest
from birdssl.settings.compare import CompareSettings
from birdssl.stages.contract import Result, Unit
from birdssl.stages.tables import ON_TERMINAL, save_tables

SCHEMA: dict[str, Any] = {
    "system": pl.String,
    "model_fold": pl.Int16,
    "id": pl.String,
    "recording": pl.String,
    "origin": pl.String,
    "truth": pl.String,
    "predicted": pl.String,
}
MUST_AGREE = {"on": "--on", "classes": "--classes"}


@dataclass(frozen=True)
class Entry:
    """One evaluation, and a name for its one system; None where its systems keep their own."""

    path: Path
    name: str | None


class ScoredRuns:
    """A unit is one evaluation's answers; scores, tests and tables are made of all of them at the end."""

    schema: ClassVar[dict[str, Any]] = SCHEMA
    reads: ClassVar[frozenset[str]] = frozenset({"draws", "seed"})
    names: list[str]

    def __init__(self, settings: CompareSettings, runs: Sequence[Artifact], out: Path) -> None:
        self.settings, self.runs, self.out = settings, runs, out

    def plan(self) -> list[Unit]:
        """One unit a run; fails early when names, classes or parts don't fit together."""
        given = self.settings.name
        if given and len(given) != len(self.runs):
            raise UsageError(f"--name: {len(given)} names for {len(self.runs)} inputs; give one for each, in order")
        own = [[str(system["name"]) for system in run.record.summary["systems"]] for run in self.runs]
        for names, run in zip(own, self.runs, strict=True):
            if given and len(names) > 1:
                told = ", ".join(names)
                raise UsageError(f"{run.path} holds several systems ({told}), which --name can't name; leave it out")
        self.names = list(dict.fromkeys(given or [name for names in own for name in names]))
        baseline = self.settings.baseline
        if baseline is not None and baseline not in self.names:
            raise UsageError(f"--baseline {baseline!r} is no system; {nearest(baseline, self.names)}")
        _check_agreement(self.runs)
        entries = [Entry(run.path, given[number] if given else None) for number, run in enumerate(self.runs)]
        return [Unit(f"{number:02d}-{run.path.resolve().name}", f"{run.digest} {entry.name}", entry,
                     run.counts.get("rows", 0))
                for number, (run, entry) in enumerate(zip(self.runs, entries, strict=True))]  # fmt: skip

    def work(self, unit: Unit) -> Result:
        """Answers of one evaluation."""
        entry: Entry = unit.payload
        rows = open_artifact(entry.path).manifest().select(list(SCHEMA))
        return Result(rows if entry.name is None else rows.with_columns(pl.lit(entry.name).alias("system")))

    def facts(self) -> dict[str, Any]:
        """What was compared."""
        return {**{name: self.runs[0].facts[name] for name in MUST_AGREE}, "other_classes": list(self._classes.others),
                "systems": self.names}  # fmt: skip

    @property
    def _classes(self) -> ClassList:
        """Those that are scored, and what any model may answer besides."""
        scored = tuple(self.runs[0].facts["classes"])
        others = dict.fromkeys(label for run in self.runs for label in run.facts["other_classes"])
        return ClassList(scored, tuple(others))

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all systems on all their folds, and write the tables."""
        answers = manifest.collect()
        twins = answers.filter(pl.struct("system", "model_fold", "id").is_duplicated())
        if twins.height:
            row = twins.row(0, named=True)
            fold = "no fold" if row["model_fold"] is None else f"fold {row['model_fold']}"
            raise IncompatibleError(
                f"{row['system']}, {fold}, answers clip {row['id']} in two inputs; give each once, or name different "
                "systems by --name"
            )
        facts, settings = self.runs[0].facts, self.settings
        doubt = Doubt(settings.seed, settings.draws, settings.level)
        results = {
            "level": settings.level,
            "on": facts["on"],
            **score(answers, self._classes, doubt, settings.baseline),
            "absent": [{"name": name, "why": NOT_AT_HAND} for name in settings.expected if name not in self.names],
        }
        told = self._told()
        results["pretraining"] = did_it_help(answers, starts_of(told), self._classes, doubt)
        results["notes"] += [*seen_notes(told), *shared_notes(told), *unchecked_notes(told)]
        if (count := len(results["comparisons"])) > 1:
            results["notes"].append(
                f"Each of the {count} intervals over recordings stands alone: of so many, one may miss zero by luck; "
                "tests over folds are adjusted for their number."
            )
        save_tables(self.out, results, page=markdown(results, f"{len(self.names)} systems, {facts['on']} part"),
                    long=long_csv(results), latex=latex_csv(results), picture=album.comparison(results))  # fmt: skip
        return brief(results)

    def _told(self) -> list[dict[str, Any]]:
        """How the answers of each input of the evaluations came about, under the names that systems have here."""
        found = []
        for number, run in enumerate(self.runs):
            for path in sorted((run.path / "models").glob("*.json")):
                model = json.loads(path.read_text(encoding="utf-8"))
                found.append({**model, "system": self.settings.name[number]} if self.settings.name else model)
        return found

    def report(self, summary: dict[str, Any]) -> str:
        """Scores, verdicts, and what a reader should know of them, for the terminal."""
        words = verdicts(summary)
        more = [f"and {len(words) - ON_TERMINAL} more"] if len(words) > ON_TERMINAL else []
        told = [*words[:ON_TERMINAL], *more, *summary["pretraining"], *summary["notes"]]
        return "\n".join([*terminal(summary), "", *told, f"tables: {self.out / 'table.md'}"])


def _check_agreement(runs: Sequence[Artifact]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name, flag in MUST_AGREE.items():
            one, other = (
                sorted(found) if isinstance(found := item.facts[name], list) else found for item in (first, run)
            )
            if one != other:
                raise IncompatibleError(
                    f"{first.path} has {_shown(one)} and {run.path} has {_shown(other)} for {flag}; compare "
                    "evaluations of the same part and classes"
                )


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
