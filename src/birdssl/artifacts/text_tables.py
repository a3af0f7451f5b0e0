"""Tables as text: rows, columns found by name in any case and order, and numbers as half of the world writes them."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from birdssl.errors import BadInput, UsageError


def read_text(path: Path) -> str:
    """A table's text, as UTF-8, UTF-16 with its mark, or else as Windows wrote it. Raises BadInput if unreadable."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_rows(path: Path, delimiter: str) -> tuple[list[tuple[int, list[str]]], dict[str, int]]:
    """Rows with their line numbers, as long as the heading, and the columns by plain name.

    Between tabs, a quotation mark is a mark like any other: Raven quotes nothing.
    """
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    # strict: an unclosed quotation mark would else make one cell of all that follows
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        heading = next(reader, [])
        head = {plain(name): index for index, name in reversed(list(enumerate(heading)))}
        rows = [
            (reader.line_num, [*row, *[""] * (len(heading) - len(row))])
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise BadInput(f"{path}:{reader.line_num}: can't be read as a table ({error})") from None
    return rows, head


def plain(name: str) -> str:
    """A column's name without case, punctuation and units' brackets: "Begin Time (s)" is "begin time s"."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def first_known(head: dict[str, int], names: Sequence[str]) -> str | None:
    """The first of several plain names that is a column."""
    return next((name for name in names if name in head), None)


def column(path: Path, head: dict[str, int], name: str) -> int:
    """Index of a column; raises UsageError with the columns that there are."""
    if plain(name) not in head:
        raise UsageError(f"{path}: has no column {name!r}; its columns: {listed(head)}")
    return head[plain(name)]


def label_groups(path: Path) -> list[tuple[str, str]]:
    """(label, group) of each line of a CSV table that has both; raises UsageError where a column is missing."""
    rows, head = read_rows(path, ",")
    label, group = column(path, head, "label"), column(path, head, "group")
    return [(row[label].strip(), row[group].strip()) for _, row in rows if row[label].strip() and row[group].strip()]


def find_column(
    path: Path, head: dict[str, int], given: str | None, usual: Sequence[str], other_than: int | None = None
) -> int | None:
    """Index of the column that the user names, or of the first usual one that isn't taken already."""
    if given is not None:
        return column(path, head, given)
    return next((head[name] for name in usual if name in head and head[name] != other_than), None)


def listed(head: dict[str, int]) -> str:
    """The columns in their order, for a message."""
    return ", ".join(repr(name) for name in sorted(head, key=lambda name: head[name]))


def to_float(text: str) -> float:
    """A finite number, also with a decimal comma, as Raven and Excel write it in half of the world."""
    text = text.strip()
    value = float(text.replace(",", ".") if "." not in text else text)
    if not abs(value) < float("inf"):
        raise ValueError(text)
    return value


def number(text: str, path: Path, line: int) -> float:
    """A cell's number; raises BadInput with table and line."""
    try:
        return to_float(text)
    except ValueError:
        raise BadInput(f"{path}:{line}: {text!r} isn't a number") from None


def whole_number(text: str, path: Path, line: int) -> int | None:
    """A cell's fold, None where it's empty; raises BadInput for what isn't a whole number from 0."""
    if not text.strip():
        return None
    value = number(text, path, line)
    if value != int(value) or not 0 <= value < 32768:
        raise BadInput(f"{path}:{line}: {text!r} isn't a fold; expected a whole number from 0")
    return int(value)


def optional_number(
    row: Sequence[str], head: dict[str, int], names: Sequence[str], path: Path, line: int, scale: float = 1.0
) -> float | None:
    """The number in the first of several columns, times `scale`; None where there is no such column or it is empty."""
    name = first_known(head, names)
    if name is None or not row[head[name]].strip():
        return None
    return number(row[head[name]], path, line) * scale


def cell(row: Sequence[str], index: int | None) -> str | None:
    """A cell's text, None where it's empty or there is no such column."""
    return None if index is None else row[index].strip() or None
