"""Split: the rows of earlier stages with their parts, official folds, and what is said of small classes."""

import csv
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, StageRecord, open_artifact
from birdssl.artifacts.folds import straddlers
from birdssl.artifacts.manifest import clip_id, clips
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.base import check
from birdssl.settings.run import RunOptions
from birdssl.settings.segment import SegmentSettings
from birdssl.settings.split import SplitSettings
from birdssl.stages.runner import Outcome, run
from birdssl.stages.segment import Segment
from birdssl.stages.split import Split


def clip_table(folder: Path, origins: int = 20, classes: str = "ab", card: str = "card", **columns: Any) -> Path:
    """Clips as `segment` leaves them: three from each of `origins` recordings, of the classes by turns."""
    rows = [
        {
            "id": clip_id(f"{card}/{number}.wav", start, 3.0, None),
            "role": "original",
            "recording": f"{card}/{number}.wav",
            "origin": f"{card}/{number}.wav",
            "start": start,
            "seconds": 3.0,
            "padded": 0.0,
            "path": f"clips/{card}/{number}.wav/{start:010.3f}.flac",
            "offset": 0,
            "labels": [classes[number % len(classes)]],
            "site": f"site{number % 5}",
            **{name: values[number] for name, values in columns.items()},
        }
        for number in range(origins)
        for start in (0.0, 3.0, 6.0)
    ]
    facts = {"sample_rate": 44100, "clip_seconds": 3.0, "hop_seconds": 3.0, "classes": sorted(set(classes))}
    folder.mkdir(parents=True)
    clips(rows).write_parquet(folder / MANIFEST)
    counts = {"units": origins, "rows": len(rows), "rejects": 0}
    StageRecord("segment", "0", COMPLETE, {}, [], "plan", facts, counts, {}, card).write(folder)
    return folder


def split(out: Path, *inputs: Path, **settings: Any) -> Outcome:
    return run(Split(check(SplitSettings, settings), inputs, out, RunOptions()))


def test_rows_stay_the_same_but_for_their_parts_and_paths(tmp_path: Path) -> None:
    before = open_artifact(clip_table(tmp_path / "in")).manifest()
    outcome = split(tmp_path / "deep/out", tmp_path / "in", test_fraction=0.2)
    after = open_artifact(tmp_path / "deep/out").manifest()
    changed = ("test", "fold", "path")
    assert after.drop(changed).equals(before.drop(changed))
    assert after["path"][0] == "../../in/clips/card/0.wav/000000.000.flac"
    assert straddlers(after, "origin") == []
    assert outcome.exit_code == 0
    facts = open_artifact(tmp_path / "deep/out").facts
    assert facts == {
        "sample_rate": 44100,
        "clip_seconds": 3.0,
        "hop_seconds": 3.0,
        "classes": ["a", "b"],
        "folds": [0, 1, 2, 3, 4],
        "group": "origin",
    }


def test_the_class_table_is_printed_and_written(tmp_path: Path) -> None:
    outcome = split(tmp_path / "out", clip_table(tmp_path / "in"), folds=2, test_fraction=0.2)
    assert outcome.text == (
        "class  clips  origins  test  test origins  fold 0  fold 1\n"
        "a         30       10     6             2      12      12\n"
        "b         30       10     6             2      12      12\n"
        "all       60       20    12             4      24      24"
    )
    with (tmp_path / "out/classes.csv").open() as file:
        assert next(csv.DictReader(file))["test_origins"] == "2"


def test_sites_stay_together(tmp_path: Path) -> None:
    split(tmp_path / "out", clip_table(tmp_path / "in"), group="site", folds=3)
    assert straddlers(open_artifact(tmp_path / "out").manifest(), "site") == []


def test_several_inputs_are_split_as_one(tmp_path: Path) -> None:
    one, other = clip_table(tmp_path / "one", card="x"), clip_table(tmp_path / "two", card="y", classes="bc")
    split(tmp_path / "out", one, other)
    artifact = open_artifact(tmp_path / "out")
    assert artifact.counts["rows"] == 120
    assert artifact.facts["classes"] == ["a", "b", "c"]
    with pytest.raises(IncompatibleError, match=r"clips of x/0\.wav are in more than one input"):
        split(tmp_path / "twice", one, one)


def test_repeated_hold_outs_differ_and_are_each_the_same_again(tmp_path: Path) -> None:
    table = clip_table(tmp_path / "in", origins=8)
    held = []
    for name, repeat in (("one", 1), ("two", 2), ("again", 1)):
        split(tmp_path / name, table, repeats=5, repeat=repeat, folds=0, test_fraction=0.3)
        artifact = open_artifact(tmp_path / name)
        held.append(artifact.manifest().filter("test")["origin"].unique().sort().to_list())
        assert (artifact.facts["repeat"], artifact.facts["repeats"], artifact.facts["folds"]) == (repeat, 5, [])
    assert held[0] == held[2] != held[1]


