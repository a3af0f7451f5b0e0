"""Pitch shift and time stretch: known sounds before and after, beside Signalsmith and librosa."""

from collections.abc import Callable

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio import augment
from birdssl.audio.device.vocoder import _grain, grain_length, pitch_shift, time_stretch

RATE = 20000
SAMPLES = 30225
TIME = np.arange(SAMPLES) / RATE


def tone(frequency: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def trill(frequency: float) -> np.ndarray:
    """Notes of 30 ms, every 70 ms."""
    place = (TIME % 0.07) / 0.03
    notes = np.where(place < 1, np.sin(np.pi * place) ** 2, 0)
    return (notes * np.sin(2 * np.pi * frequency * TIME)).astype(np.float32)


def vibrato(frequency: float) -> np.ndarray:
    """Harmonics of a voice that wavers by 2 %, five times a second."""
    phase = 2 * np.pi * frequency * TIME + 0.02 * frequency / 5 * np.sin(2 * np.pi * 5 * TIME)
    return (0.2 * sum(np.sin(k * phase) / k for k in range(1, 9) if 1.05 * k * frequency < 9500)).astype(np.float32)


def clicks(frequency: float) -> np.ndarray:
    """Damped knocks that ring for 4 ms, every 210 ms."""
    since = TIME % 0.21
    return (0.5 * np.exp(-since / 0.004) * np.sin(2 * np.pi * frequency * since)).astype(np.float32)


def peak(wave: np.ndarray) -> float:
    """Frequency of the strongest bin, Hz."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), n=2**18))
    return float(np.argmax(spectrum) * RATE / 2**18)


def shifted(wave: np.ndarray, semitones: int) -> np.ndarray:
    return pitch_shift(torch.from_numpy(wave)[None], torch.tensor([semitones]), RATE)[0].numpy()


def stretched(wave: np.ndarray, rate: float) -> np.ndarray:
    return time_stretch(torch.from_numpy(wave)[None], torch.tensor([rate]), RATE)[0].numpy()


def spectral_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Distance of magnitude spectrograms, relative to the expected one."""
    a, b = (np.abs(librosa.stft(wave, n_fft=1024)) for wave in (found, expected))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("semitones", range(-15, 16, 3))
def test_pitch_moves_by_semitones(semitones: int) -> None:
    expected = 3000 * 2 ** (semitones / 12)
    found = shifted(tone(3000), semitones)
    assert found.shape == (SAMPLES,)
    assert peak(found) == pytest.approx(expected, rel=4e-3)


def test_an_octave_up_is_twice_the_frequency() -> None:
    assert peak(shifted(tone(3000), 12)) == pytest.approx(6000, abs=1)
    assert peak(shifted(tone(3000), -12)) == pytest.approx(1500, abs=1)


@pytest.mark.parametrize("semitones", range(-15, 16))
def test_lengths_of_grains_are_within_a_few_cents(semitones: int) -> None:
    for size in (_grain(16000), _grain(RATE), _grain(44100)):
        cents = 1200 * np.log2(grain_length(semitones, size) / size) - 100 * semitones
        assert abs(cents) < 6


@pytest.mark.parametrize("semitones", [-15, -7, -1, 2, 9])
def test_a_tone_keeps_its_level(semitones: int) -> None:
    inner = slice(1000, -1000)
    assert np.std(shifted(tone(2000), semitones)[inner]) == pytest.approx(np.std(tone(2000)), rel=0.03)


def test_what_leaves_the_band_is_gone() -> None:
    assert np.abs(shifted(tone(6000), 12)[1000:-1000]).max() < 0.01


@pytest.mark.parametrize("semitones", [-12, -5, 4, 7])
@pytest.mark.parametrize("sound", [trill, vibrato, clicks])
def test_sounds_come_out_as_signalsmiths_and_far_cleaner_than_librosas(
    sound: Callable[[float], np.ndarray], semitones: int
) -> None:
    wave, expected = sound(900), sound(900 * 2 ** (semitones / 12))
    ours = spectral_error(shifted(wave, semitones), expected)
    assert ours < 0.5 * spectral_error(librosa.effects.pitch_shift(wave, sr=RATE, n_steps=semitones), expected)
    assert ours < spectral_error(augment.pitch_shift(wave, RATE, semitones), expected) + 0.15


@pytest.mark.parametrize("semitones", [-12, -4, 5, 12])
@pytest.mark.parametrize("place", [0.02, 0.7, 1.49])
def test_a_click_stays_where_it_was(semitones: int, place: float) -> None:
    click = np.zeros(SAMPLES, np.float32)
    click[round(place * RATE)] = 0.5
    found = np.abs(shifted(click, semitones))
    assert np.argmax(found) / RATE == pytest.approx(place, abs=0.003)
    near = slice(max(0, round((place - 0.01) * RATE)), round((place + 0.01) * RATE))
    assert np.sum(found[near] ** 2) > 0.8 * np.sum(found**2)


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 1.5])
def test_a_stretch_keeps_the_pitch_and_the_middle(rate: float) -> None:
    found = stretched(tone(3000), rate)
    inside = found[abs(TIME - TIME[-1] / 2) < 0.45 * TIME[-1] / rate]
    assert peak(inside) == pytest.approx(3000, abs=3)
    assert np.std(inside) == pytest.approx(np.std(tone(3000)), rel=0.03)
    click = np.zeros(SAMPLES, np.float32)
    click[SAMPLES // 2 + 2000] = 0.5
    assert np.argmax(np.abs(stretched(click, rate))) == pytest.approx(SAMPLES // 2 + 2000 / rate, abs=60)


def test_a_faster_clip_ends_in_zeros_on_both_sides() -> None:
    found = stretched(tone(1000), 1.5)
    quarter = SAMPLES // 6 - 800
    assert np.abs(found[:quarter]).max() < 1e-3
    assert np.abs(found[-quarter:]).max() < 1e-3


@pytest.mark.parametrize("rate", [0.6, 1.4])
def test_a_stretched_trill_is_that_trill(rate: float) -> None:
    middle = (TIME - TIME[-1] / 2) * rate + TIME[-1] / 2
    place = (middle % 0.07) / 0.03
    notes = np.where(place < 1, np.sin(np.pi * place) ** 2, 0) * (abs(middle - TIME[-1] / 2) < TIME[-1] / 2)
    expected = (notes * np.sin(2 * np.pi * 2000 * TIME)).astype(np.float32)
    assert spectral_error(stretched(trill(2000), rate), expected) < 0.4


def test_nothing_to_do_leaves_the_clip_as_it_is() -> None:
    waves = torch.from_numpy(np.stack([trill(1000), tone(500)]))
    assert torch.equal(pitch_shift(waves, torch.tensor([0, 3]), RATE)[0], waves[0])
    assert torch.equal(time_stretch(waves, torch.tensor([1.2, 1.0]), RATE)[1], waves[1])


def test_noise_keeps_its_power() -> None:
    """Down by an octave all of white noise stays in the band; up by one, half of it leaves."""
    waves = 0.1 * torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0))
    power = pitch_shift(waves, torch.tensor([-12, 12]), RATE)[:, 1000:-1000].square().mean(1) / 0.01
    torch.testing.assert_close(power, torch.tensor([1.0, 0.5]), rtol=0.35, atol=0)


