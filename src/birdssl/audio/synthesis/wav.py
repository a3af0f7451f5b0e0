"""A mono 16-bit WAV file written block by block, with the chunks that recorders add.

Written by hand because libsndfile writes its own name into the comment and knows no GUANO chunk, and because a header
that is known beforehand lets the samples stream.
"""

import struct
from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 2**32 - 4096  # a RIFF file's sizes are 32 bits wide


def write_wav(
    file: BinaryIO, blocks: Iterable[NDArray], frames: int, rate: int, *, comment: str = "", guano: str = ""
) -> None:
    """Write `frames` samples of int16 from blocks of (n,), with a comment (ICMT) and GUANO text where given.

    Raises ValueError when the blocks don't hold `frames` samples, or the file would pass 4 GiB.
    """
    if 2 * frames > MOST_BYTES:
        raise ValueError(f"{frames} frames don't fit a WAV file of 4 GiB; make shorter recordings")
    head = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, 2 * rate, 2, 16))
    if comment:
        head += _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", comment.encode() + b"\0"))
    tail = _chunk(b"guan", guano.encode()) if guano else b""
    file.write(b"RIFF" + struct.pack("<I", 4 + len(head) + 8 + 2 * frames + len(tail)) + b"WAVE" + head)
    file.write(b"data" + struct.pack("<I", 2 * frames))
    written = 0
    for block in blocks:
        file.write(block.astype("<i2", copy=False).tobytes())
        written += len(block)
    if written != frames:
        raise ValueError(f"{written} frames came, {frames} were announced")
    file.write(tail)


def to_int16(sound: NDArray) -> NDArray[np.int16]:
    """Samples in [-1, 1] as 16-bit integers; what lies beyond is clipped, as a recorder does."""
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
