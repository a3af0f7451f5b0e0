"""BYOL-A's views: mixtures by hand, torch's own interpolation as oracle for the crops, and what a plan draws."""

import math
from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio.device.byola import (
    BYOL_A,
    BYOL_A_2,
    Plan,
    apply,
    byol_views,
    draw,
    linear_fade,
    log_mixup_exp,
    random_resized_crop,
)
from birdssl.seeds import generator


def spectra(clips: int, height: int = 64, width: int = 96) -> torch.Tensor:
    return torch.randn(clips, 1, height, width, generator=torch.Generator().manual_seed(0))


def by_torch(picture: torch.Tensor, height: float, width: float, top: float, left: float) -> torch.Tensor:
    """BYOL-A's crop of one (1, F, T) picture, step by step, with torch's interpolation."""
    _, rows, columns = picture.shape
    canvas = torch.zeros(1, rows, int(1.5 * columns))
    edge = (canvas.shape[2] - columns) // 2
    canvas[:, :, edge : edge + columns] = picture
    h = min(max(int(torch.tensor(height) * rows), 1), rows)
    w = min(max(int(torch.tensor(width) * columns), 1), canvas.shape[2])
    i, j = int(torch.tensor(top) * (rows - h + 1)), int(torch.tensor(left) * (canvas.shape[2] - w + 1))
    crop = canvas[None, :, i : i + h, j : j + w]
    return F.interpolate(crop, size=(rows, columns), mode="bicubic", align_corners=True)[0]


@settings(max_examples=40, deadline=None)
@given(
    height=st.floats(0.6, 1.5),
    width=st.floats(0.6, 1.5),
    top=st.floats(0, 0.999),
    left=st.floats(0, 0.999),
    size=st.sampled_from([(64, 96), (80, 33), (7, 5)]),
)
def test_crops_are_those_of_torchs_interpolation(
    height: float, width: float, top: float, left: float, size: tuple[int, int]
) -> None:
    pictures = spectra(2, *size)
    values = (torch.tensor([value, 1.0]) for value in (height, width, top))
    found = random_resized_crop(pictures, *values, torch.tensor([left, 0.5]), (1.0, 1.5))
    torch.testing.assert_close(found[0], by_torch(pictures[0], height, width, top, left), rtol=0, atol=1e-4)


def test_a_crop_of_the_whole_picture_is_that_picture() -> None:
    """Full size, in the middle of the canvas: 96 of 144 columns begin at 24 of the 49 possible places."""
    pictures = spectra(3)
    ones = torch.ones(3)
    found = random_resized_crop(pictures, ones, ones, 0 * ones, 24.5 / 49 * ones, (1.0, 1.5))
    torch.testing.assert_close(found, pictures, rtol=0, atol=1e-5)


def test_mixtures_by_hand() -> None:
    loud, quiet = torch.full((3, 1, 2, 2), math.log(8.0)), torch.zeros(3, 1, 2, 2)
    mixed = log_mixup_exp(loud, quiet, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(mixed[:, 0, 0, 0].exp(), torch.tensor([8.0, 6.25, 1.0]))


def test_a_fade_is_a_straight_line() -> None:
    faded = linear_fade(torch.zeros(2, 1, 3, 5), torch.tensor([-1.0, 0.5]), torch.tensor([1.0, 0.5]))
    assert faded[0, 0, 1].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert torch.equal(faded[1], torch.full((1, 3, 5), 0.5))


def test_a_plan_mixes_in_every_other_clip_and_never_itself() -> None:
    plan = draw(generator(1, "byol"), 5000)
    assert (plan.partner != torch.arange(5000)).all()
    assert len(plan.partner.unique()) > 3000
    few = torch.cat([draw(generator(seed, "byol"), 3).partner[None] for seed in range(40)])
    assert [set(column.tolist()) for column in few.T] == [{1, 2}, {0, 2}, {0, 1}]
    assert draw(generator(1, "byol"), 1).partner.tolist() == [0]


def test_ranges_are_byol_as() -> None:
    plan = draw(generator(1, "byol"), 5000, BYOL_A_2)
    for name, low, high in [
        ("mix", 0, 0.4),
        ("height", 0.6, 1.5),
        ("width", 0.6, 1.5),
        ("head", -1, 1),
        ("tail", -1, 1),
    ]:
        drawn = getattr(plan, name)
        assert low <= float(drawn.min()) < low + 0.01
        assert high - 0.01 < float(drawn.max()) <= high
    assert not draw(generator(1, "byol"), 10, BYOL_A).head.any()


def test_views_are_independent_and_repeatable() -> None:
    first, second = byol_views(generator(3, "byol"), 1000)
    again, _ = byol_views(generator(3, "byol"), 1000)
    assert all(torch.equal(getattr(first, field.name), getattr(again, field.name)) for field in fields(Plan))
    assert abs(float(torch.corrcoef(torch.stack([first.width, second.width]))[0, 1])) < 0.1


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    pool = spectra(9)
    plan = draw(generator(2, "byol"), 9, BYOL_A_2)
    together = apply(pool, pool[plan.partner], plan, BYOL_A_2)
    assert together.shape == pool.shape
    for i in (0, 4, 8):
        row = torch.tensor([i])
        part = plan.rows(row)
        torch.testing.assert_close(
            apply(pool[row], pool[part.partner], part, BYOL_A_2), together[row], rtol=0, atol=1e-5
        )


def test_half_precision_never_touches_it() -> None:
    pool = spectra(4)
    plan = draw(generator(2, "byol"), 4)
    expected = apply(pool, pool[plan.partner], plan)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(apply(pool, pool[plan.partner], plan), expected)


def test_a_plan_of_other_clips_is_refused() -> None:
    with pytest.raises(ValueError, match="plan of 3"):
        apply(spectra(2), spectra(2), draw(generator(2, "byol"), 3))
