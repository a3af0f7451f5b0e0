"""Systems looked at closely: recall, confusion, reliability, the embedding on a plane, and what else it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.evaluation import album, selection
from birdssl.evaluation.answers import how_in_words
from birdssl.evaluation.calibration import Reliability, reliability
from birdssl.evaluation.circumstances import SPECIES, circumstance_notes, circumstances
from birdssl.evaluation.lineage import best_on_validation
from birdssl.evaluation.metrics import ClassList, Silhouette, silhouette
from birdssl.evaluation.projection import Projection, project
from birdssl.evaluation.scoring import Doubt
from birdssl.settings.portraits import PortraitSettings

NEEDED = ("id", "role", "recording", "origin", "test", "labels", "channel", "start", "seconds", "site", "recorder",
          "time", "utc_offset", "fold")  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """The model of a system that is looked at: its answers, one a clip, and where its embeddings lie on a plane.

    Attributes:
        input: number of the embeddings among the inputs.
        rows: its answers, in order of the clips' ids.
        view: points of `rows`; None where no picture is asked for.
    """

    input: int
    rows: pl.DataFrame
    view: Projection | None


@dataclass(frozen=True)
class Look:
    """Which of a system's models is looked at.

    Attributes:
        input, fold: the number of its embeddings among the inputs, and the fold that it held out.
        rows: its answers, in order of the clips' ids.
        chosen: whether it is the best of several on its validation clips.
    """

    input: int
    fold: int | None
    rows: pl.DataFrame
    chosen: bool


@dataclass(frozen=True)
class Measured:
    """What an embedding itself shows, whatever classifier answers on it."""

    silhouette: Silhouette
    view: Projection | None
    circumstances: list[dict[str, Any]]


class Portraits:
    """Draws systems; `shown` then has the model of each that was looked at, by the system's name."""

    sets: ClassVar[bool] = False  # whether a clip's truth and answer are sets of classes, with the classes in `held`

    def __init__(self, classes: ClassList, inputs: Sequence[Path], settings: PortraitSettings, on: str) -> None:
        """`inputs` are OUT of embed; answers name them by their number. `on` is the part that was scored."""
        self.classes, self.inputs, self.settings, self.on = classes, inputs, settings, on
        self.shown: dict[str, Shown] = {}
        self._measured: dict[tuple[int, int | None], Measured] = {}  # by input and fold

    def draw(self, results: dict[str, Any], answers: pl.DataFrame, told: Sequence[Any]) -> dict[str, bytes]:
        """All pictures by their paths; tells `results` of silhouettes, projections and the pictures' paths."""
        pictures = album.comparison(results).files(f"{album.FOLDER}/comparison")
        results["figures"] = {"comparison": f"{album.FOLDER}/comparison.png"}
        for number, system in enumerate(results["systems"], 1):
            rows = answers.filter(pl.col("system") == system["name"])
            sure = reliability(rows["score"].clip(0, 1), rows["truth"] == rows["predicted"])
            system["reliability"] = _plain(sure)
            system["how"] = how_in_words(told, system["name"])
            known = len(self._measured)
            view, truth = self._tell(system, rows)
            if len(self._measured) > known:  # an embedding that several classifiers answer on is told of once
                results["notes"] += circumstance_notes(system["name"], system["circumstances"])
            for kind, drawing in album.portraits(system, view, truth, sure).items():
                stem = f"{album.FOLDER}/{album.slug(system['name'], number)}-{kind}"
                system["figures"][kind] = f"{stem}.png"
                pictures |= drawing.files(stem)
        return pictures

    def look(self, rows: pl.DataFrame) -> Look:
        """The model of a system that is looked at, of all its answers."""
        places = rows["input"].unique().sort().to_list()
        place, chosen = best_on_validation([open_artifact(self.inputs[each]) for each in places])
        # Of probes on one embedding that learned from several folds the first answers: any is as good, if it's the same
        # one each time.
        rows = rows.filter(pl.col("input") == places[place]).unique("id", keep="first", maintain_order=True).sort("id")
        fold = None if rows["model_fold"][0] is None else int(rows["model_fold"][0])
        return Look(places[place], fold, rows, chosen)

    def _tell(self, system: dict[str, Any], rows: pl.DataFrame) -> tuple[Projection | None, np.ndarray]:
        """One model's embeddings of the scored clips, on a plane and by class; tells `system` of them."""
        look = self.look(rows)
        key = (look.input, look.fold)
        if key not in self._measured:
            self._measured[key] = self._measure(open_artifact(self.inputs[look.input]), look.rows, look.fold)
        found = self._measured[key]
        system["silhouette"] = vars(found.silhouette)
        system["projection"] = view_facts(found.view, look.rows, look.chosen)
        system["figures"] = {"projection": None}
        system["circumstances"] = found.circumstances
        self.shown[system["name"]] = Shown(look.input, look.rows, found.view)
        return found.view, self.classes.truth(look.rows["truth"])

    def _measure(self, artifact: Artifact, rows: pl.DataFrame, fold: int | None) -> Measured:
        """One input's embeddings of the clips in `rows`, of the model that held `fold` out."""
        vectors = columns_of(artifact, rows["id"].to_list(), "embedding")["embedding"].to_numpy()
        truth, seed, wanted = self.classes.truth(rows["truth"]), self.settings.seed, self.settings.projection_clips
        view = project(vectors, truth, seed, wanted) if wanted else None
        return Measured(silhouette(vectors, truth, seed), view, self._circumstances(artifact, fold))

    def _circumstances(self, artifact: Artifact, fold: int | None) -> list[dict[str, Any]]:
        """How well the embeddings of one input tell site, recorder and hour, next to species."""
        most, settings = self.settings.circumstance_clips, self.settings
        if not most:
            return []
        table = artifact.scan().select(NEEDED).collect().filter(selection.ORIGINALS)
        held = selection.held_out(table, self.on, fold, str(artifact.path))
        rest = table.filter(~selection.IN_TEST & ~pl.col("id").is_in(held["id"].implode())).sort("id")
        rest = rest.gather_every(max(1, -(-rest.height // most)))
        one = (pl.col("labels").list.n_unique() == 1) & pl.col("labels").list.first().is_in(self.classes.scored)
        rows = pl.concat([held, rest]).with_columns(
            pl.when(one).then(pl.col("labels").list.first()).alias(SPECIES),
            pl.col("origin").fill_null(pl.col("recording")),
        )
        vectors = columns_of(artifact, rows["id"].to_list(), "embedding")["embedding"].to_numpy()
        doubt = Doubt(settings.seed, settings.draws, settings.level)
        return circumstances(rows, vectors, np.arange(rows.height) < held.height, doubt)


def columns_of(artifact: Artifact, ids: Sequence[str], *columns: str) -> pl.DataFrame:
    """`id` and some columns of originals, in the order of `ids`."""
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    found = artifact.scan().filter(selection.ORIGINALS).select("id", *columns).join(wanted.lazy(), on="id", how="semi")
    return wanted.join(found.collect().unique("id", keep="first"), on="id", how="left", maintain_order="left")


def _plain(found: Reliability) -> dict[str, Any]:
    """A reliability curve as JSON values: an empty bin's means are null."""
    return {name: [None if np.isnan(item) else round(float(item), 6) for item in value] if isinstance(value, np.ndarray)
            else round(value, 6) for name, value in vars(found).items()}  # fmt: skip


def view_facts(view: Projection | None, rows: pl.DataFrame, chosen: bool) -> dict[str, Any]:
    """What is told of a projection."""
    if view is None:
        return {"shown": 0, "of": rows.height, "perplexity": None, "model": "", "reason": "not asked for"}
    folds = rows["model_fold"].drop_nulls().unique().to_list()
    why = " (the best on its validation clips)" if chosen else ""
    model = f", as the model of fold {folds[0]} sees them{why}" if len(folds) == 1 else ""
    return {"shown": len(view.rows), "of": rows.height, "perplexity": view.perplexity, "model": model,
            "reason": view.reason}  # fmt: skip
