"""`augment`: what is planned for whom, nothing from held-out clips, and the same bytes however it ran."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from made_split import CLIPS, FOLDS, RATE, make_split, row, write_split
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.balance import class_counts, draw_training_rows
from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.augment import AugmentSettings
from birdssl.settings.base import check
from birdssl.settings.run import RunOptions
from birdssl.stages.augment import Augment
from birdssl.stages.runner import Outcome, run


def augment(split: Path, out: Path, jobs: int = 1, **settings: object) -> Outcome:
    return run(Augment(AugmentSettings(**settings), [split], out, RunOptions(jobs=jobs, quiet=True)))


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return make_split(tmp_path)


def test_all_originals_stay_as_they_were(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", balance="max", views=2)
    before = open_artifact(split).manifest()
    after = open_artifact(tmp_path / "out").manifest().filter(pl.col("role") == "original")
    assert after.drop("path").equals(before.drop("path"))
    assert all((tmp_path / "out" / path).exists() for path in after["path"])


def test_every_clip_outside_the_test_part_gets_two_views_of_different_functions(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", views=2)
    table = open_artifact(tmp_path / "out").manifest()
    originals = table.filter(pl.col("role") == "original")
    views = table.filter(pl.col("role") == "view")
    assert set(views["parent"]) == set(originals.filter(~pl.col("test"))["id"])  # validation and unlabelled clips too
    for pair in views.partition_by("parent"):
        plans = [json.loads(text) for text in pair["operations"]]
        assert sorted(pair["number"]) == [1, 2]
        assert [len(plan) for plan in plans] == [1, 1]
        assert plans[0][0]["name"] != plans[1][0]["name"]
    assert table["id"].n_unique() == table.height


def test_views_of_test_clips_only_when_told(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", views=3, test_views=True)
    views = open_artifact(tmp_path / "out").manifest().filter(pl.col("role") == "view")
    assert views["test"].sum() == 3 * len(CLIPS)


def test_a_child_inherits_its_parent_s_place(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", balance="max", views=2)
    table = open_artifact(tmp_path / "out").manifest()
    parents = {row["id"]: row for row in table.iter_rows(named=True)}
    same = ["recording", "origin", "start", "seconds", "labels", "test", "fold", "path", "offset"]
    children = table.filter(pl.col("parent").is_not_null())
    assert children.height > 20
    for child in children.iter_rows(named=True):
        assert {name: child[name] for name in same} == {name: parents[child["parent"]][name] for name in same}


def test_each_fold_trains_on_equal_classes_and_nothing_held_out(split: Path, tmp_path: Path) -> None:
    outcome = augment(split, tmp_path / "out", balance="12", views=2)
    artifact = open_artifact(tmp_path / "out")
    table = artifact.manifest()
    assert artifact.facts["balance"] == 12
    held_out = {fold: set(table.filter((pl.col("fold") == fold) | pl.col("test"))["id"]) for fold in range(FOLDS)}
    for fold in range(FOLDS):
        rows = draw_training_rows(table, fold, artifact.facts["balance"])
        assert class_counts(rows) == dict.fromkeys(CLIPS, 12)
        assert not held_out[fold] & (set(rows["id"]) | set(rows["parent"]))
    assert not table.filter(pl.col("test") & (pl.col("role") != "original")).height
    # 8 + 4 + 4 labelled and 2 or 3 unlabelled clips to 3 x 12 and as many unlabelled
    assert outcome.summary["training"]["0"] == {"clips": 18, "balanced": 38}


def test_seeds_and_plans_do_not_depend_on_other_clips(split: Path, tmp_path: Path) -> None:
    """A clip's views are the same when it's augmented among others or alone."""
    augment(split, tmp_path / "all", views=2)
    few = write_split(split.parent / "few", [{**row("low.wav", 2), "labels": ["low"], "test": False, "fold": 2}])
    augment(few, tmp_path / "few-out", views=2)
    columns = ["id", "parent", "number", "operations", "seed"]
    every = open_artifact(tmp_path / "all").manifest().select(columns)
    alone = open_artifact(tmp_path / "few-out").manifest().select(columns)
    assert alone.height == 3
    assert alone.join(every, on=columns, how="semi", nulls_equal=True).height == 3


def test_same_bytes_with_one_and_two_workers_and_another_seed_differs(split: Path, tmp_path: Path) -> None:
    settings = {"balance": "max", "views": 2, "audio": True}
    augment(split, tmp_path / "one", jobs=1, **settings)
    augment(split, tmp_path / "two", jobs=2, **settings)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    augment(split, tmp_path / "other", seed=7, views=2)
    plans = [open_artifact(tmp_path / name).manifest().filter(pl.col("role") == "view")["operations"].to_list()
             for name in ("one", "other")]  # fmt: skip
    assert plans[0] != plans[1]


def test_audio_is_written_and_sounds_as_planned(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", views=2, audio=True, pitch=[12], stretch=[], noise=[20])
    views = open_artifact(tmp_path / "out").manifest().filter(pl.col("role") == "view")
    for view in views.iter_rows(named=True):
        wave, rate = soundfile.read(tmp_path / "out" / view["path"])
        assert (len(wave), rate) == (RATE, RATE)
        peak = np.argmax(np.abs(np.fft.rfft(wave)))
        octave = 2 if "pitch" in view["operations"] else 1
        if view["labels"] == ["low"]:
            assert peak == pytest.approx(500 * octave, abs=2)


def test_an_unreadable_clip_is_left_out_and_the_others_go_on(split: Path, tmp_path: Path) -> None:
    (split.parent / "recordings" / "low.wav").write_bytes(b"not audio")
    outcome = augment(split, tmp_path / "out", views=2, audio=True)
    artifact = open_artifact(tmp_path / "out")
    assert outcome.exit_code == 3
    assert artifact.rejects()["name"].to_list() == ["recordings/low.wav"] * 5  # one a clip, not one a view
    assert artifact.rejects()["reason"][0].startswith("../recordings/low.wav: isn't readable")
    assert artifact.manifest().filter(pl.col("role") == "view").height == 2 * (10 + 5 + 3)


def test_an_update_leaves_no_files_that_no_row_names(split: Path, tmp_path: Path) -> None:
    augment(split, tmp_path / "out", views=2, audio=True)
    rows = [{**row("high.wav", i), "labels": ["high"], "test": i > 2, "fold": None if i > 2 else i} for i in range(6)]
    write_split(split, rows)
    options = RunOptions(update=True, quiet=True)
    run(Augment(AugmentSettings(views=2, audio=True), [split], tmp_path / "out", options))
    children = open_artifact(tmp_path / "out").manifest().filter(pl.col("role") == "view")
    files = {path for path in (tmp_path / "out" / "audio").rglob("*") if path.is_file()}
    assert files == {tmp_path / "out" / path for path in children["path"]}
    assert len(files) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "nothing to plan: give --balance N"),
        ({"balance": "some"}, "must be a number of clips, or max"),
        ({"views": 1}, "a pair needs 2"),
        ({"views": 2, "stretch": "", "pitch": ""}, "two different functions"),
        ({"views": 2, "stretch": "1.0,0.5"}, "1 would change nothing"),
        ({"views": 2, "pitch": "0"}, "0 would change nothing"),
        ({"views": -1}, "at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(settings: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(AugmentSettings, settings)


def test_balance_without_labels_says_what_to_do(tmp_path: Path) -> None:
    split = write_split(tmp_path / "split", [{**row("a.wav", 0), "test": False, "fold": 0}])
    with pytest.raises(IncompatibleError, match="leave --balance out, or label the clips"):
        augment(split, tmp_path / "out", balance="max")


def test_the_same_clip_twice_is_refused(split: Path, tmp_path: Path) -> None:
    twice = Augment(AugmentSettings(views=2), [split, split], tmp_path / "out", RunOptions(quiet=True))
    with pytest.raises(IncompatibleError, match="give each input once"):
        run(twice)
