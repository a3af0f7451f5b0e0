"""Samples as whole numbers, and as the bytes of an audio file."""

import io

import numpy as np
import soundfile

FULL_SCALE = 32768  # of int16


def as_int16(samples: np.ndarray) -> np.ndarray:
    """Float samples in [-1, 1) to int16, rounded; what lies beyond is clipped."""
    return np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def flac_bytes(samples: np.ndarray, rate: int) -> bytes:
    """Encode (n,) float32 samples at `rate` Hz as 16-bit FLAC; what lies beyond [-1, 1) is clipped.

    16-bit samples that were read as floats come out bit for bit. In memory, since libsndfile flushes the disk after
    each file that it writes itself, which took as long as encoding it.
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, as_int16(samples), rate, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()
