"""Which clips are trained on, which choose the epoch, and which are not touched.

Rows have the manifest's columns and `source` (`birdssl.training.joined`). What is held out in one input directory
(test, or the fold) is left out of training in every other, by its origin: the same recordings may be in several.
"""

import logging

import polars as pl

from birdssl.artifacts.manifest import PART, TRAINING, VALIDATION
from birdssl.errors import IncompatibleError
from birdssl.seeds import generator
from birdssl.training.joined import SOURCE

log = logging.getLogger(__name__)


def without_test(rows: pl.DataFrame) -> pl.DataFrame:
    """All rows but those of the test part. Raises IncompatibleError when none are left."""
    test = pl.col("test").fill_null(False)
    left = _without_others_held_out(rows, test).filter(~test)
    if left.is_empty():
        raise IncompatibleError("every clip of the input is in the test part, so there is nothing to train on")
    return left


def part_by_fold(rows: pl.DataFrame, fold: int) -> pl.DataFrame:
    """Rows with a column `part`: fold `fold` is for validation, other folds and clips of no fold are for training.

    Raises IncompatibleError when there is no such fold, or nothing beside it.
    """
    folds = rows["fold"].unique().drop_nulls().sort().to_list()
    if fold not in folds:
        known = f"the folds are {', '.join(map(str, folds))}" if folds else "the input has no folds"
        raise IncompatibleError(
            f"--fold {fold}: no clip is in it; {known}. Run `birdssl split` before `birdssl render`, or leave --fold "
            "out to hold out a share by origin"
        )
    held = (pl.col("fold") == fold).fill_null(False)
    parted = _without_others_held_out(rows, held).with_columns(_part(held))
    if parted.filter(pl.col(PART) == TRAINING).is_empty():
        raise IncompatibleError(f"--fold {fold} holds every clip of the input, so there is nothing to train on")
    return parted


def part_by_origin(rows: pl.DataFrame, fraction: float, seed: int, each: bool = False) -> pl.DataFrame:
    """Rows with a column `part`: about `fraction` of the clips of each label are for validation, by whole origins.

    Clips without labels count as one more label. A label that occurs in a single origin stays in training. Where all
    clips come from one origin, its last clips are held out, and a warning says so. Of a clip with several labels their
    combination counts as one more label, or with `each` every label by itself: where calls overlap, nearly every origin
    has a combination of its own, which would then keep it in training.
    """
    label = pl.col("labels")
    bare = pl.when(label.list.len() == 0).then(pl.lit([""])).otherwise(label)
    clips = rows.select(
        SOURCE,
        pl.coalesce("parent", "id").alias("clip"),
        "origin",
        (bare if each else label.list.join("+")).alias("label"),
        "start",
    ).unique([SOURCE, "clip"], keep="first", maintain_order=True)
    if clips["origin"].n_unique() > 1:
        held = held_out_origins(clips.explode("label") if each else clips, fraction, seed)
        return rows.with_columns(_part(pl.col("origin").is_in(held)))
    if clips.height < 2:
        raise IncompatibleError(
            f"{clips.height} clips of the input can be learnt from, and training needs at least one and validation "
            "another; give more clips"
        )
    log.warning(
        "all clips come from one recording, so epochs are chosen on its last %g %%: scores on them flatter; "
        "give more recordings",
        100 * fraction,
    )
    count = max(1, round(fraction * clips.height))
    last = clips.sort("start", maintain_order=True).tail(count).select(SOURCE, "clip", pl.lit(True).alias("last"))
    marked = rows.with_columns(pl.coalesce("parent", "id").alias("clip")).join(
        last, on=[SOURCE, "clip"], how="left", maintain_order="left"
    )
    return marked.with_columns(_part(pl.col("last").fill_null(False))).drop("clip", "last")


def held_out_origins(clips: pl.DataFrame, fraction: float, seed: int) -> list[str]:
    """Origins that hold about `fraction` of each label's clips; `clips` has `origin` and `label`, a row for each label.

    Labels are served from the rarest on. Origins come in a random order, those first that don't overshoot, and every
    label keeps an origin for training.
    """
    sizes = clips.group_by("label", "origin").len().sort("label", "origin")
    order = _shuffled(clips["origin"].unique().sort().to_list(), seed)
    totals = clips.group_by("label").len().sort("len", "label")
    left: dict[str, int] = dict(sizes.group_by("label").len().iter_rows())
    by_origin: dict[str, dict[str, int]] = {}
    for label, origin, size in sizes.iter_rows():
        by_origin.setdefault(origin, {})[label] = size
    held: set[str] = set()

    def free(origin: str) -> bool:
        return origin not in held and all(left[name] > 1 for name in by_origin[origin])

    def hold(origin: str) -> int:
        held.add(origin)
        for name in by_origin[origin]:
            left[name] -= 1
        return by_origin[origin][label]

    for label, total in totals.iter_rows():
        target = max(1, round(fraction * total))
        missing = target - sum(by_origin[origin].get(label, 0) for origin in held)
        # One pass: what overshoots, or isn't free, does so after every later choice as well.
        own = [origin for origin in order if label in by_origin[origin]]
        for origin in own:
            if by_origin[origin][label] <= missing and free(origin):
                missing -= hold(origin)
        if missing > 0 and (rest := [origin for origin in own if free(origin)]):
            smallest = min(rest, key=lambda origin: by_origin[origin][label])
            if missing == target or by_origin[smallest][label] <= 2 * missing:
                hold(smallest)
    if not held:
        raise IncompatibleError(
            "no origin can be held out: each class comes from a single one, which training needs. Give more "
            "recordings, or folds (`birdssl split`, then --fold)"
        )
    return sorted(held)


def _shuffled(items: list[str], seed: int) -> list[str]:
    return [items[place] for place in generator(seed, "validation origins").permutation(len(items))]


def _part(held: pl.Expr) -> pl.Expr:
    return pl.when(held).then(pl.lit(VALIDATION)).otherwise(pl.lit(TRAINING)).alias(PART)


def _without_others_held_out(rows: pl.DataFrame, held: pl.Expr) -> pl.DataFrame:
    """Rows but those whose origin `held` marks in another directory and not here."""
    marked = rows.filter(held).group_by("origin").agg(pl.col(SOURCE).unique().alias("holders"))
    joined = rows.join(marked, on="origin", how="left", maintain_order="left")
    elsewhere = pl.col("holders").list.set_difference(pl.concat_list(SOURCE)).list.len().fill_null(0) > 0
    kept = joined.filter(held | ~elsewhere).drop("holders")
    if kept.height < rows.height:
        log.info("%d rows are left out: another input holds out their origins", rows.height - kept.height)
    return kept
