"""Time stretch, pitch shift and noise: P1's three functions, planned as data and carried out on waveforms.

An operation is a JSON object: {"name": "stretch", "rate": 0.8}, {"name": "pitch", "semitones": -3} or
{"name": "noise", "snr_db": 6}. A plan is a list of them, applied in order.

Stretch and pitch use Signalsmith Stretch (`python-stretch`). Measured beside librosa's phase vocoder: a fifth of its
error on trills and clicks, a third on tones with vibrato, at the same speed; librosa was better on steady tones and on
vibrato an octave up. Formants move with the pitch: preserving them is meant for human voices. The engine aligns its own
latency, and the same waveform gave the same bytes in every process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from python_stretch import Signalsmith

from birdssl.seeds import generator

Operation = dict[str, Any]
PARAMETERS = {"stretch": "rate", "pitch": "semitones", "noise": "snr_db"}  # what each function is set by
ENGINE_SEED = 1  # of the engine's own randomness, which only comes in beyond twice the length


def time_stretch(waveform: np.ndarray, sample_rate: int, rate: float) -> np.ndarray:
    """Play (samples,) float32 `rate` times as fast at the same pitch: (round(samples / rate),) float32."""
    engine = _engine(sample_rate)
    engine.timeFactor = rate
    return _process(engine, waveform, rate)


def pitch_shift(waveform: np.ndarray, sample_rate: int, semitones: float) -> np.ndarray:
    """Shift all frequencies of (samples,) float32 by `semitones` (12 to the octave); the length stays.

    What is shifted beyond half the sample rate is gone.
    """
    engine = _engine(sample_rate)
    engine.setTransposeSemitones(semitones)
    return _process(engine, waveform, 1.0)


def add_noise(waveform: np.ndarray, snr_db: float, noise: np.random.Generator) -> np.ndarray:
    """Add white Gaussian noise `snr_db` below the mean power of (samples,) float32; silence stays silent.

    P1's "dB" is read as a signal-to-noise ratio.
    """
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    scale = math.sqrt(power / 10 ** (snr_db / 10))
    return waveform + (scale * noise.standard_normal(len(waveform), dtype=np.float32)).astype(np.float32)


def fit_length(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Bring (n,) to (samples,): the middle part of a longer one, zeros after a shorter one."""
    extra = len(waveform) - samples
    if extra >= 0:
        return waveform[extra // 2 : extra // 2 + samples]
    return np.pad(waveform, (0, -extra))


def apply(waveform: np.ndarray, sample_rate: int, operations: Sequence[Operation], seed: int) -> np.ndarray:
    """Carry out a plan on (samples,) float32; the result has the same length.

    `seed` is the row's own: the same waveform, plan and seed give the same bytes in any process. Raises ValueError for
    an operation that isn't one of the three.
    """
    result = np.asarray(waveform, np.float32)
    for step, operation in enumerate(operations):
        name, value = _read(operation)
        if name == "stretch":
            result = time_stretch(result, sample_rate, value)
        elif name == "pitch":
            result = pitch_shift(result, sample_rate, value)
        else:
            result = add_noise(result, value, generator(seed, "noise", step))
    return fit_length(result, len(waveform))


def _read(operation: Operation) -> tuple[str, float]:
    """Name and value of an operation."""
    name = operation.get("name", "")
    if name not in PARAMETERS or operation.keys() != {"name", PARAMETERS[name]}:
        raise ValueError(f"unknown operation {operation!r}; known: {PARAMETERS}")
    return name, operation[PARAMETERS[name]]


@dataclass(frozen=True)
class Menu:
    """The values that may be drawn for each function (P1's Table 2, without the rate 1.0 that changes nothing).

    An empty list takes its function off the menu.
    """

    stretch: tuple[float, ...] = (0.7, 0.8, 0.9, 1.1, 1.2, 1.3)  # rate; above 1 is faster
    pitch: tuple[float, ...] = (-12, -6, -3, 3, 6, 12)  # semitones
    noise: tuple[float, ...] = (2, 4, 6, 8, 10, 12)  # dB

    def functions(self) -> list[str]:
        """Names of the functions that have values."""
        return [name for name in PARAMETERS if getattr(self, name)]

    def draw_one(self, draw: np.random.Generator) -> list[Operation]:
        """A plan of one function and its value, both drawn uniformly."""
        names = self.functions()
        return self._draw_value(names[int(draw.integers(len(names)))], draw)

    def draw_views(self, count: int, draw: np.random.Generator) -> list[list[Operation]]:
        """Plans of `count` views: functions in random order, each used once before any is used again.

        So the two views of a pair are made by two different functions (P1). Raises ValueError where the menu has one.
        """
        names = self.functions()
        if count > 1 and len(names) < 2:
            raise ValueError(f"views need two different functions; the menu has {names}")
        order: list[str] = []
        while len(order) < count:
            order += [names[int(i)] for i in draw.permutation(len(names))]
        return [self._draw_value(name, draw) for name in order[:count]]

    def _draw_value(self, name: str, draw: np.random.Generator) -> list[Operation]:
        values = getattr(self, name)
        return [{"name": name, PARAMETERS[name]: values[int(draw.integers(len(values)))]}]


def _engine(sample_rate: int) -> Any:
    engine = Signalsmith.Stretch(ENGINE_SEED)
    engine.preset(1, sample_rate)
    return engine


def _process(engine: Any, waveform: np.ndarray, rate: float) -> np.ndarray:
    """Run the engine with the waveform mirrored at both ends, since its output fades there over half a block."""
    samples = round(len(waveform) / rate)
    if not waveform.any():
        return np.zeros(samples, np.float32)
    margin = engine.blockSamples()
    padded = np.pad(np.asarray(waveform, np.float32), margin, mode="reflect")
    start = round(margin / rate)
    return np.ascontiguousarray(engine.process(padded[None])[0, start : start + samples])
