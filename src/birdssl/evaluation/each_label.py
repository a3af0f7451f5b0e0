"""From answers that tell each class by itself to results: scores, comparisons, and what to be careful about, as JSON.

Answers are a table with one row for each clip and model that scored it:
    system      name under which models are put together: folds, or one model
    model_fold  the fold that the model was not trained on; null where there is none
    id, origin  of the clip
    truth       the classes that it holds, of those that are scored; a clip that holds none is an example of that
    none        whether it was looked at and holds nothing of interest at all
    predicted   the classes whose score reached their threshold
    scores      of the scored classes, in their order
Ranks are of each model's own clips; counts at thresholds are of all models' answers together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from birdssl.evaluation.each_answers import hot
from birdssl.evaluation.fold_tests import paired_folds
from birdssl.evaluation.intervals import Interval, expanded_interval, verdict
from birdssl.evaluation.metrics import ClassList, Floats
from birdssl.evaluation.ranking import CHANCE_AUROC, HEADLINES, Measured, Ranked, as_drawn, redrawn
from birdssl.evaluation.scoring import OTHER_CLIPS, Doubt, few_origins, interval, judged_over_folds, pairs, rounded

MACRO = HEADLINES[0]
# A system that says yes to this share of the clips, where the class is in less than half, doesn't tell it.
STUCK = 0.95


@dataclass(frozen=True)
class Scored:
    """A system's figures: of its clips as they are, of each of its models, and of draws of their origins."""

    name: str
    rows: pl.DataFrame
    models: tuple[Ranked, ...]
    folds: tuple[int | None, ...]
    origins: tuple[str, ...]
    whole: Measured
    drawn: Measured


