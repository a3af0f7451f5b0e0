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


MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz: all that MPEG layer III has
MP3_QUALITY = 0.6  # of libsndfile's 0 (best) to 1: 10 kB for 3 s of birdsong at 22 kHz


def mp3_rate(rate: int) -> int:
    """The lowest of MP3's sample rates that loses nothing of sound at `rate` Hz; 48 kHz for what has more."""
    return next((known for known in MP3_RATES if known >= rate), MP3_RATES[-1])


def mp3_bytes(samples: np.ndarray, rate: int) -> bytes:
    """Encode (n,) float32 samples at one of MP3's rates as MP3 of variable bit rate, which every browser plays."""
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE",
                    compression_level=MP3_QUALITY)  # fmt: skip
    return encoded.getvalue()
