"""Evaluations put together: what `birdssl compare` and `birdssl report` read of OUT of `birdssl evaluate`.

Evaluations of one system on other folds, made on whatever machine, are one system here, so that a study's cells need
not be scored in one go.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.evaluation.metrics import ClassList
from birdssl.settings.base import nearest
from birdssl.stages.contract import Unit
from birdssl.stages.each_label import told_each

log = logging.getLogger(__name__)

MUST_AGREE = {"on": "--on", "classes": "--classes"}


@dataclass(frozen=True)
class Entry:
    """One evaluation.

    Attributes:
        path: its directory.
        name: for its one system; None where its systems keep their own.
        first: number of its first input among all inputs of all evaluations.
    """

    path: Path
    name: str | None
    first: int


class JoinedScores:
    """Evaluations of the same part and classes; a unit is the answers of one.

    `each` says whether they tell each class by itself.
    """

    def __init__(self, runs: Sequence[Artifact], given: Sequence[str] = (), baseline: str | None = None) -> None:
        """`given` names the evaluations' one system each. Raises UsageError and IncompatibleError for what doesn't fit.

        `baseline` must be one of the systems' names.
        """
        self.each = told_each(runs)
        self.runs, self.given = runs, list(given)
        if given and len(given) != len(runs):
            raise UsageError(f"--name: {len(given)} names for {len(runs)} inputs; give one for each, in order")
        own = [[str(system["name"]) for system in run.record.summary["systems"]] for run in runs]
        for names, run in zip(own, runs, strict=True):
            if given and len(names) > 1:
                told = ", ".join(names)
                raise UsageError(f"{run.path} holds several systems ({told}), which --name can't name; leave it out")
        self.names = list(dict.fromkeys(given or [name for names in own for name in names]))
        if baseline is not None and baseline not in self.names:
            raise UsageError(f"--baseline {baseline!r} is no system; {nearest(baseline, self.names)}")
        _check_agreement(runs)

    @property
    def on(self) -> str:
        """The part that was scored: test or validation."""
        return str(self.runs[0].facts["on"])

    @cached_property
    def classes(self) -> ClassList:
        """Those that are scored, and what any model may answer besides."""
        scored = tuple(self.runs[0].facts["classes"])
        others = dict.fromkeys(label for run in self.runs for label in run.facts["other_classes"])
        return ClassList(scored, tuple(others))

    @cached_property
    def inputs(self) -> list[Path]:
        """The embeddings behind the evaluations, in order; training runs that probes learned from aren't among them."""
        return [path for run in self.runs for path in _embeddings(run)]

    def facts(self) -> dict[str, Any]:
        """What was joined, for stage.json."""
        return {"on": self.on, "classes": list(self.classes.scored), "other_classes": list(self.classes.others),
                "systems": self.names}  # fmt: skip

    def units(self) -> list[Unit]:
        """One an evaluation."""
        found, first = [], 0
        for number, run in enumerate(self.runs):
            entry = Entry(run.path, self.given[number] if self.given else None, first)
            found.append(Unit(f"{number:02d}-{run.path.resolve().name}", f"{run.digest} {entry.name}", entry,
                              run.counts.get("rows", 0)))  # fmt: skip
            first += len(_embeddings(run))
        return found

    def answers(self, unit: Unit) -> pl.DataFrame:
        """Answers of one evaluation, with the columns of its manifest; `input` counts through all evaluations."""
        entry: Entry = unit.payload
        run = open_artifact(entry.path)
        rows = run.manifest().with_columns(pl.col("input") + entry.first)
        if self.each:  # runs may have the same classes in another order
            places = [run.facts["classes"].index(name) for name in self.classes.scored]
            rows = rows.with_columns(pl.col("truth", "predicted").list.sort(), pl.col("scores").list.gather(places))
        return rows if entry.name is None else rows.with_columns(pl.lit(entry.name).alias("system"))

    def told(self) -> list[dict[str, Any]]:
        """How the answers of each input of the evaluations came about, under the names that systems have here."""
        found = []
        for number, run in enumerate(self.runs):
            for path in sorted((run.path / "models").glob("*.json")):
                model = json.loads(path.read_text(encoding="utf-8"))
                named = {**model, "system": self.given[number]} if self.given else model
                if named not in found:
                    found.append(named)
        return found


def once(answers: pl.DataFrame) -> pl.DataFrame:
    """Each answer once: an embedding that was scored twice, in one go with others and apart, says the same twice.

    Raises IncompatibleError where a system's fold answers a clip in two ways.
    """
    asked = ["system", "model_fold", "id"]
    said = [name for name in ("predicted", "score", "scores") if name in answers.columns]
    told = answers.unique([*asked, *said], keep="first", maintain_order=True)
    twins = told.filter(pl.struct(asked).is_duplicated())
    if twins.height:
        row = twins.row(0, named=True)
        fold = "no fold" if row["model_fold"] is None else f"fold {row['model_fold']}"
        raise IncompatibleError(
            f"{row['system']}, {fold}, answers clip {row['id']} in two inputs, and differently; give each once, and "
            "tell different systems apart by a --name of `birdssl evaluate`"
        )
    if told.height < answers.height:
        log.info("%d answers came twice, the same both times; they count once", answers.height - told.height)
    return told


def _embeddings(run: Artifact) -> list[Path]:
    return [run.path / item["path"] for item in run.record.inputs if item["verb"] == "embed"]


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
