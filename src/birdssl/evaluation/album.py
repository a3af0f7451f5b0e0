"""All pictures of an evaluation, under the paths that its results name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from birdssl.evaluation import figures
from birdssl.evaluation.calibration import Reliability
from birdssl.evaluation.figures import Bar, Drawing
from birdssl.evaluation.measure import measure_of
from birdssl.evaluation.metrics import Ints
from birdssl.evaluation.projection import Projection
from birdssl.evaluation.report_page import MapSystem

FOLDER = "figures"
MOST_KINDS = len(figures.COLOURS) * len(figures.MARKERS)  # that a picture can tell apart


def comparison(results: dict[str, Any]) -> Drawing:
    """The score of all systems beside chance."""
    measure = measure_of(results)
    return figures.comparison(
        [
            bar(system["name"], system[measure.key], "baseline" if system["baseline"] else "",
                 _folds(system["folds"][measure.key]), system["baseline"])
            for system in results["systems"]
        ],
        _number(results["chance"][measure.key]),
        measure.words,
    )  # fmt: skip


def portraits(system: dict[str, Any], view: Projection | None, truth: Ints, sure: Reliability) -> dict[str, Drawing]:
    """Recall, confusion, reliability and, where there is one, projection of one system, by kind."""
    table = system["confusion"]
    found = {
        "recall": figures.recall(
            [bar(row["class"], row, counts(row), (), system["baseline"]) for row in system["recall"]]
        ),
        "confusion": figures.confusion(_table(table["counts"]), table["rows"], table["columns"]),
        "reliability": figures.reliability(sure),
    }
    if view is not None and view.points is not None:
        found["projection"] = figures.scatter(view.points, truth[view.rows], table["rows"])
    return found


def plane(system: MapSystem, values: Sequence[str | None]) -> Drawing | None:
    """One plane by what is known of its clips, such as their sites; None where that is one thing, or too many.

    `values` has one for each clip of the map; points without one are drawn as "not known".
    """
    mine = ["not known" if values[clip] is None else str(values[clip]) for clip in system.clips]
    names = sorted(set(mine))
    if not 2 <= len(names) <= MOST_KINDS:
        return None
    numbers = {name: number for number, name in enumerate(names)}
    points = np.stack([np.array(system.x), np.array(system.y)], axis=1)
    return figures.scatter(points, np.array([numbers[name] for name in mine]), names)


def slug(name: str, number: int) -> str:
    """A file name for a system: its place, and what letters and digits of its name are plain."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join([f"{number:02d}", *(part for part in plain.split("-") if part)])[:60]


def bar(name: str, value: dict[str, Any], note: str, points: tuple[float, ...], quiet: bool) -> Bar:
    """A score or figure with its interval, `note` under its name and `points` of its folds beside it."""
    return Bar(name, _number(value["value"]), value["low"], value["high"], note, points, quiet)


def _folds(shares: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(share for share in shares if share is not None)


def counts(row: dict[str, Any]) -> str:
    """How many clips and origins a class has."""
    return f"{row['clips']} clips, {row['origins']} origins"


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _table(counts: list[list[int]]) -> npt.NDArray[np.int64]:
    return np.array(counts, np.int64)
