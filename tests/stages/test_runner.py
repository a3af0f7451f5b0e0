"""The stage contract, on a toy stage: tests/stages/test_every_stage.py holds every real stage to it."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
import toy
from toy import Double, DoubleSettings, folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.run import RunOptions
from birdssl.stages.runner import run


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    folder = tmp_path / "numbers"
    folder.mkdir()
    for value in range(6):
        (folder / f"{value}.txt").write_text(str(value))
    return folder


def double(folder: Path, out: Path, settings: DoubleSettings | None = None, **options) -> object:
    return run(Double(settings or DoubleSettings(), [folder], out, RunOptions(**options)))


def test_a_finished_directory_holds_rows_in_plan_order_and_a_complete_record(numbers: Path, tmp_path: Path):
    outcome = double(numbers, tmp_path / "out")
    artifact = open_artifact(tmp_path / "out", ("double",))
    assert outcome.exit_code == 0
    assert artifact.manifest().rows() == [(f"{n}.txt", 2 * n) for n in range(6)]
    assert artifact.counts == {"units": 6, "rows": 6, "rejects": 0}
    assert artifact.facts == {"factor": 2}
    assert (tmp_path / "out" / "total.txt").read_text() == "30"
    assert not (tmp_path / "out" / ".work").exists()


def test_the_same_command_twice_does_nothing_the_second_time(numbers: Path, tmp_path: Path, monkeypatch):
    first = double(numbers, tmp_path / "out")
    before = folder_bytes(tmp_path / "out")
    monkeypatch.setattr(Double, "work", lambda *_: pytest.fail("a unit was done again"))
    second = double(numbers, tmp_path / "out")
    assert second.summary["did_nothing"] is True
    assert (second.exit_code, second.text) == (first.exit_code, first.text)
    assert folder_bytes(tmp_path / "out") == before


def test_a_run_killed_before_it_cleared_its_journal_is_cleared_by_the_next(numbers: Path, tmp_path: Path, monkeypatch):
    """Broke once in CI: the kill came between the record's "complete" and the end of the journal's removal."""
    double(numbers, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("birdssl.stages.runner.shutil.rmtree", lambda *_, **__: None)
        double(numbers, tmp_path / "killed")
    assert folder_bytes(tmp_path / "killed") != folder_bytes(tmp_path / "whole")
    assert double(numbers, tmp_path / "killed").summary["did_nothing"] is True
    assert folder_bytes(tmp_path / "killed") == folder_bytes(tmp_path / "whole")


def test_two_workers_give_the_bytes_of_one(numbers: Path, tmp_path: Path):
    (numbers / "bad.txt").write_text("x")
    double(numbers, tmp_path / "one", jobs=1)
    double(numbers, tmp_path / "two", jobs=2)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


def test_other_settings_are_refused_with_the_difference_until_overwrite(numbers: Path, tmp_path: Path):
    double(numbers, tmp_path / "out")
    with pytest.raises(UsageError, match=r"factor: 2 there, 3 now"):
        double(numbers, tmp_path / "out", DoubleSettings(factor=3))
    double(numbers, tmp_path / "out", DoubleSettings(factor=3), overwrite=True)
    assert (tmp_path / "out" / "total.txt").read_text() == "45"


def test_a_run_that_failed_before_anything_was_done_takes_other_settings(numbers: Path, tmp_path: Path, monkeypatch):
    """A mistake found only while working: its cure must not need --overwrite."""
    out = tmp_path / "out"

    def refuse(stage, unit):
        raise IncompatibleError("give another factor")

    with monkeypatch.context() as patch:
        patch.setattr(Double, "work", refuse)
        with pytest.raises(IncompatibleError, match="another factor"):
            double(numbers, out, DoubleSettings(factor=2))
    assert double(numbers, out, DoubleSettings(factor=3)).exit_code == 0
    assert open_artifact(out).settings["factor"] == 3
    with pytest.raises(UsageError, match="factor"):
        double(numbers, out, DoubleSettings(factor=2))


def test_an_update_that_failed_at_once_still_has_the_run_before_it_to_lose(numbers: Path, tmp_path: Path, monkeypatch):
    out = tmp_path / "out"
    double(numbers, out)
    (numbers / "7.txt").write_text("7")
    with monkeypatch.context() as patch:
        patch.setattr(Double, "work", lambda *_: (_ for _ in ()).throw(IncompatibleError("no")))
        with pytest.raises(IncompatibleError, match="no"):
            double(numbers, out, update=True)
    with pytest.raises(UsageError, match=r"factor: 2 there, 3 now"):
        double(numbers, out, DoubleSettings(factor=3))
    assert (out / "doubled" / "5.txt").read_text() == "10"


def test_overwrite_leaves_a_stranger_s_file_alone(numbers: Path, tmp_path: Path):
    double(numbers, tmp_path / "out")
    (tmp_path / "out" / "notes.md").write_text("mine")
    double(numbers, tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "notes.md").read_text() == "mine"


def test_a_directory_that_is_not_ours_is_never_written_into(numbers: Path, tmp_path: Path):
    out = tmp_path / "photos"
    out.mkdir()
    (out / "cat.jpg").write_bytes(b"meow")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="didn't write"):
            double(numbers, out, overwrite=overwrite)
    assert [path.name for path in out.iterdir()] == ["cat.jpg"]


def test_a_run_killed_in_its_very_first_write_goes_on(numbers: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".part-0123456789ab-stage.json").write_text("{")
    assert double(numbers, tmp_path / "out").exit_code == 0
    assert not list((tmp_path / "out").glob(".part-*"))


def test_a_directory_of_another_verb_is_refused(numbers: Path, tmp_path: Path):
    double(numbers, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "stage.json").read_text())
    (tmp_path / "out" / "stage.json").write_text(json.dumps({**record, "verb": "halve"}))
    with pytest.raises(UsageError, match="birdssl halve"):
        double(numbers, tmp_path / "out", overwrite=True)


def test_one_bad_file_costs_one_file_and_the_exit_code_tells(numbers: Path, tmp_path: Path):
    (numbers / "bad.txt").write_text("x")
    assert double(numbers, tmp_path / "out").exit_code == 3
    assert double(numbers, tmp_path / "out").exit_code == 3
    assert double(numbers, tmp_path / "out", max_rejects="1").exit_code == 0
    assert double(numbers, tmp_path / "out", max_rejects="20%").exit_code == 0
    artifact = open_artifact(tmp_path / "out")
    assert artifact.counts["rows"] == 6
    assert artifact.rejects()["name"].to_list() == ["bad.txt"]
    assert "'x' is not a number" in artifact.rejects()["reason"][0]


@pytest.mark.parametrize("text", ["-1", "101%", "1.5", "few", "inf", "nan%", ""])
def test_a_reject_limit_out_of_range_is_refused(numbers: Path, tmp_path: Path, text: str):
    with pytest.raises(UsageError, match="max-rejects"):
        double(numbers, tmp_path / "out", max_rejects=text)
    assert not (tmp_path / "out").exists()


def test_update_adds_new_files_and_gives_the_bytes_of_a_fresh_run(numbers: Path, tmp_path: Path, caplog, monkeypatch):
    double(numbers, tmp_path / "out")
    (numbers / "35.txt").write_text("35")
    (numbers / "2.txt").unlink()
    (numbers / "2.txt").write_text("22")
    with pytest.raises(IncompatibleError, match=r"1 new \(first: 35.txt\); 1 changed \(first: 2.txt\)"):
        double(numbers, tmp_path / "out")
    worked, work = [], Double.work
    monkeypatch.setattr(Double, "work", lambda self, unit: worked.append(unit.key) or work(self, unit))
    double(numbers, tmp_path / "out", update=True)
    assert worked == ["2.txt", "35.txt"]
    double(numbers, tmp_path / "fresh")
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "fresh")


def test_new_files_alone_are_mentioned_and_left_until_update(numbers: Path, tmp_path: Path, caplog):
    double(numbers, tmp_path / "out")
    (numbers / "9.txt").write_text("9")
    with caplog.at_level(logging.INFO, "birdssl"):
        outcome = double(numbers, tmp_path / "out")
    assert outcome.summary["did_nothing"] is True
    assert "1 new (first: 9.txt)" in caplog.text


def test_update_refuses_to_forget_what_has_gone(numbers: Path, tmp_path: Path):
    double(numbers, tmp_path / "out")
    (numbers / "2.txt").unlink()
    with pytest.raises(IncompatibleError, match=r"1 gone \(first: 2.txt\)"):
        double(numbers, tmp_path / "out", update=True)


def test_an_interrupted_update_goes_on(numbers: Path, tmp_path: Path, monkeypatch):
    double(numbers, tmp_path / "out")
    (numbers / "7.txt").write_text("7")
    (numbers / "8.txt").write_text("8")
    work = Double.work

    def interrupted(self, unit):
        if unit.key == "8.txt":
            raise KeyboardInterrupt
        return work(self, unit)

    monkeypatch.setattr(Double, "work", interrupted)
    with pytest.raises(KeyboardInterrupt):
        double(numbers, tmp_path / "out", update=True)
    with pytest.raises(IncompatibleError, match="isn't finished"):
        open_artifact(tmp_path / "out")
    monkeypatch.setattr(Double, "work", work)
    double(numbers, tmp_path / "out")
    double(numbers, tmp_path / "fresh")
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "fresh")


def test_dry_run_writes_nothing(numbers: Path, tmp_path: Path):
    outcome = double(numbers, tmp_path / "out", dry_run=True)
    assert (outcome.summary["units"], outcome.summary["bytes"]) == (6, 12)
    assert not (tmp_path / "out").exists()


def test_an_empty_input_is_its_own_error(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoInputError):
        double(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from toy import Double, DoubleSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.runner import run
if __name__ == "__main__":
    try:
        run(Double(DoubleSettings(pause=0.2), [Path({folder!r})], Path({out!r}), RunOptions(jobs={jobs})))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def start(folder: Path, out: Path, jobs: int) -> subprocess.Popen:
    """Run the toy stage in a process of its own, from a file, since spawned workers read their parent's main file."""
    script = out.with_suffix(f".{jobs}.py")
    script.write_text(SCRIPT.format(tests=str(Path(toy.__file__).parent), folder=str(folder), out=str(out), jobs=jobs))
    return subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)


