"""Species as distributions over calls, and the individuals that differ within them.

The catalogue is invented. Its first twelve species share four frequency bands, so that what tells neighbours apart is
the shape and tempo of a call more than where its energy lies; the second twelve are the same voices at other pitches
and tempi.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from birdssl.audio.synthesis.vocalisers import VOCALISERS, Samples

# Local hours at which a species is most active.
DAWN, DAY, DUSK, NIGHT = (5.5, 6.5), (9.0, 12.0, 15.0), (18.0, 19.0), (21.0, 0.0, 3.0)


@dataclass(frozen=True)
class Species:
    """A species: its voice and the parameters of an average call, and how it behaves.

    `low` and `high` bound an average call in Hz, for the truth; `hours` are its local hours of activity; `pause` is the
    mean number of seconds between the calls of a bout, `bout` the mean number of calls in one, `level` the peak
    sound pressure in dB at 1 m.
    """

    name: str
    voice: str
    low: float
    high: float
    hours: tuple[float, ...]
    pause: float
    bout: float
    parameters: dict[str, Any]
    level: float = 91.0


@dataclass(frozen=True)
class Manner:
    """Deviation from a species' average call: factors on pitch, tempo and length, and a level in dB."""

    pitch: float = 1.0
    tempo: float = 1.0
    length: float = 1.0
    level: float = 0.0

    def times(self, other: "Manner") -> "Manner":
        """Both deviations together."""
        return Manner(
            self.pitch * other.pitch, self.tempo * other.tempo, self.length * other.length, self.level + other.level
        )


# Standard deviations of the logarithms of pitch, tempo and length, and of the level in dB (our choice: songbirds of one
# species spread by a few percent in pitch and by ten or more in length, and one bird's calls by less).
BETWEEN_INDIVIDUALS = (0.05, 0.07, 0.14, 2.0)
WITHIN_INDIVIDUAL = (0.015, 0.03, 0.10, 1.5)

# fmt: off
CATALOGUE: tuple[Species, ...] = (
    Species("rising-whistler", "whistle", 2250, 3550, DAWN + DAY, 4, 5,
            {"seconds": 0.8, "contour": (2300, 2500, 3500)}),
    Species("falling-whistler", "whistle", 2250, 3550, DAWN + DUSK, 4, 5,
            {"seconds": 0.8, "contour": (3500, 2500, 2300)}),
    Species("slow-triller", "trill", 2300, 3600, DAWN + DAY, 6, 4,
            {"seconds": 1.4, "notes_per_second": 9.0, "contour": (3500, 2350), "acceleration": 0.2}),
    Species("marsh-ticker", "pulses", 1100, 2700, NIGHT + DUSK, 3, 7,
            {"seconds": 0.9, "pulses_per_second": 14.0, "carrier": 1250, "decay": 0.02, "bend": 0.03}),
    Species("marsh-rattler", "pulses", 1150, 2900, NIGHT, 3, 7,
            {"seconds": 0.7, "pulses_per_second": 42.0, "carrier": 1350, "decay": 0.012, "bend": 0.03}),
    Species("grey-squawker", "stack", 450, 3200, DAY + DUSK, 5, 4,
            {"seconds": 0.55, "contour": (520, 640, 480), "formants": ((1300, 500), (2700, 700)), "roughness": 0.05}),
    Species("fast-triller", "trill", 2250, 3700, DAWN + DAY, 6, 4,
            {"seconds": 1.2, "notes_per_second": 24.0, "contour": (3500, 2350), "drift": -0.08}),
    Species("silver-piper", "phrase", 5150, 6450, DAWN + DUSK, 5, 4,
            {"seconds": 1.0, "contours": ((6300, 6200), (5300, 5200), (6300, 6200)), "duty": 0.7}),
    Species("thin-buzzer", "buzz", 5000, 6600, DAY, 5, 5,
            {"seconds": 1.0, "contour": (5600, 5900), "bandwidth": 900, "beats_per_second": 55.0}),
    Species("silver-triller", "trill", 5050, 6650, DAWN + DAY, 5, 4,
            {"seconds": 1.1, "notes_per_second": 16.0, "contour": (5100, 6600), "duty": 0.55}),
    Species("wood-hooter", "phrase", 550, 1400, NIGHT + DAWN, 7, 4,
            {"seconds": 1.5, "contours": ((620, 660, 600), (620, 640, 560)), "duty": 0.6,
             "partials": (1.0, 0.25, 0.1)}),
    Species("meadow-warbler", "whistle", 2300, 3600, DAWN + DAY, 5, 4,
            {"seconds": 1.1, "contour": (2700, 3400, 2600, 3300, 2500), "vibrato": (18.0, 0.04)}),
)
# fmt: on
MOST_SPECIES = 2 * len(CATALOGUE)


def catalogue(count: int) -> tuple[Species, ...]:
    """The first `count` species; past the first dozen, the same voices higher and slower under names of their own.

    Raises ValueError outside 1 to `MOST_SPECIES`.
    """
    if not 1 <= count <= MOST_SPECIES:
        raise ValueError(f"{count} species; there are 1 to {MOST_SPECIES}")
    cousins = tuple(_cousin(species) for species in CATALOGUE)
    return (CATALOGUE + cousins)[:count]


def draw_manner(generator: np.random.Generator, spread: tuple[float, float, float, float]) -> Manner:
    """A deviation with the given spreads, each cut at 2.5 standard deviations so that no call leaves its species."""
    pitch, tempo, length, level = np.clip(generator.standard_normal(4), -2.5, 2.5) * spread
    return Manner(float(np.exp(pitch)), float(np.exp(tempo)), float(np.exp(length)), float(level))


def call_sound(species: Species, manner: Manner, rate: int, generator: np.random.Generator) -> Samples:
    """One call at the caller, float32 with a peak of 1; `manner.level` isn't applied here."""
    return VOCALISERS[species.voice](generator, rate, **varied(species, manner))


@cache
def crest(name: str) -> float:
    """How far the mean power of a species' average call lies below its peak, in dB."""
    species = next(kind for kind in catalogue(MOST_SPECIES) if kind.name == name)
    sound = call_sound(species, Manner(), 24000, np.random.default_rng(0))
    return -10 * float(np.log10(np.mean(np.square(sound))))


def call_seconds(species: Species, manner: Manner) -> float:
    """How long that call lasts."""
    return float(species.parameters["seconds"]) * manner.length


def varied(species: Species, manner: Manner) -> dict[str, Any]:
    """The species' parameters in that manner."""
    factors = {
        "seconds": manner.length,
        "contour": manner.pitch,
        "contours": manner.pitch,
        "carrier": manner.pitch,
        "formants": manner.pitch,
        "notes_per_second": manner.tempo,
        "pulses_per_second": manner.tempo,
        "beats_per_second": manner.tempo,
        "decay": 1 / manner.tempo,
    }
    return {key: _scaled(value, factors.get(key, 1.0)) for key, value in species.parameters.items()}


def _scaled(value: Any, factor: float) -> Any:
    if factor == 1.0:
        return value
    if isinstance(value, tuple):
        return tuple(_scaled(item, factor) for item in value)
    return value * factor


def _cousin(species: Species) -> Species:
    manner = Manner(pitch=1.3, tempo=0.7, length=1.15)
    return replace(
        species,
        name=f"highland-{species.name}",
        low=species.low * manner.pitch,
        high=species.high * manner.pitch,
        parameters=varied(species, manner),
    )
