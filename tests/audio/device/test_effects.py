"""Fades, masks, shifts, noise and gain: worked out by hand, and measured."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birdssl.audio.device import effects

ONES = torch.ones(1, 1000)


def one(value: float) -> torch.Tensor:
    return torch.tensor([value])


def noise(clips: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("shape", "halfway"),
    [
        ("linear", 0.5),
        ("exponential", 0.5 * 2**-0.5),
        ("logarithmic", math.log10(0.6) + 1),
        ("quarter-sine", math.sin(math.pi / 4)),
        ("half-sine", 0.5),
    ],
)
def test_fades_by_hand(shape: str, halfway: float) -> None:
    """A fade-in over 200 of 1000 samples, a fade-out over 400."""
    number = torch.tensor([effects.SHAPES.index(shape)])
    gain = effects.fade(ONES, one(0.2), one(0.4), number)[0]
    assert gain[100] == pytest.approx(halfway, abs=0.01)
    assert gain[800] == pytest.approx(halfway, abs=0.01)
    assert torch.equal(gain[200:600], torch.ones(400))
    assert gain[0] < 0.02
    assert gain[-1] < 0.02
    assert (gain[:200].diff() >= 0).all()
    assert (gain[600:].diff() <= 0).all()


def test_no_fade_changes_nothing() -> None:
    assert torch.equal(effects.fade(ONES, one(0.0), one(0.0), torch.tensor([3])), ONES)


def test_each_clip_fades_in_its_own_shape() -> None:
    waves = noise(5, 300)
    lengths, shapes = torch.linspace(0, 0.5, 5), torch.arange(5)
    together = effects.fade(waves, lengths, lengths.flip(0), shapes)
    for i in range(5):
        row = slice(i, i + 1)
        alone = effects.fade(waves[row], lengths[row], lengths.flip(0)[row], shapes[row])
        torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-7)


def test_a_mask_is_zeros_or_noise_of_its_level() -> None:
    waves = noise(2, 8000)
    start, length = torch.tensor([100, 3000]), torch.tensor([0, 2000])
    silent = effects.time_mask(waves, start, length, torch.zeros(2), start)
    assert torch.equal(silent[0], waves[0])
    assert torch.equal(silent[1, :3000], waves[1, :3000])
    assert not silent[1, 3000:5000].any()
    assert torch.equal(silent[1, 5000:], waves[1, 5000:])
    hissing = effects.time_mask(waves, start, length, torch.full((2,), 0.01), start)[1, 3000:5000]
    assert float(hissing.std()) == pytest.approx(0.01 * float(waves[1].square().mean().sqrt()), rel=0.1)


def test_a_shift_goes_round() -> None:
    waves = torch.arange(5.0).expand(3, 5)
    shifted = effects.time_shift(waves, torch.tensor([2, -1, 0]))
    assert shifted.tolist() == [[3, 4, 0, 1, 2], [1, 2, 3, 4, 0], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("colour", range(3))
@pytest.mark.parametrize("snr_db", [3.0, 30.0])
def test_noise_measures_what_was_asked(colour: int, snr_db: float) -> None:
    wave = torch.sin(0.3 * torch.arange(2.0**18))[None]
    added = effects.add_noise(wave, one(snr_db), torch.tensor([colour]), torch.tensor([77])) - wave
    found = 10 * torch.log10(wave.square().mean() / added.square().mean())
    assert float(found) == pytest.approx(snr_db, abs=0.05)


@pytest.mark.parametrize(("colour", "fall"), [(0, 0.0), (1, 3.0), (2, 6.0)])
def test_colours_fall_by_their_decibels_an_octave(colour: int, fall: float) -> None:
    table = effects.noise(torch.tensor([colour]), torch.tensor([0]), effects.NOISE_SAMPLES)[0]
    power = torch.fft.rfft(table).abs() ** 2
    octaves = [10 * torch.log10(power[2**k : 2 ** (k + 1)].mean()) for k in range(10, 16)]
    for lower, higher in pairwise(octaves):
        assert float(lower - higher) == pytest.approx(fall, abs=0.5)


def test_noise_goes_round_its_table() -> None:
    start = torch.tensor([effects.NOISE_SAMPLES - 3])
    found = effects.noise(torch.tensor([0]), start, 6)[0]
    table = effects.noise(torch.tensor([0]), torch.tensor([0]), effects.NOISE_SAMPLES)[0]
    assert torch.equal(found, torch.cat([table[-3:], table[:3]]))


def test_silence_stays_silent() -> None:
    silence = torch.zeros(1, 500)
    zero = torch.zeros(1, dtype=torch.int64)
    assert not effects.add_noise(silence, one(3.0), zero, zero).any()
    assert not effects.time_mask(silence, zero, zero + 100, one(0.01), zero).any()


def test_gain_of_six_decibels_is_nearly_double() -> None:
    louder = effects.gain(ONES.expand(3, -1), torch.tensor([6.0, 0.0, -20.0]))
    torch.testing.assert_close(louder[:, 0], torch.tensor([1.9953, 1.0, 0.1]), rtol=1e-4, atol=0)


@given(shift=st.integers(-1000, 1000), samples=st.integers(1, 200))
def test_a_shift_keeps_all_samples_and_can_be_undone(shift: int, samples: int) -> None:
    waves = torch.arange(float(samples))[None]
    moved = effects.time_shift(waves, torch.tensor([shift]))
    assert torch.equal(moved.sort().values, waves)
    assert torch.equal(effects.time_shift(moved, torch.tensor([-shift])), waves)
