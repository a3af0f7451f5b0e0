"""`birdssl compare`: runs side by side, in one table.

OUT/manifest.parquet    a row for each answer that is compared, or for each few-shot cell
OUT/results.json        every number of the tables; table.md, table.csv and latex.csv show them, systems.png draws them
"""

from functools import cached_property
from typing import Any, ClassVar

import polars as pl

from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.compare import CompareSettings
from birdssl.stages.compare_fewshot import FewshotRuns
from birdssl.stages.compare_scores import EachRuns, ScoredRuns
from birdssl.stages.contract import Result, Stage, Unit
from birdssl.stages.each_label import told_each
from birdssl.stages.tables import TABLES

KINDS: dict[str, type[FewshotRuns] | type[ScoredRuns]] = {"fewshot": FewshotRuns, "evaluate": ScoredRuns}


class Compare(Stage[CompareSettings]):
    """A unit is what is needed of one run; the tables are made of all of them at the end, as their kind has it."""

    verb: ClassVar[str] = "compare"
    accepts: ClassVar[tuple[str, ...]] = tuple(KINDS)
    owns: ClassVar[tuple[str, ...]] = TABLES

    @cached_property
    def kind(self) -> FewshotRuns | ScoredRuns:
        """How runs of the inputs' verb are compared."""
        runs = self.artifacts()
        verbs = {run.verb: run.path for run in runs}
        if len(verbs) > 1:
            told = " and ".join(f"{path} was made by `birdssl {verb}`" for verb, path in verbs.items())
            raise IncompatibleError(f"{told}; compare runs of one of them")
        verb = next(iter(verbs))
        kind = EachRuns if verb == "evaluate" and told_each(runs) else KINDS[verb]
        for name in self.settings.model_fields_set - {"name", "baseline", "expected", "level"}:
            if name not in kind.reads:
                flag = self.settings.flag(name)
                raise UsageError(f"{flag} has no meaning for runs of `birdssl {verb}`; leave it out")
        return kind(self.settings, runs, self.out)

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of what is compared."""
        return self.kind.schema

    def plan(self) -> list[Unit]:
        """One unit a run; fails early when the runs don't fit together."""
        return self.kind.plan()

    def work(self, unit: Unit) -> Result:
        """What is needed of one run."""
        return self.kind.work(unit)

    def facts(self) -> dict[str, Any]:
        """What was compared."""
        return self.kind.facts()

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Write the tables."""
        return self.kind.finish(manifest)

    def report(self, summary: dict[str, Any]) -> str:
        """The scores, the verdicts, and what a reader should know of them."""
        return self.kind.report(summary)
