"""Audio read in one call, as tests like it: the project's own readers keep files open."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from birdssl.audio.decode import BLOCK, AudioFile, ClipReader


def stream_blocks(path: Path, channel: int | None = None, frames: int = BLOCK) -> Iterator[np.ndarray]:
    """Yield a file's samples in order, (<= frames,) float32 at a time: memory doesn't grow with its length.

    Raises BadInput for a broken file, which may show only at its end.
    """
    with AudioFile(path) as audio:
        yield from audio.blocks(frames, channel)


def read_clip(
    path: Path, offset: int, seconds: float, sample_rate: int, channel: int | None = None, padded: float = 0.0
) -> np.ndarray:
    """Read one clip as `ClipReader.read` does, opening and closing the file."""
    with ClipReader(sample_rate) as reader:
        return reader.read(path, offset, seconds, channel, padded)
