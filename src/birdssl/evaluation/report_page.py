"""The page of `birdssl report`: that of an evaluation, with the study, the curves, and a map of clips to listen to."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from birdssl.evaluation.figures import COLOURS
from birdssl.evaluation.page import render_page, resource

# what map.js calls them, in the order of figures.MARKERS
SYMBOLS = ("circle", "triangle-up", "square", "diamond", "triangle-down", "cross", "x")
SILENT = "Its spectrogram and sound aren't in this page; --sounds takes more clips in."


@dataclass(frozen=True)
class MapSystem:
    """One model's plane: for each point the clip's number, its place, the answer and its probability.

    Where an answer is several classes, or none, `score` has a list of their scores.
    """

    name: str
    clips: Sequence[int]
    x: Sequence[float]
    y: Sequence[float]
    predicted: Sequence[str]
    score: Sequence[float] | Sequence[list[float]]
    caption: str


@dataclass(frozen=True)
class ClipMap:
    """What the map shows.

    Attributes:
        clips: columns id, recording, start, truth and time of all clips, in the order of their numbers.
        columns: what points can be coloured by, such as species and site: a value (or None) for each clip.
        systems: the models' planes.
        pictures, sounds: WebP and MP3 bytes by clip id.
        missing: why a clip has none, by id.
        axes: the pictures' marks, as `birdssl.stages.clip_media.Media` has them.
        heard: a sentence on what is heard.
        holds: of clips that may hold several classes, whether they hold each: more to colour them by.
    """

    clips: Mapping[str, Sequence[Any]]
    columns: Mapping[str, Sequence[str | None]]
    systems: Sequence[MapSystem]
    pictures: Mapping[str, bytes]
    sounds: Mapping[str, bytes]
    missing: Mapping[str, str]
    axes: Mapping[str, Sequence[tuple[float, float]]]
    heard: str
    holds: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def table(self) -> pl.DataFrame:
        """A row for each point: system, x, y, answer, score, and what is known of its clip."""
        known = pl.DataFrame({**self.clips, **self.columns}, infer_schema_length=None, strict=False)
        parts = [
            known[list(system.clips)].select(
                pl.lit(system.name).alias("system"),
                pl.all(),
                pl.Series("x", system.x),
                pl.Series("y", system.y),
                pl.Series("answer", system.predicted),
                pl.Series("score", system.score),
            )
            for system in self.systems
        ]
        table = pl.concat(parts).drop("species")
        return table.drop("score") if table["score"].dtype == pl.List else table  # a table's cell holds one value

    def to_json(self) -> str:
        """The map's data, safe inside a script element."""
        values = {
            **self.clips,
            "columns": {**self.columns, **self.holds},
            "told": [name for name in self.columns if name != "species"],
            "systems": [vars(system) for system in self.systems],
            "missing": self.missing,
            "axes": self.axes,
            "colours": COLOURS,
            "symbols": SYMBOLS,
            "silent": SILENT,
        }
        return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def render_report(
    results: Mapping[str, Any], pictures: Mapping[str, bytes], repeat: Mapping[str, Any], plane: ClipMap | None
) -> str:
    """Lay a report out as one page.

    `results` are those of an evaluation, with title, `study` (rows, named, uses), `curves` and `health`, `map` and
    the figure `folds`.
    """
    more: dict[str, Any] = {
        "any_best": any(row.get("best") for row in results["study"]["rows"]),
        "measured": lambda value: "–" if value is None else f"{value:.3g}".replace("-", "−"),
    }
    if results["title"]:
        more["title"] = results["title"]
    if plane is not None:
        more |= {
            "map_data": plane.to_json(),
            "map_script": resource("map.js"),
            "pictures_of_clips": [(clip, _text(data)) for clip, data in plane.pictures.items()],
            "sounds_of_clips": [(clip, _text(data)) for clip, data in plane.sounds.items()],
        }
    return render_page(results, pictures, repeat, "report.html.j2", **more)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
