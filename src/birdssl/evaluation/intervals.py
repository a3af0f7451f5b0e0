"""How sure a score is: a bootstrap over origins, and differences of two systems on the same clips.

Clips of one recording sound alike, so what is drawn anew is the origin, never the clip. All origins are drawn together,
with replacement. A class that a draw leaves without clips is left out of that draw's mean, as balanced accuracy itself
leaves out a class without clips.

A percentile interval from few origins is too narrow: its resamples vary by (n-1)/n of the unbiased variance and its
tails are normal, not t. So the percentiles are moved out as Hesterberg does ("What Teachers Should Know About the
Bootstrap", 2015, section 4.2: the expanded percentile interval), with n the number of origins. Simulated with two
origins a class and six classes, 95 % intervals then hold the truth in 93 to 95 % of repeats; plain percentiles in 89 to
92 %, and draws made inside each class in 78 %.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from birdssl.evaluation.metrics import Floats, Ints
from birdssl.seeds import generator

DRAWS = 2000
LEVEL = 0.95
# Draws made at once: 64 rows of 100,000 origins are 51 MB.
BLOCK = 64


@dataclass(frozen=True)
class Tally:
    """What a system got right, by origin and scored class.

    Attributes:
        right: (origins, classes) clips answered rightly; fractions where several models scored a clip.
        clips: (origins, classes) clips scored.
    """

    right: Floats
    clips: Floats

    @property
    def origins(self) -> int:
        return len(self.clips)

    def recalls(self) -> Floats:
        """Recall of each class, (classes,); NaN for a class without clips."""
        return _ratio(self.right.sum(axis=0), self.clips.sum(axis=0))

    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that have clips."""
        return float(_mean_of_known(self.recalls()[None])[0])

    def origins_per_class(self) -> Ints:
        """Number of origins that each class has clips in, (classes,)."""
        return np.count_nonzero(self.clips, axis=0).astype(np.int64)


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; low and high are None, with a reason, where the data can't give one."""

    estimate: float
    low: float | None
    high: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Bootstrap:
    """Intervals of one system's balanced accuracy and recalls, and how many draws lacked a class."""

    balanced_accuracy: Interval
    recalls: tuple[Interval, ...]
    draws: int
    draws_without_a_class: int


def tally(truth: Ints, right: npt.ArrayLike, origins: Sequence[str], classes: int) -> Tally:
    """Add clips up by origin and class.

    Args:
        truth: (clips,) scored class of each clip.
        right: (clips,) 1 where the answer was right, 0 where wrong, or the share of models that were right.
        origins: (clips,) origin of each clip.
        classes: number of scored classes.
    """
    names, rows = np.unique(np.asarray(origins, dtype=object).astype(str), return_inverse=True)
    shape = (len(names), classes)
    hits, clips = np.zeros(shape), np.zeros(shape)
    np.add.at(hits, (rows, truth), np.asarray(right, float))
    np.add.at(clips, (rows, truth), 1.0)
    return Tally(hits, clips)


def bootstrap(found: Tally, seed: int, draws: int = DRAWS, level: float = LEVEL) -> Bootstrap:
    """Intervals of balanced accuracy and of each class's recall, over draws of origins."""
    drawn = np.concatenate([_ratio(weights @ found.right, weights @ found.clips)
                            for weights in resamples(found.origins, draws, seed)])  # fmt: skip
    present = found.clips.sum(axis=0) > 0
    lacking = np.isnan(drawn[:, present]).any(axis=1).sum()
    whole = expanded_interval(found.balanced_accuracy(), _mean_of_known(drawn), found.origins, level)
    each = zip(found.recalls(), drawn.T, found.origins_per_class(), strict=True)
    classes = tuple(expanded_interval(float(recall), column, int(count), level) for recall, column, count in each)
    return Bootstrap(whole, classes, draws, int(lacking))


def difference(first: Tally, second: Tally, seed: int, draws: int = DRAWS, level: float = LEVEL) -> Interval:
    """Balanced accuracy of the first less the second, paired: each draw takes the same origins for both.

    Both tallies must come from the same clips, so that their rows are the same origins; ValueError if not.
    """
    if first.clips.shape != second.clips.shape or not np.array_equal(first.clips, second.clips):
        raise ValueError("a paired difference needs the same clips on both sides")
    gap = first.right - second.right
    drawn = [_mean_of_known(_ratio(weights @ gap, weights @ first.clips))
             for weights in resamples(first.origins, draws, seed)]  # fmt: skip
    estimate = first.balanced_accuracy() - second.balanced_accuracy()
    return expanded_interval(estimate, np.concatenate(drawn), first.origins, level)


def verdict(first: str, second: str, gap: Interval) -> str:
    """A difference in words; scores are in points (hundredths)."""
    if gap.low is None or gap.high is None:
        if gap.estimate == 0:
            return f"no difference shown between {first} and {second}: the same score in every origin"
        return f"too little to tell {first} from {second}: {gap.reason}"
    span = f"{_points(gap.low)} to {_points(gap.high)}"
    if gap.low > 0:
        return f"{first} above {second} by {abs(gap.estimate) * 100:.1f} points ({span})"
    if gap.high < 0:
        return f"{first} below {second} by {abs(gap.estimate) * 100:.1f} points ({span})"
    return f"no difference shown between {first} and {second}: {_points(gap.estimate)} points ({span})"


def resamples(origins: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield blocks of weights (draws in the block, origins): how often each origin was drawn."""
    random = generator(seed, "bootstrap")
    for start in range(0, draws, BLOCK):
        count = min(BLOCK, draws - start)
        picks = random.integers(origins, size=(count, origins)) + np.arange(count)[:, None] * origins
        yield np.bincount(picks.ravel(), minlength=count * origins).reshape(count, origins).astype(float)


def expanded_interval(estimate: float, drawn: Floats, origins: int, level: float) -> Interval:
    """Expanded percentile interval of the draws that have a value."""
    drawn = drawn[~np.isnan(drawn)]
    if origins < 2:
        return Interval(estimate, None, None, "one origin" if origins else "no clips")
    if np.ptp(drawn) < 1e-12:
        return Interval(estimate, None, None, f"all {origins} origins agree")
    outer = np.sqrt(origins / (origins - 1)) * stats.t.ppf((1 + level) / 2, origins - 1)
    tail = float(stats.norm.cdf(-outer))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def _mean_of_known(recalls: Floats) -> Floats:
    """Mean over classes of each row, leaving NaN out; NaN where a row has no class."""
    known = ~np.isnan(recalls)
    return _ratio(np.where(known, recalls, 0.0).sum(axis=1), known.sum(axis=1).astype(float))


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"
