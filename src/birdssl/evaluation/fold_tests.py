"""Tests over folds: two systems whose models were trained on the same k folds, paired fold by fold.

What they say is of training: how the difference varies with the part that was trained on and with the noise of training
itself. They say nothing of other recordings, which the bootstrap over origins is for (`evaluation.intervals`); a claim
needs both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

ALPHA = 0.05


@dataclass(frozen=True)
class FoldTest:
    """Two-tailed paired t-test over folds (P1), plain and corrected for overlapping training parts.

    Attributes:
        folds: how many, k.
        difference: mean over folds of the first's score less the second's.
        deviation: sample deviation (k - 1) of these differences.
        freedom: degrees of freedom, k - 1.
        t, p: of the plain test; NaN where all folds differ by the same amount, since nothing is then known of their
            spread.
        t_corrected, p_corrected: of Nadeau and Bengio's test; NaN likewise.
        effect: Cohen's d of paired values, difference / deviation; NaN likewise.
    """

    folds: int
    difference: float
    deviation: float
    freedom: int
    t: float
    p: float
    t_corrected: float
    p_corrected: float
    effect: float


def paired_folds(first: Sequence[float], second: Sequence[float]) -> FoldTest | None:
    """Compare scores of the same k folds; None for fewer than two.

    Training parts of folds overlap, which makes the plain test too sure. Nadeau and Bengio (2003) multiply the variance
    by (1/k + n_test/n_train) in place of 1/k; for k folds n_test/n_train is 1/(k - 1). Where all models are scored on
    one test part, as P1's are, we keep that ratio: it is what the overlap of the training parts amounts to.
    """
    gaps = np.asarray(first, float) - np.asarray(second, float)
    k = len(gaps)
    if k < 2:
        return None
    mean, spread = float(gaps.mean()), float(gaps.var(ddof=1))
    if spread < 1e-24:
        spread = 0.0
    t, t_corrected = (_ratio(mean, math.sqrt(spread * factor)) for factor in (1 / k, 1 / k + 1 / (k - 1)))
    p, p_corrected = (float(2 * stats.t.sf(abs(value), k - 1)) for value in (t, t_corrected))
    return FoldTest(k, mean, math.sqrt(spread), k - 1, t, p, t_corrected, p_corrected, _ratio(mean, math.sqrt(spread)))


def _ratio(mean: float, deviation: float) -> float:
    return mean / deviation if deviation else math.nan


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """p values adjusted for being several (Holm 1979): each holds against the chance that any one of them is luck.

    In order of size the i-th of m (from 0) is multiplied by m - i, never becomes less than the one before, and is at
    most 1. What is None or NaN is no test, isn't counted, and comes back as None.
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None and not math.isnan(p))
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted


def fold_verdict(
    first: str, second: str, found: FoldTest, p: float | None, comparisons: int = 1, alpha: float = ALPHA
) -> str:
    """A test in words; `p` is what is judged by: corrected for overlap, and adjusted for all `comparisons`."""
    folds = f"{found.folds} folds"
    if p is None:
        return f"too little to tell {first} from {second}: all {folds} differ by the same amount"
    among = f", of {comparisons} comparisons" if comparisons > 1 else ""
    points = f"{abs(found.difference) * 100:.1f} points"
    if p >= alpha:
        return (
            f"no difference shown between {first} and {second} at {alpha:g} with {folds} "
            f"({found.difference * 100:+.1f} points, p = {p:.2g}{among})"
        )
    way = "above" if found.difference > 0 else "below"
    return f"{first} {way} {second} by {points} at {alpha:g} with {folds} (p = {p:.2g}{among})"
