"""Samples as the bytes of an audio file."""

import io

import numpy as np
import soundfile


def flac_bytes(samples: np.ndarray, rate: int) -> bytes:
    """Encode (n,) float32 samples at `rate` Hz as 16-bit FLAC; what lies beyond [-1, 1) is clipped.

    16-bit samples that were read as floats come out bit for bit. In memory, since libsndfile flushes the disk after
    each file that it writes itself, which took as long as encoding it.
    """
    whole = np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
    encoded = io.BytesIO()
    soundfile.write(encoded, whole, rate, format="FLAC", subtype="PCM_16")
    return encoded.getvalue()
