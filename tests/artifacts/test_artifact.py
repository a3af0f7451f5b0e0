"""Opening a directory that a stage made, and the sentences when it isn't one."""

import json
from pathlib import Path

import pytest

from birdssl.artifacts.artifact import StageRecord, open_artifact, read_record
from birdssl.errors import IncompatibleError, NoInputError


def record(folder: Path, **changes) -> None:
    folder.mkdir(exist_ok=True)
    values = {"verb": "segment", "version": "0", "state": "complete", "settings": {}, "inputs": [], "plan": "p"}
    StageRecord(**{**values, **changes}).write(folder)


def test_a_record_comes_back_as_it_was(tmp_path: Path):
    record(tmp_path, facts={"sample_rate": 44100}, digest="d")
    found = read_record(tmp_path)
    assert found is not None
    assert (found.facts, found.digest) == ({"sample_rate": 44100}, "d")
    assert open_artifact(tmp_path, ("segment", "split")).facts["sample_rate"] == 44100


def test_what_is_missing_foreign_unfinished_or_of_another_verb_is_named(tmp_path: Path):
    with pytest.raises(NoInputError, match="no such directory"):
        open_artifact(tmp_path / "gone")
    with pytest.raises(IncompatibleError, match="expected a directory made by `birdssl render`"):
        open_artifact(tmp_path, ("render",))
    record(tmp_path, state="interrupted")
    with pytest.raises(IncompatibleError, match="run its `birdssl segment` command again"):
        open_artifact(tmp_path)
    with pytest.raises(IncompatibleError, match=r"made by `birdssl segment`; expected .* `birdssl render` or"):
        open_artifact(tmp_path, ("render", "embed"))


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 99}', '{"schema": 1, "verb": "segment"}', '"x"'])
def test_a_record_that_is_not_ours_is_an_error_and_no_crash(tmp_path: Path, text: str):
    (tmp_path / "stage.json").write_text(text)
    with pytest.raises(IncompatibleError, match=r"stage\.json"):
        read_record(tmp_path)


def test_a_record_from_the_future_says_which_schema(tmp_path: Path):
    record(tmp_path)
    values = json.loads((tmp_path / "stage.json").read_text())
    (tmp_path / "stage.json").write_text(json.dumps({**values, "schema": 2}))
    with pytest.raises(IncompatibleError, match="schema 2; this birdssl reads 1"):
        open_artifact(tmp_path)
