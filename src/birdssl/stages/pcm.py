"""Raw PCM as it comes: bytes of a pipe to samples as a model's stored clips have them."""

import logging
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

from birdssl.audio.encode import as_int16
from birdssl.audio.resample import ResampleStream
from birdssl.errors import BadInput, IncompatibleError, UsageError

log = logging.getLogger(__name__)

READ = 65536  # bytes at most that are taken at a time; what has come by then is taken at once
TYPES: dict[str, np.dtype] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
FULL_SCALE = np.float32(32768)
# first bytes of files that aren't raw PCM, and were likely not meant to be heard as such
CONTAINERS = {
    b"RIFF": "a WAV",
    b"RF64": "a WAV",
    b"fLaC": "a FLAC",
    b"OggS": "an Ogg",
    b"FORM": "an AIFF",
    b"ID3": "an MP3",
}
BOXES = b"ftyp"  # from the fifth byte on: MP4, M4A
LONGEST = 8

Samples = npt.NDArray[np.int16]


def blocks(source: IO[bytes], form: str, rate: int) -> Iterator[npt.NDArray]:
    """Whole samples, (n,) int16 or float32 as `form` ("s16le", "f32le") says, as soon as they come.

    A sample that the end cuts off is left out, with a warning. Raises UsageError for a file that is no raw PCM, with a
    command that makes such of it, at `rate` Hz.
    """
    kind = TYPES[form]
    read = getattr(source, "read1", source.read)  # read waits for as much as is asked for
    left, started = b"", False
    while data := read(READ):
        left += data
        if not started and len(left) < LONGEST:
            continue  # too little to tell what it is
        if not started:
            _refuse_container(left, form, rate)
            started = True
        whole = len(left) - len(left) % kind.itemsize
        yield _samples(left[:whole], kind)
        left = left[whole:]
    whole = len(left) - len(left) % kind.itemsize
    yield _samples(left[:whole], kind)
    if len(left) > whole:
        log.warning("the stream ended within a sample; its last %d bytes are left out", len(left) - whole)


def _samples(data: bytes, kind: np.dtype) -> npt.NDArray:
    return np.frombuffer(data, kind).astype(kind.newbyteorder("="), copy=False)


def decoder(form: str, rate: int) -> str:
    """A command that decodes any file to what a stream takes."""
    return f"ffmpeg -i FILE -f {form} -ac 1 -ar {rate} - | birdssl embed --stream --stream-rate {rate} --model DIR"


def _refuse_container(data: bytes, form: str, rate: int) -> None:
    names = [name for start, name in CONTAINERS.items() if data.startswith(start)]
    if data[4:8] == BOXES:
        names.append("an MP4 or M4A")
    if names:
        raise UsageError(
            f"--stream: this is {names[0]} file, and raw PCM is expected; decode it first, as in "
            f"`{decoder(form, rate)}`"
        )


class Intake:
    """Samples of a stream as a model's stored clips have them: at its rate, 16 bits."""

    def __init__(self, rate: int, target: int) -> None:
        """From `rate` to `target` Hz. Raises IncompatibleError for a lower rate: the model would miss the top."""
        if rate < target:
            raise IncompatibleError(
                f"--stream-rate {rate}: the model was trained at {target} Hz and a stream of {rate} Hz lacks the upper "
                f"part of what it knows; record at {target} Hz or more, or train on clips of {rate} Hz"
            )
        self.rate, self.seconds, self.loud = rate, 0.0, False
        self._resampled = None if rate == target else ResampleStream(rate, target)

    def take(self, block: npt.NDArray) -> Samples:
        """(n,) int16, or float32 in [-1, 1], to the samples that are ready. Raises BadInput for what is no number."""
        if block.dtype != np.int16 and not np.isfinite(block).all():
            at = self.seconds + int(np.argmin(np.isfinite(block))) / self.rate
            raise BadInput(f"the stream holds a value that is no number at {at:g} s; send finite samples in [-1, 1]")
        if block.dtype != np.int16 and not self.loud and len(block) and np.abs(block).max() > 1:
            self.loud = True
            log.warning(
                "the stream holds values up to %g at %g s; floats are expected in [-1, 1], what lies beyond is cut off",
                np.abs(block).max(), self.seconds,
            )  # fmt: skip
        self.seconds += len(block) / self.rate
        if self._resampled is None:
            return block if block.dtype == np.int16 else as_int16(block)
        floats = block.astype(np.float32) / FULL_SCALE if block.dtype == np.int16 else block
        return as_int16(self._resampled.push(floats))

    def finish(self) -> Samples:
        """What is left, after the last block."""
        return np.zeros(0, np.int16) if self._resampled is None else as_int16(self._resampled.finish())
