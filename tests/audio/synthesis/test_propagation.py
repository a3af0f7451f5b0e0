"""Distance takes what the standard says it takes."""

import numpy as np
import pytest

from birdssl.audio.synthesis.propagation import air_absorption, attenuation, propagate


@pytest.mark.parametrize(
    ("frequency", "per_kilometre"), [(500, 2.8), (1000, 5.0), (2000, 9.0), (4000, 22.9), (8000, 76.6)]
)
def test_air_absorbs_as_the_standard_tabulates(frequency: float, per_kilometre: float) -> None:
    """ISO 9613-2, Table 2: dB a kilometre at 20 degrees and 70 % humidity, at the exact midband frequencies."""
    exact = 1000 * 2 ** np.round(np.log2(frequency / 1000))
    assert 1000 * air_absorption(np.array([exact]))[0] == pytest.approx(per_kilometre, rel=0.02)


def test_a_doubled_distance_costs_six_decibels_and_more_at_high_frequencies() -> None:
    frequency = np.array([50.0, 8000.0])
    step = attenuation(frequency, 80) - attenuation(frequency, 40)
    assert step[0] == pytest.approx(6.02 + 40 * 0.001, abs=0.02)
    assert step[1] == pytest.approx(6.02 + 40 * (0.0766 + 0.16), abs=0.1)


def test_a_metre_away_nothing_changes() -> None:
    sound = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    heard = propagate(sound, 24000, np.random.default_rng(1), metres=1, reverberation=0)
    np.testing.assert_allclose(heard, sound, atol=1e-5)


def test_the_tail_falls_by_sixty_decibels_in_the_reverberation_time() -> None:
    click = np.zeros(100, np.float32)
    click[0] = 1
    heard = propagate(click, 24000, np.random.default_rng(1), metres=100, reverberation=1.0)
    assert len(heard) == 100 + round(0.7 * 24000)
    late = [10 * np.log10(np.mean(heard[start : start + 2400] ** 2)) for start in (3000, 3000 + 7200)]
    assert late[0] - late[1] == pytest.approx(60 * 0.3, abs=2)


def test_far_callers_echo_more() -> None:
    click = np.zeros(100, np.float32)
    click[0] = 1
    shares = []
    for metres in (10, 100):
        heard = propagate(click, 24000, np.random.default_rng(1), metres=metres, reverberation=0.5)
        shares.append(np.sum(heard[100:] ** 2) / np.sum(heard**2))
    assert shares[1] > 3 * shares[0]
