"""Audio files as float32 samples: any channel or their mean, any stretch of time, and nothing of a broken file.

WAV and FLAC are read where asked. MP3 and OGG are decoded forward from their start in blocks of a fixed size, since
libsndfile 1.2.2 returns other samples after a seek than a whole decode does (its issue 885 for OGG; the bit reservoir
for MP3), and mono MP3 even differs in the last bit with the size of the read. So the samples at a place are always the
same, however one gets there.
"""

import math
import os
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile

from birdssl.audio.resample import resample
from birdssl.errors import BadInput

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

BLOCK = 1 << 16  # frames decoded at once in files that can't be seeked
HISTORY = 16  # blocks kept, so that overlapping clips don't decode the file again
CONTEXT = 0.05  # s read on either side of a clip that is resampled: soxr's filter reaches less far
MP3_SLACK = 1.0  # s; an MP3's header counts frames that no decoder returns (encoder delay, a cut bit reservoir)
SEEKABLE = ("WAV", "WAVEX", "RF64", "W64", "FLAC")


@dataclass(frozen=True)
class AudioInfo:
    """What a file says of itself; for MP3, `frames` may be up to a second more than can be decoded."""

    rate: int  # Hz
    frames: int  # samples in each channel
    channels: int
    format: str  # libsndfile's name: WAV, FLAC, OGG, MP3, ...

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


def probe(path: Path) -> AudioInfo:
    """Read a file's header. Raises BadInput for a missing, unreadable, empty or cut-off file."""
    with AudioFile(path) as audio:
        return audio.info


