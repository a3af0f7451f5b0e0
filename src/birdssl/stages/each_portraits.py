"""Systems looked at closely where each class is told by itself: the embedding on a plane, by the classes of clips."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.labelling import NOTHING
from birdssl.evaluation.each_album import draw_each
from birdssl.evaluation.projection import Projection, project
from birdssl.stages.portraits import Portraits, Shown, columns_of, view_facts

AND = " + "


class EachPortraits(Portraits):
    """Draws systems; on a plane a clip's label is the set of its classes, and an answer is right that is the same."""

    sets = True

    def draw(self, results: dict[str, Any], answers: pl.DataFrame, told: Sequence[Any]) -> dict[str, bytes]:
        """All pictures by their paths, but for the planes; tells `results` of these and of projections."""
        pictures = draw_each(results, told)
        views: dict[tuple[int, int | None], Projection] = {}
        for system in results["systems"]:
            look = self.look(answers.filter(pl.col("system") == system["name"]))
            rows = self._as_sets(look.rows)
            if (look.input, look.fold) not in views and self.settings.projection_clips:
                views[look.input, look.fold] = self._view(look.input, rows)
            view = views.get((look.input, look.fold))
            system["silhouette"] = {"value": None, "reason": "clips may hold several classes"}
            system["projection"] = view_facts(view, rows, look.chosen)
            self.shown[system["name"]] = Shown(look.input, rows, view)
        return pictures

    def _view(self, number: int, rows: pl.DataFrame) -> Projection:
        vectors = columns_of(open_artifact(self.inputs[number]), rows["id"].to_list(), "embedding")["embedding"]
        sets = np.unique(rows["truth"].to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)
        return project(vectors.to_numpy(), sets, self.settings.seed, self.settings.projection_clips)

    def _as_sets(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Truth and answer as one word a clip, with the classes that it holds (`held`) and the answer's scores."""
        places = {name: place for place, name in enumerate(self.classes.scored)}
        sure = [[round(float(scores[places[name]]), 4) for name in said]
                for said, scores in rows.select("predicted", "scores").iter_rows()]  # fmt: skip
        return rows.with_columns(
            held=pl.col("truth"),
            truth=pl.Series([in_a_word(labels) for labels in rows["truth"].to_list()]),
            predicted=pl.Series([in_a_word(labels) for labels in rows["predicted"].to_list()]),
            score=pl.Series(sure, dtype=pl.List(pl.Float64)),
        )


def in_a_word(labels: Iterable[str]) -> str:
    """Labels of one clip as one: sorted and joined, or "none"."""
    return AND.join(sorted(labels)) or NOTHING
