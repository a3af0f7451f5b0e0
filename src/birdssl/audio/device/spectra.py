"""Waveforms as stacks of spectra for encoders that hear sound: mel power, STFT magnitude and STFT phase (P2).

One short-time Fourier transform S (Hann, centred, zeros beyond both ends) gives all three channels on one grid: with
the mel filters FB, mel = 10 log10(FB |S|²), and of P = FB S, projected while still complex, magnitude = 20 log10|P| and
phase = the angle of P in half turns, in (-1, 1]. This is MT-SLVR's way to give the three the same height; P2 leaves it
open. The preset "exact" takes magnitude and phase from a transform of 254 points instead, which has 128 bins itself.

Where a frame's phase is counted from matters once complex bins are added up. From its first sample on, as a plain
transform gives it, neighbouring bins of a Hann window have opposite signs and cancel within a wide filter: P hears the
frame's edges, where the window is zero. Counted from the middle they add, and P is the band's sound at the middle of
the frame. So that is our default; MT-SLVR's preset counts from the start as its code does.
(Mean and deviation over time of either magnitude told classes of ESC-50 apart alike: .638 and .644 over five groups.)

Decibels have an absolute floor and are standardised by fixed statistics of the training data, so a frame depends on its
own samples only: the frontend streams, and quiet clips stay quiet (standardising each clip by itself did worse).
Whatever the precision of training, everything here is float32: half precision errs by many decibels.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from birdssl.audio.described import Described
from birdssl.audio.device.mel import SCALES, Group, filter_bank, groups_on, project
from birdssl.audio.device.stft import planes
from birdssl.errors import IncompatibleError

CHANNELS = ("mel", "magnitude", "phase")
UNITS = {"db": 10 / math.log(10), "ln": 1.0}  # of one unit of the natural logarithm of power
PHASE_AT = ("centre", "start")
CROP_SECONDS = 30225 / 20000  # P2
ON_CPU, ON_DEVICE = 2, 256  # clips at a time: on a CPU a batch's spectra fill a core's cache, elsewhere the memory
LEAST_DEVIATION = 1e-3  # dB; below it a channel never varies, and is silence
FULL_SCALE = 32768  # of int16


@dataclass(frozen=True)
class Spectra(Described):
    """How a clip becomes channels of spectra: every number of it, so that a saved model carries it along.

    `mean` and `deviation` hold one number a channel; while they are empty the frontend must be fitted first.
    """

    kind: ClassVar[str] = "spectra"

    crop_seconds: float = CROP_SECONDS  # of what an encoder is given at a time
    crops: int = 10  # crops of a clip whose results are averaged outside training (ACDNet)
    n_fft: int = 1024  # points of the transform
    window: int = 1024  # samples of the Hann window
    hop: int = 256  # samples from frame to frame
    n_mels: int = 128
    f_min: float = 0.0  # Hz
    f_max: float | None = None  # Hz; None is half the sample rate
    mel_scale: str = "slaney"  # with filters of unit area (librosa), or "htk" with filters of height 1 (torchaudio)
    unit: str = "db"  # power floored and in decibels, or "ln": the floor added and its natural logarithm (speech)
    floor_db: float = -100.0  # power of 1e-10, below the quantisation noise of 16 bits
    channels: tuple[str, ...] = CHANNELS
    phase_at: str = "centre"  # of a frame, or its "start"
    native_fft: int | None = None  # transform that gives magnitude and phase unprojected; has n_mels bins
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for complaint in self._complaints():
            raise IncompatibleError(complaint)

    def _complaints(self) -> list[str]:
        found = []
        if not 0 <= self.f_min < self.top_frequency <= self.sample_rate / 2:
            found.append(
                f"the band from {self.f_min:g} to {self.top_frequency:g} Hz doesn't fit: it must end above its start, "
                f"and by half the sample rate, {self.sample_rate / 2:g} Hz"
            )
        if not self.channels or self.channels != tuple(name for name in CHANNELS if name in self.channels):
            found.append(f"channels {self.channels}: expected one or more of {', '.join(CHANNELS)}, in this order")
        if self.n_fft % 2 or not 1 <= self.window <= self.n_fft:
            found.append(f"a window of {self.window} samples in a transform of {self.n_fft}: it must fit, and be even")
        if self.phase_at not in PHASE_AT:
            found.append(f"a phase counted from the {self.phase_at!r} of a frame: known are {PHASE_AT}")
        if self.mel_scale not in SCALES or self.unit not in UNITS:
            found.append(f"mel scale {self.mel_scale!r} and unit {self.unit!r}: known are {SCALES} and {tuple(UNITS)}")
        if self.native_fft is not None and (self.native_fft // 2 + 1 != self.n_mels or self.native_fft > self.n_fft):
            found.append(
                f"magnitude and phase of a transform of {self.native_fft} points, up to {self.n_fft}, have "
                f"{self.native_fft // 2 + 1} bins, and there are {self.n_mels} mel bands: as many are needed"
            )
        if {len(self.mean), len(self.deviation)} - {0, len(self.channels)} or len(self.mean) != len(self.deviation):
            found.append(f"statistics of {len(self.mean)} and {len(self.deviation)} channels for {len(self.channels)}")
        return found

    @property
    def top_frequency(self) -> float:
        """Upper end of the highest mel filter, Hz."""
        return self.sample_rate / 2 if self.f_max is None else self.f_max

    @property
    def crop_samples(self) -> int:
        """Samples of what an encoder is given at a time."""
        return round(self.crop_seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Spectra of a crop: frame i is centred on sample i * hop."""
        return 1 + self.crop_samples // self.hop

    @property
    def look_ahead(self) -> int:
        """Samples that a frame needs before and after its centre; what a stream must wait for."""
        return self.n_fft // 2

    @property
    def encoder_options(self) -> dict[str, int]:
        """What an encoder of spectra is built with."""
        return {"channels": len(self.channels), "bins": self.n_mels}

    def empty_filters(self) -> int:
        """How many mel filters lie between two bins of the transform, and so never change."""
        return int((self._filters().max(axis=0) == 0).sum())

    def inputs(self, waves: Tensor) -> Tensor:
        """An encoder's input: (B, n) int16 or float in [-1, 1] to (B, C, n_mels, 1 + n // hop) float32, standardised.

        Raises ValueError while the statistics aren't fitted.
        """
        return self.framed(F.pad(waves, (self.look_ahead, self.look_ahead)))

    def framed(self, padded: Tensor) -> Tensor:
        """As `inputs`, of samples that have `look_ahead` more on both sides: a stream passes its neighbours there."""
        if not self.mean:
            raise ValueError("the frontend's statistics aren't known; use what `.fitted(waves)` gives")
        return _channels(self, padded)

    def levels(self, waves: Tensor) -> Tensor:
        """As `inputs`, but not standardised: mel and magnitude in dB (or natural logarithms), phase in half turns."""
        zeros, ones = (0.0,) * len(self.channels), (1.0,) * len(self.channels)
        return replace(self, mean=zeros, deviation=ones).inputs(waves)

    def fitted(self, waves: Tensor) -> Self:
        """With the statistics of these waveforms (B, n): one mean and deviation a channel, over mels, frames and clips.

        Phase is only scaled to half turns: its mean is 0 and its deviation 1, as is that of a level that never varies.
        """
        count = 0
        total = torch.zeros(2, len(self.channels), dtype=torch.float64)
        for part in waves.split(_batch(waves.device)):
            values = self.levels(part).cpu().double()  # Apple's processors have no 64 bits
            total += torch.stack([values.sum((0, 2, 3)), values.square().sum((0, 2, 3))])
            count += values[:, 0].numel()
        mean, square = (total / max(1, count)).tolist()
        spread = [math.sqrt(max(0.0, s - m * m)) for m, s in zip(mean, square, strict=True)]
        levels = [name != "phase" for name in self.channels]
        return replace(
            self,
            mean=tuple(m if level else 0.0 for m, level in zip(mean, levels, strict=True)),
            deviation=tuple(
                s if level and s > LEAST_DEVIATION else 1.0 for s, level in zip(spread, levels, strict=True)
            ),
        )

    def mel_statistics(self, waves: Tensor) -> Tensor:
        """Mean and deviation over time of each mel band's level: (B, n) to (B, 2 * n_mels), the plain baseline."""
        mel = replace(self, channels=("mel",), mean=(), deviation=()).levels(waves)[:, 0]
        return torch.cat([mel.mean(-1), mel.std(-1, correction=0)], dim=1)

    def _filters(self) -> Any:
        return filter_bank(self.mel_scale, self.sample_rate, self.n_fft, self.n_mels, self.f_min, self.top_frequency)


