"""What is hidden of spectra: by hand, in the shares that are asked for, and by clip alone."""

import numpy as np
import pytest
import torch
from torch import Tensor

from birdssl.errors import UsageError
from birdssl.training.masks import MOCKINGJAY, TERA, Masking, Masks, draw_masks

BINS, FRAMES = 20, 100


def drawn(clips: int, masking: Masking, **options) -> Masks:
    return draw_masks(torch.arange(clips), (BINS, FRAMES), masking, 1, 3, **options)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_hiding_by_hand():
    spectra = torch.arange(1.0, 13).view(1, 1, 2, 6).repeat(3, 1, 1, 1)
    frames = torch.tensor([[0, 1, 1, 0, 0, 0]] * 3).bool()
    sources = torch.arange(6).repeat(3, 1)
    sources[1, 1:3] = torch.tensor([4, 5])
    bands = torch.tensor([[False, False], [False, False], [False, True]])
    masks = Masks(torch.tensor([1, 1, 1]), frames, torch.tensor([True, False, False]), sources, bands, None)
    seen, places = masks.hide(spectra)
    assert seen[:, 0].tolist() == [
        [[1, 0, 0, 4, 5, 6], [7, 0, 0, 10, 11, 12]],  # zeroed
        [[1, 5, 6, 4, 5, 6], [7, 11, 12, 10, 11, 12]],  # replaced
        [[1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 0]],  # left as it is, but for a band
    ]
    assert places[:2].equal(frames[:2, None, None].expand(2, 1, 2, 6))
    assert places[2, 0].tolist() == [frames[2].tolist(), [True] * 6]


def test_spans_cover_their_share():
    masks = drawn(400, MOCKINGJAY)
    assert int(masks.frames.sum(1).max()) == 14  # round(100 * .15 / 7) spans of 7
    assert int(masks.frames.sum(1).min()) >= 8  # two different starts
    for start, frames in zip(masks.starts, masks.frames, strict=True):
        assert bool(frames[start : start + 7].all())
    everywhere = masks.frames.sum(0)
    assert int(everywhere[10:90].min()) > 20
    assert int(everywhere[0]) > 0
    assert int(everywhere[99]) > 0
    assert not masks.bands.any()
    assert masks.noise is None


def test_a_short_clip_has_one_span():
    masks = draw_masks(torch.arange(50), (BINS, 8), MOCKINGJAY, 1, 1)
    assert masks.frames.sum(1).tolist() == [7] * 50
    assert set(masks.starts.tolist()) == {0, 1}


def test_four_in_five_are_zeroed_and_one_in_ten_replaced():
    masks = drawn(3000, MOCKINGJAY)
    replaced = (masks.sources != torch.arange(FRAMES)).any(dim=1)
    assert masks.zeroed.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert replaced.float().mean().item() == pytest.approx(0.1, abs=0.02)
    assert not (masks.zeroed & replaced).any()


def test_only_hidden_places_change_and_replacements_are_frames_of_the_clip():
    spectra = noise(200, 1, BINS, FRAMES)
    masks = drawn(200, MOCKINGJAY)
    seen, places = masks.hide(spectra)
    assert seen[~places].equal(spectra[~places])
    assert not seen[masks.zeroed][places[masks.zeroed]].any()
    changed = 0
    for clip in torch.where(~masks.zeroed)[0].tolist():
        for frame in torch.where(masks.frames[clip])[0].tolist():
            same = (spectra[clip, 0] == seen[clip, 0, :, frame, None]).all(dim=0)
            assert int(same.sum()) == 1
            changed += not bool(same[frame])
    assert changed > 100


def test_bands_of_every_width_up_to_a_fifth_over_all_frames():
    masks = drawn(600, TERA)
    widths = masks.bands.sum(1)
    assert np.bincount(widths, minlength=5).tolist() == pytest.approx([120] * 5, rel=0.35)
    lows = masks.bands[widths == 4].float().argmax(dim=1)
    assert {int(low) for low in lows} == set(range(17))
    seen, places = masks.hide(torch.ones(600, 1, BINS, FRAMES))
    clip = int(torch.where(widths == 4)[0][0])
    band = masks.bands[clip]
    assert (int(torch.where(band)[0][-1]) - int(torch.where(band)[0][0])) == 3
    assert bool(places[clip, 0, band].all())
    assert masks.noise is not None
    assert seen[clip, 0, band].equal(masks.noise[clip, band])


def test_noise_over_a_share_of_clips():
    masks = drawn(1000, Masking(noise=0.15))
    assert masks.noise is not None
    loud = masks.noise.flatten(1).any(dim=1)
    assert loud.float().mean().item() == pytest.approx(0.15, abs=0.04)
    assert masks.noise[loud].std().item() == pytest.approx(0.2, rel=0.01)
    spectra = noise(1000, 1, BINS, FRAMES)
    seen, places = masks.hide(spectra)
    torch.testing.assert_close((seen - spectra)[~places], masks.noise[:, None][~places], rtol=0, atol=1e-6)


@pytest.mark.parametrize("masking", [MOCKINGJAY, TERA])
def test_a_clips_masks_depend_on_seed_epoch_and_clip_alone(masking: Masking):
    clips = torch.tensor([5, 0, 9])
    spectra = noise(10, 1, BINS, FRAMES)
    whole, places = drawn(10, masking).hide(spectra)
    some, _ = draw_masks(clips, (BINS, FRAMES), masking, 1, 3).hide(spectra[clips])
    assert some.equal(whole[clips])
    for seed, epoch in ((2, 3), (1, 4)):
        other = draw_masks(torch.arange(10), (BINS, FRAMES), masking, seed, epoch).hide(spectra)[1]
        assert not other.equal(places)


def test_all_can_be_hidden_at_the_same_places():
    masks, hidden = drawn(100, TERA), drawn(100, TERA, hide_all=True)
    assert hidden.frames.equal(masks.frames)
    assert bool(hidden.zeroed.all())
    assert hidden.sources.equal(torch.arange(FRAMES).expand(100, -1))
    seen, places = hidden.hide(torch.ones(100, 1, BINS, FRAMES))
    assert hidden.noise is not None
    assert seen.equal((~places).float() + hidden.noise[:, None])


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"span": 0}, {"bands": 1.5}, {"noise": -0.1}])
def test_masks_out_of_range(wrong: dict[str, float]):
    with pytest.raises(UsageError, match="share of frames between 0 and 1"):
        Masking(**wrong)


def test_clips_too_short_for_a_span():
    with pytest.raises(UsageError, match="spans of 7 frames and clips have 7"):
        draw_masks(torch.arange(2), (BINS, 7), MOCKINGJAY, 1, 1)
