"""Views of waveforms: of which clips they are, and that a batch decides nothing."""

import pytest
import torch
from torch import Tensor

from birdssl.audio.device import byola
from birdssl.audio.device.spectra import preset
from birdssl.training.held import DeviceHeld, MappedHeld
from birdssl.training.pairs import another_clip
from birdssl.training.views import VIEWS, WaveformViews
from birdssl.training.waveforms import Sounds, fitted

RATE, SAMPLES, COUNT = 8000, 8000, 9
FRONT = preset("quick", RATE, 1.0, f_max=None, crop_seconds=0.5, n_mels=32, channels=("mel",))
SHOWN = torch.tensor([1, 2, 3, 5, 6, 8])  # clips of the part that is looked at


def waves() -> Tensor:
    """Tones of their own frequency, (COUNT, SAMPLES) int16."""
    time = torch.arange(SAMPLES) / RATE
    hertz = 300 * 1.4 ** torch.arange(COUNT)[:, None] / 2
    return (8000 * torch.sin(2 * torch.pi * hertz * time)).round().to(torch.int16)


def views(kind: str, *, on_device: bool = True, shuffled: bool = False, seed: int = 1) -> WaveformViews:
    stored = waves()
    held = (
        DeviceHeld(stored) if on_device else MappedHeld(lambda rows: stored.numpy()[rows], COUNT, torch.device("cpu"))
    )
    sounds = Sounds.of(held, seed, 6.0)
    return WaveformViews(kind, sounds, SHOWN, fitted(FRONT, sounds, SHOWN), shuffled=shuffled)


def loudest_band(view: Tensor) -> list[int]:
    """Of each clip of (B, 1, bins, frames), in the middle of the time."""
    middle = view.shape[-1] // 2
    return view[:, 0, :, middle - 2 : middle + 3].mean(-1).argmax(1).tolist()


@pytest.mark.parametrize("kind", VIEWS)
def test_views_follow_from_seed_epoch_and_clip_and_not_from_the_batch(kind: str):
    every, some = torch.arange(len(SHOWN)), torch.tensor([4, 1])
    whole = views(kind).views(every, 3)
    for made, alone, files in zip(
        whole, views(kind).views(some, 3), views(kind, on_device=False).views(some, 3), strict=True
    ):
        assert made.dtype == torch.float32
        assert torch.allclose(alone, made[some], atol=1e-4)
        assert torch.equal(alone, files)
    again, later, other = (views(kind, seed=seed).views(every, epoch)[0] for seed, epoch in ((1, 3), (1, 4), (2, 3)))
    assert torch.equal(again, whole[0])
    assert not torch.allclose(later, whole[0], atol=1e-2)
    assert not torch.allclose(other, whole[0], atol=1e-2)


@pytest.mark.parametrize("kind", [kind for kind in VIEWS if kind != "one"])
def test_both_views_of_a_clip_differ(kind: str):
    first, second = views(kind).views(torch.arange(len(SHOWN)), 1)[:2]
    assert first.shape == second.shape == (len(SHOWN), 1, FRONT.n_mels, FRONT.frames)
    same = [torch.allclose(one, two, atol=1e-3) for one, two in zip(first, second, strict=True)]
    assert sum(same) <= len(SHOWN) // 2
    assert torch.isfinite(first).all()
    assert torch.isfinite(second).all()


def test_one_view_is_a_crop_of_the_clip_itself():
    (found,) = views("one").views(torch.arange(len(SHOWN)), 1)
    bands = loudest_band(found)
    assert bands == sorted(set(bands)), "a higher tone peaks in a higher band"


def test_two_crops_are_of_one_clip_and_shuffled_ones_of_two():
    clips = torch.arange(len(SHOWN))
    for epoch in (1, 2):
        first, second = views("crops").views(clips, epoch)
        assert loudest_band(first) == loudest_band(second)
        control, partner = views("crops", shuffled=True).views(clips, epoch)
        assert torch.equal(control, first), "the first view stays the clip's own"
        other = another_clip(len(SHOWN), 1, epoch)
        assert loudest_band(partner) == [loudest_band(first)[place] for place in other.tolist()]
        assert not (other == clips).any()


@pytest.mark.parametrize("kind", ["clar", "mt-slvr", "byol-a"])
def test_a_shuffled_control_changes_second_views_alone(kind: str):
    clips = torch.arange(len(SHOWN))
    own, control = (views(kind, shuffled=shuffled).views(clips, 1) for shuffled in (False, True))
    assert torch.equal(own[0], control[0])
    assert not any(torch.equal(one, two) for one, two in zip(own[1], control[1], strict=True))


def test_mt_slvr_says_which_augmentations_were_applied():
    first, second, applied = views("mt-slvr").views(torch.arange(len(SHOWN)), 1)
    assert applied.shape == (len(SHOWN), 7)
    assert applied.dtype == torch.float32
    assert set(applied.unique().tolist()) <= {0.0, 1.0}
    assert (applied.sum(1) >= 1).all()
    assert first.shape == second.shape


def test_byol_a_fades_its_views(monkeypatch: pytest.MonkeyPatch):
    faded = views("byol-a").views(torch.arange(6), 1)
    asked = list[Tensor]()

    def unfaded(spectra: Tensor, head: Tensor, tail: Tensor) -> Tensor:
        asked.append(torch.lerp(head[:, None], tail[:, None], torch.linspace(0, 1, spectra.shape[-1])))
        return spectra

    monkeypatch.setattr(byola, "linear_fade", unfaded)
    plain = views("byol-a").views(torch.arange(6), 1)
    for one, other, line in zip(faded, plain, asked, strict=True):
        torch.testing.assert_close(one - other, line[:, None, None].expand_as(one), rtol=0, atol=1e-4)
        assert 0.5 < line.abs().max() <= 1
