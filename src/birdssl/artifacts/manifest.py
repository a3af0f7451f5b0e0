"""The table that every stage over clips reads and writes: one row a clip, copy or view."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.labelling import NOTHING

ORIGINAL, COPY, VIEW = "original", "copy", "view"

PART = "part"  # column that training adds to the clips that it read: what each was for
TRAINING, VALIDATION = "training", "validation"

CLIP_SCHEMA: dict[str, Any] = {
    "id": pl.String,  # 16 hex digits, the clip's identity through every stage
    "role": pl.String,  # original, copy (made for balance) or view (one of a pair)
    "parent": pl.String,  # id of the original that a copy or view is made from
    "recording": pl.String,  # <input folder>/<path in it>, as the recorder wrote it
    "origin": pl.String,  # what must not straddle a split; the recording unless the user's table says otherwise
    "channel": pl.Int16,  # 0-based; null is the mean of all channels
    "start": pl.Float64,  # s from the start of the recording
    "seconds": pl.Float64,  # length, padding included
    "padded": pl.Float64,  # s of silence at its end
    "path": pl.String,  # audio file, relative to the folder that holds this manifest
    "offset": pl.Int64,  # first sample in that file, at that file's own rate
    "labels": pl.List(pl.String),  # empty is unlabelled; ["none"] is looked at, nothing of interest
    "site": pl.String,
    "recorder": pl.String,
    "time": pl.Datetime("ms"),  # local clock at the start of the clip
    "utc_offset": pl.Int16,  # minutes east of UTC; null is unknown
    "test": pl.Boolean,  # held out for the final score
    "fold": pl.Int16,  # 0-based fold in the training part; null in the test part
    "operations": pl.String,  # JSON list of what makes a copy or view from its parent
    "seed": pl.Int64,  # of those operations
    "number": pl.Int16,  # which copy or view, from 1
    "shard": pl.Int32,  # where the rendered array lies
    "row": pl.Int32,
}

# of a clip that was looked at and holds nothing of interest, which an unlabelled one isn't known to do
HOLDS_NOTHING = (pl.col("labels").list.n_unique() == 1) & (pl.col("labels").list.first() == NOTHING)


def clips(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Build a manifest from rows; columns that a row lacks are null, but `labels` is empty. Unknown keys raise."""
    rows = list(rows)
    unknown = {key for row in rows for key in row} - CLIP_SCHEMA.keys()
    if unknown:
        raise KeyError(f"no such manifest columns: {sorted(unknown)}")
    table = pl.DataFrame(rows, schema=CLIP_SCHEMA, orient="row")
    return table.with_columns(pl.col("labels").fill_null([]))


def clip_id(recording: str, start: float, seconds: float, channel: int | None) -> str:
    """Identity of an original: 16 hex digits of its recording, start, length (to the microsecond) and channel."""
    return _digest(recording, f"{start:.6f}", f"{seconds:.6f}", "mix" if channel is None else str(channel))


def child_id(parent: str, role: str, number: int, seed: int) -> str:
    """Identity of a copy or view."""
    return _digest(parent, role, str(number), str(seed))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).hexdigest()


def rebase(table: pl.DataFrame, source: Path, target: Path) -> pl.DataFrame:
    """Rewrite `path`, relative to the folder `source`, so that it's relative to the folder `target`."""
    step = os.path.relpath(source.resolve(), target.resolve())
    paths = table["path"].unique().drop_nulls().to_list()
    moved = {path: os.path.normpath(os.path.join(step, path)) for path in paths}
    return table.with_columns(pl.col("path").replace_strict(moved, return_dtype=pl.String, default=None))
