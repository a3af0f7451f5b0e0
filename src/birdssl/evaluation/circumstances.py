"""Is it the animal, or the microphone? How well embeddings tell where, with what and when a recording was made.

An embedding that knows the site of a recording which it never met has learned the place's background, and a classifier
on it may lean on that: its score need not hold at another site. So the same kind of probe that answers for species is
fitted to site, recorder and hour, and scored on the same held-out recordings, beside its own chance.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from birdssl.evaluation.baseline import fit_probe
from birdssl.evaluation.intervals import bootstrap, tally
from birdssl.evaluation.scoring import Doubt, interval

SPECIES, SITE, RECORDER, HOUR = "species", "site", "recorder", "hour of day"
NAMES = (SPECIES, SITE, RECORDER, HOUR)  # in the order that tables have
# Quarters of a day around sunrise, noon, sunset and midnight on the local clock: finer ones have few recordings each.
QUARTERS = ("21 to 3 h", "3 to 9 h", "9 to 15 h", "15 to 21 h")
LEAST_ORIGINS = 2  # of a value in the training part, for it to be learnable as more than one recording


def values_of(rows: pl.DataFrame, name: str) -> list[str | None]:
    """One circumstance of each row; None where it isn't known. `rows` have site, recorder, time and species."""
    if name == HOUR:
        hours = rows["time"].dt.hour().to_list()
        return [None if hour is None else QUARTERS[(hour + 3) % 24 // 6] for hour in hours]
    return rows[name].to_list()


def circumstances(
    rows: pl.DataFrame, vectors: npt.NDArray, held: npt.NDArray[np.bool_], doubt: Doubt
) -> list[dict[str, Any]]:
    """A linear probe for each of NAMES, learned on clips that aren't `held` and scored on those that are.

    Args:
        rows: (clips,) with origin, site, recorder, time and species (null where it isn't known or isn't one).
        vectors: (clips, features) embeddings.
        held: (clips,) the held-out clips. Their origins are never learned from.
        doubt: of the intervals, which are over held-out origins.

    Returns rows of name, and either `why` there is nothing to say, or clips, origins, classes, chance, the balanced
    accuracy with its interval, and `told`: whether it is shown above chance. Without another, species isn't asked.
    """
    apart = ~np.isin(rows["origin"].to_numpy(), rows["origin"].to_numpy()[held])
    others = [_one(name, rows, vectors, held, apart, doubt) for name in NAMES if name != SPECIES]
    if all("why" in row for row in others):
        return [{"name": SPECIES, "why": "not asked, as nothing stands beside it"}, *others]
    return [_one(SPECIES, rows, vectors, held, apart, doubt), *others]


def _one(
    name: str, rows: pl.DataFrame, vectors: npt.NDArray, held: npt.NDArray[np.bool_], apart: npt.NDArray[np.bool_],
    doubt: Doubt,
) -> dict[str, Any]:  # fmt: skip
    values = np.array(values_of(rows, name), dtype=object)
    origins = rows["origin"].to_numpy()
    known = np.array([value is not None for value in values])
    if not known.any():
        return {"name": name, "why": "not known of any clip"}
    learned = known & apart
    enough = {value for value in values[learned] if len(set(origins[learned & (values == value)])) >= LEAST_ORIGINS}
    learned &= np.isin(values, list(enough))
    asked = known & held & np.isin(values, list(enough))
    classes = sorted(set(values[asked]))
    if len(enough) < 2 or len(classes) < 2:
        return {"name": name, "why": f"{len(enough)} known in two training recordings or more, {len(classes)} of them "
                                     "in held-out ones; two are needed"}  # fmt: skip
    probe = fit_probe("linear", vectors[learned], list(values[learned]), list(origins[learned]), doubt.seed)
    answers = np.array(probe.classes, dtype=object)[probe.scores(vectors[asked]).argmax(axis=1)]
    truth = np.searchsorted(np.array(classes), values[asked].astype(str))
    counted = tally(truth, answers == values[asked], list(origins[asked]), len(classes))
    found = interval(bootstrap(counted, doubt.seed, doubt.draws, doubt.level).balanced_accuracy)
    chance = 1 / len(classes)
    return {
        "name": name,
        "clips": int(asked.sum()),
        "origins": counted.origins,
        "classes": len(classes),
        "chance": round(chance, 6),
        **found,
        "told": _above(found, chance, counted.origins, doubt.level),
    }


def _above(found: dict[str, Any], chance: float, origins: int, level: float) -> bool:
    """Whether a score lies above chance: its interval does, or all origins are right and too many for luck."""
    if found["low"] is not None:
        return bool(found["low"] > chance)
    return bool(found["value"] == 1 and chance**origins < 1 - level)


def circumstance_notes(system: str, found: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence on the circumstances, but for species, that an embedding tells; none where it tells none."""
    told = [row for row in found if row["name"] != SPECIES and row.get("told")]
    if not told:
        return []
    scores = [f"({row['value'] * 100:.0f} %, chance {row['chance'] * 100:.0f} %)" for row in told]
    more = [f", the {row['name']} {score}" for row, score in zip(told[1:], scores[1:], strict=True)]
    return [
        f"{system} tells the {told[0]['name']} of recordings that it never met {scores[0]}{''.join(more)}: what it "
        "knows of the species may lean on that, and hold less elsewhere."
    ]
