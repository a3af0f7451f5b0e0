"""`birdssl ls`: every format by its whole text, and a table that fits."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from birdssl.artifacts.artifact import COMPLETE, RUNNING, StageRecord
from birdssl.artifacts.atomic import write_table
from birdssl.cli.listing import plain, shown, table
from birdssl.stages.contract import Reject, Result, Unit
from birdssl.stages.journal import Journal, reject_unit

ROWS = {
    "recording": ["card/MORNING.WAV", "card/EVENING.WAV", 'card/a "b".wav'],
    "start": [0.0, 1.5, 1 / 3],
    "labels": [["wren", "robin"], [], ["none"]],
    "time": [datetime(2024, 5, 18, 5, 30), datetime(2024, 5, 18, 18, 30, 0, 500_000), None],
    "fold": [0, 1, None],
    "test": [False, False, True],
    "empty": [None, None, None],
}
TABLE = """\
recording            start  labels       time                     fold  test
card/MORNING.WAV         0  wren; robin  2024-05-18 05:30:00         0  false
card/EVENING.WAV       1.5               2024-05-18 18:30:00.500     1  false
card/a "b".wav    0.333333  none                                        true
"""
CSV = """\
recording,start,labels,time,fold,test,empty
card/MORNING.WAV,0.0,wren;robin,2024-05-18T05:30:00,0,false,
card/EVENING.WAV,1.5,,2024-05-18T18:30:00.500000,1,false,
"card/a ""b"".wav",0.3333333333333333,none,,,true,
"""


def stage(folder: Path, rows: dict[str, Any], state: str = COMPLETE) -> Path:
    """A stage's directory with these rows, and two rejects."""
    counts = {"units": 3, "rows": 3, "rejects": 2}
    kinds = {"empty": pl.String, "vector": pl.Array(pl.Float32, 8)}
    frame = pl.DataFrame(rows, schema_overrides={name: kinds[name] for name in rows if name in kinds})
    rejects = {"name": ["x.wav", "y.wav"], "where": ["", "12 s"], "reason": ["cut short", "silent"]}
    write_table(folder / "manifest.parquet", frame)
    write_table(folder / "rejects.parquet", pl.DataFrame(rejects))
    settings = {"rate": 44100, "classes": ["a", "b"], "table": None}
    record = StageRecord(
        "segment", "0.1.0", state, settings, [{"path": "../card", "verb": None, "digest": "d"}], "plan"
    )
    record.counts = counts if state == COMPLETE else {}
    record.write(folder)
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return stage(tmp_path / "clips", ROWS)


def test_a_table_for_the_eye(birdssl, clips):
    assert birdssl("ls clips") == (0, TABLE, "")


def test_csv_and_tsv_are_exact(birdssl, clips):
    assert birdssl("ls clips --format csv") == (0, CSV, "")
    assert birdssl("ls clips -f tsv").out.splitlines()[1] == CSV.splitlines()[1].replace(",", "\t")


def test_json_lines_keep_lists_and_nulls(birdssl, clips):
    rows = [json.loads(line) for line in birdssl("ls clips --format jsonl").out.splitlines()]
    assert rows[0]["labels"] == ["wren", "robin"]
    assert rows[0]["time"] == "2024-05-18T05:30:00"
    assert (rows[2]["time"], rows[2]["fold"], rows[2]["start"]) == (None, None, 1 / 3)


def test_a_vector_is_counted_in_a_table_and_whole_elsewhere(birdssl, tmp_path: Path):
    stage(tmp_path / "embedded", {"id": ["a"], "vector": [[0.5] * 8]})
    assert birdssl("ls embedded").out == "id  vector\na   8 numbers\n"
    assert birdssl("ls embedded -f csv").out == f"id,vector\na,{';'.join(['0.5'] * 8)}\n"
    printed = birdssl("ls embedded -w vector=1")
    assert printed.err == "error: --where 'vector=1': vector holds vectors, which can't be compared\n"


