"""Resampling by physics: tones keep their frequency, phase and level, and nothing aliases."""

import math

import pytest
import torch

from birdssl.audio.device.resampling import resample


def tone(frequency: float, rate: int, samples: int) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(samples, dtype=torch.float64) / rate).float()[None]


@pytest.mark.parametrize(("rate", "target"), [(20000, 16000), (16000, 20000), (44100, 16000), (22050, 16000)])
@pytest.mark.parametrize("frequency", [440.0, 6500.0])
def test_a_tone_stays_that_tone(rate: int, target: int, frequency: float) -> None:
    moved = resample(tone(frequency, rate, rate), rate, target)
    expected = tone(frequency, target, target)
    assert moved.shape == expected.shape
    inner = slice(target // 20, -target // 20)
    torch.testing.assert_close(moved[:, inner], expected[:, inner], rtol=0, atol=2e-3)


def test_what_the_new_rate_cannot_hold_is_gone() -> None:
    moved = resample(tone(9000, 20000, 20000), 20000, 16000)
    assert moved[:, 800:-800].abs().max() < 1e-3


def test_a_crop_of_the_paper_has_24180_samples() -> None:
    assert resample(torch.zeros(2, 30225), 20000, 16000).shape == (2, 24180)


def test_the_end_does_not_leak_into_the_beginning() -> None:
    wave = torch.zeros(1, 8000)
    wave[0, -200:] = 1.0
    assert resample(wave, 20000, 16000)[0, :4000].abs().max() < 1e-4


def test_the_same_rate_changes_nothing() -> None:
    wave = tone(440, 16000, 1000)
    assert torch.equal(resample(wave, 16000, 16000), wave)


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    waves = torch.cat([tone(frequency, 20000, 5000) for frequency in (300, 1000, 5000)])
    together = resample(waves, 20000, 16000)
    for i in range(3):
        torch.testing.assert_close(together[i], resample(waves[i : i + 1], 20000, 16000)[0], rtol=0, atol=1e-6)