def wait_for(path: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} didn't appear"
        time.sleep(0.02)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_at_any_moment_the_same_command_gives_the_same_bytes(numbers: Path, tmp_path: Path, jobs: int, kind):
    process = start(numbers, tmp_path / "out", jobs)
    wait_for(tmp_path / "out" / "doubled" / "2.txt")
    os.kill(process.pid, kind)
    code = process.wait()
    assert code == (-signal.SIGKILL if kind == signal.SIGKILL else 130)
    state = json.loads((tmp_path / "out" / "stage.json").read_text())["state"]
    assert state == ("running" if kind == signal.SIGKILL else "interrupted")
    double(numbers, tmp_path / "out", DoubleSettings(pause=0.2))
    double(numbers, tmp_path / "fresh", DoubleSettings(pause=0.2), jobs=2)
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "fresh")


def test_half_a_journal_entry_of_a_killed_process_is_passed_over(numbers: Path, tmp_path: Path, monkeypatch):
    """After kill -9 in the middle of writing an entry, the same command ended in a traceback of polars."""
    monkeypatch.setattr(Double, "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        double(numbers, tmp_path / "out")
    monkeypatch.undo()
    (tmp_path / "out/.work/journal/.part-0a1b2c-x.parquet").write_bytes(b"PA")
    assert double(numbers, tmp_path / "out").exit_code == 0


def test_two_processes_do_not_write_one_directory(numbers: Path, tmp_path: Path):
    process = start(numbers, tmp_path / "out", 1)
    wait_for(tmp_path / "out" / "doubled" / "1.txt")
    with pytest.raises(UsageError, match="another birdssl process"):
        double(numbers, tmp_path / "out", DoubleSettings(pause=0.2))
    assert process.wait() == 0


@pytest.mark.parametrize("killed", [False, True])
def test_who_waits_takes_what_another_process_made_or_goes_on_with_it(
    numbers: Path, tmp_path: Path, killed: bool, monkeypatch, caplog
):
    process = start(numbers, tmp_path / "out", 1)
    wait_for(tmp_path / "out" / "doubled" / "1.txt")
    if killed:
        threading.Timer(0.3, process.kill).start()
    else:
        monkeypatch.setattr(Double, "work", lambda *_: pytest.fail("a unit was done again"))
    with caplog.at_level(logging.INFO):
        outcome = run(Double(DoubleSettings(pause=0.2), [numbers], tmp_path / "out", RunOptions()), wait=True)
    process.wait()
    assert "waiting for it" in caplog.text
    assert outcome.summary["did_nothing"] is not killed
    assert open_artifact(tmp_path / "out").manifest()["value"].to_list() == [0, 2, 4, 6, 8, 10]


def test_a_worker_that_dies_fails_the_run_and_loses_nothing(numbers: Path, tmp_path: Path):
    (numbers / "4.txt").write_text("die")
    process = start(numbers, tmp_path / "out", 2)
    assert process.wait() == 1
    (numbers / "4.txt").write_text("4")
    double(numbers, tmp_path / "out", DoubleSettings(pause=0.2), update=True)
    assert open_artifact(tmp_path / "out").manifest()["value"].to_list() == [0, 2, 4, 6, 8, 10]


def test_manifests_larger_than_a_row_group_join_whole(tmp_path: Path):
    from birdssl.stages.journal import ROW_GROUP, write_rows

    frames = (pl.DataFrame({"value": [n] * 7000}) for n in range(6))
    assert write_rows(tmp_path / "rows.parquet", frames, {"value": pl.Int64}) == 42_000
    table = pl.read_parquet(tmp_path / "rows.parquet")
    assert table["value"].to_list() == [n for n in range(6) for _ in range(7000)]
    assert ROW_GROUP < 42_000


def test_long_vectors_are_joined_in_smaller_groups(tmp_path: Path):
    from birdssl.stages.journal import GROUP_VALUES, group_rows, write_rows

    schema = {"id": pl.Int64, "vector": pl.Array(pl.Float32, GROUP_VALUES // 4)}
    assert group_rows(schema) == 4
    assert group_rows({"id": pl.Int64}) > 4
    small = {"id": pl.Int64, "vector": pl.Array(pl.Float32, 3)}
    frames = (pl.DataFrame({"id": [n], "vector": [[n, n, n]]}, schema=small) for n in range(5))
    assert write_rows(tmp_path / "rows.parquet", frames, small) == 5
    assert pl.read_parquet(tmp_path / "rows.parquet")["vector"].to_list() == [[n, n, n] for n in range(5)]


def test_a_dry_run_answers_as_the_run_itself_would(numbers: Path, tmp_path: Path):
    """--dry-run counted new files as work although only --update does them, and was content where the run refused."""
    out = tmp_path / "out"
    double(numbers, out)
    (numbers / "6.txt").write_text("6")
    assert double(numbers, out, dry_run=True).summary["units_left"] == 0
    assert double(numbers, out, dry_run=True, update=True).summary["units_left"] == 1
    assert double(numbers, out, dry_run=True, overwrite=True).summary["units_left"] == 7
    (numbers / "0.txt").unlink()
    with pytest.raises(IncompatibleError, match=r"1 new .first: 6.txt.; 1 gone .first: 0.txt."):
        double(numbers, out, dry_run=True)


def test_an_update_goes_on_without_what_was_left_out_before_and_is_gone(numbers: Path, tmp_path: Path):
    """A broken file, once deleted, made every --update fail: "its input has lost units", although OUT held none of
    it."""
    (numbers / "bad.txt").write_text("x")
    double(numbers, tmp_path / "out")
    (numbers / "bad.txt").unlink()
    assert double(numbers, tmp_path / "out").summary["did_nothing"] is True
    assert double(numbers, tmp_path / "out", update=True).summary["rejects"] == 0
    double(numbers, tmp_path / "new")
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "new")
