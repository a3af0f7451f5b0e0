"""Parametric voices: each function makes one call as float32 samples with a peak of 1.

Frequencies are in Hz, times in seconds. A voice is one oscillator whose frequency and amplitude follow contours over
its notes, so a trill of forty notes costs as much as a whistle of the same length. All shapes and numbers here are our
choice, in the ranges that birds and frogs use; no species is imitated.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d

Samples = NDArray[np.float32]

NYQUIST_MARGIN = 0.45  # partials above this part of the sample rate are left out: they would fold back


def whistle(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    contour: Sequence[float],
    vibrato: tuple[float, float] = (0.0, 0.0),
    partials: Sequence[float] = (1.0, 0.08),
) -> Samples:
    """A frequency-modulated whistle: `contour` is a smooth path, `vibrato` is (Hz, part of the frequency)."""
    time = _time(seconds, rate)
    frequency = smooth_contour(contour, time / seconds)
    phase = generator.uniform(0, 2 * np.pi)
    frequency = frequency * (1 + vibrato[1] * np.sin(2 * np.pi * vibrato[0] * time + phase))
    return _normalise(oscillate(frequency, swell(time / seconds, 0.15, 0.3), rate, partials))


def phrase(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    contours: Sequence[Sequence[float]],
    duty: float = 0.75,
    partials: Sequence[float] = (1.0, 0.1),
) -> Samples:
    """Whistled notes of equal length in a fixed order, each with its contour, sounding `duty` of their slot."""
    slot = seconds / len(contours)
    notes = [whistle(generator, rate, seconds=slot * duty, contour=contour, partials=partials) for contour in contours]
    sound = np.zeros(round(seconds * rate), np.float32)
    for number, note in enumerate(notes):
        start = round(number * slot * rate)
        sound[start : start + len(note)] += note[: len(sound) - start]
    return sound


def trill(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    notes_per_second: float,
    contour: Sequence[float],
    duty: float = 0.6,
    acceleration: float = 0.0,
    drift: float = 0.0,
    partials: Sequence[float] = (1.0, 0.12),
) -> Samples:
    """One note repeated quickly: `acceleration` and `drift` change tempo and pitch from start to end, as parts of 1."""
    time = _time(seconds, rate)
    progress = time / seconds
    cycles = notes_per_second * (time + 0.5 * acceleration * time * (progress - 1))
    within, sounding = _within_notes(cycles, duty)
    shimmer = _per_note(generator.normal(1, 0.12, int(cycles[-1]) + 2), cycles)
    frequency = smooth_contour(contour, within) * (1 + drift * (progress - 0.5))
    amplitude = swell(within, 0.25, 0.35) * sounding * shimmer * swell(progress, 0.2, 0.1)
    return _normalise(oscillate(frequency, amplitude, rate, partials))


def stack(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    contour: Sequence[float],
    formants: Sequence[tuple[float, float]],
    tilt: float = -6.0,
    roughness: float = 0.0,
) -> Samples:
    """A harmonic stack: a voice with `tilt` dB an octave, through resonances `formants` of (centre, bandwidth).

    `roughness` is the depth of a random flutter of its frequency, as rasping calls have it.
    """
    time = _time(seconds, rate)
    frequency = smooth_contour(contour, time / seconds)
    if roughness:
        flutter = gaussian_filter1d(generator.standard_normal(len(time)), rate / 800, truncate=3)
        frequency = frequency * (1 + roughness * flutter / flutter.std())
    count = max(1, int(NYQUIST_MARGIN * rate / frequency.mean()))
    partials = np.arange(1, min(count, 30) + 1) ** (tilt / 6.02)
    voice = oscillate(frequency, swell(time / seconds, 0.12, 0.25), rate, partials)
    return _normalise(resonate(voice, rate, formants))


def pulses(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    pulses_per_second: float,
    carrier: float,
    decay: float,
    bend: float = 0.0,
    partials: Sequence[float] = (1.0, 0.35, 0.12),
) -> Samples:
    """A frog's pulse train: damped notes of one carrier; `decay` is their e-fold time, `bend` the fall in pitch."""
    time = _time(seconds, rate)
    cycles = pulses_per_second * time
    within = cycles % 1.0
    since = within / pulses_per_second
    shimmer = _per_note(generator.normal(1, 0.1, int(cycles[-1]) + 2), cycles)
    attack = np.minimum(1, since / min(0.004, 0.1 / pulses_per_second))
    release = np.minimum(1, (1 - within) / 0.05)
    amplitude = attack * release * np.exp(-since / decay) * shimmer * swell(time / seconds, 0.3, 0.1)
    frequency = carrier * (1 - bend * within)
    return _normalise(oscillate(frequency, amplitude, rate, partials))


