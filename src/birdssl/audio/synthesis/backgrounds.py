"""What a recorder hears when nothing calls: air, wind, rain, insects and hum, block by block.

Each source is a power density over frequency, in (full scale)^2 / Hz, times a slow gain over time. Blocks of shaped
noise are made by one inverse transform each and joined by a crossfade that keeps the power, so an hour needs no more
memory than ten seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Density = Callable[[NDArray], NDArray]

GAIN_STEP = 0.25  # seconds between the points of a slow gain
FADE = 0.2  # seconds of crossfade between blocks


@dataclass(frozen=True)
class Insects:
    """A chorus: centre and width in Hz, and the beat of its pulses in Hz (0 for a steady hiss)."""

    centre: float
    width: float
    level: float
    beat: float


@dataclass(frozen=True)
class Background:
    """Levels in dB SPL of one recording's surroundings; -inf leaves a source out.

    `air` is the calm of a place (1/f), `wind` a 1/f^3 rumble with gusts of `gustiness` dB, `rain` hiss and drops,
    `hum` mains or an engine.
    """

    air: float
    wind: float
    gustiness: float
    rain: float
    hum: float
    hum_frequency: float
    insects: tuple[Insects, ...]


def decibels_to_power(level: float) -> float:
    """10^(level / 10)."""
    return float(10 ** (level / 10))


def band_density(
    shape: Callable[[NDArray], NDArray], level: float, low: float = 20.0, high: float = 24000.0
) -> Density:
    """A density proportional to `shape(frequency)` whose power between `low` and `high` is `level` dB."""
    grid = np.arange(low, high)
    scale = decibels_to_power(level) / float(np.sum(shape(grid)))
    return lambda frequency: scale * shape(np.maximum(frequency, low)) * (frequency > 0)


def air_density(level: float) -> Density:
    """Pink noise."""
    return band_density(lambda f: 1 / f, level)


def wind_density(level: float) -> Density:
    """Rumble: flat below 60 Hz, falling by 9 dB an octave above."""
    return band_density(lambda f: 1 / (1 + (f / 60) ** 3), level)


def rain_density(level: float) -> Density:
    """A broad hump around 3 kHz."""
    return band_density(lambda f: np.exp(-(np.log2(f / 3000) ** 2) / 2.5) / f, level)


def insect_density(insects: Insects) -> Density:
    """A bell around the chorus' centre."""
    return band_density(lambda f: np.exp(-(((f - insects.centre) / insects.width) ** 2)), insects.level)


def hiss_density(level: float) -> Density:
    """White noise, as electronics give it."""
    return band_density(np.ones_like, level)


def steady_density(background: Background, frequency: NDArray) -> NDArray:
    """Mean power density of every source together, in the units of the levels (0 dB = 1)."""
    total = air_density(background.air)(frequency) + wind_density(background.wind)(frequency)
    total += rain_density(background.rain)(frequency)
    for insects in background.insects:
        total += insect_density(insects)(frequency)
    return total


