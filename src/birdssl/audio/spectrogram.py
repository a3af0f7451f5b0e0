"""Waveforms as grey pictures: mel power spectrograms in dB, scaled to 0-255, low frequencies at the bottom.

The numbers are librosa's (Slaney's mel scale and area normalisation, `power_to_db` below the clip's maximum), which P1
uses through librosa 0.8.1; a test holds the decibels to within 0.1 of it. What P1 leaves open is a field of `Frontend`
with our default.

Speed: frames times window, scipy's single-precision rfft, each group of mel filters over its own bins only (a dense mel
matrix costs ten times the transform), and one clip at a time in arrays that are used again.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from birdssl.audio.described import Described
from birdssl.errors import IncompatibleError

BATCH = 1  # clips at a time: one's spectra fill a core's cache; 4 ran a twentieth slower, 32 far slower
FILTER_GROUP = 16  # mel filters in one small matrix product
FLOOR = 1e-10  # power below which librosa's power_to_db does not look (amin)
NORMALISATIONS = ("clip", "range")


@dataclass(frozen=True)
class Frontend(Described):
    """How a clip becomes a picture: every number of it, so that a saved model carries it along.

    `normalise` says what black is: "clip" the quietest point of the clip (min-max, P1), "range" `top_db` below its
    loudest. White is the clip's loudest point in both.
    """

    n_fft: int = 2048  # samples of the Hann window and the transform (P1)
    hop: int = 512  # samples; P1's overlap of 75 %
    n_mels: int = 256
    f_min: float = 0.0  # Hz
    f_max: float | None = None  # Hz; None is half the sample rate
    top_db: float = 80.0
    height: int = 256  # pixels
    width: int = 256
    normalise: str = "clip"

    def __post_init__(self) -> None:
        if not 0 <= self.f_min < self.top_frequency <= self.sample_rate / 2:
            raise IncompatibleError(
                f"the band from {self.f_min:g} to {self.top_frequency:g} Hz doesn't fit: it must end above its start, "
                f"and by half the sample rate, {self.sample_rate / 2:g} Hz; change --f-min or --f-max"
            )
        if self.normalise not in NORMALISATIONS:
            raise IncompatibleError(f"unknown normalisation {self.normalise!r}; known: {', '.join(NORMALISATIONS)}")

    @property
    def top_frequency(self) -> float:
        """Upper end of the highest mel filter, Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def frames(self) -> int:
        """Spectra of one clip: frame i is centred on sample i * hop."""
        return 1 + self.samples // self.hop

    def empty_filters(self) -> int:
        """How many mel filters lie between two bins of the transform, and so stay black."""
        return int((mel_filters(self).max(axis=0) == 0).sum())

    def mel_centres(self) -> np.ndarray:
        """Centre frequencies of the mel filters in Hz, (n_mels,)."""
        return _mel_edges(self)[1:-1]

    def decibels(self, waveforms: np.ndarray) -> np.ndarray:
        """Mel power in dB below each clip's loudest point: (B, samples) float32 to (B, n_mels, frames) float32.

        Values lie in [-top_db, 0]; a clip of silence is 0 throughout. Equals librosa's melspectrogram (power 2,
        centred, zero-padded) and power_to_db(ref=max, top_db).
        """
        waveforms = self._checked(waveforms)
        space = _Workspace(self, min(BATCH, len(waveforms)))
        parts = [self._decibels(waveforms[i : i + BATCH], space) for i in range(0, len(waveforms), BATCH)]
        joined = np.concatenate(parts) if parts else np.zeros((0, self.frames, self.n_mels), np.float32)
        return np.ascontiguousarray(joined.transpose(0, 2, 1))

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """Pictures of clips: (B, samples) float32 to (B, height, width) uint8, low frequencies in the last row.

        A clip of silence is black (0). Raises ValueError when the clips aren't `samples` long.
        """
        waveforms = self._checked(waveforms)
        pictures = np.empty((len(waveforms), self.height, self.width), np.uint8)
        space = _Workspace(self, min(BATCH, len(waveforms)))
        for i in range(0, len(waveforms), BATCH):
            pictures[i : i + BATCH] = self._picture(self._decibels(waveforms[i : i + BATCH], space))
        return pictures

    def _checked(self, waveforms: np.ndarray) -> np.ndarray:
        if waveforms.ndim != 2 or waveforms.shape[1] != self.samples:
            raise ValueError(f"expected waveforms of shape (B, {self.samples}), got {waveforms.shape}")
        return waveforms.astype(np.float32, copy=False)

    def _decibels(self, waveforms: np.ndarray, space: "_Workspace") -> np.ndarray:
        """(B, samples) to (B, frames, n_mels) dB."""
        level = _mel_power(self, space.power(waveforms))
        np.log10(np.maximum(level, np.float32(FLOOR), out=level), out=level)
        level *= 10
        level -= level.max(axis=(1, 2), keepdims=True)
        return np.maximum(level, np.float32(-self.top_db), out=level)

    def _picture(self, level: np.ndarray) -> np.ndarray:
        """(B, frames, n_mels) dB to (B, height, width) uint8; scaling commutes with the resize, so it comes last."""
        quietest = level.min(axis=(1, 2), keepdims=True)
        black = quietest if self.normalise == "clip" else np.where(quietest < 0, np.float32(-self.top_db), quietest)
        scale = np.divide(255, -black, out=np.zeros_like(black), where=black < 0)
        level = _resize_rows(level, self.width).transpose(0, 2, 1)
        level = _resize_rows(level, self.height)
        return ((level - black) * scale + 0.5).astype(np.uint8)[:, ::-1]


