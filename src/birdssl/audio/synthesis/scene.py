"""One recording as a plan, then as sound: who calls when and from how far, over which background.

The plan is small (a row a call) and the sound is made in blocks, so that a recording of any length needs the same
memory. The plan is also the truth that goes into the selection table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from birdssl.audio.synthesis import backgrounds, propagation
from birdssl.audio.synthesis.recorders import Recorder
from birdssl.audio.synthesis.species import (
    WITHIN_INDIVIDUAL,
    Manner,
    Species,
    call_seconds,
    call_sound,
    crest,
    draw_manner,
)
from birdssl.audio.synthesis.wav import to_int16

BLOCK_SECONDS = 10.0
WANDER = 0.12  # spread of the logarithm of a caller's distance from one call to the next


@dataclass(frozen=True)
class Individual:
    """A bird or frog: its species, its name, and how it differs from the species' average."""

    species: Species
    name: str
    manner: Manner


@dataclass(frozen=True)
class Site:
    """A place: its name, the residents of each species with their weights there, and its usual background.

    `reverberation` is the time in seconds in which sound falls by 60 dB among its trees or walls.
    """

    name: str
    residents: tuple[tuple[Individual, ...], ...]  # one tuple a species
    weights: tuple[float, ...]
    reverberation: float
    air: float
    hum: float
    hum_frequency: float
    insects: tuple[backgrounds.Insects, ...]


@dataclass(frozen=True)
class Call:
    """One call in a recording: what the truth table says, and the seed that makes its sound."""

    individual: Individual
    manner: Manner
    start: float
    seconds: float
    metres: float
    low: float
    high: float
    snr: float  # dB, its mean power against the background's in its own band
    seed: int


@dataclass(frozen=True)
class Scene:
    """A recording before it sounds."""

    site: Site
    recorder: Recorder
    time: datetime
    seconds: float
    rate: int
    background: backgrounds.Background
    calls: tuple[Call, ...]
    celsius: float
    seed: int

    @property
    def frames(self) -> int:
        """Samples in the recording."""
        return round(self.seconds * self.rate)


def activity(species: Species, hour: float) -> float:
    """How readily a species calls at an hour of the day: 1 at its best, 0.1 far from it."""
    away = min(min(abs(hour - best), 24 - abs(hour - best)) for best in species.hours)
    return 0.1 + 0.9 * float(np.exp(-((away / 1.5) ** 2)))


def plan_scene(
    generator: np.random.Generator,
    site: Site,
    recorder: Recorder,
    time: datetime,
    *,
    seconds: float,
    rate: int,
    calls_per_minute: float,
) -> Scene:
    """Draw a recording: its weather, and bouts of calls of residents that are active at that hour."""
    background = draw_background(generator, site, time.hour + time.minute / 60)
    calls: list[Call] = []
    weights = np.array([
        weight * activity(residents[0].species, time.hour + time.minute / 60)
        for residents, weight in zip(site.residents, site.weights, strict=True)
    ])  # fmt: skip
    weights /= weights.sum()
    kinds = [residents[0].species for residents in site.residents]
    mean_bout = float(np.sum(weights * [kind.bout for kind in kinds]))
    # Bouts that began before the recording still sound in it, so its first minute is no quieter than its last.
    lead = 2 * max(kind.bout * (kind.pause + kind.parameters["seconds"]) for kind in kinds)
    for _ in range(generator.poisson(calls_per_minute * (seconds + lead) / 60 / mean_bout)):
        residents = site.residents[generator.choice(len(weights), p=weights)]
        individual = residents[generator.integers(len(residents))]
        calls += draw_bout(generator, individual, background, generator.uniform(-lead, seconds), seconds)
    calls.sort(key=lambda call: (call.start, call.seed))
    celsius = 19 - 6 * np.cos(2 * np.pi * (time.hour - 3) / 24) + generator.normal(0, 1.5)
    seed = int(generator.integers(2**62))
    return Scene(site, recorder, time, seconds, rate, background, tuple(calls), float(celsius), seed)