# Fields that differ from the default, which is P2's as far as it is known. Sizes are in samples, so at another sample
# rate than the source's they last accordingly longer or shorter.
PRESETS: dict[str, dict[str, Any]] = {
    "p2": {},
    # CLAR's sizes of transform and mels at P2's rate; its hop of 10 ms at 16 kHz is taken in samples.
    "clar": {"n_fft": 2048, "window": 2048, "hop": 160},
    "mtslvr": {"hop": 512, "phase_at": "start"},
    # "STFT magnitude and phase" as they are: a transform of 128 bins, and a mel spectrogram on the same grid of frames.
    "exact": {"hop": 128, "native_fft": 254},
    # BYOL-A at 16 kHz: ln(mel power + float32's epsilon), crops of 0.95 s.
    "byol-a": {
        "hop": 160, "n_mels": 64, "f_min": 60.0, "f_max": 7800.0, "unit": "ln", "channels": ("mel",),
        "floor_db": 10 * math.log10(torch.finfo(torch.float32).eps), "crop_seconds": 0.95,
    },
    # Mockingjay and TERA in s3prl at 16 kHz: 25 ms windows every 10 ms, torchaudio's filters, ln(power + 1e-10). s3prl
    # standardises each utterance and each band by itself; here it's one mean and deviation of the training data.
    "speech": {
        "n_fft": 400, "window": 400, "hop": 160, "n_mels": 80, "mel_scale": "htk", "unit": "ln", "channels": ("mel",),
    },
    # For small processors: half the bands, half the frames.
    "quick": {"hop": 512, "n_mels": 64, "f_max": 8000.0},
}  # fmt: skip


