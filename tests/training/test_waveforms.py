"""Crops of stored waveforms: what they follow from, where they lie, how loud they are, and what statistics see."""

import numpy as np
import pytest
import torch
from torch import Tensor

from birdssl.audio.device.crops import even_starts as even_starts
from birdssl.audio.device.crops import take_crops
from birdssl.audio.device.spectra import FULL_SCALE, preset
from birdssl.training import waveforms
from birdssl.training.held import DeviceHeld, Held, MappedHeld
from birdssl.training.waveforms import Sounds, WaveformClips, fitted

RATE, SAMPLES, COUNT, LENGTH = 8000, 4000, 12, 1500
FRONT = preset("quick", RATE, SAMPLES / RATE, f_max=None, crop_seconds=LENGTH / RATE, crops=3, n_mels=16)


def stored() -> np.ndarray:
    """(COUNT, SAMPLES) int16: clip i holds i + 1 thousand where there is sound, with silence at both ends of some."""
    waves = np.repeat(np.arange(1, COUNT + 1, dtype=np.int16)[:, None] * 1000, SAMPLES, axis=1)
    waves[3, :1000] = 0
    waves[5, 2500:] = 0
    return waves


def held(on_device: bool = True) -> Held:
    waves = stored()
    if on_device:
        return DeviceHeld(torch.from_numpy(waves))
    return MappedHeld(lambda rows: waves[rows], COUNT, torch.device("cpu"))


def noise_sounds(seed: int = 1, gain: float = 0.0) -> Sounds:
    draw = torch.Generator().manual_seed(3)
    waves = torch.randint(-8000, 8000, (COUNT, SAMPLES), generator=draw, dtype=torch.int16)
    return Sounds.of(DeviceHeld(waves), seed, gain)


def crops(sounds: Sounds, clips: Tensor, epoch: int = 1, name: str = "crop") -> Tensor:
    return sounds.random_crops(clips, epoch, LENGTH, name)


def test_bounds_are_found_in_every_batch_of_clips(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waveforms, "READ_AT_ONCE", 5)
    found = Sounds.of(held(), 1).bounds
    expected = torch.tensor([[0, SAMPLES]]).repeat(COUNT, 1)
    expected[3, 0], expected[5, 1] = 1000, 2500
    assert torch.equal(found, expected)


def test_a_crop_follows_from_seed_epoch_name_and_clip_and_from_nothing_else():
    sounds, every = noise_sounds(gain=6.0), torch.arange(COUNT)
    whole = crops(sounds, every)
    shuffled = torch.tensor([7, 2, 11, 0])
    assert torch.equal(crops(sounds, shuffled), whole[shuffled])
    assert torch.equal(torch.cat([crops(sounds, every[:5]), crops(sounds, every[5:])]), whole)
    assert torch.equal(crops(noise_sounds(gain=6.0), every), whole)
    for other in (crops(sounds, every, epoch=2), crops(sounds, every, name="x"), crops(noise_sounds(2, 6.0), every)):
        assert not any(torch.equal(one, two) for one, two in zip(other, whole, strict=True))


def test_clips_in_files_give_the_bits_of_clips_in_memory():
    rows = torch.tensor([4, 3, 5, 3])
    taken = [WaveformClips(Sounds.of(held(near), 1, 6.0), fitted_front()) for near in (True, False)]
    assert [inputs.ahead for inputs in taken] == [False, True]
    assert torch.equal(taken[0].take(rows), taken[1].take(rows))
    assert torch.equal(taken[0].draw(rows, 4), taken[1].draw(rows, 4))


def fitted_front():
    sounds = noise_sounds()
    return fitted(FRONT, sounds, torch.arange(COUNT))


def test_the_gain_is_between_its_limits_and_reaches_near_both():
    sounds = Sounds.of(held(), 1, gain=6.0)
    rows = torch.arange(COUNT)
    decibels = []
    for epoch in range(40):
        loudest = crops(sounds, rows, epoch).amax(1) * FULL_SCALE / (1000.0 * (rows + 1))
        decibels.append(20 * loudest.log10())
    found = torch.cat(decibels)
    assert found.min() >= -6.001
    assert found.max() <= 6.001
    assert found.min() < -5.5
    assert found.max() > 5.5
    assert abs(float(found.mean())) < 0.5
    plain = crops(Sounds.of(held(), 1), rows) * FULL_SCALE
    assert set(plain.unique().tolist()) <= {0.0, *(1000.0 * (i + 1) for i in range(COUNT))}


def test_crops_reach_half_a_crop_over_the_ends_of_the_sound():
    """Clip 5 sounds for 2500 samples: a crop of 1500 holds at least 750 of them, and at both ends exactly these."""
    sounds = Sounds.of(held(), 1)
    shares = [int((crops(sounds, torch.tensor([5]), epoch) != 0).sum()) for epoch in range(300)]
    assert min(shares) >= LENGTH // 2
    assert min(shares) < LENGTH // 2 + 30
    assert max(shares) == LENGTH


def test_test_crops_are_evenly_spaced_over_each_clip_and_stand_side_by_side():
    sounds, front = noise_sounds(gain=6.0), fitted_front()
    inputs = WaveformClips(sounds, front)
    rows = torch.tensor([8, 1])
    starts = even_starts(sounds.bounds[rows], LENGTH, 3)
    expected = [front.inputs(take_crops(sounds.held.take(rows), starts[:, i], LENGTH)) for i in range(3)]
    found = inputs.take(rows)
    assert (inputs.crops, inputs.count) == (3, COUNT)
    assert torch.allclose(found, torch.stack(expected, dim=1).flatten(0, 1), atol=1e-5)
    assert inputs.draw(rows, 1).shape == (2, *found.shape[1:])


def test_statistics_are_those_of_the_clips_that_are_named():
    """Loud clips that aren't trained on change nothing."""
    waves = stored()
    waves[:, ::2] *= -1  # a tone at half the sample rate
    known = torch.arange(6)
    first = fitted(FRONT, Sounds.of(DeviceHeld(torch.from_numpy(waves)), 1), known)
    louder = waves.copy()
    louder[6:] = 32000
    second = fitted(FRONT, Sounds.of(DeviceHeld(torch.from_numpy(louder)), 1), known)
    assert (first.mean, first.deviation) == (second.mean, second.deviation)
    assert first.mean != fitted(FRONT, Sounds.of(DeviceHeld(torch.from_numpy(louder)), 1), torch.arange(COUNT)).mean


def test_statistics_of_many_clips_are_taken_from_some_that_are_evenly_spread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waveforms, "FITTED", 4)
    seen: list[int] = []

    class Noted(Sounds):
        def random_crops(self, clips: Tensor, epoch: int, length: int, name: str) -> Tensor:
            seen.extend(clips.tolist())
            return super().random_crops(clips, epoch, length, name)

    plain = noise_sounds()
    fitted(FRONT, Noted(plain.held, plain.bounds, 1), torch.arange(2, COUNT))
    assert seen == [2, 4, 7, 9]
