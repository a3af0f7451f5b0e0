"""Plans of views: what is drawn, in which order it is done, and that clips don't depend on one another."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio.device.clar import CLAR, MT_SLVR, NONE, OPERATIONS, Plan, apply, clar_views, draw, mt_slvr_views
from birdssl.audio.device.effects import SHAPES
from birdssl.seeds import generator

RATE = 20000
CLIPS = 2000


def noise(clips: int, samples: int = 4000) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


def only(*names: str, clips: int = 3) -> Plan:
    order = torch.tensor([[OPERATIONS.index(name) for name in names]]).expand(clips, -1)
    return draw(generator(5, "test"), order, CLAR)


def test_both_views_go_through_p2s_four_operations_in_its_order() -> None:
    first, second = clar_views(generator(1, "views"), CLIPS)
    for plan in (first, second):
        assert [OPERATIONS[number] for number in plan.order[0]] == ["fade", "mask", "pitch", "shift"]
        assert (plan.order == plan.order[0]).all()
        assert plan.applied().sum(0).tolist() == [CLIPS, CLIPS, 0, 0, CLIPS, CLIPS, 0]


def test_parameters_are_uniform_over_their_ranges_and_independent() -> None:
    first, second = clar_views(generator(1, "views"), CLIPS)
    assert set(first.semitones.tolist()) == set(range(-15, 16))
    assert set(first.shape.tolist()) == set(range(5))
    assert sorted(set(first.mask_level.tolist())) == pytest.approx([0.0, 0.01])
    for name, low, high in [("fade_in", 0, 0.5), ("mask_length", 0, 0.125), ("shift", -0.5, 0.5), ("mask_start", 0, 1)]:
        drawn = getattr(first, name)
        assert low <= drawn.min()
        assert drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    for name in ("semitones", "fade_in", "shift", "mask_start"):
        pair = torch.stack([getattr(first, name).double(), getattr(second, name).double()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 0.1


def test_mt_slvr_draws_any_number_of_operations_in_any_order_for_both_views() -> None:
    first, second = mt_slvr_views(generator(2, "views"), CLIPS)
    assert torch.equal(first.order, second.order)
    assert not torch.equal(first.semitones, second.semitones)
    labels = first.applied()
    counts = labels.sum(1).long()
    assert set(counts.tolist()) == set(range(1, 8))
    assert torch.bincount(counts)[1:].float().std() < 0.15 * CLIPS / 7
    np.testing.assert_allclose(labels.mean(0), 4 / 7, atol=0.05)  # k of 7, k even from 1 to 7
    for order, label in zip(first.order[:50].tolist(), labels[:50].tolist(), strict=True):
        done = [number for number in order if number != NONE]
        assert len(set(done)) == len(done)
        assert [float(number in done) for number in range(7)] == label
    assert {SHAPES[number] for number in first.shape.unique()} == set(MT_SLVR.shapes)
    assert not first.mask_level.any()


def test_operations_follow_one_another_in_the_plans_order() -> None:
    """A shift by half a clip, then a mask, isn't a mask, then that shift."""
    waves = torch.ones(3, 1000)
    for names, masked in ((("shift", "mask"), 100), (("mask", "shift"), 600)):
        plan = replace(
            only(*names),
            shift=torch.full((3,), 0.5),
            mask_start=torch.full((3,), 100.5 / 901),
            mask_length=torch.full((3,), 0.1001),
            mask_level=torch.zeros(3),
        )
        found = apply(waves, plan, RATE)[1]
        assert found.nonzero().numel() == 900
        assert int((found == 0).nonzero()[0]) == pytest.approx(masked, abs=1)


def test_clips_that_share_no_operation_are_each_done_right() -> None:
    waves = noise(3)
    order = torch.tensor([[OPERATIONS.index("shift")], [NONE], [OPERATIONS.index("fade")]])
    plan = replace(only("shift"), order=order)
    found = apply(waves, plan, RATE)
    assert torch.equal(found[0], waves[0].roll(int(plan.shift[0] * 4000)))
    assert torch.equal(found[1], waves[1])
    assert not torch.equal(found[2], waves[2])
    assert (found[2].abs() <= waves[2].abs()).all()


def test_what_was_given_is_left_alone() -> None:
    waves = noise(4)
    kept = waves.clone()
    for plan in mt_slvr_views(generator(3, "views"), 4):
        apply(waves, plan, RATE)
    assert torch.equal(waves, kept)


@pytest.mark.parametrize("views", [clar_views, mt_slvr_views])
def test_a_clip_does_not_depend_on_its_neighbours(views) -> None:
    waves = noise(12)
    first, _ = views(generator(4, "views"), 12)
    together = apply(waves, first, RATE)
    for rows in (torch.tensor([3]), torch.tensor([11, 0, 5])):
        torch.testing.assert_close(apply(waves[rows], first.rows(rows), RATE), together[rows], rtol=0, atol=1e-4)


def test_the_same_generator_draws_the_same_views() -> None:
    for one, other in zip(clar_views(generator(9, 1), 50), clar_views(generator(9, 1), 50), strict=True):
        assert all(torch.equal(getattr(one, field.name), getattr(other, field.name)) for field in fields(Plan))


def test_a_plan_of_other_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="rows"):
        apply(noise(2), only("shift"), RATE)


def test_half_precision_never_touches_it() -> None:
    waves = noise(3)
    expected = apply(waves, only("pitch", "noise", "stretch"), RATE)
    with torch.autocast("cpu", torch.bfloat16):
        found = apply(waves, only("pitch", "noise", "stretch"), RATE)
    assert torch.equal(found, expected)


@settings(max_examples=15, deadline=None)
@given(samples=st.integers(1, 2000), seed=st.integers(0, 1000))
def test_views_are_as_long_as_their_clips_and_finite(samples: int, seed: int) -> None:
    for plan in mt_slvr_views(generator(seed, "views"), 3):
        found = apply(noise(3, samples), plan, RATE)
        assert found.shape == (3, samples)
        assert found.isfinite().all()
