"""FLAC and MP3 in memory."""

import io

import numpy as np
import pytest
import soundfile

from birdssl.audio.encode import flac_bytes, mp3_bytes, mp3_rate


def test_sixteen_bit_samples_come_out_bit_for_bit_and_louder_ones_clipped() -> None:
    whole = np.array([-32768, -1, 0, 1, 32767], np.int16)
    samples = np.concatenate((whole.astype(np.float32) / 32768, np.float32([-1.5, 1.0, 1.5])))
    read, rate = soundfile.read(io.BytesIO(flac_bytes(samples, 22050)), dtype="int16")
    assert rate == 22050
    assert read.tolist() == [*whole.tolist(), -32768, 32767, 32767]


@pytest.mark.parametrize(
    ("rate", "known"), [(7000, 8000), (16000, 16000), (20000, 22050), (48000, 48000), (96000, 48000)]
)
def test_a_rate_goes_to_the_lowest_of_mp3s_that_loses_nothing(rate: int, known: int) -> None:
    assert mp3_rate(rate) == known


def test_a_tone_comes_out_of_mp3_at_its_pitch_and_about_its_level() -> None:
    time = np.arange(3 * 22050) / 22050
    data = mp3_bytes(0.5 * np.sin(2 * np.pi * 3000 * time).astype(np.float32), 22050)
    assert len(data) < 30_000
    heard, rate = soundfile.read(io.BytesIO(data))
    assert rate == 22050
    middle = heard[20000:40000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.fft.rfftfreq(len(middle), 1 / rate)[spectrum.argmax()] == pytest.approx(3000, abs=2)
    assert np.abs(middle).max() == pytest.approx(0.5, rel=0.1)
