"""FLAC in memory."""

import io

import numpy as np
import soundfile

from birdssl.audio.encode import flac_bytes


def test_sixteen_bit_samples_come_out_bit_for_bit_and_louder_ones_clipped() -> None:
    whole = np.array([-32768, -1, 0, 1, 32767], np.int16)
    samples = np.concatenate((whole.astype(np.float32) / 32768, np.float32([-1.5, 1.0, 1.5])))
    read, rate = soundfile.read(io.BytesIO(flac_bytes(samples, 22050)), dtype="int16")
    assert rate == 22050
    assert read.tolist() == [*whole.tolist(), -32768, 32767, 32767]
