"""Neighbours of embeddings, and how many of them stay: worked by hand and against scikit-learn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from birdssl.training.neighbours import kept_share, nearest
from birdssl.training.validation import settled


def test_four_directions_by_hand():
    # on a circle at 0, 10, 180 and 190 degrees: pairs of neighbours, whatever their length
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 180.0, 190.0]))
    points = torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([[1.0], [5.0], [2.0], [1.0]])
    points = points - points.mean(0)
    assert nearest(points, 1).tolist() == [[1], [0], [3], [2]]
    assert nearest(points + 7, 1).tolist() == [[1], [0], [3], [2]]  # a common offset says nothing


@given(st.integers(3, 40), st.integers(0, 99))
def test_neighbours_are_scikit_learns(clips: int, seed: int):
    points = torch.randn(clips, 6, generator=torch.Generator().manual_seed(seed))
    centred = (points.double() - points.double().mean(0)).numpy()
    known = NearestNeighbors(n_neighbors=min(10, clips - 1), metric="cosine").fit(centred)
    assert nearest(points).tolist() == [sorted(row) for row in known.kneighbors(return_distance=False).tolist()]


def test_shares_by_hand():
    before = torch.tensor([[1, 2], [0, 2], [0, 1]])
    assert kept_share(before, before) == 1.0
    assert kept_share(before, torch.tensor([[1, 3], [3, 4], [0, 1]])) == pytest.approx((1 + 0 + 2) / 6)


def test_noise_keeps_what_chance_keeps():
    draw = torch.Generator().manual_seed(0)
    first, second = (nearest(torch.randn(400, 32, generator=draw)) for _ in range(2))
    assert kept_share(first, second) == pytest.approx(10 / 399, abs=0.006)


def test_the_first_look_says_nothing_and_later_ones_compare_with_the_last():
    memory: dict[str, torch.Tensor] = {}
    points = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    assert settled(points, memory) == {}
    assert settled(3 * points, memory) == {"neighbour_stability": 1.0}
    other = torch.randn(30, 4, generator=torch.Generator().manual_seed(2))
    assert settled(other, memory)["neighbour_stability"] < 0.7
    assert settled(other, memory) == {"neighbour_stability": 1.0}
