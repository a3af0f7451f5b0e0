"""`birdssl ls`: rows as a table for the eye, or as TSV, CSV or JSON lines for a program."""

import csv
import itertools
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from birdssl.cli.console import print_data, say
from birdssl.errors import UsageError
from birdssl.settings.ls import LsSettings
from birdssl.stages.listing import Listing, record_of, rows_of, stages_below

SAMPLE = 1000  # rows that decide a table's columns and widths; the rest is printed as it comes
NARROWEST, WIDEST = 20, 48  # columns of the terminal that a long text is cut to, before another column goes
NAME, PATH = "recording", "path"  # what a person looks for first, and what only a program needs
FEW = 6  # numbers of a list that a table shows; embeddings have hundreds


def ls(settings: LsSettings, inputs: list[Path]) -> int:
    """Print what the settings ask of one directory."""
    if len(inputs) > 1:
        raise UsageError(
            f"`birdssl ls` shows one DIR at a time; leave {inputs[1]} out, or give a folder that holds both"
        )
    folder = inputs[0] if inputs else Path()
    record = record_of(folder)
    if record is None:
        _refuse_row_options(settings, folder)
        print_listing(stages_below(folder), settings.format)
        return 0
    if settings.stage or settings.json_summary:
        values = {key: value for key, value in vars(record).items() if value is not None}
        print_data(values, "\n".join(_lines(values)), settings.json_summary)
        return 0
    if record.state != "complete":
        say(f"{folder} isn't finished ({record.state}): these are the units that are done so far; "
            f"run its `birdssl {record.verb}` command again to finish it")  # fmt: skip
    print_listing(
        rows_of(folder, record, rejects=settings.rejects, columns=settings.columns, where=settings.where,
                limit=settings.rows),
        settings.format,
        chosen=bool(settings.columns),
    )  # fmt: skip
    return 0


def _refuse_row_options(settings: LsSettings, folder: Path) -> None:
    asked = {"--columns": settings.columns, "--where": settings.where, "--rejects": settings.rejects,
             "--stage": settings.stage, "--json": settings.json_summary}  # fmt: skip
    given = [flag for flag, value in asked.items() if value]
    if given:
        raise UsageError(f"{folder} is no stage's directory, so {given[0]} has nothing to show; `birdssl ls {folder}` "
                         "lists the stages below it")  # fmt: skip


def print_listing(listing: Listing, form: str, chosen: bool = False) -> None:
    """Write rows to stdout in one of the formats."""
    if form == "jsonl":
        for row in listing.rows:
            print(json.dumps(dict(zip(listing.columns, map(_json, row), strict=True)), ensure_ascii=False))
    elif form == "table":
        for line in table(listing.columns, listing.rows, _columns(), chosen):
            print(line)
    else:
        writer = csv.writer(sys.stdout, delimiter="\t" if form == "tsv" else ",", lineterminator="\n")
        writer.writerow(listing.columns)
        writer.writerows(map(plain, row) for row in listing.rows)


def _columns() -> int | None:
    """Width of the terminal; None for a pipe, where nothing is cut."""
    known = sys.stdout.isatty() or os.environ.get("COLUMNS")
    return shutil.get_terminal_size((80, 24)).columns if known else None


def table(columns: Sequence[str], rows: Iterable[tuple], room: int | None, chosen: bool = False) -> Iterator[str]:
    """Lines of a table no wider than `room`. Columns that are empty, or find no place, are named on stderr."""
    rows = iter(rows)
    raw = list(itertools.islice(rows, SAMPLE))
    sample = [[shown(value) for value in row] for row in raw]
    filled = [at for at in range(len(columns)) if chosen or not sample or any(row[at] for row in sample)]
    widths = {at: max(cell_len(text) for text in [columns[at], *(row[at] for row in sample)]) for at in filled}
    if room is not None:
        widths = _fit(widths, room, [] if chosen else _dull(columns, sample, filled))
    right = {at for at in widths if raw and all(row[at] is None or type(row[at]) in (int, float) for row in raw)}
    yield _line([columns[at] for at in widths], widths, right)
    for row in itertools.chain(sample, ([shown(value) for value in row] for row in rows)):
        yield _line([row[at] for at in widths], widths, right)
    hidden = [columns[at] for at in filled if at not in widths]
    if hidden:
        say(f"no room for {', '.join(hidden)}; --columns chooses, and --format tsv has all")


def _dull(columns: Sequence[str], sample: list[list[str]], filled: list[int]) -> list[int]:
    """Columns that say least: those that repeat another, paths, and those that say the same in every row."""
    contents = {at: tuple(row[at] for row in sample) for at in filled}
    first = {content: at for at, content in reversed(contents.items())}
    repeated = [at for at, content in contents.items() if first[content] != at]
    constant = [at for at, content in contents.items() if len(set(content)) == 1 and columns[at] != NAME]
    paths = [at for at in filled if columns[at] == PATH]
    return list(dict.fromkeys([*repeated, *paths, *constant])) if len(sample) > 1 else []


def _fit(widths: dict[int, int], room: int, dull: Sequence[int] = ()) -> dict[int, int]:
    """Drop dull columns and narrow the widest until all fit; drop the last ones when even that isn't enough."""
    kept, dull = {at: min(width, WIDEST) for at, width in widths.items()}, list(dull)
    while sum(kept.values()) + 2 * (len(kept) - 1) > room and len(kept) > 1:
        if dull:
            del kept[dull.pop(0)]
            continue
        widest = max(kept, key=lambda at: (kept[at], at))
        if kept[widest] > NARROWEST:
            kept[widest] -= 1
        else:
            kept.popitem()
    kept = {at: min(width, room) for at, width in kept.items()}
    left = room - sum(kept.values()) - 2 * (len(kept) - 1)
    for at in kept:  # what a dropped column freed goes to those that were cut
        more = max(0, min(left, min(widths[at], room) - kept[at]))
        kept[at], left = kept[at] + more, left - more
    return kept


def _line(texts: list[str], widths: dict[int, int], right: set[int]) -> str:
    cells = []
    for (at, width), text in zip(widths.items(), texts, strict=True):
        text = _cut(text, width)
        gap = " " * (width - cell_len(text))
        cells.append(gap + text if at in right else text + gap)
    return "  ".join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    """A text's two ends, since names of recordings differ at their end."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    end = set_cell_size(text[::-1], tail)[::-1] if tail else ""
    return set_cell_size(text, width - 1 - tail) + "…" + end


def shown(value: Any) -> str:
    """A value for the eye: numbers rounded, long lists counted, no line breaks."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(" ").removesuffix("000").removesuffix(".000")
    if isinstance(value, list | tuple) and len(value) > FEW and isinstance(value[0], float):
        return f"{len(value)} numbers"
    if isinstance(value, list | tuple):
        return "; ".join(shown(item) for item in value)
    return " ".join(plain(value).split())


def plain(value: Any) -> str:
    """A value for TSV and CSV: exact, lists joined by semicolons, nothing for an empty one."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ";".join(plain(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    return value.isoformat() if isinstance(value, date) else value


def _lines(values: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Nested values as indented lines."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{key}:"
            for item in value:
                yield f"{indent}  - " + ", ".join(f"{name} {plain(part)}" for name, part in item.items())
        else:
            yield f"{indent}{key}: {plain(value) or '-'}"
