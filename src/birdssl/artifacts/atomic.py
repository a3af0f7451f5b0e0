"""Files that appear under their final name whole or not at all."""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

TEMPORARY = ".part-"


@contextlib.contextmanager
def atomic_path(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside `final`, with its suffix; rename it on success and remove it on any error.

    A killed process leaves the old file or the new one. Against a power cut, `sync` stands between a unit's files and
    the note that the unit is done; flushing each small file by itself took more time than making it. An error of the
    system that names no file, as on a full disk, is given `final`'s name.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f"{TEMPORARY}{secrets.token_hex(6)}{final.suffix}")
    try:
        yield part
        part.replace(final)
    except OSError as error:
        error.filename = error.filename or os.fspath(final)
        raise
    finally:
        part.unlink(missing_ok=True)


def sync() -> None:
    """Wait until everything written so far is on the disk."""
    os.sync()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, two spaces deep, keys in the order given; NaN is an error, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet file atomically."""
    with atomic_path(path) as part:
        table.write_parquet(part)
