"""Thresholds by the best F1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from birdssl.evaluation.thresholds import DEFAULT_THRESHOLD, best_f1_threshold, best_thresholds


def test_by_hand():
    """Taking .9 and .8 hits both positives (F1 = 1); the threshold lies halfway to .2."""
    assert best_f1_threshold(np.array([True, False, True]), np.array([0.8, 0.2, 0.9])) == pytest.approx(0.5)
    assert best_f1_threshold(np.array([True, True]), np.array([0.4, 0.2])) == pytest.approx(0.1)
    assert best_f1_threshold(np.array([False, True, True]), np.full(3, 0.6)) == pytest.approx(0.3)  # all or nothing


def test_of_equal_f1_the_highest():
    """.9 alone: 2 * 1 / (1 + 2) = 2/3. All four: 2 * 2 / (4 + 2) = 2/3."""
    truth, scores = np.array([True, False, False, True]), np.array([0.9, 0.5, 0.4, 0.3])
    assert best_f1_threshold(truth, scores) == pytest.approx(0.7)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=30))
def test_no_other_threshold_is_better(pairs):
    truth, scores = np.array([yes for yes, _ in pairs]), np.array([level / 8 for _, level in pairs])
    found = best_f1_threshold(truth, scores)
    if not truth.any():
        assert found is None
        return
    of = [f1_score(truth, scores >= level, zero_division=0) for level in [*scores, found]]
    assert of[-1] == pytest.approx(max(of))


def test_a_class_without_a_positive_gets_the_default_and_is_named():
    truth = np.array([[True, False], [False, False]])
    found, bare = best_thresholds(truth, np.array([[0.8, 0.7], [0.4, 0.1]]), ("wren", "owl"))
    assert found == {"wren": pytest.approx(0.6), "owl": DEFAULT_THRESHOLD}
    assert bare == ["owl"]
