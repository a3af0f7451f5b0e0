"""Annotations as people make them, read to one form: Raven selection tables, Audacity labels and CSV tables.

Columns are found by name, in any order and any case. What a table says of whole files (a label without times, the
origin, an official fold) is kept beside the annotations. `birdssl.artifacts.labelling` finds the recordings they mean
and the clips they label.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from birdssl.artifacts.text_tables import (
    cell,
    column,
    find_column,
    first_known,
    listed,
    number,
    optional_number,
    plain,
    read_rows,
    read_text,
    to_float,
    whole_number,
)
from birdssl.errors import BadInput, UsageError

KILOHERTZ = 1000.0

# Names that tables in the field use, most telling first; compared without case, spaces and punctuation.
LABEL_COLUMNS = ("annotation", "label", "labels", "species", "species code", "scientific name", "common name", "class",
                 "class name", "category", "sound type", "call type", "tag", "code", "type")  # fmt: skip
FILE_COLUMNS = ("path", "file path", "begin path", "file", "file name", "filename", "begin file", "sound files",
                "audio", "audio file", "relative path", "recording", "recording name")  # fmt: skip
START_COLUMNS = ("start", "start s", "start time", "start time s", "begin time s", "begin time", "start sec",
                 "start seconds", "onset", "onset s", "offset s")  # fmt: skip
END_COLUMNS = ("end", "end s", "end time", "end time s", "end sec", "end seconds", "offset", "offset time")
DURATION_COLUMNS = ("duration", "duration s", "delta time s", "length s")
LOW_COLUMNS = ("low freq hz", "low", "low freq", "low frequency", "freq min", "min freq", "low f", "low hz")
HIGH_COLUMNS = ("high freq hz", "high", "high freq", "high frequency", "freq max", "max freq", "high f", "high hz")
LOW_KILOHERTZ, HIGH_KILOHERTZ = ("bottom freq",), ("top freq",)  # warbleR's, in kHz
ORIGIN_COLUMNS = ("origin", "source recording", "recording", "recording id", "src file", "individual")
FOLD_COLUMNS = ("fold",)
SITE_COLUMNS = ("site",)


@dataclass(frozen=True)
class Annotation:
    """One mark: a label on a stretch of a recording, or on all of it where `start` and `end` are None.

    Times are in seconds from the start of the recording, frequencies in Hz, None where unknown. `recording` is the
    file as the table writes it, None where the table belongs to the recording beside it. `source` is table:line.
    """

    recording: str | None
    label: str
    start: float | None
    end: float | None
    low: float | None
    high: float | None
    source: str


@dataclass(frozen=True)
class FileRow:
    """What a CSV says of a whole file besides labels."""

    recording: str
    origin: str | None
    fold: int | None
    site: str | None
    source: str


@dataclass(frozen=True)
class Table:
    """All that a table holds; `unlabelled` counts rows whose label is empty, and `chosen` says which column was taken
    for what."""

    path: Path
    annotations: list[Annotation]
    files: list[FileRow]
    unlabelled: int = 0
    chosen: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Columns that the user names, where the usual names don't fit; `label` is for tables that have no labels."""

    label_column: str | None = None
    file_column: str | None = None
    origin_column: str | None = None
    fold_column: str | None = None
    site_column: str | None = None
    label: str | None = None


def is_raven(text: str) -> bool:
    """Whether a text begins as a Raven selection table does."""
    head = {plain(name) for name in text.split("\n", 1)[0].split("\t")}
    return {"begin time s", "end time s"} <= head


def is_audacity(text: str) -> bool:
    """Whether a text begins as Audacity's labels do: start, tab, end, tab, label."""
    lines = [line for line in text.splitlines() if line.strip()]
    return bool(lines) and _audacity_times(lines[0]) is not None


def raven_files(path: Path, columns: Columns = Columns()) -> set[str]:
    """The files that a Raven table names, none where it has no column for them; the rest of it isn't looked at."""
    rows, head = read_rows(path, "\t")
    file = columns.file_column or first_known(head, ("begin path", "begin file"))
    return {row[head[plain(file)]] for _, row in rows} if file and plain(file) in head else set()


