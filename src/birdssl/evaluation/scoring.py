"""From answers to results: scores of each system, comparisons of pairs, and what to be careful about, as JSON values.

Answers are a table with one row for each clip and model that scored it:
    system      name under which models are put together: folds, or one model
    model_fold  the fold that the model was not trained on; null where there is none
    id, origin  of the clip
    truth       its label
    predicted   the model's answer
A system with several models is scored by each clip's share of models that were right. Where all models score the same
clips (P1's five folds on one test set) that is the mean over folds; where each model scores its own held-out fold it is
the score of all clips together, each answered by the one model that hadn't seen it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from birdssl.evaluation.fold_tests import FoldTest, fold_verdict, holm, paired_folds
from birdssl.evaluation.intervals import DRAWS, LEVEL, Interval, Tally, bootstrap, difference, tally, verdict
from birdssl.evaluation.metrics import ClassList, balanced_accuracy, chance, confusion

# With more systems than this, only pairs with the baseline (or the first system) are compared.
ALL_PAIRS = 6
# Below this many origins an interval is rough even after widening; the reader is told.
FEW_ORIGINS = 20
# A system that gives this share of the clips one answer has not learned to tell them apart.
STUCK = 0.9
OTHER_CLIPS = "The systems were not scored on the same clips; comparisons use the clips that both scored."


@dataclass(frozen=True)
class Doubt:
    """How intervals are made: seed, number of draws, and level such as 0.95."""

    seed: int
    draws: int = DRAWS
    level: float = LEVEL


class Systems:
    """The systems of a table of answers by name, scored by balanced accuracy."""

    def __init__(self, answers: pl.DataFrame, classes: ClassList, doubt: Doubt) -> None:
        """Only rows whose truth is a class of interest may be given."""
        self._answers, self._classes, self._doubt = answers, classes, doubt

    def results(self, baseline: str | None = None) -> dict[str, Any]:
        """What `score` finds."""
        return score(self._answers, self._classes, self._doubt, baseline)

    def folds(self, name: str) -> frozenset[int | None]:
        """The folds that its models held out."""
        return frozenset(self._part(name)["model_fold"].unique())

    def score(self, name: str) -> float:
        """Its balanced accuracy."""
        return tally_clips(clips_of(self._part(name)), self._classes).balanced_accuracy()

    def compare(self, couples: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """`compare_all` of couples of names."""
        parts = [(self._part(first), self._part(second)) for first, second in couples]
        return compare_all(parts, self._classes, self._doubt)

    def _part(self, name: str) -> pl.DataFrame:
        return self._answers.filter(pl.col("system") == name)


def score(answers: pl.DataFrame, classes: ClassList, doubt: Doubt, baseline: str | None = None) -> dict[str, Any]:
    """Score every system in the table, the baseline first, and compare them in pairs.

    Only rows whose truth is a class of interest may be given. Returns data, chance, systems, comparisons and notes.
    """
    names = list(dict.fromkeys(answers["system"].to_list()))
    if baseline is not None:
        names = [baseline, *(name for name in names if name != baseline)]
    parts = {name: answers.filter(pl.col("system") == name) for name in names}
    systems = [score_system(name, parts[name], classes, doubt, name == baseline) for name in names]
    data = describe(answers, classes)
    present = [row["clips"] for row in data["classes"]]
    return {
        "data": data,
        "chance": {"balanced_accuracy": rounded(chance(present)), "classes": int(np.count_nonzero(present))},
        "systems": systems,
        "comparisons": compare_all([(parts[first], parts[second]) for second, first in pairs(names)], classes, doubt),
        "notes": notes(data, systems),
    }


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Which systems are compared: all pairs, or with the first one only where there are more than `ALL_PAIRS`."""
    return [pair for pair in combinations(names, 2) if len(names) <= ALL_PAIRS or pair[0] == names[0]]


