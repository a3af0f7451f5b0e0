"""Classes of equal size from copies: planned once for all folds, drawn for one fold at a time.

P1 adds copies until every class of a fold's training part has N = 580 clips (15 classes, 3,600 clips become 8,700).
Its formula of ceil(max / n) - 1 copies a clip overshoots; P1 then stops at N. So, for each class of a
training part that has n < N clips: all originals stay, and N - n copies come in rounds, one copy a clip in each round.
The clips' order within a round is that of the copies' own seeds, which are random and stand in the manifest; planning
and drawing therefore agree without knowing of each other.

A copy is only ever made and drawn from an original of the training part. Clips of the test part have none, and a fold
that is held out brings neither its originals nor their copies.

Clips with several labels are neither counted nor copied: a classifier of one label a clip doesn't learn from them, and
a copy would raise all their classes. Nor are unlabelled clips. "none" (looked at, nothing of interest) is a class like
any other. A classifier that tells each class by itself takes no copies at all (docs/decisions.md).
"""

from collections.abc import Collection, Iterator
from typing import Literal

import polars as pl

from birdssl.artifacts.manifest import COPY, ORIGINAL
from birdssl.errors import IncompatibleError
from birdssl.seeds import derive

Balance = int | Literal["max"] | None  # clips of each class; "max" is the largest class of the training part


def training_part(table: pl.DataFrame, fold: int | None) -> pl.DataFrame:
    """Originals to train on with `fold` held out: all others outside the test part, those of no fold among them."""
    rows = table.filter((pl.col("role") == ORIGINAL) & ~pl.col("test").fill_null(False))
    return rows if fold is None else rows.filter(pl.col("fold").ne_missing(fold))


def class_counts(rows: pl.DataFrame) -> dict[str, int]:
    """Clips of each class, by name, among the clips that have one label."""
    single = rows.filter(pl.col("labels").list.len() == 1)
    counts = single.group_by(pl.col("labels").list.first()).len()
    return dict(sorted(counts.rows()))


def plan_copies(table: pl.DataFrame, balance: Balance, seed: int) -> pl.DataFrame:
    """Copies that balance any fold's training part, and the whole: columns `parent`, `number` (from 1) and `seed`.

    `table` is a manifest of originals. A clip gets as many copies as the neediest fold asks of it.
    """
    copies = CopySeeds(seed)
    planned: dict[tuple[str, int], int] = {}
    for fold in [*table["fold"].unique().drop_nulls().sort().to_list(), None]:
        part = training_part(table, fold)
        for label, need in needs(part, balance).items():
            planned.update(_deal(_single(part, label)["id"].to_list(), need, copies))
    rows = [(parent, number, value) for (parent, number), value in sorted(planned.items())]
    return pl.DataFrame(rows, schema={"parent": pl.String, "number": pl.Int16, "seed": pl.Int64}, orient="row")


def needs(part: pl.DataFrame, balance: Balance) -> dict[str, int]:
    """Copies that each class of a training part needs; classes with enough clips need none."""
    counts = class_counts(part)
    target = max(counts.values(), default=0) if balance == "max" else int(balance or 0)
    return {label: max(0, target - count) for label, count in counts.items()}


class CopySeeds:
    """The seed of each copy, which also orders the clips within a round."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._known: dict[tuple[str, int], int] = {}

    def of(self, clip: str, number: int) -> int:
        """Seed of a clip's copy `number`."""
        key = clip, number
        if key not in self._known:
            self._known[key] = derive(self._seed, clip, COPY, number)
        return self._known[key]


def _deal(clips: list[str], need: int, copies: CopySeeds) -> Iterator[tuple[tuple[str, int], int]]:
    """The first `need` copies of a class, round by round: ((clip, number), seed)."""
    number = 0
    while need > 0 and clips:
        number += 1
        order = sorted((copies.of(clip, number), clip) for clip in clips)[:need]
        need -= len(order)
        for value, clip in order:
            yield (clip, number), value


def draw_training_rows(
    table: pl.DataFrame, fold: int | None, balance: Balance, clips: Collection[str] | None = None
) -> pl.DataFrame:
    """Rows to train a classifier on with `fold` held out: originals in their order, then copies, class by class.

    `table` is a manifest with originals and copies. Each class that has fewer than `balance` originals comes to exactly
    that number; `balance` of None or 0 takes the originals alone. `clips` limits the originals (to a share of
    the labels, or a training part that isn't made of folds; `balance` is for what is left): where their copies don't
    suffice, the same copies, or else the originals, are drawn again. Without `clips`, too few copies raise
    IncompatibleError.
    """
    part = training_part(table, fold)
    if clips is not None:
        part = part.filter(pl.col("id").is_in(list(clips)))
    copies = table.filter((pl.col("role") == COPY) & pl.col("parent").is_in(part["id"].to_list()))
    drawn = [part]
    for label, need in needs(part, balance).items():
        pool = _single(copies, label).sort("number", "seed", "id")
        if clips is not None and need:
            pool = _repeated(pool if pool.height else _single(part, label), need)
        elif pool.height < need and _single(part, label).height:
            raise IncompatibleError(
                f"class {label!r} needs {need} copies with fold {fold} held out, but only {pool.height} were planned; "
                f"plan more with `birdssl augment --balance {balance}`, and render them"
            )
        drawn.append(pool.head(need))
    return pl.concat(drawn)


def _single(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    """Rows that have this label and no other."""
    return rows.filter((pl.col("labels").list.len() == 1) & (pl.col("labels").list.first() == label))


def _repeated(pool: pl.DataFrame, need: int) -> pl.DataFrame:
    """At least `need` rows, the pool over and over; empty where there is nothing to repeat."""
    return pl.concat([pool] * -(-need // pool.height)) if pool.height else pool