def read_raven(path: Path, columns: Columns = Columns()) -> Table:
    """Read a Raven selection table.

    A selection that several views show (waveform and spectrogram) is one annotation. Where the table covers several
    files as one, `Begin File` and `File Offset (s)` say where each selection lies.
    Raises BadInput for a table that isn't Raven's, UsageError where no column holds labels and no label is given.
    """
    rows, head = read_rows(path, "\t")
    if not {"begin time s", "end time s"} <= head.keys():
        raise BadInput(f"{path}: isn't a Raven selection table: it has no columns Begin Time (s) and End Time (s)")
    label = _label_column(path, head, columns)
    file = columns.file_column or first_known(head, ("begin path", "begin file"))
    offset = first_known(head, ("file offset s",))
    if file and offset is None and len({row[column(path, head, file)] for _, row in rows}) > 1:
        raise BadInput(
            f"{path}: names several files but has no column File Offset (s); export it again with that column"
        )
    annotations: list[Annotation] = []
    for line, row in _one_view_each(rows, head, file):
        where = f"{path.name}:{line}"
        begin, end = (number(row[head[name]], path, line) for name in ("begin time s", "end time s"))
        start = number(row[head[offset]], path, line) if file and offset else begin
        low, high = (optional_number(row, head, names, path, line) for names in (LOW_COLUMNS, HIGH_COLUMNS))
        recording = row[column(path, head, file)].strip() or None if file else None
        text = columns.label if label is None else row[label].strip()
        annotations.append(
            _checked(Annotation(recording, text or "", start, start + end - begin, low, high, where), path)
        )
    return _table(path, annotations, [], head, {"label": label})


def _one_view_each(
    rows: list[tuple[int, list[str]]], head: dict[str, int], file: str | None
) -> list[tuple[int, list[str]]]:
    """One row for each selection, a spectrogram's where there is one, since only that has frequencies."""
    if "selection" not in head or "view" not in head:
        return rows
    by = [head[name] for name in ("selection", "begin time s", "end time s")]
    by += [head[plain(file)]] if file else []
    kept: dict[tuple[str, ...], tuple[int, list[str]]] = {}
    for line, row in rows:
        key = tuple(row[index] for index in by)
        if key not in kept or (
            row[head["view"]].startswith("Spectrogram") and not kept[key][1][head["view"]].startswith("Spectrogram")
        ):
            kept[key] = (line, row)
    return list(kept.values())


def read_audacity(path: Path, columns: Columns = Columns()) -> Table:
    """Read Audacity's exported labels: `start<tab>end<tab>label`, each perhaps followed by `\\<tab>low<tab>high`.

    Raises BadInput for a line that is neither.
    """
    annotations: list[Annotation] = []
    for count, line in enumerate(read_text(path).splitlines(), start=1):
        if line.startswith("\\"):
            parts = line.split("\t")
            if annotations and len(parts) >= 3:
                annotations[-1] = replace(annotations[-1], low=_frequency(parts[1]), high=_frequency(parts[2]))
        elif line.strip():
            times = _audacity_times(line)
            if times is None:
                raise BadInput(f"{path}:{count}: {line[:60]!r} isn't start, end and label, separated by tabs")
            parts = line.split("\t", 2)
            text = parts[2].strip() if len(parts) > 2 else ""
            made = Annotation(None, text or columns.label or "", *times, None, None, f"{path.name}:{count}")
            annotations.append(_checked(made, path))
    return _table(path, annotations, [], {}, {})


def _audacity_times(line: str) -> tuple[float, float] | None:
    parts = line.split("\t")
    try:
        return (to_float(parts[0]), to_float(parts[1])) if len(parts) >= 2 else None
    except ValueError:
        return None


def _frequency(text: str) -> float | None:
    """A bound of an Audacity label in Hz; it writes -1 for none."""
    try:
        value = to_float(text)
    except ValueError:
        return None
    return value if value >= 0 else None


