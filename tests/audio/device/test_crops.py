"""Crops by hand: trimmed silence, zeros outside, and the ten of a test."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birdssl.audio.device import crops

CLIP = torch.tensor([[0, 0, 5, 6, 0, 7, 0, 0]], dtype=torch.int16)


def test_bounds_leave_out_zeros_at_the_ends_only() -> None:
    clips = torch.cat([CLIP, torch.zeros_like(CLIP), torch.ones_like(CLIP), -CLIP.roll(2)])
    assert crops.bounds(clips).tolist() == [[2, 6], [0, 8], [0, 8], [4, 8]]


def test_a_crop_has_zeros_outside_the_clip() -> None:
    clips = CLIP.expand(4, -1)
    taken = crops.take_crops(clips, torch.tensor([-2, 1, 3, 9]), 5)
    assert taken.tolist() == [[0, 0, 0, 0, 5], [0, 5, 6, 0, 7], [6, 0, 7, 0, 0], [0, 0, 0, 0, 0]]
    assert taken.dtype == torch.int16


def test_random_starts_reach_from_half_a_crop_before_to_half_a_crop_after() -> None:
    """Sound of samples 2..5 with 2 zeros on both sides is samples 0..7: crops of 5 start at 0, 1, 2 or 3."""
    bounds = torch.tensor([[2, 6]]).expand(6, 2)
    uniform = torch.tensor([0.0, 0.2499, 0.25, 0.5, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert crops.random_starts(bounds, 5, uniform).tolist() == [0, 0, 1, 2, 3, 3]


def test_test_crops_by_hand() -> None:
    bounds = torch.tensor([[0, 100], [20, 30]])
    assert crops.even_starts(bounds, 20, 5).tolist() == [[-10, 15, 40, 65, 90], [10, 12, 15, 17, 20]]
    assert crops.even_starts(bounds, 20, 1).tolist() == [[40], [15]]


def test_ten_crops_of_the_paper_cover_the_clip() -> None:
    starts = crops.even_starts(torch.tensor([[0, 100000]]), 30225, 10)[0]
    steps = starts.diff()
    assert (starts[0], starts[-1]) == (-15112, 100000 + 15112 - 30225)
    assert steps.max() - steps.min() <= 1
    assert steps.max() < 30225


@given(
    first=st.integers(0, 50),
    sound=st.integers(1, 60),
    length=st.integers(1, 90),
    count=st.integers(1, 12),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_every_crop_lies_within_the_padded_sound(
    first: int, sound: int, length: int, count: int, uniform: float
) -> None:
    bounds = torch.tensor([[first, first + sound]])
    drawn = crops.random_starts(bounds, length, torch.tensor([uniform], dtype=torch.float64))
    starts = torch.cat([drawn, crops.even_starts(bounds, length, count)[0]])
    assert (starts >= first - length // 2).all()
    assert (starts + length <= max(first + sound + length // 2, first - length // 2 + length)).all()


@pytest.mark.parametrize("length", [3, 8, 11])
def test_crops_equal_cutting_out_of_the_trimmed_and_padded_clip(length: int) -> None:
    """The order of ACDNet's preprocessing, done step by step on one clip."""
    bounds = crops.bounds(CLIP)
    trimmed = CLIP[0, 2:6]
    padded = torch.nn.functional.pad(trimmed, (length // 2, length // 2))
    for uniform in torch.linspace(0, 0.999, 9, dtype=torch.float64):
        place = int(uniform * (len(padded) - length + 1))
        start = crops.random_starts(bounds, length, uniform[None])
        assert crops.take_crops(CLIP, start, length)[0].tolist() == padded[place : place + length].tolist()
