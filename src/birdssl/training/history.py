"""A run's history: one row an epoch, without times, so that the same run writes the same file."""

import math
from pathlib import Path

import polars as pl

from birdssl.artifacts.atomic import write_text

Row = dict[str, float]


def history_table(rows: list[Row]) -> pl.DataFrame:
    """One row an epoch; a column for every key, in the order of first appearance; what a row lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    schema = {name: pl.Int64 if name == "epoch" else pl.Float64 for name in names}
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], schema=schema)


def write_history(path: Path, rows: list[Row]) -> None:
    """Write history.csv atomically."""
    write_text(path, history_table(rows).write_csv())


def best_epoch(rows: list[Row], score: str, larger_is_better: bool) -> int:
    """The epoch with the best score, the earliest of equals; epochs without a score don't count.

    Epoch 0, the start, counts only when it's alone.
    """
    sign = -1.0 if larger_is_better else 1.0
    scored = [row for row in rows if score in row]
    trained = [row for row in scored if row["epoch"] > 0] or scored
    found = min(trained, key=lambda row: (math.isnan(row[score]), sign * row[score], row["epoch"]))
    return int(found["epoch"])


def epoch_line(row: Row, epochs: int, shown: tuple[str, ...]) -> str:
    """An epoch in a line for the log."""
    parts = [f"{name.replace('_', ' ')} {row[name]:.4g}" for name in shown if name in row]
    return f"epoch {int(row['epoch'])}/{epochs}: " + ", ".join(parts)