def score_system(name: str, rows: pl.DataFrame, classes: ClassList, doubt: Doubt, is_baseline: bool) -> dict[str, Any]:
    """Scores of one system over its models."""
    found = tally_clips(clips_of(rows), classes)
    sure = bootstrap(found, doubt.seed, doubt.draws, doubt.level)
    clips, origins = found.clips.sum(axis=0).astype(int), found.origins_per_class()
    recall = [
        {"class": label, "clips": int(clips[place]), "origins": int(origins[place]), **interval(sure.recalls[place])}
        for place, label in enumerate(classes.scored)
    ]
    return {
        "name": name,
        "baseline": is_baseline,
        "clips": int(clips.sum()),
        "origins": found.origins,
        "balanced_accuracy": interval(sure.balanced_accuracy),
        "draws_without_a_class": sure.draws_without_a_class,
        "folds": fold_scores(rows, classes),
        "recall": recall,
        "confusion": {"rows": list(classes.scored), "columns": list(classes.answers),
                      "counts": confusion_of(rows, classes).tolist()},
    }  # fmt: skip


def clips_of(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a clip, in order of id: origin, truth and `right`, the share of models that answered rightly."""
    right = (pl.col("truth") == pl.col("predicted")).cast(pl.Float64).mean()
    return rows.group_by("id").agg(pl.col("origin", "truth").first(), right.alias("right")).sort("id")


def tally_clips(clips: pl.DataFrame, classes: ClassList) -> Tally:
    """Add clips up by origin and class of interest."""
    truth = classes.truth(clips["truth"].to_list())
    return tally(truth, clips["right"].to_numpy(), clips["origin"].to_list(), len(classes.scored))


def confusion_of(rows: pl.DataFrame, classes: ClassList) -> np.ndarray:
    """Answers counted over all models, (scored, answers)."""
    return confusion(classes.truth(rows["truth"]), classes.predicted(rows["predicted"]), classes)


def fold_scores(rows: pl.DataFrame, classes: ClassList) -> dict[str, Any]:
    """Balanced accuracy of each model, their mean and sample deviation (n - 1), and whether they share their clips."""
    folds = rows["model_fold"].unique().sort().to_list()
    parts = [rows.filter(pl.col("model_fold").eq_missing(fold)) for fold in folds]
    scores = [balanced_accuracy(confusion_of(part, classes)) for part in parts]
    shared = all(set(part["id"]) == set(parts[0]["id"]) for part in parts)
    deviation = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return {
        "fold": folds,
        "balanced_accuracy": [rounded(value) for value in scores],
        "mean": rounded(float(np.mean(scores))),
        "deviation": rounded(deviation),
        "same_clips": shared,
    }


def compare(first: pl.DataFrame, second: pl.DataFrame, classes: ClassList, doubt: Doubt) -> dict[str, Any]:
    """Balanced accuracy of the first less the second on the clips that both scored."""
    name, other = (str(rows["system"][0]) for rows in (first, second))
    left, right = clips_of(first), clips_of(second)
    left = left.join(right.select("id"), on="id", how="semi").sort("id")
    right = right.join(left.select("id"), on="id", how="semi").sort("id")
    base = {"first": name, "second": other, "clips": len(left)}
    if left.is_empty():
        return base | {"origins": 0, "difference": None, "verdict": f"{name} and {other} share no clip"}
    sides = tally_clips(left, classes), tally_clips(right, classes)
    gap = difference(*sides, doubt.seed, doubt.draws, doubt.level)
    return base | {
        "origins": sides[0].origins,
        "difference": interval(gap),
        "verdict": verdict(name, other, gap),
    }


def compare_all(
    couples: Sequence[tuple[pl.DataFrame, pl.DataFrame]], classes: ClassList, doubt: Doubt
) -> list[dict[str, Any]]:
    """`compare` each couple, with the tests over folds judged together: adjusted for being several, and in words."""
    found = [compare(first, second, classes, doubt) for first, second in couples]
    return judged_over_folds(found, [_fold_test(first, second, classes) for first, second in couples])


def judged_over_folds(found: list[dict[str, Any]], tests: Sequence[FoldTest | None]) -> list[dict[str, Any]]:
    """Comparisons with their tests over folds as `folds`, adjusted for being several, and in words; None for none."""
    ps = holm([test.p_corrected if test else None for test in tests])
    count = sum(p is not None for p in ps)
    for item, test, p in zip(found, tests, ps, strict=True):
        item["folds"] = test and {
            **{name: rounded(value) if isinstance(value, float) else value for name, value in vars(test).items()},
            "p_adjusted": rounded(p),
            "verdict": fold_verdict(item["first"], item["second"], test, p, count),
        }
    return found


def _fold_test(first: pl.DataFrame, second: pl.DataFrame, classes: ClassList) -> FoldTest | None:
    left, right = fold_scores(first, classes), fold_scores(second, classes)
    if left["fold"] != right["fold"] or None in left["fold"]:
        return None
    return paired_folds(left["balanced_accuracy"], right["balanced_accuracy"])


def describe(answers: pl.DataFrame, classes: ClassList) -> dict[str, Any]:
    """What was scored: clips and origins, in all and of each class."""
    clips = answers.unique("id")
    counts = {row["truth"]: row for row in clips.group_by("truth").agg(
        pl.len().alias("clips"), pl.col("origin").n_unique().alias("origins")).to_dicts()}  # fmt: skip
    none = {"clips": 0, "origins": 0}
    table = [{"class": label, **{key: counts.get(label, none)[key] for key in none}} for label in classes.scored]
    return {"clips": len(clips), "origins": clips["origin"].n_unique(), "classes": table,
            "other_answers": list(classes.others)}  # fmt: skip


def notes(data: dict[str, Any], systems: Sequence[dict[str, Any]]) -> list[str]:
    """What a careful reader should know before believing the numbers."""
    found = few_origins(data["origins"])
    lonely = [row["class"] for row in data["classes"] if row["origins"] == 1]
    if lonely:
        found.append(
            f"One origin only, so nothing is known of how recall varies between recordings: {', '.join(lonely)}."
        )
    absent = [row["class"] for row in data["classes"] if row["clips"] == 0]
    if absent:
        found.append(f"No clip to score, so left out of the mean: {', '.join(absent)}.")
    found += [sentence for system in systems if (sentence := _stuck(system["name"], system["confusion"]))]
    counts = {system["clips"] for system in systems}
    if len(counts) > 1:
        found.append(OTHER_CLIPS)
    return found


def few_origins(origins: int) -> list[str]:
    """A sentence where the scored clips come from few origins."""
    if origins >= FEW_ORIGINS:
        return []
    return [
        f"The scored clips come from {origins} origins only. Clips of one origin sound alike, so the "
        "intervals are wide, and still rough: score more recordings before deciding anything on them."
    ]


def _stuck(name: str, table: dict[str, Any]) -> str | None:
    """A sentence on a system that gives nearly all clips one answer, though they are of several classes."""
    counts = np.array(table["counts"])
    answers, classes = counts.sum(axis=0), int((counts.sum(axis=1) > 0).sum())
    share = answers.max() / answers.sum()
    if classes < 2 or share < STUCK:
        return None
    answer = table["columns"][int(answers.argmax())]
    return f"{name} answers {answer} to {share:.0%} of the clips: it has hardly learned, so look at its training first."


def interval(found: Interval) -> dict[str, Any]:
    """An interval as JSON values."""
    values = {"value": rounded(found.estimate), "low": rounded(found.low), "high": rounded(found.high)}
    return values | ({"why_no_interval": found.reason} if found.reason else {})


def rounded(value: float | None) -> float | None:
    """Six digits behind the point; what isn't a number is null, since JSON has no NaN."""
    return None if value is None or np.isnan(value) else round(float(value), 6)
