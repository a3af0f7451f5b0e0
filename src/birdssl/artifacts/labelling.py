"""From annotations to the labels of clips: which recording a mark means, and which clips it labels."""

import os
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from birdssl.artifacts.annotations import (
    Annotation,
    Columns,
    FileRow,
    Table,
    is_audacity,
    is_raven,
    raven_files,
    read_audacity,
    read_csv,
    read_raven,
)
from birdssl.artifacts.recordings import Recording
from birdssl.artifacts.text_tables import read_text
from birdssl.errors import BadInput, NoInputError, UsageError

NOTHING = "none"  # the label of a clip that was looked at and holds nothing of interest
RAVEN_NAME = ".selections.txt"  # how Raven ends the names of its tables
EPSILON = 1e-6  # s; an overlap that equals the limit up to rounding counts


@dataclass
class Labels:
    """Annotations by the recording that they mean, and what was left over."""

    marks: dict[str, list[Annotation]] = field(default_factory=lambda: defaultdict(list))
    files: dict[str, FileRow] = field(default_factory=dict)
    annotated: set[str] = field(default_factory=set)  # recordings that somebody looked at
    unmatched: list[tuple[Annotation | FileRow, str]] = field(default_factory=list)  # with the reason
    unusable: dict[str, str] = field(default_factory=dict)  # recording: what is wrong with its own table
    orphans: list[Path] = field(default_factory=list)  # tables that belong to no recording, left unread
    tables: int = 0
    unlabelled: int = 0  # rows with an empty label
    chosen: set[str] = field(default_factory=set)  # "label from species": which columns were taken for what
    by_name_only: int = 0  # files found by their name although the folder or the ending differs

    @property
    def classes(self) -> list[str]:
        """Every label that occurs, sorted, without "none"."""
        return sorted({mark.label for marks in self.marks.values() for mark in marks} - {NOTHING})

    @property
    def count(self) -> int:
        """How many annotations have a recording."""
        return sum(len(marks) for marks in self.marks.values())


def read_labels(kind: str, where: Path | None, recordings: Sequence[Recording], columns: Columns) -> Labels:
    """Read the annotations of `recordings`: `kind` is "raven", "audacity" or "csv".

    `where` is a table, or a folder of tables that are named after their recordings (`X.Table.1.selections.txt`,
    `X.selections.txt`, `X.txt`); None looks beside the recordings. Raises NoInputError when there is no table, or when
    no row means any of the recordings, UsageError or BadInput for one that can't be read.
    """
    if kind == "csv":
        if where is None or where.is_dir():
            raise UsageError(f"--label-from csv needs --labels FILE.csv, not {where or 'nothing'}")
        labels = Labels()
        _attach(labels, read_csv(_existing(where), columns), None, _Finder(recordings))
    else:
        labels = _read_text_tables(kind, where, recordings, columns)
    _refuse_if_all_strange(labels, recordings)
    return labels


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NoInputError(f"--labels {path}: no such file or folder")
    return path


def _read_text_tables(kind: str, where: Path | None, recordings: Sequence[Recording], columns: Columns) -> Labels:
    read, recognise = (read_raven, is_raven) if kind == "raven" else (read_audacity, is_audacity)
    finder, labels = _Finder(recordings), Labels()
    strange: list[Path] = []  # .txt files that are something else
    misnamed: dict[str, str] = {}  # recording: its file that has a table's name and no table's content
    single = where is not None and _existing(where).is_file()
    for path in [where] if single and where else _candidates(where, recordings):
        owner = finder.of_table(path)
        if not single and not recognise(read_text(path)):
            strange.append(path)
            if kind == "raven" and owner is not None and path.name.lower().endswith(RAVEN_NAME):
                misnamed[owner] = (
                    f"{path}: is named as a Raven selection table, but has no columns Begin Time (s) and End Time (s) "
                    "separated by tabs; export it again, or give it another name if it's a note"
                )
            continue
        if owner is None and not single and not any(finder.find(name)[0] for name in raven_files(path, columns)):
            labels.orphans.append(path)
            continue
        try:
            table = read(path, columns)
        except BadInput as error:
            if owner is None or single:
                raise
            labels.unusable[owner] = str(error)
            continue
        _attach(labels, table, owner, finder)
    if not labels.tables and not labels.unusable and not labels.orphans:
        place = f"in {where}" if where is not None else "beside the recordings"
        wanted = {"raven": "X.Table.1.selections.txt, X.selections.txt or X.txt", "audacity": "X.txt or X.audacity.txt"}
        raise NoInputError(
            f"no {kind} labels {place}: expected {wanted[kind]} for a recording X.wav, separated by tabs"
            f"{f' ({strange[0]} is no such table)' if strange else ''}; see --labels"
        )
    labels.unusable.update(misnamed)
    return labels