class AudioFile:
    """An open recording. Many reads in rising order from one handle decode an MP3 or OGG only once."""

    def __init__(self, path: Path) -> None:
        """Open a file; raises BadInput for a missing, unreadable, empty or cut-off one."""
        self.path = path
        self._handle = _open(path)
        handle = self._handle
        self.info = AudioInfo(handle.samplerate, handle.frames, handle.channels, handle.format)
        self._blocks: deque[np.ndarray] = deque(maxlen=HISTORY)
        self._end = 0  # frames decoded so far, in files that can't be seeked
        if complaint := _shortcoming(path, self.info):
            self.close()
            raise BadInput(f"{path}: {complaint}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def read(self, start: int, frames: int, channel: int | None = None) -> np.ndarray:
        """Read (frames,) float32 samples from `start`, of one channel (0-based) or the mean of all (None).

        Returns fewer at the end of the file. Full scale is [-1, 1]; floating-point files may go beyond it.
        Raises BadInput where the data is corrupt, isn't finite, or lacks the channel.
        """
        if channel is not None and channel >= self.info.channels:
            raise BadInput(
                f"{self.path}: has {self.info.channels} channel(s), so no channel {channel} (0 is the first)"
            )
        try:
            data = self._seek(start, frames) if self.info.format in SEEKABLE else self._forward(start, frames)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise BadInput(f"{self.path}: is corrupt near {start / self.info.rate:.1f} s ({_reason(error)})") from None
        samples = _mixed(data) if channel is None else np.ascontiguousarray(data[:, channel])
        if not np.isfinite(samples).all():
            raise BadInput(f"{self.path}: has samples that aren't finite numbers near {start / self.info.rate:.1f} s")
        return samples

    def blocks(self, frames: int = BLOCK, channel: int | None = None) -> Iterator[np.ndarray]:
        """Yield the whole file in order, `frames` samples at a time, the last one shorter.

        Raises BadInput at the end when fewer samples could be decoded than the header says.
        """
        start = 0
        while len(block := self.read(start, frames, channel)):
            yield block
            start += len(block)
        slack = MP3_SLACK * self.info.rate if self.info.format == "MP3" else 0
        if start < self.info.frames - slack:
            found, said = start / self.info.rate, self.info.seconds
            raise BadInput(f"{self.path}: is cut off: {found:.1f} s could be decoded, its header says {said:.1f} s")

    def _seek(self, start: int, frames: int) -> np.ndarray:
        if start >= self.info.frames:
            return np.zeros((0, self.info.channels), np.float32)
        self._handle.seek(start)
        return self._handle.read(frames, dtype="float32", always_2d=True)

    def _forward(self, start: int, frames: int) -> np.ndarray:
        if start < self._end - sum(len(block) for block in self._blocks):
            self._handle.close()
            self._handle = _open(self.path)
            self._blocks.clear()
            self._end = 0
        while self._end < start + frames:
            block = self._handle.read(BLOCK, dtype="float32", always_2d=True)
            if not len(block):
                break
            self._extend(block, frames)
        held = np.concatenate(self._blocks) if self._blocks else np.zeros((0, self.info.channels), np.float32)
        skip = start - (self._end - len(held))
        return held[skip : skip + frames]

    def _extend(self, block: np.ndarray, frames: int) -> None:
        """Keep a decoded block; the history grows for a read longer than itself."""
        wanted = HISTORY + math.ceil(frames / BLOCK)
        if self._blocks.maxlen != wanted:
            self._blocks = deque(self._blocks, maxlen=wanted)
        self._blocks.append(block)
        self._end += len(block)


class ClipReader:
    """Reads clips at one sample rate, keeping the last file open: ask in order of file and offset."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._audio: AudioFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file that is open."""
        if self._audio is not None:
            self._audio.close()
        self._audio = None

    def read(
        self, path: Path, offset: int, seconds: float, channel: int | None = None, padded: float = 0.0
    ) -> np.ndarray:
        """Read a clip of `seconds` from sample `offset` (at the file's own rate), resampled where needed.

        Returns (round(seconds * sample_rate),) float32. The last `padded` seconds may lie beyond the end of the file
        and are silence there; more missing than that raises BadInput.
        """
        if self._audio is None or self._audio.path != path:
            self.close()
            self._audio = AudioFile(path)
        samples = self._content(self._audio, offset, seconds, channel, padded)
        length = round(seconds * self.sample_rate)
        if len(samples) >= length:
            return samples[:length]
        clip = np.zeros(length, np.float32)
        clip[: len(samples)] = samples
        return clip

    def _content(self, audio: AudioFile, offset: int, seconds: float, channel: int | None, padded: float) -> np.ndarray:
        rate, target = audio.info.rate, self.sample_rate
        wanted = round(seconds * rate)
        step = rate // math.gcd(rate, target)  # source samples between the places where both rates have a sample
        reach = step * math.ceil(CONTEXT * rate / step) if rate != target else 0
        lead = min(reach, offset // step * step)
        if audio.info.channels == 1:
            channel = None  # a clip of one channel has a mono file of its own
        data = audio.read(offset - lead, lead + wanted + reach, channel)
        missing = wanted - (len(data) - lead)
        if missing > round(padded * rate) + 1:  # one for rounding of both
            end, need = (offset - lead + len(data)) / rate, (offset + wanted) / rate - padded
            raise BadInput(f"{audio.path}: ends at {end:.2f} s, but this clip needs it up to {need:.2f} s")
        return resample(data, rate, target)[lead // step * (target * step // rate) :]


def _mixed(data: np.ndarray) -> np.ndarray:
    """Mean of the channels of (frames, channels); column by column, since numpy's mean along a short axis is slow."""
    mixed = data[:, 0].copy()
    for channel in range(1, data.shape[1]):
        mixed += data[:, channel]
    return mixed * np.float32(1 / data.shape[1]) if data.shape[1] > 1 else mixed


def _open(path: Path) -> soundfile.SoundFile:
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: is empty (0 bytes)")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        if not os.access(path, os.R_OK):
            raise BadInput(f"{path}: can't be opened (Permission denied); check who may read it") from None
        raise BadInput(f"{path}: isn't readable as WAV, FLAC, OGG or MP3 ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    """libsndfile's words, without the path that it repeats."""
    text = str(getattr(error, "error_string", "")) or str(error).split(": ")[-1]
    return text.strip(" .\0") or type(error).__name__


def _shortcoming(path: Path, info: AudioInfo) -> str:
    """What the header gives away as missing: no samples at all, or a file that ends before it should."""
    if info.frames <= 0:
        return "holds no samples; the recorder may have lost power before it wrote the header"
    if info.format in ("WAV", "WAVEX") and (missing := _missing_bytes(path)):
        return f"is cut off: its header promises {missing} bytes more than there are; copy it from the card again"
    if info.format == "OGG" and not _has_last_page(path):
        return "is cut off: its last page is missing; copy it from the card again"
    return ""


def _missing_bytes(path: Path) -> int:
    """Bytes that a RIFF file's data chunk promises beyond the end of the file (libsndfile reads on without a word)."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        if handle.read(12)[:4] != b"RIFF":
            return 0
        while len(header := handle.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            if name == b"data":
                streamed = length in (0, 0xFFFFFFFF)  # a writer that couldn't go back to fill the length in
                return 0 if streamed else max(0, handle.tell() + length - size)
            handle.seek(length + length % 2, 1)
    return 0


def _has_last_page(path: Path) -> bool:
    """Whether the last Ogg page that starts in the file is marked as the end of its stream."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - (1 << 17)))  # a page is at most 65,307 bytes
        tail = handle.read()
    start = tail.rfind(b"OggS")
    return start >= 0 and len(tail) > start + 5 and bool(tail[start + 5] & 4)
