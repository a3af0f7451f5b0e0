"""How runs were trained: their histories, and the label-free health of the epoch that each kept."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.artifact import Artifact
from birdssl.evaluation.lineage import FINETUNE, IMAGENET, PRETRAIN, PUBLISHED, RANDOM, run_fold, training_runs
from birdssl.evaluation.study import OBJECTIVES, STARTS

HISTORY = "history.csv"
# what is told of a pretraining's kept epoch; a run may lack some
HEALTH = ("validation_loss", "retrieval", "embedding_std", "effective_rank", "alignment", "uniformity",
          "neighbour_stability")  # fmt: skip


@dataclass(frozen=True)
class Curve:
    """One training run.

    Attributes:
        path: its directory.
        verb: pretrain or finetune.
        method: the objective, or what fine-tuning started from, in words.
        encoder, fold: as its facts say.
        kept: the epoch that was kept.
        collapsed: whether it said that its embeddings have collapsed.
        rows: a row an epoch, the start first; null where a value wasn't looked at.
    """

    path: Path
    verb: str
    method: str
    encoder: str
    fold: int | None
    kept: int | None
    collapsed: bool
    rows: pl.DataFrame

    def health(self) -> dict[str, float | None]:
        """HEALTH of the kept epoch, by name."""
        row = self.rows.filter(pl.col("epoch") == self.kept)
        return {name: None if row.is_empty() or name not in row.columns else row[name][0] for name in HEALTH}


def curves_behind(folders: Iterable[Path]) -> list[Curve]:
    """Every pretraining and fine-tuning run of some model directories and of what they started from, each once."""
    found: dict[Path, Curve] = {}
    for folder in folders:
        for run in training_runs(folder):
            place = run.path.resolve()
            if place not in found and (curve := read_curve(run)) is not None:
                found[place] = curve
    order = {PRETRAIN: 0, FINETUNE: 1}
    return sorted(found.values(), key=lambda curve: (order[curve.verb], curve.encoder, curve.method, curve.fold or 0))


def read_curve(run: Artifact) -> Curve | None:
    """A run's history; None for one that keeps none, such as few-shot's, or was trained for no epoch."""
    path = run.path / HISTORY
    if run.verb not in (PRETRAIN, FINETUNE) or not path.exists():
        return None
    rows = pl.read_csv(path, infer_schema_length=None)
    if rows.height < 2:
        return None
    summary = run.record.summary
    return Curve(run.path, run.verb, method_of(run), str(run.facts["encoder"]), run_fold(run),
                 summary.get("best_epoch"), bool(summary.get("collapsed")), rows)  # fmt: skip


def method_of(run: Artifact) -> str:
    """What a run was pretrained by, or fine-tuned from: an objective's name, "random" and so on."""
    if run.verb == PRETRAIN:
        return OBJECTIVES.get(str(run.facts.get("objective")), str(run.facts.get("objective")))
    start = str(run.settings.get("start"))
    if start in (RANDOM, IMAGENET, PUBLISHED):
        return STARTS[start]
    earlier = next((run_ for run_ in training_runs(run.path / start)), None)
    return "another model" if earlier is None else method_of(earlier)


def curve_table(curves: Iterable[Curve], home: Path) -> pl.DataFrame:
    """All histories as one long table: run, verb, method, encoder, fold, epoch, kept, measure, value."""
    parts = []
    for curve in curves:
        long = curve.rows.unpivot(index="epoch", variable_name="measure", value_name="value").drop_nulls("value")
        parts.append(long.select(
            pl.lit(place_of(curve.path, home)).alias("run"), pl.lit(curve.verb).alias("verb"),
            pl.lit(curve.method).alias("method"), pl.lit(curve.encoder).alias("encoder"),
            pl.lit(curve.fold, pl.Int64).alias("fold"), pl.col("epoch").cast(pl.Int64),
            (pl.col("epoch") == (-1 if curve.kept is None else curve.kept)).alias("kept"),
            "measure", pl.col("value").cast(pl.Float64),
        ))  # fmt: skip
    return pl.concat(parts) if parts else pl.DataFrame()


def health_rows(curves: Iterable[Curve], home: Path) -> list[dict[str, Any]]:
    """A row a pretraining run: what it is, epochs, the one that was kept, its health, whether it collapsed."""
    return [
        {"run": place_of(curve.path, home), "method": curve.method, "encoder": curve.encoder, "fold": curve.fold,
         "epochs": int(curve.rows["epoch"].max()), "kept": curve.kept, "collapsed": curve.collapsed,  # type: ignore[arg-type]
         **curve.health()}
        for curve in curves if curve.verb == PRETRAIN
    ]  # fmt: skip


def place_of(path: Path, home: Path) -> str:
    """A run's directory as seen from `home`."""
    return os.path.relpath(path.resolve(), home.resolve())
