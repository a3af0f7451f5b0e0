"""Site, recorder and hour out of embeddings: found where they are in them, and not where they aren't."""

import datetime

import numpy as np
import polars as pl
import pytest

from birdssl.evaluation.circumstances import HOUR, RECORDER, SITE, SPECIES, circumstance_notes, circumstances, values_of
from birdssl.evaluation.scoring import Doubt

DOUBT = Doubt(seed=0, draws=300)


def survey(seed: int = 0, each: int = 6) -> pl.DataFrame:
    """Recordings of two species at two sites by day and by night, all combinations alike; a quarter is held out."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(8 * each):
        species, site, night = number % 2, number // 2 % 2, number // 4 % 2
        for clip in range(3):
            hour = 12 if not night else random.choice([22, 23, 0, 1])
            rows.append((f"{number}-{clip}", f"r{number}", f"site-{site}", None, f"species-{species}",
                         datetime.datetime(2024, 5, 1, int(hour)), number >= 6 * each))  # fmt: skip
    names = ["id", "origin", SITE, RECORDER, SPECIES, "time", "held"]
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides={RECORDER: pl.String})


def vectors(rows: pl.DataFrame, **strengths: float) -> np.ndarray:
    """Noise, with an axis for each circumstance as strong as it is told to be."""
    axes = []
    for name, strength in strengths.items():
        values = np.array(values_of(rows, {"hour": HOUR}.get(name, name)))
        axes.append(strength * (values == values[0]))
    noise = np.random.default_rng(1).standard_normal((rows.height, 6))
    noise[:, : len(axes)] += np.array(axes).T
    return noise.astype(np.float32)


def told(rows: pl.DataFrame, points: np.ndarray) -> dict[str, dict]:
    return {row["name"]: row for row in circumstances(rows, points, rows["held"].to_numpy(), DOUBT)}


def test_what_is_in_the_embedding_is_found_and_what_is_not_stays_at_chance():
    rows = survey()
    found = told(rows, vectors(rows, species=4.0, site=4.0))
    assert found[SPECIES]["value"] > 0.9
    assert found[SITE]["told"]
    assert found[SITE]["chance"] == 0.5
    assert not found[HOUR]["told"]
    assert found[HOUR]["low"] < 0.5 < found[HOUR]["high"]
    assert found[RECORDER] == {"name": RECORDER, "why": "not known of any clip"}
    (note,) = circumstance_notes("VICReg", list(found.values()))
    assert note.startswith("VICReg tells the site of recordings that it never met (")


def test_all_that_a_system_tells_is_one_sentence():
    rows = [{"name": SPECIES, "told": True, "value": 0.9, "chance": 0.5}, {"name": SITE, "told": True, "value": 0.646,
            "chance": 0.25}, {"name": RECORDER, "told": False, "value": 0.3, "chance": 0.25},
            {"name": HOUR, "told": True, "value": 0.36, "chance": 0.25}]  # fmt: skip
    assert circumstance_notes("VICReg", rows) == [
        "VICReg tells the site of recordings that it never met (65 %, chance 25 %), the hour of day (36 %, chance "
        "25 %): what it knows of the species may lean on that, and hold less elsewhere."
    ]
    assert circumstance_notes("VICReg", [*rows[:1], rows[2], {"name": SITE, "why": "not known of any clip"}]) == []


def test_the_hour_wraps_around_midnight():
    hours = [21, 23, 0, 2, 3, 8, 9, 14, 15, 20]
    rows = pl.DataFrame({"time": [datetime.datetime(2024, 5, 1, hour) for hour in hours]})
    assert [value.split()[0] for value in values_of(rows, HOUR)] == ["21"] * 4 + ["3"] * 2 + ["9"] * 2 + ["15"] * 2
    assert values_of(pl.DataFrame({"time": [None]}, schema={"time": pl.Datetime("ms")}), HOUR) == [None]


def test_a_recording_on_both_sides_is_not_learned_from():
    """Each clip's origin is in its vector; with it on both sides a site would be told by heart."""
    rows = survey()
    both = rows.with_columns(held=pl.int_range(pl.len()) % 3 == 0)  # one clip of every recording
    found = told(both, vectors(rows, site=4.0))
    assert found[SITE]["why"].startswith("0 known in two training recordings or more")


def test_species_is_not_asked_where_nothing_stands_beside_it():
    """A probe over a large embedding takes a while."""
    unknown = survey().with_columns(pl.lit(None, pl.String).alias(SITE), pl.lit(None, pl.Datetime("us")).alias("time"))
    found = told(unknown, vectors(unknown, species=4.0))
    assert list(found) == [SPECIES, SITE, RECORDER, HOUR]
    assert found[SPECIES] == {"name": SPECIES, "why": "not asked, as nothing stands beside it"}
    assert {row["why"] for name, row in found.items() if name != SPECIES} == {"not known of any clip"}


@pytest.mark.parametrize("known", ["one site", "one recording of each"])
def test_too_little_to_learn_from_is_said(known: str):
    rows = survey()
    if known == "one site":
        rows = rows.with_columns(pl.lit("here").alias(SITE))
    else:
        rows = rows.with_columns(pl.col("origin").alias(SITE))
    assert "two are needed" in told(rows, vectors(rows, species=4.0))[SITE]["why"]


def test_sites_that_training_never_met_are_not_asked_about():
    rows = survey()
    new = pl.when(pl.col("held") & (pl.col(SITE) == "site-1")).then(pl.lit("new")).otherwise(SITE).alias(SITE)
    assert "1 of them in held-out ones" in told(rows.with_columns(new), vectors(rows, site=4.0))[SITE]["why"]


def test_all_right_is_above_chance_where_there_are_too_many_recordings_for_luck():
    """Where all origins agree there is no interval; four of two sites are told by luck once in 16 times."""
    rows = survey()
    held = rows.filter("held")["origin"].unique(maintain_order=True).to_list()
    for count, shown in ((4, False), (8, True)):
        fewer = rows.filter(~pl.col("held") | pl.col("origin").is_in(held[:count]))
        found = told(fewer, vectors(fewer, site=40.0))[SITE]
        assert (found["value"], found["low"], found["told"]) == (1.0, None, shown)