class ShapedNoise:
    """Endless Gaussian noise of a given density, in blocks of equal length."""

    def __init__(
        self, generator: np.random.Generator, density: Callable[[NDArray], NDArray], rate: int, block: int
    ) -> None:
        self.generator = generator
        self.block = block
        self.fade = min(round(FADE * rate), block)
        self.size = fft.next_fast_len(block + self.fade, real=True)
        frequency = fft.rfftfreq(self.size, 1 / rate)
        # E|X|^2 of a one-sided density P is P * rate * size / 2; real and imaginary parts carry half each.
        amplitude = np.sqrt(density(frequency) * rate * self.size / 4).astype(np.float32)
        # Bins 60 dB below the loudest are left empty: a chorus or the wind then costs a tenth of the draws.
        audible = np.flatnonzero(amplitude > 1e-3 * amplitude.max())
        self.bins = slice(int(audible[0]), int(audible[-1]) + 1)
        self.amplitude = amplitude[self.bins]
        turn = np.linspace(0, np.pi / 2, self.fade, dtype=np.float32)
        self.rise, self.fall = np.sin(turn), np.cos(turn)
        self.carried: NDArray | None = None

    def next(self) -> NDArray[np.float32]:
        """The next block, float32 of (block,)."""
        draws = self.generator.standard_normal((2, len(self.amplitude)), dtype=np.float32)
        spectrum = np.zeros(self.size // 2 + 1, np.complex64)
        spectrum.real[self.bins] = draws[0] * self.amplitude
        spectrum.imag[self.bins] = draws[1] * self.amplitude
        noise = fft.irfft(spectrum, self.size)
        out = noise[: self.block].copy()
        if self.carried is not None:
            out[: self.fade] = out[: self.fade] * self.rise + self.carried
        self.carried = noise[self.block : self.block + self.fade] * self.fall
        return out


def slow_gain(generator: np.random.Generator, seconds: float, deviation: float, period: float) -> NDArray:
    """A gain of mean power 1 that wanders: an Ornstein-Uhlenbeck path in decibels, a value every `GAIN_STEP`.

    `deviation` is its standard deviation in dB, `period` its correlation time in seconds.
    """
    steps = int(np.ceil(seconds / GAIN_STEP)) + 2
    keep = np.exp(-GAIN_STEP / period)
    draws = generator.standard_normal(steps) * np.sqrt(1 - keep**2)
    draws[0] = generator.standard_normal()
    path = np.empty(steps)
    value = 0.0
    for index, draw in enumerate(draws):
        value = keep * value + draw
        path[index] = value
    # A log-normal power has the mean exp(s^2 / 2) with s in natural units of power.
    spread = deviation * np.log(10) / 10
    return np.exp((spread * path - spread**2 / 2) / 2)


class Soundscape:
    """The background of one recording as a stream of blocks, in full-scale units.

    `response` is the recorder's gain over frequency, `ceiling` the level in dB SPL that fills the scale, `hiss` the
    recorder's own noise in dB SPL, `whine` its electronics' tone in Hz (0 for none).
    """

    def __init__(
        self,
        generator: np.random.Generator,
        background: Background,
        *,
        rate: int,
        block: int,
        seconds: float,
        response: Callable[[NDArray], NDArray],
        ceiling: float,
        hiss: float,
        whine: float,
    ) -> None:
        self.rate, self.block, self.background = rate, block, background
        self.generator = generator
        self.response, self.unit = response, decibels_to_power(-ceiling)
        self.whine = whine
        self.position = 0
        self.sources: list[tuple[ShapedNoise, NDArray | None, float]] = []
        calm = air_density(background.air)
        floor = hiss_density(hiss)
        self._add(lambda f: calm(f) * response(f) ** 2 + floor(f), None, 0.0)
        if np.isfinite(background.wind):
            self._heard(wind_density(background.wind), slow_gain(generator, seconds, background.gustiness, 2.5))
        if np.isfinite(background.rain):
            self._heard(rain_density(background.rain), slow_gain(generator, seconds, 1.5, 8.0))
        for insects in background.insects:
            self._heard(insect_density(insects), slow_gain(generator, seconds, 2.5, 5.0), insects.beat)

    def _heard(self, density: Density, gain: NDArray, beat: float = 0.0) -> None:
        self._add(lambda f: density(f) * self.response(f) ** 2, gain, beat)

    def _add(self, density: Density, gain: NDArray | None, beat: float) -> None:
        noise = ShapedNoise(self.generator, lambda f: self.unit * density(f), self.rate, self.block)
        self.sources.append((noise, gain, beat))

    def next(self) -> NDArray[np.float32]:
        """The next block, float32 of (block,)."""
        time = (self.position + np.arange(self.block)) / self.rate
        out = np.zeros(self.block, np.float32)
        for noise, gain, beat in self.sources:
            layer = noise.next()
            if gain is not None:
                layer *= np.interp(time, np.arange(len(gain)) * GAIN_STEP, gain).astype(np.float32)
            if beat:
                layer *= pulse_gain(time, beat)
            out += layer
        out += self._tones(time)
        if np.isfinite(self.background.rain):
            self._add_drops(out)
        self.position += self.block
        return out

    def _tones(self, time: NDArray) -> NDArray[np.float32]:
        """Hum with its harmonics, and the electronics' whine."""
        tones = [(self.background.hum_frequency * n, self.background.hum - 5 * (n - 1)) for n in (1, 2, 3, 4, 6)]
        if self.whine:
            tones.append((self.whine, 22.0))
        out = np.zeros(len(time), np.float32)
        for frequency, level in tones:
            if np.isfinite(level) and frequency < self.rate / 2:
                gain = self.response(np.array([frequency]))[0] * np.sqrt(2 * self.unit * decibels_to_power(level))
                out += np.float32(gain) * turn_sine(time * frequency)
        return out

    def _add_drops(self, out: NDArray) -> None:
        """Drops that hit leaves near the microphone: short damped knocks, more of them in stronger rain."""
        length = round(0.012 * self.rate)
        per_second = 2.0 * decibels_to_power((self.background.rain - 40) / 3)
        count = int(self.generator.poisson(min(per_second, 60.0) * self.block / self.rate))
        if not count or self.block <= length:
            return
        starts = self.generator.integers(0, self.block - length, count)
        pitch = self.generator.uniform(400, min(5000, 0.4 * self.rate), (count, 1))
        level = self.background.rain + self.generator.normal(6, 5, (count, 1))
        time = np.arange(length) / self.rate
        knocks = np.sin(2 * np.pi * pitch * time) * np.exp(-time / self.generator.uniform(0.0008, 0.003, (count, 1)))
        knocks *= np.sqrt(self.unit) * 10 ** (level / 20) * self.response(pitch)
        for start, knock in zip(starts, knocks, strict=True):
            out[start : start + length] += knock


def pulse_gain(time: NDArray, beat: float) -> NDArray[np.float32]:
    """The gain of insects that pulse together, with mean power 1."""
    wave = np.square(np.float32(0.5) + np.float32(0.5) * turn_sine(time * beat))
    return wave / np.float32(np.sqrt(35 / 128))  # the mean of cos^8 over a turn is 35/128


def turn_sine(turns: NDArray) -> NDArray[np.float32]:
    """Sine of a phase in turns; the whole turns go before single precision would lose them."""
    return np.sin(np.float32(2 * np.pi) * (turns - np.floor(turns)).astype(np.float32))
