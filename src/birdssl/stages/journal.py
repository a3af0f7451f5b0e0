"""Which units are done, kept in OUT/.work until the stage is complete, and the tables made from them.

A unit's journal entry is written after its payload, so an entry means that the payload is there. When all units have
one, their rows are joined in the order of the plan; that order, not the order of work, decides the bytes.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from birdssl.artifacts.artifact import MANIFEST, REJECTS, UNITS
from birdssl.artifacts.atomic import TEMPORARY, atomic_path, write_table
from birdssl.stages.contract import WORK, Reject, Result, Unit

ROW_GROUP = 16_384  # rows held in memory while joining, and in one Parquet row group, when rows are short
GROUP_VALUES = 1 << 24  # numbers in the vectors of one row group; long vectors make groups of fewer rows
NOTE = "birdssl"  # key of a journal entry's metadata
REJECT_SCHEMA = {"name": pl.String, "where": pl.String, "reason": pl.String}
UNIT_SCHEMA = {"key": pl.String, "identity": pl.String, "rows": pl.Int64, "rejects": pl.Int64}


def plan_digest(units: list[Unit]) -> str:
    """Digest of what there is to do: the keys and identities, in order."""
    text = "\n".join(f"{unit.key}\t{unit.identity}" for unit in units)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Journal:
    """The entries of one stage directory."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / WORK / "journal"
        self.previous = out / WORK / "previous"

    def keep_previous(self) -> None:
        """Before an update: set the finished tables aside, since unchanged units are read back from them."""
        partial = self.previous.with_name("previous-partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name in (MANIFEST, REJECTS, UNITS):
            shutil.copy2(self.out / name, partial / name)
        shutil.rmtree(self.previous, ignore_errors=True)
        partial.rename(self.previous)

    def write_plan(self, units: list[Unit]) -> None:
        """Remember the plan that this run follows."""
        write_table(self.out / WORK / "plan.parquet", _unit_table([(unit, 0, 0) for unit in units]))

    def known_units(self, complete: bool) -> dict[str, str]:
        """Keys and identities of the run that made, or was making, the directory."""
        path = self.out / UNITS if complete else self.out / WORK / "plan.parquet"
        table = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=UNIT_SCHEMA)
        return dict(zip(table["key"].to_list(), table["identity"].to_list(), strict=True))

    def rejected_units(self) -> set[str]:
        """Keys of the units of a finished run that were left out whole."""
        table = pl.read_parquet(self.out / UNITS)
        return set(table.filter((pl.col("rows") == 0) & (pl.col("rejects") > 0))["key"])

    def _entry(self, unit: Unit) -> Path:
        return self.folder / f"{hashlib.blake2b(unit.key.encode(), digest_size=16).hexdigest()}.parquet"

    def write(self, unit: Unit, result: Result) -> None:
        """Record a unit as done: its rows, with what else there is to know in the file's metadata."""
        rejects = [[reject.name, reject.where, reject.reason] for reject in result.rejects]
        rows = result.rows if result.rows is not None else pl.DataFrame()
        note = {"key": unit.key, "identity": unit.identity, "rows": rows.height, "rejects": rejects}
        with atomic_path(self._entry(unit)) as part:
            rows.write_parquet(part, metadata={NOTE: json.dumps(note)})

    def read(self, unit: Unit) -> dict[str, Any] | None:
        """A unit's note, or None when it isn't done, or was done from other contents."""
        path = self._entry(unit)
        if not path.exists():
            return None
        note = _note(path)
        return note if note["identity"] == unit.identity else None

    def notes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Files of the units that are done so far, in no particular order, and what they say besides their rows."""
        for path in sorted(self.folder.glob("*.parquet")):
            if not path.name.startswith(TEMPORARY):  # a killed process leaves halves of them
                yield path, _note(path)

    def pending(self, units: list[Unit]) -> list[Unit]:
        """Units that are neither journalled nor unchanged since the previous run."""
        unchanged = self._previous_offsets()
        return [unit for unit in units if (unit.key, unit.identity) not in unchanged and self.read(unit) is None]

    def _previous_offsets(self) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        """Where each unit of the previous run has its rows and rejects: start and length of both."""
        if not self.previous.exists():
            return {}
        offsets, row, reject = {}, 0, 0
        for key, identity, rows, rejects in pl.read_parquet(self.previous / UNITS).iter_rows():
            offsets[key, identity] = (row, rows, reject, rejects)
            row, reject = row + rows, reject + rejects
        return offsets

    def join(self, units: list[Unit], schema: dict[str, Any]) -> tuple[int, int]:
        """Write manifest, rejects and units from all entries; returns the counts of rows and rejects."""
        unchanged = self._previous_offsets()
        done: list[tuple[Unit, int, int]] = []
        rejects: list[list[str]] = []

        def frames() -> Iterator[pl.DataFrame]:
            for unit in units:
                rows, left_out = self._unit_tables(unit, unchanged)
                rejects.extend(left_out)
                done.append((unit, 0 if rows is None else rows.height, len(left_out)))
                if rows is not None:
                    yield rows

        total = write_rows(self.out / MANIFEST, frames(), schema)
        write_table(self.out / REJECTS, pl.DataFrame(rejects, schema=REJECT_SCHEMA, orient="row"))
        write_table(self.out / UNITS, _unit_table(done))
        return total, len(rejects)

    def _unit_tables(self, unit: Unit, unchanged: dict) -> tuple[pl.DataFrame | None, list[list[str]]]:
        entry = self.read(unit)
        if entry is not None:
            rows = pl.read_parquet(self._entry(unit)) if entry["rows"] else None
            return rows, entry["rejects"]
        row, rows_count, reject, reject_count = unchanged[unit.key, unit.identity]
        rows = pl.scan_parquet(self.previous / MANIFEST).slice(row, rows_count).collect() if rows_count else None
        left_out = pl.read_parquet(self.previous / REJECTS).slice(reject, reject_count).rows() if reject_count else []
        return rows, [list(item) for item in left_out]


def _note(entry: Path) -> dict[str, Any]:
    return json.loads(pl.read_parquet_metadata(entry)[NOTE])


def _unit_table(done: list[tuple[Unit, int, int]]) -> pl.DataFrame:
    rows = [(unit.key, unit.identity, rows, rejects) for unit, rows, rejects in done]
    return pl.DataFrame(rows, schema=UNIT_SCHEMA, orient="row")


def write_rows(path: Path, frames: Iterator[pl.DataFrame], schema: dict[str, Any]) -> int:
    """Write frames one after the other to one Parquet file, holding about one row group in memory."""
    empty = pl.DataFrame(schema=schema)
    group = group_rows(schema)
    total, held, waiting = 0, [empty], 0
    with atomic_path(path) as part, pq.ParquetWriter(part, empty.to_arrow().schema, compression="zstd") as writer:
        for frame in frames:
            held.append(frame.select(pl.col(name).cast(kind) for name, kind in schema.items()))
            total, waiting = total + frame.height, waiting + frame.height
            if waiting >= group:
                joined = pl.concat(held)
                whole = waiting - waiting % group
                for start in range(0, whole, group):
                    writer.write_table(joined.slice(start, group).rechunk().to_arrow())
                held, waiting = [joined.slice(whole)], waiting - whole
        writer.write_table(pl.concat(held).rechunk().to_arrow())
    return total


def group_rows(schema: dict[str, Any]) -> int:
    """Rows in a row group: ROW_GROUP, or fewer where a row holds long vectors."""
    values = sum(math.prod(kind.shape) for kind in schema.values() if isinstance(kind, pl.Array))
    return min(ROW_GROUP, max(1, GROUP_VALUES // values)) if values else ROW_GROUP


def reject_unit(unit: Unit, reason: str) -> Result:
    """The result of a unit that couldn't be used at all."""
    return Result(None, [Reject(unit.key, "", reason)])
