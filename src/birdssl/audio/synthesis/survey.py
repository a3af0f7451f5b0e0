"""A survey: sites, recorders and residents drawn once from a seed, and the schedule of its recordings."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from birdssl.audio.synthesis.backgrounds import Insects
from birdssl.audio.synthesis.recorders import Recorder, file_name, recorder
from birdssl.audio.synthesis.scene import Individual, Scene, Site, plan_scene
from birdssl.audio.synthesis.species import BETWEEN_INDIVIDUALS, Species, catalogue, draw_manner
from birdssl.seeds import generator

FIRST_DAY = datetime(2024, 5, 18)
RESIDENTS = 12  # individuals of a species at a site; a recording hears a few, so most are new to a held-out recording


@dataclass(frozen=True)
class Survey:
    """What was deployed, and for how long each recording runs."""

    seed: int
    species: tuple[Species, ...]
    sites: tuple[Site, ...]
    recorders: tuple[Recorder, ...]
    rate: int
    seconds: float
    calls_per_minute: float


@dataclass(frozen=True)
class Slot:
    """One recording of the schedule: where, with which recorder, when, and its file's path in the survey's folder."""

    site: int
    recorder: int
    time: datetime
    path: str


def make_survey(
    seed: int,
    *,
    species: int,
    sites: int,
    recorders: int,
    rate: int,
    seconds: float,
    calls_per_minute: float,
) -> Survey:
    """Draw a survey; the same seed gives the same sites and residents whatever the number of recordings."""
    kinds = catalogue(species)
    return Survey(
        seed,
        kinds,
        tuple(draw_site(seed, number, kinds) for number in range(sites)),
        tuple(recorder(number, generator(seed, "recorder", number)) for number in range(recorders)),
        rate,
        seconds,
        calls_per_minute,
    )


def draw_site(seed: int, number: int, kinds: tuple[Species, ...]) -> Site:
    """A site: how common each species is there, its residents, its trees, its insects and its hum."""
    name = f"site-{number + 1:02d}"
    draw = generator(seed, "site", number)
    residents = tuple(
        tuple(
            Individual(kind, f"{name}-{kind.name}-{index + 1:02d}", draw_manner(draw, BETWEEN_INDIVIDUALS))
            for index in range(RESIDENTS)
        )
        for kind in kinds
    )
    weights = tuple(float(weight) for weight in np.exp(0.4 * draw.standard_normal(len(kinds))))
    insects = tuple(
        Insects(float(draw.uniform(3800, 8500)), float(draw.uniform(150, 600)), float(draw.normal(34, 4)), beat)
        for beat in draw.choice([0.0, 7.0, 18.0, 32.0], size=int(draw.integers(1, 3)), replace=False).tolist()
    )
    hum = float(draw.normal(38, 5)) if draw.random() < 0.5 else -np.inf
    return Site(
        name,
        residents,
        weights,
        reverberation=float(draw.uniform(0.2, 0.9)),
        air=float(draw.normal(36, 2)),
        hum=hum,
        hum_frequency=float(draw.choice([50.0, 60.0, 83.0])),
        insects=insects,
    )


def schedule(survey: Survey, recordings: int) -> Iterator[Slot]:
    """The first `recordings` slots: sites take turns, and each site goes through its hours day by day.

    Where there are more recorders than sites, a site's recorders take turns from day to day.
    """
    if recordings < 1:
        raise ValueError(f"{recordings} recordings; expected at least one")
    hours = slots_of_a_day(survey.seconds)
    for number in range(recordings):
        site, turn = number % len(survey.sites), number // len(survey.sites)
        day, index = divmod(turn, len(hours))
        units = range(site, len(survey.recorders), len(survey.sites)) or [site % len(survey.recorders)]
        unit = units[day % len(units)]
        time = FIRST_DAY + timedelta(days=day, hours=hours[index])
        path = file_name(survey.recorders[unit], survey.sites[site].name, time)
        yield Slot(site, unit, time, path)


def slots_of_a_day(seconds: float) -> list[float]:
    """Starting hours of a day's recordings: four good hours, or, for long recordings, round the clock."""
    length = seconds / 3600
    if length >= 2:
        return [index * length for index in range(max(1, int(24 / length)))]
    return [5.5, 10.0, 18.5, 22.0]


def scene_of(survey: Survey, slot: Slot) -> Scene:
    """Draw the recording of a slot; it depends on the survey's seed and the file's path only."""
    return plan_scene(
        generator(survey.seed, "recording", slot.path),
        survey.sites[slot.site],
        survey.recorders[slot.recorder],
        slot.time,
        seconds=survey.seconds,
        rate=survey.rate,
        calls_per_minute=survey.calls_per_minute,
    )
