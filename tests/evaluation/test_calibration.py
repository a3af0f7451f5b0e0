"""Reliability worked by hand, against scikit-learn, and on answers whose worth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from birdssl.evaluation import figures
from birdssl.evaluation.calibration import reliability


def test_two_bins_by_hand():
    """.2, .4 (one right of two) and .9, 1.0, 1.0 (two of three): errors .2 and .3, weighted 2 and 3 of 5."""
    found = reliability([0.2, 0.4, 0.9, 1.0, 1.0], [1, 0, 1, 1, 0], bins=2)
    assert found.answers.tolist() == [2, 3]
    assert found.confidence == pytest.approx([0.3, 2.9 / 3])
    assert found.accuracy == pytest.approx([0.5, 2 / 3])
    assert found.error == pytest.approx((2 * 0.2 + 3 * 0.3) / 5)
    assert (found.said, found.right) == pytest.approx((0.7, 0.6))


def test_a_boundary_belongs_to_the_bin_below_and_0_to_the_first():
    assert reliability([0.0, 0.5, 0.51], [0, 0, 0], bins=2).answers.tolist() == [2, 1]


def test_answers_that_are_worth_what_they_say_have_no_error_and_bold_ones_have_theirs():
    random = np.random.default_rng(0)
    said = random.uniform(0.3, 1, 40_000)
    assert reliability(said, random.random(40_000) < said).error < 0.01
    assert reliability(said, random.random(40_000) < said - 0.2).error == pytest.approx(0.2, abs=0.01)


@given(st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=1, max_size=60))
def test_bins_are_scikit_learns(answers: list[tuple[float, bool]]):
    said, right = (np.array(side) for side in zip(*answers, strict=True))
    if np.isclose(said * 10, np.round(said * 10)).any():
        return  # scikit-learn gives a boundary to the other side
    found = reliability(said, right)
    accuracy, confidence = calibration_curve(right, said, n_bins=10, strategy="uniform")
    full = found.answers > 0
    assert found.accuracy[full] == pytest.approx(accuracy)
    assert found.confidence[full] == pytest.approx(confidence)


@pytest.mark.parametrize("said", [[], [1.2], [-0.1]])
def test_what_is_no_probability_is_refused(said: list[float]):
    with pytest.raises(ValueError, match="reliability curve"):
        reliability(said, np.zeros(len(said)))


def test_the_picture_is_drawn_with_empty_bins():
    assert figures.reliability(reliability([0.95, 0.2], [1, 0])).png.startswith(b"\x89PNG")
