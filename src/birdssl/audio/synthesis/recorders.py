"""Recorder models: how they hear, how they name files, and what they write beside the samples."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RecorderModel:
    """One make of recorder.

    `ceiling` is the sound pressure in dB that fills the scale, `self_noise` its own hiss in dB SPL over the band up to
    24 kHz; `low_cut` and `peak` (Hz, dB) shape its response. Round figures of the kind that makers state.
    """

    name: str
    ceiling: float
    self_noise: float
    low_cut: float
    peak: tuple[float, float]
    whine: float  # Hz of the electronics' tone, 0 for none
    metadata: str  # "audiomoth" or "guano"

    def response(self, frequency: NDArray) -> NDArray:
        """Amplitude gain at each frequency in Hz: a second-order low cut and one broad resonance."""
        ratio = np.maximum(frequency, 1.0) / self.low_cut
        cut = ratio**2 / np.sqrt(1 + ratio**4)
        centre, decibels = self.peak
        octaves = np.log2(np.maximum(frequency, 1.0) / centre)
        return cut * 10 ** (decibels / 20 * np.exp(-(octaves**2) / 0.5))


MODELS: dict[str, RecorderModel] = {
    "audiomoth": RecorderModel("AudioMoth", 88.0, 30.0, 60.0, (11000.0, 5.0), 0.0, "audiomoth"),
    "song-meter-4": RecorderModel("Song Meter SM4", 90.0, 22.0, 120.0, (7000.0, -2.0), 0.0, "guano"),
    "song-meter-mini": RecorderModel("Song Meter Mini", 86.0, 26.0, 80.0, (9000.0, 3.0), 7800.0, "guano"),
}


MAKER = "Wildlife Acoustics, Inc."


@dataclass(frozen=True)
class Recorder:
    """One unit: its model, its serial number, and how much its microphone strays from the model, in dB."""

    model: RecorderModel
    serial: str
    offset: float

    @property
    def name(self) -> str:
        """As its files' metadata name it."""
        maker = "" if self.model.metadata == "audiomoth" else f"{MAKER} "
        return f"{maker}{self.model.name} {self.serial}"


def recorder(number: int, generator: np.random.Generator) -> Recorder:
    """The unit `number` (from 0) of a survey; models take turns."""
    model = list(MODELS.values())[number % len(MODELS)]
    digits = 16 if model.metadata == "audiomoth" else 8
    serial = "".join(f"{value:X}" for value in generator.integers(0, 16, digits))
    return Recorder(model, serial, float(generator.normal(0, 1.0)))


def file_name(unit: Recorder, site: str, time: datetime) -> str:
    """Path below the survey's folder, as the recorder's card has it, in a folder for the site."""
    stamp = time.strftime("%Y%m%d_%H%M%S")
    if unit.model.metadata == "audiomoth":
        return f"{site}/{stamp}.WAV"
    return f"{site}/{site}_{stamp}.wav"


def comment(unit: Recorder, time: datetime, celsius: float) -> str:
    """What an AudioMoth writes into the file's comment, in UTC; empty for other models."""
    if unit.model.metadata != "audiomoth":
        return ""
    return (
        f"Recorded at {time:%H:%M:%S} {time:%d/%m/%Y} (UTC) by AudioMoth {unit.serial} at medium gain "
        f"while battery was 4.2V and temperature was {celsius:.1f}C."
    )


def guano(unit: Recorder, site: str, time: datetime, celsius: float, seconds: float, rate: int) -> str:
    """GUANO metadata as text, for the models that write it; empty for others."""
    if unit.model.metadata != "guano":
        return ""
    lines = {
        "GUANO|Version": "1.0",
        "Make": MAKER,
        "Model": unit.model.name,
        "Serial": unit.serial,
        "WA|Song Meter|Prefix": site,
        "Timestamp": f"{time:%Y-%m-%dT%H:%M:%S}+00:00",
        "Length": f"{seconds:g}",
        "Samplerate": str(rate),
        "Temperature Ext": f"{celsius:.1f}",
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())
