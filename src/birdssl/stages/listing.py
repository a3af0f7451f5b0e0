"""Rows of any stage's directory, read in pieces, and the stages that lie below a folder."""

import operator
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, RECORD, REJECTS, StageRecord, read_record
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.base import nearest
from birdssl.stages.journal import REJECT_SCHEMA, Journal

BATCH = 16_384  # rows in memory at once
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "=": operator.eq, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """Columns and the rows below them, as tuples, read while they're iterated over."""

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]


def record_of(folder: Path) -> StageRecord | None:
    """The record of a stage's directory, None for any other folder; raises NoInputError where there is none."""
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such directory"
        raise NoInputError(f"{folder}: {what}; give the OUT of a `birdssl` stage, or a folder that holds some")
    return read_record(folder)


def rows_of(folder: Path, record: StageRecord, *, rejects: bool, columns: list[str], where: list[str],
            limit: int | None) -> Listing:  # fmt: skip
    """A stage's rows or rejects, filtered by conditions such as "labels=wren"."""
    frames = _rejects(folder, record) if rejects else _manifest(folder, record)
    first = next(frames, None)
    if first is None:
        return Listing(columns, iter(()))
    chosen = [_known(name, first.schema) for name in columns] or first.columns
    conditions = [_condition(text, first.schema) for text in where]

    def rows() -> Iterator[tuple[Any, ...]]:
        left = limit
        for frame in _chain(first, frames):
            found = frame.filter(conditions) if conditions else frame
            found = found.select(chosen).head(found.height if left is None else left)
            yield from found.iter_rows()
            left = None if left is None else left - found.height
            if left == 0:
                return

    return Listing(chosen, rows())


def stages_below(folder: Path) -> Listing:
    """Every stage's directory below a folder: where, verb, state, and counts of rows and rejects."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RECORD in files:
            folders.clear()
            found.append(_line(Path(place), folder))
    if not found:
        raise NoInputError(f"{folder} is no stage's directory and holds none; give the OUT of a `birdssl` stage")
    return Listing(["directory", "verb", "state", "rows", "rejects"], iter(found))


def _line(place: Path, folder: Path) -> tuple[Any, ...]:
    name = str(place.relative_to(folder))
    try:
        record = read_record(place)
    except IncompatibleError:
        return name, None, "unreadable", None, None
    if record is None:  # removed since the walk saw it
        return name, None, "gone", None, None
    return name, record.verb, record.state, record.counts.get("rows"), record.counts.get("rejects")


def _chain(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest


def _manifest(folder: Path, record: StageRecord) -> Iterator[pl.DataFrame]:
    """The manifest in pieces; while unfinished, the rows of the units that are done, in no particular order."""
    if record.state == COMPLETE:
        yield from _pieces(folder / MANIFEST)
    else:
        for path, note in Journal(folder).notes():
            if note["rows"]:  # an entry without any has no columns either
                yield from _pieces(path)


def _rejects(folder: Path, record: StageRecord) -> Iterator[pl.DataFrame]:
    if record.state == COMPLETE:
        yield from _pieces(folder / REJECTS)
    else:
        left_out = [reject for _, note in Journal(folder).notes() for reject in note["rejects"]]
        yield pl.DataFrame(left_out, schema=REJECT_SCHEMA, orient="row")


def _pieces(path: Path) -> Iterator[pl.DataFrame]:
    """A Parquet file's rows, BATCH at a time; an empty file gives one empty piece, for its columns."""
    if not path.exists():
        raise IncompatibleError(f"{path} is missing although the stage is complete; make its directory anew")
    with pq.ParquetFile(path) as file:
        yield pl.DataFrame(pl.from_arrow(file.schema_arrow.empty_table()))
        for batch in file.iter_batches(BATCH):
            yield pl.DataFrame(pl.from_arrow(batch))


def _known(name: str, schema: pl.Schema) -> str:
    if name not in schema:
        raise UsageError(f"no column {name!r}; {nearest(name, schema.names())}")
    return name


def _condition(text: str, schema: pl.Schema) -> pl.Expr:
    """`column=value` and its kind as an expression, the value read as the column's type."""
    sign = next((sign for sign in OPERATORS if sign in text), None)
    if sign is None:
        raise UsageError(f"--where {text!r}: must be COLUMN=VALUE; !=, <, <=, > and >= compare too")
    name, value = (part.strip() for part in text.split(sign, 1))
    # "<" is found before "=" would be in `a<b=c`: the sign that comes first in the text is the one that is meant.
    for other in OPERATORS:
        if other in name:
            sign, (name, value) = other, (part.strip() for part in text.split(other, 1))
    kind = schema[_known(name, schema)]
    column = pl.col(name)
    if isinstance(kind, pl.List) and not kind.inner.is_numeric():
        return _in_list(column, sign, value, text)
    if kind.is_nested():
        raise UsageError(f"--where {text!r}: {name} holds vectors, which can't be compared")
    if value == "":
        if sign not in ("=", "!="):
            raise UsageError(f"--where {text!r}: {sign} needs a value")
        return column.is_null() if sign == "=" else column.is_not_null()
    wanted = pl.lit(_read(value, kind, text), dtype=kind)
    return OPERATORS[sign](column, wanted) if sign != "!=" else column.ne_missing(wanted)


def _in_list(column: pl.Expr, sign: str, value: str, text: str) -> pl.Expr:
    if sign not in ("=", "!="):
        raise UsageError(f"--where {text!r}: a list has an item or not: use = or !=")
    empty = column.is_null() | (column.list.len() == 0)
    held = empty if value == "" else column.list.eval(pl.element().cast(pl.String)).list.contains(value)
    return held if sign == "=" else ~held


def _read(value: str, kind: pl.DataType, text: str) -> Any:
    """A typed value as the column's type."""
    try:
        if kind == pl.Boolean:
            return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[value.lower()]
        if kind.is_integer():
            return int(value)
        if kind.is_float():
            return float(value)
        if kind.is_temporal():
            return datetime.fromisoformat(value)
    except (ValueError, KeyError):
        words = (
            "true or false" if kind == pl.Boolean else "a time such as 2024-05-01T06:30" if kind.is_temporal() else ""
        )
        raise UsageError(f"--where {text!r}: {value!r} must be {words or 'a number'}") from None
    return value