def draw_background(generator: np.random.Generator, site: Site, hour: float) -> backgrounds.Background:
    """The weather and insects of one recording at a site; rain falls in one of eight, insects sing from dusk on."""
    windy = generator.normal(44, 6)
    rain = generator.normal(42, 4) if generator.random() < 0.125 else -np.inf
    evening = 1.0 if hour >= 17 or hour < 5 else 0.45
    insects = tuple(
        backgrounds.Insects(band.centre, band.width, band.level + generator.normal(0, 2.5), band.beat)
        for band in site.insects
        if generator.random() < evening
    )
    air = site.air + generator.normal(0, 2)
    return backgrounds.Background(air, windy, 3.5, rain, site.hum + generator.normal(0, 2), site.hum_frequency, insects)


def draw_bout(
    generator: np.random.Generator,
    individual: Individual,
    background: backgrounds.Background,
    start: float,
    seconds: float,
) -> list[Call]:
    """A run of calls of one individual from about one place, from `start` on; those that fit into the recording."""
    species = individual.species
    count = 1 + generator.poisson(max(species.bout - 1, 0))
    # Uniform over a disc out to about 110 m, but for the nearest metres; callers move a little.
    distance = float(np.clip(110 * np.sqrt(generator.random()), 6, None))
    calls = []
    for _ in range(count):
        manner = individual.manner.times(draw_manner(generator, WITHIN_INDIVIDUAL))
        length = call_seconds(species, manner)
        metres = float(np.clip(distance * np.exp(WANDER * generator.standard_normal()), 3, None))
        seed = int(generator.integers(2**62))
        if start >= 0 and start + length < seconds:
            low, high = species.low * manner.pitch, species.high * manner.pitch
            snr = expected_snr(species, manner, metres, low, high, background)
            calls.append(Call(individual, manner, start, length, metres, low, high, snr, seed))
        start += length + species.pause * generator.gamma(4, 0.25)
    return calls


def expected_snr(
    species: Species, manner: Manner, metres: float, low: float, high: float, background: backgrounds.Background
) -> float:
    """The call's level at the recorder against the mean background between its low and high frequency, in dB."""
    band = np.linspace(low, high, 64)
    loss = float(propagation.attenuation(np.array([np.sqrt(low * high)]), metres)[0])
    noise = float(np.mean(backgrounds.steady_density(background, band))) * (high - low)
    return species.level + manner.level - crest(species.name) - loss - 10 * np.log10(noise)


def blocks(scene: Scene) -> Iterator[NDArray[np.int16]]:
    """The recording's samples as int16, in blocks of at most `BLOCK_SECONDS`."""
    size = round(BLOCK_SECONDS * scene.rate)
    noise = np.random.default_rng(scene.seed)
    model = scene.recorder.model
    soundscape = backgrounds.Soundscape(
        noise,
        scene.background,
        rate=scene.rate,
        block=size,
        seconds=scene.seconds + BLOCK_SECONDS,
        response=lambda f: model.response(f) * 10 ** (scene.recorder.offset / 20),
        ceiling=model.ceiling,
        hiss=model.self_noise,
        whine=model.whine,
    )
    waiting = list(scene.calls)[::-1]
    spill = np.zeros(0, np.float32)
    for first in range(0, scene.frames, size):
        block = soundscape.next()
        reach = max(size, len(spill))
        layer = np.zeros(reach, np.float32)
        layer[: len(spill)] = spill
        while waiting and waiting[-1].start * scene.rate < first + size:
            call = waiting.pop()
            layer = _add_at(layer, heard(call, scene), round(call.start * scene.rate) - first)
        spill = layer[size:]
        yield to_int16((block + layer[:size])[: scene.frames - first])


def heard(call: Call, scene: Scene) -> NDArray[np.float32]:
    """A call's sound in the recording, full scale being 1, with its tail."""
    generator = np.random.default_rng(call.seed)
    model = scene.recorder.model
    source = call_sound(call.individual.species, call.manner, scene.rate, generator)
    level = call.individual.species.level + call.manner.level - model.ceiling + scene.recorder.offset
    sound = propagation.propagate(
        source,
        scene.rate,
        generator,
        metres=call.metres,
        reverberation=scene.site.reverberation,
        response=model.response,
    )
    return (10 ** (level / 20)) * sound


def _add_at(layer: NDArray, sound: NDArray, start: int) -> NDArray:
    start = max(start, 0)
    end = start + len(sound)
    if end > len(layer):
        layer = np.concatenate([layer, np.zeros(end - len(layer), np.float32)])
    layer[start:end] += sound
    return layer