def test_the_seed_decides(tmp_path: Path) -> None:
    table = clip_table(tmp_path / "in")
    parts = []
    for seed in (1, 2):
        split(tmp_path / str(seed), table, seed=seed)
        parts.append(open_artifact(tmp_path / str(seed)).manifest()["fold"].to_list())
    assert parts[0] != parts[1]


def test_official_folds_of_the_input(tmp_path: Path) -> None:
    table = clip_table(tmp_path / "in", origins=6, fold=[1, 2, 3, 1, 2, 3])
    split(tmp_path / "out", table, official=True)
    found = open_artifact(tmp_path / "out")
    assert found.manifest()["fold"].to_list() == [1, 1, 1, 2, 2, 2, 3, 3, 3] * 2
    assert not found.manifest()["test"].any()
    assert found.facts["folds"] == [1, 2, 3]
    split(tmp_path / "tested", table, official=True, test_fold=[3])
    assert open_artifact(tmp_path / "tested").facts["folds"] == [1, 2]
    assert open_artifact(tmp_path / "tested").manifest()["test"].sum() == 6


def test_official_folds_of_a_table(tmp_path: Path) -> None:
    table = clip_table(tmp_path / "in", origins=4)
    (tmp_path / "folds.csv").write_text("file,part\n0.wav,1\n1.wav,1\n2.wav,2\n3.wav,2\n9.wav,2\n")
    split(tmp_path / "out", table, folds_from=str(tmp_path / "folds.csv"), fold_column="part")
    assert open_artifact(tmp_path / "out").manifest()["fold"].to_list() == [1] * 6 + [2] * 6
    with pytest.raises(NoInputError, match="no such file"):
        split(tmp_path / "no", table, folds_from=str(tmp_path / "no.csv"))


def test_origins_that_straddle_official_folds_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = clip_table(tmp_path / "in", origins=4, fold=[1, 1, 2, 2], origin=["p", "q", "p", "q"])
    split(tmp_path / "out", table, official=True)
    assert "2 origins have clips in several parts (p, q)" in caplog.text


def test_small_classes_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outcome = split(tmp_path / "out", clip_table(tmp_path / "in", origins=12, classes="aaaaaaaaaaab"))
    assert "no clip in the test part, so no score, for 1 classes: b (1 origin)" in caplog.text
    assert len(outcome.summary["warnings"]) >= 2


def test_what_cannot_be_split_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    table = clip_table(tmp_path / "in", origins=2)
    with pytest.raises(IncompatibleError, match="2 groups"):
        split(tmp_path / "out", table)
    with pytest.raises(IncompatibleError, match="6 of 6 clips have no official fold"):
        split(tmp_path / "out", table, official=True)
    with pytest.raises(IncompatibleError, match="--group day: 6 of 6 clips have no time"):
        split(tmp_path / "out", table, group="day")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "one fold leaves nothing to train on"),
        ({"official": True, "folds_from": "x.csv"}, "exclude each other"),
        ({"test_fold": [1]}, "--test-fold needs official folds"),
        ({"official": True, "folds": 3}, "--folds is for drawn parts"),
        ({"repeat": 1}, "belong together"),
        ({"repeat": 3, "repeats": 2}, "--repeat 3: must be at most --repeats 2"),
        ({"folds": 0, "test_fraction": 0}, "nothing to split"),
        ({"fold_column": "x"}, "need --folds-from"),
        ({"test_fraction": 1}, "--test-fraction 1: must be a number, at least 0 and less than 1"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(SplitSettings, settings)


@pytest.mark.slow
def test_esc50_has_its_official_folds_and_its_straddlers(
    tmp_path: Path, shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """2,000 files of 5 s in five folds of 400; four recordings of this copy lie in two folds, by doubtful names."""
    folder = shared_data / "esc50"
    settings = {"sample_rate": 16000, "label_from": "csv", "labels": str(folder / "labels.csv"), "reference": True}
    run(Segment(check(SegmentSettings, settings), [folder], tmp_path / "clips", RunOptions()))
    outcome = split(tmp_path / "out", tmp_path / "clips", official=True)
    table = open_artifact(tmp_path / "out").manifest()
    assert table.group_by("fold").len().sort("fold").rows() == [(fold, 800) for fold in range(1, 6)]
    assert table["labels"].list.first().n_unique() == 50
    assert "4 origins have clips in several parts" in caplog.text
    assert len(outcome.summary["warnings"]) == 1
    split(tmp_path / "drawn", tmp_path / "clips", test_fraction=0)
    drawn = open_artifact(tmp_path / "drawn").manifest()
    assert straddlers(drawn, "origin") == []
    assert (drawn.group_by("fold", pl.col("labels").list.first()).len()["len"] - 16).abs().max() <= 6
