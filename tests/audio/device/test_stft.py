"""Short-time transforms: Parseval's identity, and phases of tones worked out by hand."""

import math

import pytest
import torch

from birdssl.audio.device.stft import hann, planes

CPU = torch.device("cpu")


@pytest.mark.parametrize("window", [256, 200])
def test_energy_of_a_frame_is_that_of_its_windowed_samples(window: int) -> None:
    waves = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    power = planes(waves, 256, window, 64, "centre")[0].double()
    both_sides = power[..., 0] + power[..., -1] + 2 * power[..., 1:-1].sum(-1)
    frames = waves.double().unfold(1, 256, 64) * hann(window, 256, CPU)
    torch.testing.assert_close(both_sides / 256, frames.square().sum(-1), rtol=1e-5, atol=0)


def test_power_is_that_of_the_parts() -> None:
    waves = torch.randn(3, 700, generator=torch.Generator().manual_seed(1))
    power, real, imaginary = planes(waves, 128, 128, 32, "start")
    torch.testing.assert_close(power, real**2 + imaginary**2)
    assert power.shape == (3, 1 + (700 - 128) // 32, 65)


@pytest.mark.parametrize(("phase_at", "origin"), [("start", 0), ("centre", 64)])
def test_phase_of_a_tone(phase_at: str, origin: int) -> None:
    """cos(2 pi 10 m / 128 + 0.3) has, in bin 10, the phase that its argument has at the frame's start or middle."""
    samples = torch.arange(1000, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * 10 * samples / 128 + 0.3).float()[None]
    _, real, imaginary = planes(wave, 128, 128, 50, phase_at)
    phase = torch.atan2(imaginary, real)[0, :, 10].double()
    places = torch.arange(len(phase)) * 50.0 + origin
    expected = 2 * math.pi * 10 * places.double() / 128 + 0.3
    torch.testing.assert_close(torch.cos(phase - expected), torch.ones_like(phase), rtol=0, atol=1e-6)
