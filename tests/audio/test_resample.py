"""Resampling: the right length and pitch, no aliases, and blocks that make no difference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.audio.resample import ResampleStream, resample


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize(("rate", "target"), [(48000, 22050), (22050, 44100), (44100, 44100), (32000, 44100)])
def test_a_tone_keeps_its_frequency_and_level(rate: int, target: int) -> None:
    middle = slice(target // 4, 3 * target // 4)
    np.testing.assert_allclose(resample(tone(3000, rate), rate, target)[middle], tone(3000, target)[middle], atol=2e-4)


def test_what_lies_above_the_new_band_is_gone() -> None:
    aliased = resample(tone(15000, 48000), 48000, 22050)[2000:-2000]
    assert 20 * np.log10(np.abs(aliased).max()) < -100


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=8),
    rates=st.sampled_from([(48000, 22050), (22050, 44100), (32000, 44100), (44100, 44100)]),
)
def test_stream_equals_one_shot(cuts: list[int], rates: tuple[int, int]) -> None:
    waveform = np.random.default_rng(0).standard_normal(sum(cuts)).astype(np.float32)
    stream = ResampleStream(*rates)
    pieces = [stream.push(block) for block in np.split(waveform, np.cumsum(cuts)[:-1])]
    np.testing.assert_array_equal(np.concatenate([*pieces, stream.finish()]), resample(waveform, *rates))
