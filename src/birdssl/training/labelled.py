"""Rows to fine-tune on: one label a clip, a share of them, balanced by copies, and the classes."""

import logging
from collections.abc import Sequence
from typing import Any

import polars as pl

from birdssl.artifacts.balance import Balance, draw_training_rows
from birdssl.artifacts.manifest import COPY, ORIGINAL, PART, TRAINING, VALIDATION
from birdssl.errors import IncompatibleError
from birdssl.seeds import generator
from birdssl.training.joined import SOURCE

log = logging.getLogger(__name__)

USES = "uses"  # column: how often a row is trained on in an epoch


def labelled_rows(rows: pl.DataFrame, leave_out_several: bool = False) -> pl.DataFrame:
    """Originals and copies with exactly one label; clips without any are left out, and counted in the log.

    Raises IncompatibleError when no clip has a label, or some have several and these aren't to be left out.
    """
    rows = rows.filter(pl.col("role").is_in([ORIGINAL, COPY]))
    labels = pl.col("labels").list.len()
    several = rows.filter((pl.col("role") == ORIGINAL) & (labels > 1))
    if several.height and leave_out_several:
        log.info("%d clips with several labels are left out", several.height)
    elif several.height:
        first = several.row(0, named=True)
        raise IncompatibleError(
            f"{several.height} clips have several labels, such as {first['recording']} at {first['start']:g} s "
            f"({', '.join(first['labels'])}), and one label a clip is learnt; --several-labels leave-out "
            "trains without them"
        )
    found = rows.filter(labels == 1)
    unlabelled = rows.filter((pl.col("role") == ORIGINAL) & (labels == 0)).height
    if found.is_empty():
        raise IncompatibleError(
            f"none of {unlabelled} clips has a label; give labels to `birdssl segment --label-from`, or train without "
            "them by the other objectives of `birdssl pretrain`"
        )
    if unlabelled:
        log.info("%d clips without a label are left out", unlabelled)
    return found


def class_list(rows: pl.DataFrame, facts: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Names of all classes, sorted: those that the inputs list, and those that occur (in the test part as well)."""
    listed = {name for fact in facts for name in fact.get("classes") or []}
    return tuple(sorted(listed | set(_label(rows))))


def training_rows(
    parted: pl.DataFrame, balance: Balance, fraction: float, seed: int, by_fold: bool = True
) -> pl.DataFrame:
    """Originals and copies to train on, each once, with `uses`, how often it is trained on in an epoch.

    `parted` has the column `part`. The share is drawn from each class before balancing, and the target of balance
    shrinks with it. Nothing of the validation part is looked at. Copies are planned for folds; where the
    parts aren't folds (`by_fold` is False), those of the training part may be too few and are then drawn again.
    """
    # within one table ids must be unique, and several inputs may hold the same clip
    own = [pl.format("{}:{}", SOURCE, name).alias(name) for name in ("id", "parent")]
    table = parted.with_columns(
        pl.col("id").alias("own_id"),
        pl.col("parent").alias("own_parent"),
        pl.col("fold").alias("own_fold"),
        *own,
        pl.when(pl.col(PART) == VALIDATION).then(0).otherwise(1).cast(pl.Int16).alias("fold"),
    )
    chosen = None
    if fraction < 1 or not by_fold:
        chosen = draw_share(table.filter((pl.col(PART) == TRAINING) & (pl.col("role") == ORIGINAL)), fraction, seed)
        balance = round(balance * fraction) if isinstance(balance, int) else balance
    drawn = draw_training_rows(table, 0, balance, chosen)
    restored = drawn.with_columns(
        pl.col("own_id").alias("id"), pl.col("own_parent").alias("parent"), pl.col("own_fold").alias("fold")
    ).drop("own_id", "own_parent", "own_fold")
    keys = [SOURCE, "id"]
    uses = restored.group_by(keys).agg(pl.len().cast(pl.Int32).alias(USES))
    return restored.unique(keys, keep="first", maintain_order=True).join(
        uses, on=keys, how="left", maintain_order="left"
    )


def draw_share(originals: pl.DataFrame, fraction: float, seed: int) -> list[str]:
    """Ids of `fraction` of each class's clips, rounded, at least one."""
    chosen: list[str] = []
    by_class = originals.with_columns(_label(originals).alias("label")).sort("label", "id")
    for (label,), clips in by_class.group_by("label", maintain_order=True):
        ids = clips["id"].to_list()
        count = max(1, round(fraction * len(ids)))
        chosen += [ids[place] for place in generator(seed, "train fraction", str(label)).permutation(len(ids))[:count]]
    return chosen


def targets(rows: pl.DataFrame, classes: Sequence[str]) -> list[int]:
    """Number of each row's class."""
    number = {name: place for place, name in enumerate(classes)}
    return [number[name] for name in _label(rows)]


def say_absent(training: pl.DataFrame, validation: pl.DataFrame, classes: Sequence[str]) -> None:
    """Name the classes that have nothing to learn from, and those that don't help to choose the epoch."""
    taught, asked = set(_label(training)), set(_label(validation))
    if missing := [name for name in classes if name not in taught]:
        log.warning("no clip to learn from for %s: never predicted on purpose", ", ".join(missing))
    if missing := [name for name in classes if name in taught and name not in asked]:
        log.info("no held-out clip of %s: the epoch is chosen by the other classes", ", ".join(missing))


def _label(rows: pl.DataFrame) -> pl.Series:
    return rows["labels"].list.first()