def test_silence_stays_silent() -> None:
    silence = torch.zeros(2, 4000)
    assert not pitch_shift(silence, torch.tensor([-5, 7]), RATE).any()
    assert not time_stretch(silence, torch.tensor([0.7, 1.3]), RATE).any()


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    waves = torch.randn(40, 5000, generator=torch.Generator().manual_seed(1))
    waves[7] *= 1000
    semitones = torch.arange(40) % 31 - 15
    rates = torch.linspace(0.5, 1.5, 40)
    lifted, slowed = pitch_shift(waves, semitones, RATE), time_stretch(waves, rates, RATE)
    for i in (0, 7, 8, 20, 39):
        row = slice(i, i + 1)
        scale = float(waves[i].abs().max())
        torch.testing.assert_close(
            lifted[row], pitch_shift(waves[row], semitones[row], RATE), rtol=0, atol=1e-3 * scale
        )
        torch.testing.assert_close(slowed[row], time_stretch(waves[row], rates[row], RATE), rtol=0, atol=1e-3 * scale)


def test_the_same_twice() -> None:
    waves = torch.from_numpy(np.stack([trill(1000), clicks(500)]))
    semitones = torch.tensor([5, -3])
    assert torch.equal(pitch_shift(waves, semitones, RATE), pitch_shift(waves, semitones, RATE))


@settings(max_examples=20, deadline=None)
@given(
    samples=st.integers(1, 3000),
    semitones=st.integers(-15, 15),
    rate=st.floats(0.5, 1.5),
    sample_rate=st.sampled_from([8000, 16000, 22050, 48000]),
)
def test_length_and_finiteness_hold_for_any_clip(samples: int, semitones: int, rate: float, sample_rate: int) -> None:
    waves = torch.randn(1, samples, generator=torch.Generator().manual_seed(samples))
    for found in (
        pitch_shift(waves, torch.tensor([semitones]), sample_rate),
        time_stretch(waves, torch.tensor([rate]), sample_rate),
    ):
        assert found.shape == waves.shape
        assert found.isfinite().all()
        assert found.abs().max() < 20