def buzz(
    generator: np.random.Generator,
    rate: int,
    *,
    seconds: float,
    contour: Sequence[float],
    bandwidth: float,
    beats_per_second: float,
    depth: float = 0.9,
) -> Samples:
    """A band of noise around a moving centre, beaten at `beats_per_second`, as insects and some warblers sound."""
    time = _time(seconds, rate)
    progress = time / seconds
    width = max(rate / (2 * np.pi * bandwidth / 2), 1.0)
    low = gaussian_filter1d(generator.standard_normal((2, len(time))), width, truncate=3)
    low /= low.std()
    phase = 2 * np.pi * np.cumsum(smooth_contour(contour, progress)) / rate
    beat = 1 - depth * (0.5 + 0.5 * np.cos(2 * np.pi * beats_per_second * time)) ** 2
    carrier = low[0] * np.cos(phase) - low[1] * np.sin(phase)
    return _normalise(carrier * beat * swell(progress, 0.25, 0.15))


VOCALISERS: dict[str, Callable[..., Samples]] = {
    "whistle": whistle,
    "phrase": phrase,
    "trill": trill,
    "stack": stack,
    "pulses": pulses,
    "buzz": buzz,
}


def oscillate(frequency: NDArray, amplitude: NDArray, rate: int, partials: Sequence[float] | NDArray) -> NDArray:
    """Sum of harmonics (`partials` are their amplitudes) of a moving fundamental; (n,) in, (n,) out.

    A partial fades out where it would pass `NYQUIST_MARGIN` of the rate.
    """
    turn = np.exp(2j * np.pi * np.cumsum(frequency) / rate).astype(np.complex64)
    ceiling = NYQUIST_MARGIN * rate
    power = np.ones_like(turn)
    sound = np.zeros(len(frequency), np.float32)
    highest = frequency.max()
    for number, weight in enumerate(partials, start=1):
        power *= turn
        if number * highest < ceiling:
            sound += np.float32(weight) * power.imag
        else:
            room = np.clip((ceiling - number * frequency) / (0.05 * ceiling), 0, 1)
            sound += np.float32(weight) * power.imag * room
    return sound * amplitude


def smooth_contour(points: Sequence[float], progress: NDArray) -> NDArray:
    """Frequencies along `progress` in [0, 1] through equally spaced points, with raised-cosine steps between them."""
    values = np.asarray(points, float)
    if len(values) == 1:
        return np.full(len(progress), values[0])
    position = np.clip(progress, 0, 1) * (len(values) - 1)
    index = np.minimum(position.astype(int), len(values) - 2)
    step = position - index
    if len(values) > 2:
        step = 0.5 - 0.5 * np.cos(np.pi * step)
    return values[index] + (values[index + 1] - values[index]) * step


def swell(progress: NDArray, attack: float, release: float) -> NDArray:
    """An envelope over `progress` in [0, 1] that rises over `attack` and falls over `release`, raised-cosine."""
    rise = np.clip(progress / attack, 0, 1)
    fall = np.clip((1 - progress) / release, 0, 1)
    return 0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall))


def resonate(sound: NDArray, rate: int, formants: Sequence[tuple[float, float]]) -> NDArray:
    """Filter by resonances of (centre, bandwidth) in Hz with a floor of -26 dB between them, zero phase."""
    size = fft.next_fast_len(len(sound), real=True)
    frequency = fft.rfftfreq(size, 1 / rate)
    gain = np.full(len(frequency), 0.05)
    for centre, bandwidth in formants:
        gain += 1 / np.sqrt(1 + ((frequency - centre) / (bandwidth / 2)) ** 2)
    return fft.irfft(fft.rfft(sound, size) * gain, size)[: len(sound)]


def _time(seconds: float, rate: int) -> NDArray:
    return np.arange(max(2, round(seconds * rate))) / rate


def _within_notes(cycles: NDArray, duty: float) -> tuple[NDArray, NDArray]:
    """Progress inside the sounding part of each note, and whether it sounds."""
    within = (cycles % 1.0) / duty
    return np.minimum(within, 1.0), within < 1


def _per_note(values: NDArray, cycles: NDArray) -> NDArray:
    return values[np.maximum(cycles, 0).astype(int)]


def _normalise(sound: NDArray) -> Samples:
    return (sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)