def read_csv(path: Path, columns: Columns = Columns()) -> Table:
    """Read a table with a row for each mark or each file, separated by commas, semicolons or tabs.

    It needs a column of files. Without a column of starts, its labels are of whole files. A column `recording` beside
    one of paths is taken for the origin: the source that several files were cut from. Every row gives a FileRow.
    Raises BadInput for a row that can't be read, UsageError for columns that are missing.
    """
    text = read_text(path)
    first = text.split("\n", 1)[0]
    rows, head = read_rows(path, max(",;\t", key=first.count))
    if not head:
        raise UsageError(f"{path}: is empty; expected a line of column names, and a row for each mark or file")
    file = find_column(path, head, columns.file_column, FILE_COLUMNS)
    if file is None:
        raise UsageError(f"{path}: no column names the files; its columns: {listed(head)}; name it with --file-column")
    label = _label_column(path, head, columns, required=False)
    origin = find_column(path, head, columns.origin_column, ORIGIN_COLUMNS, other_than=file)
    fold = find_column(path, head, columns.fold_column, FOLD_COLUMNS)
    site = find_column(path, head, columns.site_column, SITE_COLUMNS, other_than=file)
    annotations, files = [], []
    for line, row in rows:
        where, name = f"{path.name}:{line}", row[file].strip()
        text = columns.label or "" if label is None else row[label].strip()
        if not name:
            raise BadInput(f"{path}:{line}: its file is empty")
        start, end = _times(row, head, path, line)
        low = optional_number(row, head, LOW_COLUMNS, path, line) or optional_number(
            row, head, LOW_KILOHERTZ, path, line, KILOHERTZ
        )
        high = optional_number(row, head, HIGH_COLUMNS, path, line) or optional_number(
            row, head, HIGH_KILOHERTZ, path, line, KILOHERTZ
        )
        annotations.append(_checked(Annotation(name, text, start, end, low, high, where), path))
        group = None if fold is None else whole_number(row[fold], path, line)
        files.append(FileRow(name, cell(row, origin), group, cell(row, site), where))
    return _table(path, annotations, files, head, {"label": label, "origin": origin, "fold": fold, "site": site})


def _times(row: Sequence[str], head: dict[str, int], path: Path, line: int) -> tuple[float | None, float | None]:
    """Start and end of a row; both None for a row on a whole file."""
    start = optional_number(row, head, START_COLUMNS, path, line)
    end = optional_number(row, head, END_COLUMNS, path, line)
    if start is None and end is None:
        return None, None
    if start is None:
        raise BadInput(f"{path}:{line}: has an end but no start")
    if end is None:
        length = optional_number(row, head, DURATION_COLUMNS, path, line)
        if length is None:
            raise BadInput(f"{path}:{line}: has a start but neither an end nor a duration")
        end = start + length
    return start, end


def _table(
    path: Path, marks: list[Annotation], files: list[FileRow], head: dict[str, int], used: dict[str, int | None]
) -> Table:
    """A table without its empty labels, which are counted."""
    names = {index: name for name, index in head.items()}
    chosen = {what: names[index] for what, index in used.items() if index is not None}
    labelled = [mark for mark in marks if mark.label]
    return Table(path, labelled, files, len(marks) - len(labelled), chosen)


def _checked(mark: Annotation, path: Path) -> Annotation:
    if mark.start is not None and mark.end is not None and (mark.start < 0 or mark.end < mark.start):
        raise BadInput(
            f"{path.parent / mark.source}: runs from {mark.start:g} s to {mark.end:g} s; expected 0 <= start <= end"
        )
    return mark


def _label_column(path: Path, head: dict[str, int], columns: Columns, required: bool = True) -> int | None:
    """The column of labels; None where the table has none and its rows get the user's one label, or need none."""
    if columns.label_column is not None:
        return column(path, head, columns.label_column)
    found = first_known(head, LABEL_COLUMNS)
    if found is None and required and columns.label is None:
        raise UsageError(
            f"{path}: no column of labels is known among {listed(head)}; "
            "name it with --label-column, or give all its rows one label with --label TEXT"
        )
    return None if found is None else head[found]
