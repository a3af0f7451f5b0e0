"""Evaluations side by side: what `birdssl compare` does with OUT of `birdssl evaluate`.

The manifest has a row for each answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.artifact import Artifact
from birdssl.evaluation import album
from birdssl.evaluation.each_label import EachSystems
from birdssl.evaluation.fewshot_table import NOT_AT_HAND
from birdssl.evaluation.score_table import brief, brief_each, latex_csv, long_csv, markdown, terminal, verdicts
from birdssl.evaluation.scoring import Doubt, Systems
from birdssl.evaluation.starts import did_it_help, starts_of
from birdssl.evaluation.summary import left_out_in_all, seen_notes, shared_notes, unchecked_notes
from birdssl.settings.compare import CompareSettings
from birdssl.stages.contract import Result, Unit
from birdssl.stages.evaluate import EACH_SCHEMA as EACH_ANSWERS
from birdssl.stages.evaluate import SCHEMA as ANSWERS
from birdssl.stages.joined_scores import JoinedScores, once
from birdssl.stages.tables import ON_TERMINAL, save_tables

KEPT = ("system", "model_fold", "id", "recording", "origin", "truth", "none", "predicted", "score", "scores")
SCHEMA, EACH_SCHEMA = (  # scores of several classes stand in the order of facts.classes
    {name: columns[name] for name in KEPT if name in columns} for columns in (ANSWERS, EACH_ANSWERS)
)


class ScoredRuns:
    """A unit is one evaluation's answers; scores, tests and tables are made of all of them at the end."""

    schema: ClassVar[dict[str, Any]] = SCHEMA
    systems: ClassVar[type[Systems] | type[EachSystems]] = Systems
    reads: ClassVar[frozenset[str]] = frozenset({"draws", "seed"})

    def __init__(self, settings: CompareSettings, runs: Sequence[Artifact], out: Path) -> None:
        self.settings, self.out = settings, out
        self.scores = JoinedScores(runs, settings.name, settings.baseline)

    def plan(self) -> list[Unit]:
        """One unit a run."""
        return self.scores.units()

    def work(self, unit: Unit) -> Result:
        """Answers of one evaluation."""
        return Result(self.scores.answers(unit).select(list(self.schema)))

    def facts(self) -> dict[str, Any]:
        """What was compared."""
        return self.scores.facts()

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all systems on all their folds, and write the tables."""
        answers = once(manifest.collect())
        settings = self.settings
        systems = self.systems(answers, self.scores.classes, Doubt(settings.seed, settings.draws, settings.level))
        results = {
            "level": settings.level,
            "on": self.scores.on,
            **systems.results(settings.baseline),
            "absent": [
                {"name": name, "why": NOT_AT_HAND} for name in settings.expected if name not in self.scores.names
            ],
        }
        told = self.scores.told()
        results["pretraining"] = did_it_help(systems, starts_of(told))
        results["notes"] += [*seen_notes(told), *shared_notes(told), *unchecked_notes(told)]
        beside = [item for row in results["pretraining"] for use in row["uses"] for item in use["comparisons"]]
        if (count := len(results["comparisons"]) + len(beside)) > 1:
            results["notes"].append(
                f"Each of the {count} intervals over recordings stands alone: of so many, one may miss zero by luck; "
                "tests over folds are adjusted for their number."
            )
        title = f"{len(self.scores.names)} systems, {self.scores.on} part"
        save_tables(self.out, results, page=markdown(results, title),
                    long=long_csv(results), latex=latex_csv(results), picture=album.comparison(results))  # fmt: skip
        return self.brief(results)

    def brief(self, results: dict[str, Any]) -> dict[str, Any]:
        """What stage.json and --json carry."""
        return brief(results)

    def report(self, summary: dict[str, Any]) -> str:
        """Scores, verdicts, and what a reader should know of them, for the terminal."""
        words = verdicts(summary)
        more = [f"and {len(words) - ON_TERMINAL} more"] if len(words) > ON_TERMINAL else []
        told = [*words[:ON_TERMINAL], *more, *summary["pretraining"], *summary["notes"]]
        return "\n".join([*terminal(summary), "", *told, f"tables: {self.out / 'table.md'}"])


class EachRuns(ScoredRuns):
    """The same of evaluations that tell each class by itself."""

    schema: ClassVar[dict[str, Any]] = EACH_SCHEMA
    systems: ClassVar[type[Systems] | type[EachSystems]] = EachSystems

    def brief(self, results: dict[str, Any]) -> dict[str, Any]:
        """What stage.json and --json carry, with how many clips were left out since nobody labelled them."""
        return brief_each(results | {"left_out": left_out_in_all(self.scores.told(), self.scores.on)})
