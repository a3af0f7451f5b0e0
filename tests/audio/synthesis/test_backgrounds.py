"""Backgrounds have the level and the colour that they state, and no seams."""

import numpy as np
import pytest
from scipy import signal

from birdssl.audio.synthesis import backgrounds
from birdssl.audio.synthesis.backgrounds import Background, Insects, ShapedNoise, Soundscape

RATE = 24000
SILENT = -np.inf
CALM = Background(air=40, wind=SILENT, gustiness=0, rain=SILENT, hum=SILENT, hum_frequency=50, insects=())


def soundscape(background: Background, seconds: float = 40, whine: float = 0.0) -> np.ndarray:
    scape = Soundscape(
        np.random.default_rng(3), background, rate=RATE, block=5 * RATE, seconds=seconds, response=np.ones_like,
        ceiling=90, hiss=0, whine=whine,
    )  # fmt: skip
    return np.concatenate([scape.next() for _ in range(int(seconds / 5))])


def test_noise_has_the_stated_power_in_every_band() -> None:
    noise = ShapedNoise(np.random.default_rng(0), backgrounds.air_density(0.0), RATE, RATE)
    sound = np.concatenate([noise.next() for _ in range(60)])
    frequency, density = signal.welch(sound, RATE, nperseg=2048)
    wanted = backgrounds.air_density(0.0)(frequency)
    inside = (frequency > 100) & (frequency < 10000)
    error = 10 * np.log10(density[inside] / wanted[inside])
    assert abs(error.mean()) < 0.1
    assert error.std() < 0.5


def test_blocks_join_without_a_dip() -> None:
    noise = ShapedNoise(np.random.default_rng(0), backgrounds.hiss_density(0.0), RATE, RATE // 2)
    blocks = np.stack([noise.next() for _ in range(400)])[1:]
    power = (blocks**2).mean(axis=0)
    fade = round(backgrounds.FADE * RATE)
    assert power[:fade].mean() == pytest.approx(power[fade:].mean(), rel=0.02)
    step = np.diff(blocks.reshape(-1))
    seams = step[len(blocks[0]) - 1 :: len(blocks[0])]
    assert np.abs(seams).mean() == pytest.approx(np.abs(step).mean(), rel=0.15)


@pytest.mark.parametrize("density", [backgrounds.wind_density, backgrounds.rain_density, backgrounds.hiss_density])
def test_a_density_holds_the_level_it_is_given(density) -> None:
    grid = np.arange(20, 24000, 1.0)
    assert 10 * np.log10(density(50.0)(grid).sum()) == pytest.approx(50, abs=0.1)


def test_wind_is_low_and_insects_are_a_band() -> None:
    windy = Background(**{**vars(CALM), "air": 0, "wind": 60, "gustiness": 3})
    frequency, density = signal.welch(soundscape(windy), RATE, nperseg=4096)
    assert density[frequency < 300].sum() > 0.9 * density.sum()
    chorus = Background(**{**vars(CALM), "air": 0, "insects": (Insects(5000, 200, 50, 18.0),)})
    sound = soundscape(chorus)
    frequency, density = signal.welch(sound, RATE, nperseg=4096)
    assert density[np.abs(frequency - 5000) < 500].sum() > 0.95 * density.sum()
    beat_frequency, beat = signal.welch(sound**2, RATE, nperseg=RATE)
    inside = (beat_frequency > 5) & (beat_frequency < 30)
    assert beat_frequency[inside][np.argmax(beat[inside])] == pytest.approx(18, abs=1)


def test_the_sum_measures_what_the_densities_say() -> None:
    background = Background(38, 48, 2.0, 45, SILENT, 50, (Insects(5000, 300, 40, 7.0),))
    sound = soundscape(background, 120)
    frequency, density = signal.welch(sound, RATE, nperseg=2048)
    wanted = backgrounds.steady_density(background, frequency) * 1e-9
    for low, high in ((100, 500), (4500, 5500), (6000, 9000)):
        inside = (frequency >= low) & (frequency <= high)
        assert 10 * np.log10(density[inside].sum() / wanted[inside].sum()) == pytest.approx(0, abs=2.5)


def test_hum_and_whine_are_tones() -> None:
    sound = soundscape(Background(**{**vars(CALM), "air": 10, "hum": 50, "hum_frequency": 60}), whine=7800.0)
    spectrum = np.abs(np.fft.rfft(sound[: 10 * RATE])) / (5 * RATE)
    # 50 dB SPL against a ceiling of 90 is an effective value 40 dB below full scale.
    assert spectrum[600] == pytest.approx(np.sqrt(2) * 10 ** (-40 / 20), rel=0.02)
    assert spectrum[78000] > 20 * np.median(spectrum)


def test_a_slow_gain_has_a_mean_power_of_one() -> None:
    gain = backgrounds.slow_gain(np.random.default_rng(0), 20000, 3.0, 2.5)
    assert np.mean(gain**2) == pytest.approx(1, rel=0.05)
    assert np.std(20 * np.log10(gain)) == pytest.approx(3, rel=0.1)