def _candidates(where: Path | None, recordings: Sequence[Recording]) -> list[Path]:
    if where is not None:
        return sorted(path for path in where.rglob("*") if path.suffix.lower() == ".txt" and path.name[0] != ".")
    folders = sorted({recording.path.parent for recording in recordings})
    return [path for folder in folders for path in sorted(folder.iterdir())
            if path.suffix.lower() == ".txt" and path.name[0] != "."]  # fmt: skip


class _Finder:
    """Finds the recording that a file name, a path or a table's name means."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self.by_name: dict[str, list[Recording]] = defaultdict(list)
        self.by_stem: dict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            self.by_name[recording.path.name.casefold()].append(recording)
            self.by_stem[recording.path.stem.casefold()].append(recording)

    def find(self, reference: str) -> tuple[list[Recording], int, bool]:
        """Recordings that agree best with a path as a table writes it, the number of its trailing parts that agree,
        and whether all of them do."""
        parts = [
            part.casefold() for part in PurePosixPath(reference.replace("\\", "/")).parts if part not in (".", "/")
        ]
        if not parts:
            return [], 0, False
        exact = self.by_name.get(parts[-1], [])
        found = exact or self.by_stem.get(Path(parts[-1]).stem, [])
        agreeing = {recording.name: _agreement(recording, parts) for recording in found}
        best = max(agreeing.values(), default=0)
        return [item for item in found if agreeing[item.name] == best], best, bool(exact) and best == len(parts)

    def of_table(self, path: Path) -> str | None:
        """Name of the recording whose name a table's file name begins with, the longest first; None if none or many."""
        parts = path.name.casefold().split(".")
        for length in range(len(parts) - 1, 0, -1):
            stem = ".".join(parts[:length])
            found = self.by_stem.get(stem) or self.by_name.get(stem)
            if found:
                beside = [item for item in found if item.path.parent.resolve() == path.parent.resolve()]
                folder = [item for item in found if item.path.parent.name == path.parent.name]
                chosen = next((group for group in (beside, folder, found) if len(group) == 1), None)
                return chosen[0].name if chosen else None
        return None


def _agreement(recording: Recording, parts: Sequence[str]) -> int:
    """How many trailing parts of a path agree with where a recording lies; the file itself counts as agreeing."""
    own = [part.casefold() for part in os.path.abspath(recording.path).split(os.sep) if part]
    count = 1
    while count < min(len(own), len(parts)) and own[-1 - count] == parts[-1 - count]:
        count += 1
    return count


def _attach(labels: Labels, table: Table, owner: str | None, finder: _Finder) -> None:
    """Add a table's rows to the recordings they mean: those that they name, else the one the table is named after."""
    labels.tables += 1
    labels.unlabelled += table.unlabelled
    labels.chosen |= {f"{what} from {column!r}" for what, column in table.chosen.items()}
    named = [mark.recording for mark in table.annotations if mark.recording]
    targets = _resolve({*named, *(row.recording for row in table.files)}, finder)
    own = Path(PurePosixPath(owner).name).stem.casefold() if owner else None
    for mark in table.annotations:
        if mark.recording is None or (own and Path(mark.recording.replace("\\", "/")).stem.casefold() == own):
            name, reason = owner, "its table is named after no recording"
        else:
            name, reason = targets[mark.recording]
        if name is None:
            labels.unmatched.append((mark, reason))
        else:
            labels.marks[name].append(mark)
    marked = {mark.source for mark in table.annotations}
    for row in table.files:
        name, reason = targets[row.recording]
        if name is None:
            if row.source not in marked:  # else its mark is listed already
                labels.unmatched.append((row, reason))
        else:
            _keep_row(labels, name, row, table.path)
    labels.annotated |= labels.marks.keys() | labels.files.keys() | ({owner} if owner else set())
    labels.by_name_only += sum(reason == "name only" for name, reason in targets.values() if name)