def preset(name: str, sample_rate: int, clip_seconds: float, **changes: Any) -> Spectra:
    """The frontend of a preset, not fitted yet; raises IncompatibleError for an unknown name or what can't be."""
    if name not in PRESETS:
        raise IncompatibleError(f"unknown frontend {name!r}; known: {', '.join(PRESETS)}")
    return Spectra(sample_rate, clip_seconds, **{**PRESETS[name], **changes})


def as_float(waves: Tensor) -> Tensor:
    """int16 or float waveforms as float32 in [-1, 1]."""
    return waves.float() if waves.is_floating_point() else waves.float() / FULL_SCALE


def _batch(device: torch.device) -> int:
    return ON_CPU if device.type == "cpu" else ON_DEVICE


@torch.no_grad()
def _channels(front: Spectra, padded: Tensor) -> Tensor:
    """(B, n + n_fft) to (B, C, n_mels, frames), batch by batch."""
    if padded.ndim != 2 or padded.shape[1] < front.n_fft:
        raise ValueError(f"expected waveforms (B, samples) of at least one frame, got {tuple(padded.shape)} padded")
    frames = 1 + (padded.shape[1] - front.n_fft) // front.hop
    out = torch.empty(len(padded), len(front.channels), front.n_mels, frames, device=padded.device)
    step = _batch(padded.device)
    with torch.autocast(padded.device.type, enabled=False):
        for first in range(0, len(padded), step):
            levels = _levels(front, as_float(padded[first : first + step]))
            for i, (level, mean, deviation) in enumerate(zip(levels, front.mean, front.deviation, strict=True)):
                out[first : first + step, i] = level.sub_(mean).mul_(1 / deviation).transpose(0, 1)
    return out


def _levels(front: Spectra, waves: Tensor) -> list[Tensor]:
    """Each channel of (b, n + n_fft) float32 as (n_mels, b, frames), not standardised."""
    spectra = planes(waves, front.n_fft, front.window, front.hop, front.phase_at)
    groups = _groups(replace(front, mean=(), deviation=()), waves.device)
    projects_parts = front.native_fft is None and front.channels != ("mel",)
    mel, *parts = project(spectra if projects_parts else spectra[:1], groups, front.n_mels).unbind(1)
    if front.native_fft is not None:
        inset = (front.n_fft - front.native_fft) // 2
        inner = waves[:, inset : waves.shape[1] - inset]
        native = planes(inner, front.native_fft, front.native_fft, front.hop, front.phase_at)
        native[1:].add_(0.0)  # silence has -0.0 in every other bin, whose angle would be half a turn
        parts = [part.permute(2, 0, 1) for part in native[1:]]
    ways = {
        "mel": lambda: _log(front, mel),
        "magnitude": lambda: _log(front, parts[0].square().addcmul_(parts[1], parts[1])),
        "phase": lambda: torch.atan2(parts[1], parts[0]).div_(math.pi),
    }
    return [ways[channel]() for channel in front.channels]


def _log(front: Spectra, power: Tensor) -> Tensor:
    """Logarithm of power in the frontend's unit, floored; overwrites `power`."""
    floor = 10 ** (front.floor_db / 10)
    power = power.clamp_(min=floor) if front.unit == "db" else power.add_(floor)
    return power.log_().mul_(UNITS[front.unit])


@lru_cache(maxsize=16)
def _groups(front: Spectra, device: torch.device) -> list[Group]:
    return groups_on(front._filters(), device)
