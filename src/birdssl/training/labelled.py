"""Rows to fine-tune on: a share of the labelled ones, balanced by copies, and the classes.

A clip has one label, or several that are told one by one ("each"). Then a class is what a clip may hold, so "none" is
no class: a clip that was looked at and holds nothing is a negative of every class, and an unlabelled one is none.
"""

import logging
from collections.abc import Sequence
from typing import Any

import polars as pl

from birdssl.artifacts.balance import Balance, draw_training_rows
from birdssl.artifacts.folds import rarest_labels
from birdssl.artifacts.labelling import NOTHING
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
            f"({', '.join(first['labels'])}), and one label a clip is learnt; --several-labels leave-out trains "
            "without them, and `birdssl finetune --several-labels each` tells every class by itself"
        )
    return _labelled(rows, labels == 1)


def labelled_with_each(rows: pl.DataFrame) -> pl.DataFrame:
    """Originals with any labels, "none" among them; clips without any are left out, and counted in the log.

    No copies: a copy for one of a clip's classes would raise its others too, so there is no balance to reach.
    """
    originals = rows.filter(pl.col("role") == ORIGINAL)
    if copies := rows.filter(pl.col("role") == COPY).height:
        log.info("%d copies are left out: they balance classes of one label a clip", copies)
    return _labelled(originals, pl.col("labels").list.len() > 0)


def _labelled(rows: pl.DataFrame, wanted: pl.Expr) -> pl.DataFrame:
    """The rows that are wanted; those without a label are counted."""
    found = rows.filter(wanted)
    unlabelled = count_unlabelled(rows)
    if found.is_empty():
        raise IncompatibleError(
            f"none of {unlabelled} clips has a label; give labels to `birdssl segment --label-from`, or train without "
            "them by the other objectives of `birdssl pretrain`"
        )
    if unlabelled:
        log.info("%d clips without a label are left out", unlabelled)
    return found


def count_unlabelled(rows: pl.DataFrame) -> int:
    """Originals that nobody has labelled."""
    return rows.filter((pl.col("role") == ORIGINAL) & (pl.col("labels").list.len() == 0)).height


def class_list(rows: pl.DataFrame, facts: Sequence[dict[str, Any]], each: bool = False) -> tuple[str, ...]:
    """Names of all classes, sorted: those that the inputs list, and those that occur (in the test part as well).

    "none" is one of them unless `each` is told by itself.
    """
    listed = {name for fact in facts for name in fact.get("classes") or []}
    return tuple(sorted((listed | _labels(rows)) - ({NOTHING} if each else set())))


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
    """Ids of `fraction` of each class's clips, rounded, at least one. A clip of several counts for its rarest."""
    chosen: list[str] = []
    rarest = pl.Series("label", rarest_labels(originals["labels"]), pl.String)
    by_class = originals.with_columns(rarest).sort("label", "id")
    for (label,), clips in by_class.group_by("label", maintain_order=True):
        ids = clips["id"].to_list()
        count = max(1, round(fraction * len(ids)))
        chosen += [ids[place] for place in generator(seed, "train fraction", str(label)).permutation(len(ids))[:count]]
    return chosen


def targets(rows: pl.DataFrame, classes: Sequence[str]) -> list[int]:
    """Number of each row's class."""
    number = {name: place for place, name in enumerate(classes)}
    return [number[name] for name in rows["labels"].list.first()]


def several_targets(rows: pl.DataFrame, classes: Sequence[str]) -> list[list[float]]:
    """(rows, classes): 1 for each class that a row has, 0 for the others; all 0 for "none"."""
    return [[float(name in labels) for name in classes] for labels in rows["labels"].to_list()]


def say_absent(training: pl.DataFrame, validation: pl.DataFrame, classes: Sequence[str]) -> None:
    """Name the classes that have nothing to learn from, and those that don't help to choose the epoch."""
    taught, asked = _labels(training), _labels(validation)
    if missing := [name for name in classes if name not in taught]:
        log.warning("no clip to learn from for %s: never predicted on purpose", ", ".join(missing))
    if missing := [name for name in classes if name in taught and name not in asked]:
        log.info("no held-out clip of %s: the epoch is chosen by the other classes", ", ".join(missing))


def _labels(rows: pl.DataFrame) -> set[str]:
    """Every label that occurs."""
    return set(rows["labels"].explode().drop_nulls())
