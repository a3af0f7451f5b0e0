"""Which rows are scored and which may be learned from: the one place that keeps the two apart."""

from collections.abc import Collection

import polars as pl

from birdssl.artifacts.manifest import HOLDS_NOTHING, ORIGINAL
from birdssl.errors import IncompatibleError, NoInputError

ORIGINALS = pl.col("role") == ORIGINAL
IN_TEST = pl.col("test").fill_null(False)
LABELLED = pl.col("labels").list.len() > 0
SEVERAL = pl.col("labels").list.n_unique() > 1


def held_out(table: pl.DataFrame, on: str, fold: int | None, where: str) -> pl.DataFrame:
    """Originals to be scored: the test part, or the fold that a model held out.

    Raises NoInputError, which says what to run, when there are none.
    """
    if on == "test":
        rows = table.filter(ORIGINALS & IN_TEST)
        cure = "mark some with `birdssl split` before embedding, or score --on validation"
    else:
        rows = table.filter(ORIGINALS & ~IN_TEST & pl.col("fold").eq_missing(fold))
        cure = "make folds with `birdssl split` before embedding, or score --on test"
    if rows.is_empty():
        part = "the test part" if on == "test" else f"fold {fold}"
        raise NoInputError(f"{where}: none of its {table.height} rows is an original of {part}; {cure}")
    return rows


def learnable(table: pl.DataFrame, fold: int | None, ids: Collection[str] | None, where: str) -> pl.DataFrame:
    """Labelled originals outside the test part and outside `fold`; of these, the ones in `ids` where it's given.

    Raises IncompatibleError when an id in `ids` lies in the test part or in the held-out fold.
    """
    rows = table.filter(ORIGINALS & LABELLED)
    held = IN_TEST | (pl.col("fold").eq_missing(fold) if fold is not None else pl.lit(False))
    if ids is None:
        return rows.filter(~held)
    chosen = rows.filter(pl.col("id").is_in(list(ids)))
    if not (leaked := chosen.filter(held)).is_empty():
        raise IncompatibleError(
            f"--train-ids names {leaked.height} clips that {where} holds out (first: {leaked['id'][0]}); "
            "take the training run that made the systems beside it, of the same split and fold"
        )
    return chosen


def apart(
    rows: pl.DataFrame, learned: Collection[str], shared: str, where: str
) -> tuple[pl.DataFrame, dict[str, int], int]:
    """Rows to be scored, what was left out of them, and how many share their origin with what was learned from.

    `shared` says what to do with these: "refuse" raises IncompatibleError, "leave-out" takes them away, "accept" keeps
    them.
    """
    twins = rows.filter(pl.col("origin").is_in(list(learned)))
    if twins.is_empty() or shared == "accept":
        return rows, {}, twins.height
    if shared == "leave-out":
        left_out = {"of origins that were learned from": twins.height}
        return rows.filter(~pl.col("origin").is_in(list(learned))), left_out, 0
    origins = twins["origin"].unique().sort()
    raise IncompatibleError(
        f"{where}: {len(origins)} origins are both learned from and scored (first: {origins[0]}); clips of one origin "
        "sound alike, so the score would flatter: split by origin with `birdssl split`, or give --shared-origins "
        "leave-out to score the others, or accept"
    )


def single_label(rows: pl.DataFrame, where: str, leave_out: bool = False) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows with one label, as `truth`, and how many of the others were left out, by reason.

    Raises IncompatibleError for rows with several labels unless they are to be left out.
    """
    labelled = rows.filter(LABELLED)
    several = labelled.filter(SEVERAL)
    if not several.is_empty() and not leave_out:
        raise IncompatibleError(
            f"{where}: {several.height} clips carry several labels (first: {several['recording'][0]} at "
            f"{several['start'][0]:g} s, {', '.join(several['labels'][0])}); evaluate scores one label a clip: "
            "--several-labels leave-out scores the rest, and each scores every class by itself"
        )
    left_out = {"unlabelled": rows.height - labelled.height, "with several labels": several.height}
    return labelled.filter(~SEVERAL).with_columns(truth=pl.col("labels").list.first()), left_out


def each_label(rows: pl.DataFrame, classes: Collection[str]) -> tuple[pl.DataFrame, dict[str, int]]:
    """Labelled rows with `truth`, those of the classes that they hold, sorted, and how many others were left out.

    Of a clip that was looked at and holds nothing of interest `truth` is empty and `none` is true; an unlabelled clip
    may hold anything, so it is left out. Where `origin` is null it becomes the recording.
    """
    labelled = rows.filter(LABELLED)
    held = pl.col("labels").list.eval(pl.element().filter(pl.element().is_in(list(classes)))).list.unique().list.sort()
    origin = pl.col("origin").fill_null(pl.col("recording"))
    return labelled.with_columns(origin, truth=held, none=HOLDS_NOTHING), {"unlabelled": rows.height - labelled.height}