class EachSystems:
    """The systems of a table of answers by name, scored by macro average precision; each is measured once."""

    def __init__(self, answers: pl.DataFrame, classes: ClassList, doubt: Doubt) -> None:
        self._answers, self._classes, self._doubt = answers, classes.scored, doubt
        self._measured: dict[str, Scored] = {}

    def results(self, baseline: str | None = None) -> dict[str, Any]:
        """Score every system, the baseline first, and compare them in pairs.

        Returns data, chance, systems, comparisons and notes.
        """
        names = list(dict.fromkeys(self._answers["system"].to_list()))
        if baseline is not None:
            names = [baseline, *(name for name in names if name != baseline)]
        data = describe_each(self._answers, self._classes)
        systems = [system_results(self._of(name), self._classes, self._doubt.level, name == baseline) for name in names]
        return {
            "data": data,
            "chance": chance_each(self._answers, self._classes),
            "systems": systems,
            "comparisons": self.compare([(first, second) for second, first in pairs(names)]),
            "notes": notes_each(data, systems),
        }

    def folds(self, name: str) -> frozenset[int | None]:
        """The folds that its models held out."""
        return frozenset(self._of(name).folds)

    def score(self, name: str) -> float:
        """Its macro average precision."""
        return float(self._of(name).whole.macro_average_precision[0])

    def compare(self, couples: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """`compare_systems` of couples of names."""
        found = [(self._of(first), self._of(second)) for first, second in couples]
        return compare_systems(found, self._classes, self._doubt)

    def _of(self, name: str) -> Scored:
        if name not in self._measured:
            rows = self._answers.filter(pl.col("system") == name)
            self._measured[name] = measure_system(name, rows, self._classes, self._doubt)
        return self._measured[name]


def describe_each(answers: pl.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """What was scored: clips and origins, in all and of each class; and clips of several classes, of no scored class,
    and of nothing of interest."""
    clips = answers.unique("id", keep="first", maintain_order=True)
    truth, origins = hot(clips["truth"], classes), clips["origin"].to_numpy()
    table = [
        {"class": name, "clips": int(truth[:, place].sum()), "origins": len(set(origins[truth[:, place]]))}
        for place, name in enumerate(classes)
    ]
    held = truth.sum(axis=1)
    return {"clips": clips.height, "origins": clips["origin"].n_unique(), "classes": table,
            "of_no_class": int((held == 0).sum()), "of_several": int((held > 1).sum()),
            "none": int(clips["none"].sum())}  # fmt: skip


def chance_each(answers: pl.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """What one same score for all clips and classes reaches: the share of positives, and an AUROC of a half."""
    truth = hot(answers.unique("id")["truth"], classes)
    share = truth.mean(axis=0)
    present = share[share > 0]
    return {
        "macro_average_precision": rounded(present.mean() if len(present) else np.nan),
        "micro_average_precision": rounded(truth.mean()),
        "macro_auroc": CHANCE_AUROC,
        "average_precision": [rounded(value) for value in share],
        "classes": len(present),
    }


def measure_system(name: str, rows: pl.DataFrame, classes: Sequence[str], doubt: Doubt) -> Scored:
    """Rank the clips of each of a system's models, as they are and in draws of their origins."""
    origins = rows["origin"].unique().sort().to_list()
    places = {origin: place for place, origin in enumerate(origins)}
    folds, models = rows["model_fold"].unique().sort().to_list(), []
    for fold in folds:
        part = rows.filter(pl.col("model_fold").eq_missing(fold)).sort("id")
        own = np.array([places[origin] for origin in part["origin"]], np.int64)
        models.append(Ranked(hot(part["truth"], classes), np.array(part["scores"].to_list(), float), own))
    drawn = redrawn(models, len(origins), doubt.draws, doubt.seed)
    return Scored(name, rows, tuple(models), tuple(folds), tuple(origins), as_drawn(models, len(origins)), drawn)


def system_results(found: Scored, classes: Sequence[str], level: float, is_baseline: bool) -> dict[str, Any]:
    """Scores of one system over its models."""
    present = ~np.isnan(found.whole.average_precision[0])
    return {
        "name": found.name,
        "baseline": is_baseline,
        "clips": found.rows["id"].n_unique(),
        "origins": len(found.origins),
        **{name: interval(_sure(getattr(found.whole, name)[0], getattr(found.drawn, name), len(found.origins), level))
           for name in HEADLINES},
        "draws_without_a_class": int(np.isnan(found.drawn.average_precision[:, present]).any(axis=1).sum()),
        "folds": _folds(found),
        **_classes(found, classes, level),
    }  # fmt: skip


def _classes(found: Scored, classes: Sequence[str], level: float) -> dict[str, Any]:
    """Each class's ranks and, at the thresholds, its answers; and the mean F1."""
    truth, said = hot(found.rows["truth"], classes), hot(found.rows["predicted"], classes)
    clips = describe_each(found.rows, classes)["classes"]
    figures = [
        ("average_precision", found.whole.average_precision, found.drawn.average_precision),
        ("auroc", found.whole.auroc, found.drawn.auroc),
    ]
    table = []
    for place in range(len(classes)):
        right = int((truth & said)[:, place].sum())
        alarms, missed = int((~truth & said)[:, place].sum()), int((truth & ~said)[:, place].sum())
        count = clips[place]["origins"]
        ranks = {
            kind: interval(_sure(whole[0, place], drawn[:, place], count, level)) for kind, whole, drawn in figures
        }
        table.append({
            **clips[place], **ranks, "chance": rounded(truth[:, place].mean()), "right": right, "false_alarms": alarms,
            "missed": missed, "precision": _share(right, right + alarms), "recall": _share(right, right + missed),
            "f1": _share(2 * right, 2 * right + alarms + missed), "answers": len(truth),
        })  # fmt: skip
    f1 = [row["f1"] for row in table if row["clips"]]
    return {"classes": table, "macro_f1": rounded(np.mean(f1) if f1 else np.nan)}


def _folds(found: Scored) -> dict[str, Any]:
    """Macro average precision of each model, their mean and sample deviation (n - 1), and whether they share clips."""
    scores = [float(as_drawn([model], len(found.origins)).macro_average_precision[0]) for model in found.models]
    ids = [set(found.rows.filter(pl.col("model_fold").eq_missing(fold))["id"]) for fold in found.folds]
    return {
        "fold": list(found.folds),
        MACRO: [rounded(value) for value in scores],
        "mean": rounded(float(np.mean(scores))),
        "deviation": rounded(float(np.std(scores, ddof=1))) if len(scores) > 1 else None,
        "same_clips": all(part == ids[0] for part in ids),
    }


def compare_systems(
    couples: Sequence[tuple[Scored, Scored]], classes: Sequence[str], doubt: Doubt
) -> list[dict[str, Any]]:
    """Figures of the first less the second on the clips that both scored, in the same draws; and tests over folds.

    The verdict is of macro average precision.
    """
    found = [_compare(first, second, classes, doubt) for first, second in couples]
    tests = []
    for first, second in couples:
        left, right = _folds(first), _folds(second)
        paired = left["fold"] == right["fold"] and None not in (*left["fold"], *left[MACRO], *right[MACRO])
        tests.append(paired_folds(left[MACRO], right[MACRO]) if paired else None)
    return judged_over_folds(found, tests)


def _compare(first: Scored, second: Scored, classes: Sequence[str], doubt: Doubt) -> dict[str, Any]:
    base = {"first": first.name, "second": second.name}
    left, right = _shared(first, second, classes, doubt), _shared(second, first, classes, doubt)
    if left is None or right is None:
        return base | {"clips": 0, "origins": 0, "difference": None, "differences": {},
                       "verdict": f"{first.name} and {second.name} share no clip"}  # fmt: skip
    gaps = {
        name: _sure(getattr(left.whole, name)[0] - getattr(right.whole, name)[0],
                    getattr(left.drawn, name) - getattr(right.drawn, name), len(left.origins), doubt.level)
        for name in HEADLINES
    }  # fmt: skip
    return base | {
        "clips": left.rows["id"].n_unique(),
        "origins": len(left.origins),
        "difference": interval(gaps[MACRO]),
        "differences": {name: interval(gap) for name, gap in gaps.items()},
        "verdict": verdict(first.name, second.name, gaps[MACRO]),
    }


def _shared(mine: Scored, other: Scored, classes: Sequence[str], doubt: Doubt) -> Scored | None:
    """A system's figures on the clips that another scored too; None without such clips."""
    kept = mine.rows.join(other.rows.select("id").unique(), on="id", how="semi")
    if kept.height == mine.rows.height:
        return mine
    return None if kept.is_empty() else measure_system(mine.name, kept, classes, doubt)


def notes_each(data: dict[str, Any], systems: Sequence[dict[str, Any]]) -> list[str]:
    """What a careful reader should know before believing the numbers."""
    found = few_origins(data["origins"])
    lonely = [row["class"] for row in data["classes"] if row["origins"] == 1]
    if lonely:
        found.append(f"In one origin only, so nothing is known of how well others are told: {', '.join(lonely)}.")
    absent = [row["class"] for row in data["classes"] if row["clips"] == 0]
    if absent:
        found.append(f"No scored clip holds it, so left out of the means: {', '.join(absent)}.")
    for system in systems:
        stuck = [row["class"] for row in system["classes"] if row["clips"] and (row["chance"] or 0) < 0.5
                 and row["right"] + row["false_alarms"] >= STUCK * row["answers"]]  # fmt: skip
        if stuck:
            found.append(
                f"At its thresholds {system['name']} hears {', '.join(stuck)} in nearly every clip: where little was "
                "learned, the best F1 is to say yes to all, so read the ranks instead."
            )
    if len({system["clips"] for system in systems}) > 1:
        found.append(OTHER_CLIPS)
    return found


def _sure(estimate: float, drawn: Floats, origins: int, level: float) -> Interval:
    """An interval over draws; `origins` are those that the figure can vary by."""
    if np.isnan(estimate):
        return Interval(float("nan"), None, None, "no clips" if origins == 0 else "clips on one side only")
    return expanded_interval(float(estimate), drawn, origins, level)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
