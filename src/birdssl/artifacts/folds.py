"""Test part and folds: drawn by group and balanced over classes, imported, and checked. All functions are pure.

What must not straddle is a group: an origin, or all origins of a site or day. A class is spread over the parts as
evenly as whole groups allow. Rows of one group share their part, and every row of the training part has one fold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from birdssl.errors import IncompatibleError
from birdssl.seeds import generator

UNLABELLED = "(unlabelled)"
ENTRIES = 3  # names listed in a warning


@dataclass(frozen=True)
class Design:
    """How parts are drawn: the share of the test part, the number of folds in the rest (0 for none), what holds
    together ("origin", "site", "day" or "none"), and which of several independent draws this is (0 is the first)."""

    test_fraction: float
    folds: int
    group: str
    seed: int
    draw: int = 0


def assign(clips: pl.DataFrame, design: Design) -> pl.DataFrame:
    """Draw `test` and `fold` for every row of a manifest; the same rows in any order get the same parts.

    Raises IncompatibleError when the rows lack what they are to be grouped by, or are fewer groups than parts.
    """
    ordered = clips.sort("id")
    groups, strata = draw_groups(ordered, design), stratify(ordered["labels"])
    keys = (design.seed, "split") if design.draw == 0 else (design.seed, "split", design.draw)
    held = hold_out(strata, groups, design.test_fraction, generator(*keys, "test"))
    fold = np.full(len(held), -1)
    if design.folds:
        fold[~held] = deal(strata[~held], groups[~held], design.folds, generator(*keys, "folds"))
    drawn = ordered.select("id").with_columns(pl.Series("test", held), pl.Series("fold", fold).cast(pl.Int16))
    drawn = drawn.with_columns(pl.when(pl.col("fold") >= 0).then("fold").alias("fold"))
    return clips.drop("test", "fold").join(drawn, on="id", how="left", maintain_order="left").select(clips.columns)


def draw_groups(clips: pl.DataFrame, design: Design) -> NDArray[np.int64]:
    """Number the groups of rows as `group_rows` does; raises IncompatibleError when they are fewer than the parts."""
    groups = group_rows(clips, design.group)
    count = int(groups.max(initial=-1)) + 1
    parts = max(design.folds, 1) + (design.test_fraction > 0)
    if count < parts:
        folds = f"{design.folds} folds" if design.folds else "a training part"
        fewer = "use fewer --folds, or another --group" if design.folds else "use another --group, or more recordings"
        raise IncompatibleError(
            f"{count} group{'s' * (count != 1)} (--group {design.group}) can't make {folds}"
            f"{' and a test part' if design.test_fraction else ''}; {fewer}"
        )
    return groups


def official(clips: pl.DataFrame, test_folds: Sequence[int]) -> pl.DataFrame:
    """Take the folds that the rows already have; those in `test_folds` become the test part.

    Raises IncompatibleError when rows have no fold, or a test fold doesn't occur.
    """
    bare = clips.filter(pl.col("fold").is_null())
    if bare.height:
        raise IncompatibleError(
            f"{bare.height} of {clips.height} clips have no official fold (first: {bare['recording'][0]}); "
            "give the table a fold for every recording, or leave the others out of the input"
        )
    known = set(clips["fold"].unique().to_list())
    if strange := set(test_folds) - known:
        raise IncompatibleError(f"--test-fold {min(strange)}: the folds are {', '.join(map(str, sorted(known)))}")
    held = pl.col("fold").is_in(list(test_folds))
    return clips.with_columns(held.alias("test"), pl.when(~held).then("fold").alias("fold"))


def group_rows(clips: pl.DataFrame, by: str) -> NDArray[np.int64]:
    """Number the groups of rows, (rows,) from 0. Sites and days that share an origin are one group."""
    if by == "none":
        return np.arange(clips.height)
    origin = _codes(clips["origin"].fill_null(clips["recording"]))
    if by == "origin":
        return origin
    values = clips["site"] if by == "site" else clips["time"].dt.date()
    if missing := values.null_count():
        first = clips.filter(values.is_null())["recording"][0]
        what = {"site": "site", "day": "time"}[by]
        raise IncompatibleError(
            f"--group {by}: {missing} of {clips.height} clips have no {what} (first: {first}); "
            "leave those recordings out, or use --group origin"
        )
    return _joined(origin, _codes(values))


def _codes(values: pl.Series) -> NDArray[np.int64]:
    """Equal values to equal numbers, from 0, in the order of the values."""
    return (values.rank("dense").cast(pl.Int64) - 1).to_numpy()


def _joined(origin: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups that hold both numberings together: connected components, found by passing the least number on."""
    label = other.copy()
    while True:
        least = np.full(int(origin.max(initial=0)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(least, origin, label)
        spread = np.full(int(other.max(initial=0)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(spread, other, least[origin])
        new = spread[other]
        if np.array_equal(new, label):
            return np.unique(label, return_inverse=True)[1].astype(np.int64)
        label = new


def stratify(labels: pl.Series) -> NDArray[np.int64]:
    """One class number a row, (rows,): the rarest of a row's labels, so that rare classes are spread best."""
    number = {label: index for index, label in enumerate(sorted(_label_counts(labels)))}
    return np.array([number[label] for label in rarest_labels(labels)], dtype=np.int64)


def rarest_labels(labels: pl.Series) -> list[str]:
    """For each row its label that the fewest rows have, the first by name of equals; `UNLABELLED` for none."""
    counts = _label_counts(labels)
    return [min(found or [UNLABELLED], key=lambda label: (counts[label], label)) for found in labels.to_list()]


def _label_counts(labels: pl.Series) -> dict[str, int]:
    """Rows that have each label."""
    counts: dict[str, int] = {}
    for found in labels.to_list():
        for label in found or [UNLABELLED]:
            counts[label] = counts.get(label, 0) + 1
    return counts


def hold_out(
    strata: NDArray[np.int64], groups: NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Choose whole groups that hold about `fraction` of each class; returns (rows,) true for those held out.

    Every class with two groups or more has one on either side, however small the fraction, since a class that isn't
    tested has no score; a class with a single group stays in the training part.
    """
    if fraction <= 0 or not len(strata):
        return np.zeros(len(strata), dtype=np.bool_)
    if _all_single(groups):
        return _hold_out_rows(strata, fraction, rng)
    counts = _count(groups, strata)
    held = _take(_sizes(counts), fraction, rng.permutation(len(counts)))
    return _on_both_sides(counts > 0, held, rng)[groups]


def _on_both_sides(member: NDArray[np.bool_], held: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Move single groups until each class has one held out, where it has two, and one that isn't. (groups, classes)."""
    held = held.copy()
    for index in np.argsort(member.sum(0), kind="stable"):
        own = member[:, index]
        if own.sum() and not (own & ~held).any():
            held[rng.choice(np.flatnonzero(own & held))] = False
    for index in np.argsort(member.sum(0), kind="stable"):
        own = member[:, index]
        if own.sum() >= 2 and not (own & held).any():
            left = member[~held].sum(0)  # groups of each class on the training side
            free = [group for group in np.flatnonzero(own) if (left[member[group]] >= 2).all()]
            if free:
                held[rng.choice(free)] = True
    return held


def _hold_out_rows(strata: NDArray[np.int64], fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Hold out round(fraction * rows) single rows, each class its share by largest remainder."""
    sizes = np.bincount(strata)
    shares = sizes * fraction
    quota = np.floor(shares).astype(np.int64)
    rest = round(fraction * len(strata)) - int(quota.sum())
    quota[np.argsort(quota - shares, kind="stable")[: max(rest, 0)]] += 1
    quota = np.where(sizes >= 2, np.clip(quota, 1, sizes - 1), 0)
    held = np.zeros(len(strata), dtype=np.bool_)
    for index, wanted in enumerate(quota):
        held[rng.permutation(np.flatnonzero(strata == index))[:wanted]] = True
    return held


def deal(
    strata: NDArray[np.int64], groups: NDArray[np.int64], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal whole groups to folds of about equal size and class mixture; returns (rows,) fold numbers from 0."""
    if _all_single(groups):
        order = rng.permutation(len(strata))
        order = order[np.argsort(strata[order], kind="stable")]  # classes one after the other, dealt like cards
        fold = np.empty(len(strata), dtype=np.int64)
        fold[order] = np.arange(len(strata)) % folds
        return fold
    groups = np.unique(groups, return_inverse=True)[1]
    size = _sizes(_count(groups, strata))
    order = rng.permutation(len(size))
    order = order[np.argsort(-size[order].max(1), kind="stable")]  # largest first: the small ones fill the gaps
    return _spread(size, folds, order)[groups]


def _all_single(groups: NDArray[np.int64]) -> bool:
    return len(np.unique(groups)) == len(groups)


def _count(groups: NDArray[np.int64], strata: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows of each class in each group, (groups, classes)."""
    counts = np.zeros((int(groups.max()) + 1, int(strata.max()) + 1))
    np.add.at(counts, (groups, strata), 1)
    return counts


def _sizes(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each group's share of each class and, last, of the whole: (groups, classes + 1)."""
    whole = np.column_stack((counts, counts.sum(1)))
    return whole / np.maximum(whole.sum(0), 1)


def _take(size: NDArray[np.float64], fraction: float, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Take groups in `order` while that brings the shares of classes closer to `fraction`; returns (groups,).

    In a random order, so that draws differ and large groups are taken about as often as small ones.
    """
    taken = np.zeros(len(size), dtype=np.bool_)
    missing = np.full(size.shape[1], fraction)
    for group in order:
        if ((missing - size[group]) ** 2).sum() < (missing**2).sum():
            taken[group] = True
            missing -= size[group]
    return taken


def _spread(size: NDArray[np.float64], parts: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put each group, in `order`, where it adds least to the sum of squared shares of classes; returns (groups,)."""
    load = np.zeros((parts, size.shape[1]))
    part = np.zeros(len(size), dtype=np.int64)
    for group in order:
        part[group] = np.argmin((size[group] * (2 * load + size[group])).sum(1))
        load[part[group]] += size[group]
    return part


def straddlers(clips: pl.DataFrame, column: str) -> list[str]:
    """Values of a column, such as "origin" or "site", whose rows lie in more than one part, sorted."""
    part = pl.when(pl.col("test")).then(-1).otherwise(pl.col("fold"))
    found = clips.drop_nulls(column).group_by(column).agg(part.n_unique().alias("parts")).filter(pl.col("parts") > 1)
    return sorted(str(value) for value in found[column].to_list())


def class_table(clips: pl.DataFrame) -> list[dict[str, Any]]:
    """P1's Table 1: for each class its clips, origins, those of the test part, and clips in each fold.

    A clip with several labels counts in each. The last row is of all clips, each once.
    """
    folds = sorted(clips["fold"].drop_nulls().unique().to_list())
    held = pl.col("test").fill_null(False)
    columns = [
        pl.len().alias("clips"),
        pl.col("origin").n_unique().alias("origins"),
        held.sum().alias("test"),
        pl.col("origin").filter(held).n_unique().alias("test_origins"),
        *((pl.col("fold") == fold).sum().alias(f"fold_{fold}") for fold in folds),
    ]
    label = pl.when(pl.col("labels").list.len() == 0).then(pl.lit([UNLABELLED])).otherwise(pl.col("labels"))
    rows = clips.with_columns(label.alias("class")).explode("class").group_by("class").agg(columns).sort("class")
    total = clips.select(pl.lit("all").alias("class"), *columns)
    return [*rows.to_dicts(), *total.to_dicts()]


def complaints(clips: pl.DataFrame, design: Design | None) -> list[str]:
    """What a person should know of the parts before believing a score; `design` is None for official folds."""
    table = class_table(clips)
    folds = [name for name in table[-1] if name.startswith("fold_")]
    found = [*_small_classes(table[:-1], folds, bool(clips["test"].any())), *_uneven(table[-1], folds, design)]
    shared = straddlers(clips, "origin")
    if shared:
        found.append(
            f"{len(shared)} origins have clips in several parts ({_some(shared)}): clips of one origin sound alike, so "
            "scores will be too high"
        )
    sites = clips.drop_nulls("site").group_by("origin").agg(pl.col("site").n_unique().alias("sites"))
    if several := sorted(sites.filter(pl.col("sites") > 1)["origin"].to_list()):
        found.append(
            f"{len(several)} origins lie at several sites ({_some(several)}); is the origin column the right one?"
        )
    return found


def _small_classes(rows: list[dict[str, Any]], folds: list[str], tested: bool) -> list[str]:
    """Classes that aren't tested, that a fold has alone, and that folds lack: one sentence each."""
    untested, alone, absent = [], [], []
    for row in rows:
        name, here = row["class"], [fold.removeprefix("fold_") for fold in folds if row[fold]]
        left = row["origins"] - row["test_origins"]
        if name == UNLABELLED:
            continue
        if tested and not row["test"]:
            untested.append(f"{name} ({_origins(row['origins'])})")
        if len(here) == 1:
            alone.append(f"{name} (fold {here[0]}, {_origins(left)})")
        elif here and len(here) < len(folds):
            absent.append(f"{name} ({_origins(left)})")
    found = []
    if untested:
        found.append(f"no clip in the test part, so no score, for {len(untested)} classes: {_some(untested)}")
    cure = "use fewer --folds, or --folds 0 with --repeats"
    if alone:
        found.append(
            f"{len(alone)} classes have all their training clips in one fold, and a model that holds it out never "
            f"learns them: {_some(alone)}; {cure}"
        )
    if absent:
        found.append(f"{len(absent)} classes are absent from some of {len(folds)} folds: {_some(absent)}; {cure}")
    return found


def _origins(count: int) -> str:
    return f"{count} origin{'' if count == 1 else 's'}"


def _uneven(total: dict[str, Any], folds: list[str], design: Design | None) -> list[str]:
    found = []
    share = total["test"] / max(total["clips"], 1)
    if design is not None and design.test_fraction and abs(share - design.test_fraction) > 0.25 * design.test_fraction:
        found.append(
            f"the test part holds {share:.0%} of the clips instead of {design.test_fraction:.0%}: whole groups, and "
            "one of each class, left no better choice"
        )
    sizes = [total[fold] for fold in folds]
    if sizes and max(sizes) > 1.5 * max(min(sizes), 1):
        found.append(f"folds hold from {min(sizes)} to {max(sizes)} clips: groups differ in size too much for better")
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - ENTRIES} more" if len(names) > ENTRIES else ""
    return ", ".join(names[:ENTRIES]) + more
