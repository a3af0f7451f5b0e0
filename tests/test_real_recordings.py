"""The whole chain on real recordings, small: MP3 in folders to a report, and detections in six minutes of sound."""

import json
from pathlib import Path

import polars as pl
import pytest

from birdssl.artifacts.artifact import open_artifact
from birdssl.cli.app import main

pytestmark = pytest.mark.slow


def birdssl(line: str, folder: Path) -> None:
    """Type a command line in which {name} is a directory below `folder`."""
    words = [word.replace("{", f"{folder}/").replace("}", "") for word in line.split()]
    assert main([*words, "--quiet"]) == 0, line


@pytest.fixture(scope="module")
def chain(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frogs of six species, by recording: trained for two epochs, so that the scores mean little."""
    folder = tmp_path_factory.mktemp("real")
    birdssl(f"segment {shared_data}/field/frogs -o {{clips}} --label-from folder --sample-rate 22050", folder)
    birdssl("split {clips} -o {split} --folds 0 --test-fraction 0.3", folder)
    birdssl("augment {split} -o {augmented} --views 2 --balance max", folder)
    birdssl("render {augmented} -o {shards} --height 128 --width 64 --n-mels 64 --jobs 2", folder)
    birdssl("pretrain {shards} -o {encoder} --objective barlow-twins --epochs 2 --projector-width 64", folder)
    birdssl("finetune {shards} -o {classifier} --start {encoder} --epochs 2", folder)
    birdssl("embed {split} -o {embedded} --model {classifier}", folder)
    birdssl("embed {split} -o {plain} --features mel-statistics", folder)
    birdssl("evaluate {plain} {embedded} -o {scores} --draws 200", folder)
    birdssl(f"detect {shared_data}/field/long -o {{found}} --model {{classifier}} --threshold 0.05", folder)
    return folder


def test_clips_are_of_every_frog_and_no_recording_straddles(chain: Path):
    clips = open_artifact(chain / "split").manifest()
    assert clips["recording"].n_unique() == 14
    assert clips["labels"].explode().n_unique() == 6
    assert clips.group_by("origin").agg(pl.col("test").n_unique())["test"].to_list() == [1] * 14


def test_the_report_has_both_systems_with_intervals_over_recordings(chain: Path):
    systems = json.loads((chain / "scores" / "metrics.json").read_text())["systems"]
    assert [system["name"] for system in systems] == ["plain", "embedded"]
    page = (chain / "scores" / "report.html").read_text()
    assert "wood-frog" in page
    scored = open_artifact(chain / "scores").manifest()
    assert 0 < scored["origin"].n_unique() < 14


def test_mel_statistics_tell_frogs_apart_better_than_chance(chain: Path):
    plain = json.loads((chain / "scores" / "metrics.json").read_text())["systems"][0]
    assert plain["balanced_accuracy"]["value"] > 1 / 6


def test_detections_lie_inside_their_recordings(chain: Path, shared_data: Path):
    import soundfile

    found = pl.read_csv(chain / "found" / "detections.csv", infer_schema_length=None)
    assert found.height > 0
    for name in found["recording"].unique():
        last = found.filter(pl.col("recording") == name)["end"].max()
        assert last <= soundfile.info(shared_data / "field" / name).duration + 3