def _resolve(references: Iterable[str], finder: _Finder) -> dict[str, tuple[str | None, str]]:
    """For each file that a table names: the recording's name, or None with a reason.

    Where two references end up at one recording, the one that agrees with more of its path has it: `pond/1.wav` is not
    `hill/1.wav`, though the card has repeated the name.
    """
    found: dict[str, tuple[str | None, str]] = {}
    claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for reference in sorted(references):
        recordings, parts, whole = finder.find(reference)
        if len(recordings) == 1:
            found[reference] = (recordings[0].name, "" if whole else "name only")
            claims[recordings[0].name].append((parts, reference))
        elif recordings:
            found[reference] = (None, f"means {len(recordings)} recordings; write the folder before the name")
        else:
            found[reference] = (None, "names no recording of the input")
    for claimants in claims.values():
        best = max(parts for parts, _ in claimants)
        for parts, reference in claimants:
            if parts < best:
                found[reference] = (None, "names no recording of the input")
    return found


def _keep_row(labels: Labels, name: str, row: FileRow, table: Path) -> None:
    before = labels.files.setdefault(name, row)
    if (before.origin, before.fold, before.site) != (row.origin, row.fold, row.site):
        raise BadInput(f"{table}: {row.source} and {before.source} give {name} different origins, folds or sites")


def match_files(table: Table, names: Sequence[str]) -> dict[str, FileRow]:
    """The row of a table for each recording name that it has one for. Raises NoInputError when it has none at all,
    BadInput where it has two that differ."""
    finder = _Finder([Recording(name, Path(os.sep) / name, 0, "") for name in names])
    targets = _resolve({row.recording for row in table.files}, finder)
    labels = Labels()
    for row in table.files:
        name, _ = targets[row.recording]
        if name is not None:
            _keep_row(labels, name, row, table.path)
    if not labels.files:
        raise NoInputError(
            f"{table.path}: none of its {len(table.files)} rows names one of the {len(names)} recordings; "
            f"the first recording is {names[0] if names else 'missing'}"
        )
    return labels.files


def _refuse_if_all_strange(labels: Labels, recordings: Sequence[Recording]) -> None:
    if labels.orphans and not labels.annotated and not labels.unusable and not labels.unmatched:
        raise NoInputError(
            f"{len(labels.orphans)} tables, but none belongs to one of the {len(recordings)} recordings (first: "
            f"{labels.orphans[0]}); a table of X.wav is named X.Table.1.selections.txt, X.selections.txt or X.txt"
        )
    if labels.unmatched and not labels.marks and not labels.files:
        row, reason = labels.unmatched[0]
        raise NoInputError(
            f"none of the {len(labels.unmatched)} annotations belongs to one of the {len(recordings)} recordings: "
            f"{row.source} {reason} ({row.recording or 'no file named'}); the first recording is {recordings[0].name}"
        )


def label_clips(
    clips: Sequence[tuple[float, float]], marks: Sequence[Annotation], min_overlap: float, min_fraction: float
) -> tuple[list[list[str]], list[bool]]:
    """Labels of each clip, and whether any mark touches it at all.

    `clips` are (start, end) in seconds, sorted by start. A clip gets a mark's label when they share at least
    `min_overlap` seconds, or at least `min_fraction` of the mark, so that a call shorter than `min_overlap` counts
    where most of it lies. A mark without length counts in the clip that holds its moment. Labels are sorted, each once.
    """
    labels: list[set[str]] = [set() for _ in clips]
    touched = [False] * len(clips)
    starts = [start for start, _ in clips]
    longest = max((end - start for start, end in clips), default=0.0)
    for mark in marks:
        if mark.start is None or mark.end is None:
            for index in range(len(clips)):
                labels[index].add(mark.label)
                touched[index] = True
            continue
        first, last = bisect_left(starts, mark.start - longest), bisect_right(starts, mark.end)
        for index in range(first, last):
            start, end = clips[index]
            shared, length = min(end, mark.end) - max(start, mark.start), mark.end - mark.start
            inside = start <= mark.start < end if length == 0 else shared > 0
            touched[index] |= inside
            if inside and (shared >= min_overlap - EPSILON or shared >= min_fraction * length - EPSILON):
                labels[index].add(mark.label)
    return [sorted(found) for found in labels], touched
