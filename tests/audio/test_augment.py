"""Stretch, pitch and noise: known sounds before and after, and librosa's phase vocoder as the quality to beat."""

import subprocess
import sys
from collections import Counter

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio.augment import Menu, add_noise, apply, fit_length, pitch_shift, time_stretch

RATE = 44100
SAMPLES = 3 * RATE
MENU = Menu()


def tone(frequency: float, samples: int = SAMPLES) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(samples) / RATE)).astype(np.float32)


def peak(waveform: np.ndarray) -> float:
    """Frequency of the strongest bin, Hz."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * RATE / len(waveform))


def vibrato(samples: int, base: float = 880, slower: float = 1.0) -> np.ndarray:
    """Eight harmonics with 2 % vibrato, 5 cycles a second, or slower."""
    time = np.arange(samples) / RATE
    phase = 2 * np.pi * base * time + 0.02 * base * slower / 5 * np.sin(2 * np.pi * 5 / slower * time)
    return (0.2 * sum(np.sin(k * phase) / k for k in range(1, 9))).astype(np.float32)


def trill(frequency: float) -> np.ndarray:
    """Notes of 30 ms, every 70 ms."""
    time = np.arange(SAMPLES) / RATE
    place = (time % 0.07) / 0.03
    return (np.where(place < 1, np.sin(np.pi * place) ** 2, 0) * np.sin(2 * np.pi * frequency * time)).astype(
        np.float32
    )


def spectral_error(found: np.ndarray, expected: np.ndarray, n_fft: int = 2048) -> float:
    """Distance of magnitude spectrograms, relative to the expected one."""
    samples = min(len(found), len(expected))
    a, b = (np.abs(librosa.stft(wave[:samples], n_fft=n_fft)) for wave in (found, expected))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.parametrize("semitones", MENU.pitch)
def test_pitch_moves_by_semitones(semitones: float) -> None:
    shifted = pitch_shift(tone(3000), RATE, semitones)
    assert len(shifted) == SAMPLES
    assert peak(shifted) == pytest.approx(3000 * 2 ** (semitones / 12), abs=5)


def test_an_octave_up_is_twice_the_frequency() -> None:
    assert peak(pitch_shift(tone(3000), RATE, 12)) == pytest.approx(6000, abs=1)


@pytest.mark.parametrize("rate", MENU.stretch)
def test_stretch_changes_length_and_not_pitch(rate: float) -> None:
    stretched = time_stretch(tone(3000), RATE, rate)
    assert len(stretched) == round(SAMPLES / rate)
    assert peak(stretched) == pytest.approx(3000, abs=1)


@pytest.mark.parametrize("rate", [0.7, 1.3])
@pytest.mark.parametrize("place", [0.02, 0.3, 1.5, 2.7, 2.97])
def test_a_click_stays_where_it_belongs(rate: float, place: float) -> None:
    click = np.zeros(SAMPLES, np.float32)
    click[round(place * RATE)] = 0.5
    assert np.argmax(np.abs(time_stretch(click, RATE, rate))) / RATE == pytest.approx(place / rate, abs=0.002)
    assert np.argmax(np.abs(pitch_shift(click, RATE, -6))) / RATE == pytest.approx(place, abs=0.002)


@pytest.mark.parametrize("plan", [{"name": "stretch", "rate": 1.3}, {"name": "pitch", "semitones": -6}])
def test_levels_hold_to_the_ends(plan: dict) -> None:
    """The engine fades over half a block at both ends unless it is given more than the clip."""
    noise = 0.1 * np.random.default_rng(0).standard_normal(SAMPLES).astype(np.float32)
    found = pitch_shift(noise, RATE, -6) if plan["name"] == "pitch" else time_stretch(noise, RATE, 1.3)
    ends = np.sqrt([np.mean(part**2) for part in (found[:1500], found[-1500:])])
    np.testing.assert_allclose(ends, np.sqrt(np.mean(found**2)), rtol=0.1)


@pytest.mark.parametrize("snr_db", MENU.noise)
def test_noise_measures_what_was_asked(snr_db: float) -> None:
    wave = tone(1000)
    noise = add_noise(wave, snr_db, np.random.default_rng(5)) - wave
    assert 10 * np.log10(np.mean(wave**2) / np.mean(noise**2)) == pytest.approx(snr_db, abs=0.05)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    low, high = spectrum[: len(spectrum) // 2].mean(), spectrum[len(spectrum) // 2 :].mean()
    assert low / high == pytest.approx(1, abs=0.05)  # white


def test_silence_stays_silent() -> None:
    for plan in ({"name": "noise", "snr_db": 2}, {"name": "stretch", "rate": 0.7}, {"name": "pitch", "semitones": 3}):
        assert not apply(np.zeros(1000, np.float32), RATE, [plan], 1).any()


@pytest.mark.parametrize("rate", MENU.stretch)
def test_stretch_is_cleaner_than_a_phase_vocoder(rate: float) -> None:
    wave, expected = vibrato(SAMPLES), vibrato(round(SAMPLES / rate), slower=1 / rate)
    ours = spectral_error(time_stretch(wave, RATE, rate), expected)
    assert ours < 0.7 * spectral_error(librosa.effects.time_stretch(wave, rate=rate), expected)


@pytest.mark.parametrize("semitones", MENU.pitch)
def test_pitch_is_cleaner_than_a_phase_vocoder(semitones: float) -> None:
    wave, expected = trill(3000), trill(3000 * 2 ** (semitones / 12))
    ours = spectral_error(pitch_shift(wave, RATE, semitones), expected)
    assert ours < 0.7 * spectral_error(librosa.effects.pitch_shift(wave, sr=RATE, n_steps=semitones), expected)


def test_fit_length_by_hand() -> None:
    wave = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(fit_length(wave, 4), [1, 2, 3, 4])
    np.testing.assert_array_equal(fit_length(wave, 3), [1, 2, 3])
    np.testing.assert_array_equal(fit_length(wave, 8), [0, 1, 2, 3, 4, 5, 0, 0])
    np.testing.assert_array_equal(fit_length(wave, 6), wave)


@settings(max_examples=20, deadline=None)
@given(samples=st.integers(1, 20000), seed=st.integers(0, 99))
def test_a_plan_keeps_the_length(samples: int, seed: int) -> None:
    wave = tone(2000, samples)
    result = apply(wave, RATE, MENU.draw_one(np.random.default_rng(seed)), seed)
    assert result.shape == wave.shape
    assert result.dtype == np.float32
    assert np.isfinite(result).all()


BYTES = """
import hashlib, sys
import numpy as np
from birdssl.audio.augment import apply
plan = [{"name": "stretch", "rate": 0.7}, {"name": "pitch", "semitones": 6}, {"name": "noise", "snr_db": 4}]
wave = np.random.default_rng(0).standard_normal(44100).astype(np.float32)
digests = [hashlib.sha256(apply(wave, 44100, plan, seed).tobytes()).hexdigest() for seed in (7, 7, 8)]
"""


def test_same_seed_same_bytes_in_any_process() -> None:
    here: dict = {}
    exec(BYTES, here)
    other = subprocess.run(
        [sys.executable, "-c", BYTES + "print(*digests)"], capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == here["digests"]
    assert here["digests"][0] == here["digests"][1] != here["digests"][2]


def test_a_pair_has_two_different_functions_evenly_drawn() -> None:
    pairs = [MENU.draw_views(2, np.random.default_rng(seed)) for seed in range(900)]
    assert all(len(first) == len(second) == 1 and first[0]["name"] != second[0]["name"] for first, second in pairs)
    functions = Counter(plan[0]["name"] for pair in pairs for plan in pair)
    assert all(540 < functions[name] < 660 for name in ("stretch", "pitch", "noise"))
    rates = Counter(plan[0]["rate"] for pair in pairs for plan in pair if "rate" in plan[0])
    assert rates.keys() == set(MENU.stretch)
    assert min(rates.values()) > 60
    singles = Counter(MENU.draw_one(np.random.default_rng(seed))[0]["name"] for seed in range(900))
    assert min(singles.values()) > 240


def test_more_views_use_every_function_before_one_again() -> None:
    names = [plan[0]["name"] for plan in MENU.draw_views(6, np.random.default_rng(0))]
    assert sorted(names[:3]) == sorted(names[3:]) == ["noise", "pitch", "stretch"]
    with pytest.raises(ValueError, match="two different functions"):
        Menu(stretch=(), pitch=()).draw_views(2, np.random.default_rng(0))


def test_an_unknown_operation_is_refused() -> None:
    for plan in ({"name": "reverb"}, {"name": "pitch", "steps": 3}, {"name": "noise", "snr_db": 3, "colour": "pink"}):
        with pytest.raises(ValueError, match="unknown operation"):
            apply(tone(100, 100), RATE, [plan], 0)