def hertz_to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """Slaney's mel scale (Auditory Toolbox): 15 mel at 1 kHz, linear below and logarithmic above."""
    frequency = np.asarray(frequency, np.float64)
    above = 15 + np.log(np.maximum(frequency, 1000) / 1000) * 27 / np.log(6.4)
    return np.where(frequency < 1000, frequency * 3 / 200, above)


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """Inverse of `hertz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((np.maximum(mel, 15) - 15) * np.log(6.4) / 27))


def _mel_edges(front: Frontend) -> np.ndarray:
    return mel_edges(front.n_mels, front.f_min, front.top_frequency)


def mel_edges(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """Corners in Hz of `n_mels` triangles evenly spaced on Slaney's mel scale, (n_mels + 2,)."""
    return mel_to_hertz(np.linspace(hertz_to_mel(f_min), hertz_to_mel(f_max), n_mels + 2))


def triangles(edges: np.ndarray, sample_rate: int, n_fft: int) -> np.ndarray:
    """Triangular filters of height 1 with these corners (n_mels + 2,), over a transform's bins: (bins, n_mels)."""
    bins = np.arange(n_fft // 2 + 1)[:, None] * sample_rate / n_fft
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def unit_area(edges: np.ndarray) -> np.ndarray:
    """Heights at which such triangles have unit area (Slaney's normalisation), (n_mels,)."""
    return 2 / (edges[2:] - edges[:-2])


@lru_cache(maxsize=8)
def mel_filters(front: Frontend) -> np.ndarray:
    """Triangular filters of unit area, (n_fft // 2 + 1, n_mels) float32."""
    edges = _mel_edges(front)
    return (triangles(edges, front.sample_rate, front.n_fft) * unit_area(edges)).astype(np.float32)


@lru_cache(maxsize=8)
def _filter_groups(front: Frontend) -> list[tuple[slice, slice, np.ndarray]]:
    return filter_groups(mel_filters(front))


def filter_groups(filters: np.ndarray) -> list[tuple[slice, slice, np.ndarray]]:
    """(mels, bins, weights) of each group of neighbouring filters, over the bins that any of them covers."""
    count = filters.shape[1]
    groups = []
    for first in range(0, count, FILTER_GROUP):
        mels = slice(first, min(first + FILTER_GROUP, count))
        covered = np.flatnonzero(filters[:, mels].any(axis=1))
        bins = slice(int(covered[0]), int(covered[-1]) + 1) if len(covered) else slice(0, 1)
        groups.append((mels, bins, np.ascontiguousarray(filters[bins, mels])))
    return groups


@lru_cache(maxsize=8)
def _window(length: int) -> np.ndarray:
    """Periodic Hann window."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


class _Workspace:
    """Arrays that all batches of a call share: fresh ones each time cost more in page faults than the transform."""

    def __init__(self, front: Frontend, batch: int) -> None:
        self.front = front
        half, bins = front.n_fft // 2, front.n_fft // 2 + 1
        self._padded = np.zeros((batch, half + front.samples + half), np.float32)
        self._middle = slice(half, half + front.samples)
        windows = np.lib.stride_tricks.sliding_window_view(self._padded, front.n_fft, axis=1)
        self._frames = windows[:, :: front.hop]
        self._windowed = np.empty(self._frames.shape, np.float32)
        self._power = np.empty((batch, front.frames, bins), np.float32)
        self._square = np.empty_like(self._power)

    def power(self, waveforms: np.ndarray) -> np.ndarray:
        """(B, samples) to (B, frames, n_fft // 2 + 1) power, float32; valid until the next call."""
        count = len(waveforms)
        self._padded[:count, self._middle] = waveforms
        windowed = np.multiply(self._frames[:count], _window(self.front.n_fft), out=self._windowed[:count])
        spectra = scipy.fft.rfft(windowed, axis=-1)
        power = np.square(spectra.real, out=self._power[:count])
        power += np.square(spectra.imag, out=self._square[:count])
        return power


def _mel_power(front: Frontend, power: np.ndarray) -> np.ndarray:
    """(B, frames, bins) to (B, frames, n_mels)."""
    rows = power.reshape(-1, power.shape[-1])
    mel = np.empty((len(rows), front.n_mels), np.float32)
    for mels, bins, weights in _filter_groups(front):
        np.matmul(rows[:, bins], weights, out=mel[:, mels])
    return mel.reshape(*power.shape[:-1], front.n_mels)


@lru_cache(maxsize=16)
def _taps(size: int, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear resize as (target, k) source indices and weights; as in PIL, the triangle widens when shrinking."""
    scale = size / target
    reach = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    first = np.floor(centre - reach + 0.5).astype(int)
    index = first[:, None] + np.arange(2 * math.ceil(reach) + 1)
    weight = np.maximum(0, 1 - np.abs(index + 0.5 - centre[:, None]) / reach)
    weight[(index < 0) | (index >= size)] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    return np.clip(index, 0, size - 1), weight.astype(np.float32)


def _resize_rows(images: np.ndarray, target: int) -> np.ndarray:
    """(B, rows, columns) to (B, target, columns), bilinear."""
    if images.shape[1] == target:
        return np.ascontiguousarray(images)
    index, weight = _taps(images.shape[1], target)
    out = np.zeros((len(images), target, images.shape[2]), np.float32)
    for k in np.flatnonzero(weight.any(axis=0)):
        out += images[:, index[:, k]] * weight[:, k, None]
    return out