@pytest.mark.parametrize(
    ("conditions", "starts"),
    [
        (["labels=wren"], [0.0]),
        (["labels!=wren"], [1.5, 1 / 3]),
        (["labels="], [1.5]),
        (["start>=1.5"], [1.5]),
        (["start<1.5", "test=false"], [0.0]),
        (["fold="], [1 / 3]),
        (["fold!="], [0.0, 1.5]),
        (["fold!=0"], [1.5, 1 / 3]),
        (["time>2024-05-18T12:00"], [1.5]),
        (["recording=card/EVENING.WAV"], [1.5]),
        (["test=yes"], [1 / 3]),
    ],
)
def test_conditions_choose_rows(birdssl, clips, conditions: list[str], starts: list[float]):
    flags = [part for condition in conditions for part in ("--where", condition)]
    printed = birdssl("ls clips -f jsonl -c start", *flags)
    assert [json.loads(line)["start"] for line in printed.out.splitlines()] == starts


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-c", "recordng"], "no column 'recordng'; did you mean 'recording'?"),
        (["-w", "lables=wren"], "no column 'lables'; did you mean 'labels'?"),
        (["-w", "labels"], "--where 'labels': must be COLUMN=VALUE; !=, <, <=, > and >= compare too"),
        (["-w", "start>soon"], "--where 'start>soon': 'soon' must be a number"),
        (["-w", "test=perhaps"], "--where 'test=perhaps': 'perhaps' must be true or false"),
        (["-w", "time>dawn"], "--where 'time>dawn': 'dawn' must be a time such as 2024-05-01T06:30"),
        (["-w", "labels>a"], "--where 'labels>a': a list has an item or not: use = or !="),
        (["-w", "fold>"], "--where 'fold>': > needs a value"),
        (["-n", "-1"], "--rows '-1': must be a whole number, at least 0"),
        (["other"], "`birdssl ls` shows one DIR at a time; leave other out, or give a folder that holds both"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(birdssl, clips, more: list[str], sentence: str):
    assert birdssl("ls clips", *more) == (2, "", f"error: {sentence}\n")


def test_rejects_and_a_number_of_rows(birdssl, clips):
    assert birdssl("ls clips --rejects -f csv").out == "name,where,reason\nx.wav,,cut short\ny.wav,12 s,silent\n"
    assert len(birdssl("ls clips -n 2 -f csv").out.splitlines()) == 3
    assert birdssl("ls clips -n 0 -f csv").out == CSV.splitlines()[0] + "\n"


def test_what_made_the_directory(birdssl, clips):
    lines = birdssl("ls clips --stage").out.splitlines()
    assert lines[:6] == [
        "verb: segment",
        "version: 0.1.0",
        "state: complete",
        "settings:",
        "  rate: 44100",
        "  classes: a;b",
    ]
    assert "  - path ../card, verb , digest d" in lines
    assert json.loads(birdssl("ls clips --json").out)["counts"] == {"units": 3, "rows": 3, "rejects": 2}


def test_an_unfinished_directory_shows_what_is_done(birdssl, tmp_path: Path):
    folder = stage(tmp_path / "half", ROWS, RUNNING)
    Journal(folder).write(Unit("a", "1"), Result(pl.DataFrame(ROWS).head(1), [Reject("z.wav", "", "empty")]))
    Journal(folder).write(Unit("b", "2"), reject_unit(Unit("b", "2"), "cut short"))
    printed = birdssl("ls half -f csv -c recording")
    assert printed.out == "recording\ncard/MORNING.WAV\n"
    assert printed.err.startswith("half isn't finished (running): these are the units that are done so far; ")
    lines = birdssl("ls half --rejects -f csv").out.splitlines()
    assert lines[0] == "name,where,reason"
    assert sorted(lines[1:]) == ["b,,cut short", "z.wav,,empty"]


def test_the_stages_below_a_folder_are_listed(birdssl, tmp_path: Path, clips):
    stage(tmp_path / "runs" / "half", ROWS, RUNNING)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "stage.json").write_text("{")
    assert birdssl("ls -f csv").out == (
        "directory,verb,state,rows,rejects\nbroken,,unreadable,,\nclips,segment,complete,3,2\nruns/half,segment,running,,\n"
    )


@pytest.mark.parametrize(("line", "end"), [("ls nowhere", "no such directory"), ("ls file.txt", "is a file")])
def test_what_holds_no_stage_is_no_input(birdssl, tmp_path: Path, line: str, end: str):
    (tmp_path / "file.txt").touch()
    printed = birdssl(line)
    assert printed.code == 4
    assert f"{end}; give the OUT of a `birdssl` stage, or a folder that holds some" in printed.err
    assert birdssl("ls").code == 4


@pytest.mark.parametrize("room", [20, 40, 80, 200])
def test_a_table_is_never_wider_than_its_room(room: int, capsys):
    columns = ["recording", "path", "labels", "n"]
    rows = [(f"card-{n}/" + "x" * n, "é" * 60, ["wren"] * 4, n) for n in range(50)]
    lines = list(table(columns, rows, room))
    assert max(map(len, lines)) <= room
    assert lines[0].startswith("recording")
    hidden = capsys.readouterr().err
    assert ("no room for" in hidden) == (len(lines[0].split()) < 4)


def test_columns_that_say_nothing_new_give_way_first(capsys):
    columns = ["recording", "origin", "role", "start", "labels"]
    labels = [["wren"], ["robin"], []]
    rows = [(f"card/{n}.WAV", f"card/{n}.WAV", "original", n, labels[n]) for n in range(3)]
    assert next(table(columns, rows, 80)).split() == columns
    lines = list(table(columns, rows, 34))
    assert lines[0].split() == ["recording", "start", "labels"]
    assert capsys.readouterr().err == "no room for origin, role; --columns chooses, and --format tsv has all\n"


def test_long_cells_keep_both_ends(capsys):
    lines = list(table(["name"], [("site-01/20240518_053000.WAV",)], 13))
    assert lines[1] == "site-0…00.WAV"


def test_a_table_streams_rows_past_its_sample():
    rows = ((n, "x") for n in range(5000))
    lines = table(["n", "x"], rows, 80)
    assert next(lines).split() == ["n", "x"]
    assert len(list(lines)) == 5000


@pytest.mark.parametrize(
    ("value", "eye", "exact"),
    [
        (None, "", ""),
        (True, "true", "true"),
        (0.1 + 0.2, "0.3", "0.30000000000000004"),
        ([0.5] * 256, "256 numbers", ";".join(["0.5"] * 256)),
        (["a", "b"], "a; b", "a;b"),
        ("two\nlines", "two lines", "two\nlines"),
        (datetime(2024, 5, 1), "2024-05-01 00:00:00", "2024-05-01T00:00:00"),
        ({"a": 1}, '{"a": 1}', '{"a": 1}'),
    ],
)
def test_values_for_the_eye_and_for_programs(value: Any, eye: str, exact: str):
    assert (shown(value), plain(value)) == (eye, exact)
