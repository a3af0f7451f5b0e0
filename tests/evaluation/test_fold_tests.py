"""Tests over folds: worked by hand, against scipy, and against what they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from birdssl.evaluation.fold_tests import fold_verdict, holm, paired_folds


def test_five_folds_worked_by_hand():
    """Gaps 1, 2, 3, 4, 5: mean 3, variance 2.5, t = 3 / sqrt(2.5 / 5) = 4.243, p = 0.0132 at df 4."""
    found = paired_folds([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)
    assert (found.folds, found.freedom, found.difference) == (5, 4, 3.0)
    assert found.t == pytest.approx(4.2426, abs=1e-4)
    assert found.p == pytest.approx(0.01324, abs=1e-5)
    # corrected: t = 3 / sqrt(2.5 * (1/5 + 1/4)) = 2.828
    assert found.t_corrected == pytest.approx(2.8284, abs=1e-4)
    assert found.p_corrected == pytest.approx(0.04742, abs=1e-5)
    assert found.effect == pytest.approx(3 / math.sqrt(2.5))


def test_p1s_threshold():
    """At df 4 P1 calls |t| > 2.776 significant."""
    gaps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    at = gaps + 2.776 * gaps.std(ddof=1) / math.sqrt(5)
    assert paired_folds(list(at + 1e-3), [0.0] * 5).p < 0.05 < paired_folds(list(at - 1e-3), [0.0] * 5).p


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=10))
def test_the_plain_test_is_scipys(scores: list[tuple[float, float]]):
    first, second = (list(side) for side in zip(*scores, strict=True))
    if np.ptp(np.array(first) - np.array(second)) < 1e-6:
        return
    found, known = paired_folds(first, second), stats.ttest_rel(first, second)
    assert found.t == pytest.approx(known.statistic, rel=1e-6)
    assert found.p == pytest.approx(known.pvalue, rel=1e-6)
    assert found.p_corrected >= found.p


def test_equal_gaps_and_one_fold_are_no_test():
    found = paired_folds([0.7, 0.8, 0.9], [0.6, 0.7, 0.8])  # rounding leaves a spread of 1e-17
    assert found.difference == pytest.approx(0.1)
    assert math.isnan(found.p)
    assert math.isnan(found.effect)
    assert paired_folds([1.0], [0.0]) is None


def test_correction_for_overlap_holds_its_level_where_the_plain_test_does_not():
    """Two learners of equal skill, five folds of one small set drawn anew 400 times: the mean of the training part
    (plus its own noise) as each one's "score". Overlap makes the folds' differences alike, so the plain test finds a
    difference too often."""
    random = np.random.default_rng(0)
    plain = corrected = 0
    for _ in range(400):
        first, second = random.normal(size=(2, 100)), random.normal(size=(2, 100))
        parts = np.arange(100) % 5
        scores = [[side[0][parts != k].mean() + side[1][parts == k].mean() for k in range(5)]
                  for side in (first, second)]  # fmt: skip
        found = paired_folds(*scores)
        plain += found.p < 0.05
        corrected += found.p_corrected < 0.05
    assert corrected < plain
    assert corrected / 400 < 0.09


def test_holm_worked_by_hand():
    """Of .01, .04, .03 and .005 the smallest is multiplied by 4, then by 3, 2, 1, never falling: .02, .03, .06, .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([None, 0.02, math.nan]) == [None, 0.02, None]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(ps: list[float]):
    adjusted = holm(ps)
    assert all(p <= a <= min(1.0, p * len(ps)) for p, a in zip(ps, adjusted, strict=True))


def test_verdicts_name_level_folds_and_comparisons():
    found = paired_folds([0.61, 0.62, 0.66, 0.64, 0.69], [0.5, 0.5, 0.5, 0.5, 0.5])
    assert fold_verdict("VICReg", "random", found, 0.003, 6) == (
        "VICReg above random by 14.4 points at 0.05 with 5 folds (p = 0.003, of 6 comparisons)"
    )
    back = paired_folds([0.5] * 5, [0.61, 0.62, 0.66, 0.64, 0.69])
    assert fold_verdict("A", "B", back, 0.003).startswith("A below B by 14.4 points")
    assert fold_verdict("A", "B", found, 0.2) == (
        "no difference shown between A and B at 0.05 with 5 folds (+14.4 points, p = 0.2)"
    )
    equal = paired_folds([0.5, 0.6], [0.5, 0.6])
    assert "all 2 folds differ by the same amount" in fold_verdict("A", "B", equal, None)
