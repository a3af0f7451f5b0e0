"""Voices have the pitch, tempo and timbre that their parameters say."""

import numpy as np
import pytest
from scipy import signal

from birdssl.audio.synthesis.species import (
    BETWEEN_INDIVIDUALS,
    MOST_SPECIES,
    Manner,
    call_sound,
    catalogue,
    draw_manner,
)
from birdssl.audio.synthesis.vocalisers import buzz, phrase, pulses, smooth_contour, stack, swell, trill, whistle

RATE = 24000


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(1)


def peak_frequency(sound: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
    return float(np.argmax(spectrum) * rate / (8 * len(sound)))


def modulation_peak(sound: np.ndarray, low: float, high: float) -> float:
    """Frequency of the strongest beat of the envelope between `low` and `high` Hz."""
    envelope = np.abs(signal.hilbert(sound))
    envelope -= envelope.mean()
    spectrum = np.abs(np.fft.rfft(envelope, 8 * len(envelope)))
    frequency = np.arange(len(spectrum)) * RATE / (8 * len(envelope))
    inside = (frequency >= low) & (frequency <= high)
    return float(frequency[inside][np.argmax(spectrum[inside])])


def test_a_whistle_follows_its_contour(draw: np.random.Generator) -> None:
    sound = whistle(draw, RATE, seconds=1.0, contour=(2000, 4000), partials=(1.0,))
    quarter = RATE // 10
    assert peak_frequency(sound[quarter : 2 * quarter]) == pytest.approx(2300, abs=60)
    assert peak_frequency(sound[5 * quarter : 6 * quarter]) == pytest.approx(3100, abs=60)
    assert peak_frequency(sound[7 * quarter : 8 * quarter]) == pytest.approx(3500, abs=60)


def test_a_trill_beats_at_its_tempo(draw: np.random.Generator) -> None:
    sound = trill(draw, RATE, seconds=2.0, notes_per_second=12.0, contour=(3500, 2500))
    assert modulation_peak(sound, 4, 18) == pytest.approx(12, abs=0.5)


def test_a_trill_that_accelerates_ends_faster_than_it_began(draw: np.random.Generator) -> None:
    sound = trill(draw, RATE, seconds=4.0, notes_per_second=12.0, contour=(3000,), acceleration=0.6)
    early, late = modulation_peak(sound[: 2 * RATE], 4, 20), modulation_peak(sound[2 * RATE :], 4, 20)
    # The tempo runs from 0.7 to 1.3 of its mean, so its halves have means of 0.85 and 1.15.
    assert early == pytest.approx(12 * 0.85, rel=0.1)
    assert late == pytest.approx(12 * 1.15, rel=0.1)


def test_a_pulse_train_has_its_carrier_and_its_pulses(draw: np.random.Generator) -> None:
    sound = pulses(draw, RATE, seconds=1.0, pulses_per_second=14.0, carrier=1250, decay=0.02)
    assert peak_frequency(sound) == pytest.approx(1250, abs=15)
    envelope = signal.sosfiltfilt(signal.butter(2, 60, fs=RATE, output="sos"), np.abs(sound))
    onsets, _ = signal.find_peaks(envelope, prominence=0.05 * envelope.max())
    assert np.median(np.diff(onsets)) == pytest.approx(RATE / 14, rel=0.01)
    assert len(onsets) in (13, 14)  # the first is faded in


def test_a_stack_has_partials_at_multiples_and_is_loudest_at_a_formant(draw: np.random.Generator) -> None:
    sound = stack(draw, RATE, seconds=1.0, contour=(400,), formants=((2000, 300),))
    assert peak_frequency(sound) == pytest.approx(2000, abs=5)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum[800] > 10 * spectrum[1000]  # the second partial; between two partials


def test_a_buzz_stays_in_its_band_and_beats(draw: np.random.Generator) -> None:
    sound = buzz(draw, RATE, seconds=2.0, contour=(5600, 5600), bandwidth=900, beats_per_second=55)
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    assert power[np.abs(frequency - 5600) < 900].sum() > 0.95 * power.sum()
    assert modulation_peak(sound**2, 30, 80) == pytest.approx(55, abs=1)


def test_a_phrase_rests_between_its_notes(draw: np.random.Generator) -> None:
    sound = phrase(draw, RATE, seconds=1.0, contours=((2000,), (3000,)), duty=0.6)
    assert peak_frequency(sound[: RATE // 2]) == pytest.approx(2000, abs=20)
    assert peak_frequency(sound[RATE // 2 :]) == pytest.approx(3000, abs=20)
    assert not sound[round(0.31 * RATE) : round(0.49 * RATE)].any()


def test_partials_past_the_margin_do_not_fold_back(draw: np.random.Generator) -> None:
    """A third partial of 5 kHz at 24 kHz would appear at 9 kHz."""
    sound = whistle(draw, RATE, seconds=0.5, contour=(5000,), partials=(1.0, 1.0, 1.0))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert spectrum[4500] < 1e-3 * spectrum[2500]


def test_contours_meet_their_points() -> None:
    np.testing.assert_allclose(smooth_contour((1, 5, 3), np.array([0, 0.5, 1])), [1, 5, 3])
    np.testing.assert_allclose(smooth_contour((1, 3), np.array([0.25])), [1.5])
    np.testing.assert_allclose(smooth_contour((7,), np.array([0.0, 0.9])), [7, 7])


def test_an_envelope_begins_and_ends_in_silence() -> None:
    shape = swell(np.linspace(0, 1, 101), 0.2, 0.3)
    assert shape[0] == shape[-1] == 0
    np.testing.assert_allclose(shape[20:71], 1)


@pytest.mark.parametrize("species", catalogue(MOST_SPECIES), ids=lambda species: species.name)
def test_every_species_calls_within_its_bounds(species, draw: np.random.Generator) -> None:
    manner = draw_manner(draw, BETWEEN_INDIVIDUALS)
    sound = call_sound(species, manner, RATE, draw)
    assert sound.dtype == np.float32
    assert np.abs(sound).max() == pytest.approx(1, abs=1e-5)
    assert len(sound) == pytest.approx(species.parameters["seconds"] * manner.length * RATE, abs=1)
    power = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(len(sound), 1 / RATE)
    inside = (frequency > 0.95 * species.low * manner.pitch) & (frequency < 1.05 * species.high * manner.pitch)
    assert power[inside].sum() > 0.8 * power.sum()


def test_a_manner_moves_pitch_and_tempo(draw: np.random.Generator) -> None:
    ticker = next(kind for kind in catalogue(12) if kind.name == "marsh-ticker")
    usual = call_sound(ticker, Manner(), RATE, draw)
    higher = call_sound(ticker, Manner(pitch=1.2, length=0.5), RATE, draw)
    assert peak_frequency(higher) / peak_frequency(usual) == pytest.approx(1.2, rel=0.03)
    assert len(higher) == pytest.approx(len(usual) / 2, abs=1)


def test_a_count_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match="25 species; there are 1 to 24"):
        catalogue(25)
