"""From recordings in which several species call at once to scores and detections, by the commands of a person."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from birdssl.artifacts.artifact import MANIFEST, open_artifact
from birdssl.cli.app import main
from birdssl.seeds import generator
from birdssl.training.saved_model import load_model

pytestmark = pytest.mark.slow

RATE, SECONDS = 8000, 10.0
PITCH = {"bass": 600.0, "alto": 1400.0, "soprano": 2800.0}  # Hz; each trills in its own band, whoever else calls
HEADER = "Selection\tBegin Time (s)\tEnd Time (s)\tSpecies\n"


def record(folder: Path, number: int, annotated: bool = True) -> None:
    """A recording with calls of all species at independent times, and its Raven table if somebody listened to it."""
    rng = generator(21, "recording", number)
    time = np.arange(round(RATE * SECONDS)) / RATE
    samples, lines = 0.02 * rng.standard_normal(len(time)), []
    for species, pitch in PITCH.items():
        for start in rng.uniform(0, SECONDS - 1.5, rng.integers(1, 6)):
            length, hertz = rng.uniform(0.8, 1.4), pitch * rng.uniform(0.95, 1.05)
            inside = (time >= start) & (time < start + length)
            samples += 0.15 * np.sin(2 * np.pi * hertz * time + 2 * np.sin(2 * np.pi * 9 * time)) * inside
            lines.append(f"{len(lines) + 1}\t{start:.3f}\t{start + length:.3f}\t{species}\n")
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / f"{number:03d}.wav", samples, RATE, subtype="PCM_16")
    if annotated:
        (folder / f"{number:03d}.Table.1.selections.txt").write_text(HEADER + "".join(lines))


def type_in(line: str) -> None:
    assert main([*line.split(), "--quiet"]) == 0


def classifier(shards: Path, out: Path, scored: Path) -> dict:
    """Train on the labels of `shards`, and score on those of `scored`, the same clips: results of its one system."""
    type_in(
        f"finetune {shards} -o {out} --fold 0 --several-labels each --epochs 12 --batch-size 16 --optimiser adam "
        "--learning-rate 0.001 --threads 1 --precision fp32"
    )
    type_in(f"embed {scored} -o {out}-embedded --model {out}")
    type_in(f"evaluate {out}-embedded -o {out}-scores --draws 200")
    return json.loads((out.parent / f"{out.name}-scores" / "metrics.json").read_text())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    for number in range(34):
        record(folder / "card", number, annotated=number < 30)
    type_in(
        f"segment {folder}/card -o {folder}/clips --label-from raven --mark-none --clip-seconds 1 --sample-rate {RATE}"
    )
    type_in(f"split {folder}/clips -o {folder}/split --test-fraction 0.3 --folds 3")
    size = "--height 104 --width 48 --n-mels 64 --n-fft 512 --hop 128"
    type_in(f"render {folder}/split -o {folder}/shards {size} --sheet 0")
    return folder


@pytest.fixture(scope="module")
def told(work: Path) -> dict:
    """Results of a classifier that learned the true labels."""
    return classifier(work / "shards", work / "true", work / "shards")


def test_calls_at_once_are_told_and_shuffled_labels_are_not(work: Path, told: dict):
    rows = open_artifact(work / "shards").manifest()
    counts = rows.select(pl.col("labels").list.len()).to_series()
    assert (counts > 1).sum() > 40
    assert (counts == 0).sum() >= 4 * SECONDS  # recordings that nobody listened to, and calls that only touch a clip
    shuffled = work / "shuffled"
    shutil.copytree(work / "shards", shuffled)
    places = generator(3, "shuffled labels").permutation(rows.height)
    labels = rows["labels"][places.tolist()].alias("labels")
    rows.with_columns(labels).write_parquet(shuffled / MANIFEST)
    stage = json.loads((shuffled / "stage.json").read_text())
    (shuffled / "stage.json").write_text(json.dumps({**stage, "digest": "shuffled"}))
    wrong = classifier(shuffled, work / "wrong", work / "shards")

    chance = told["chance"]["macro_average_precision"]
    good, poor = (found["systems"][0]["macro_average_precision"] for found in (told, wrong))
    assert good["low"] > chance + 0.3
    assert good["low"] > poor["high"]
    assert told["systems"][0]["macro_auroc"]["value"] > 0.9
    test = rows.filter(pl.col("test"))
    bare = test.filter(pl.col("labels").list.len() == 0).height
    assert told["data"]["clips"] == test.height - bare
    assert {"why": "unlabelled", "clips": bare} in told["left_out"]
    assert told["data"]["none"] == test.filter(pl.col("labels").list.contains("none")).height > 0


@pytest.mark.usefixtures("told")
def test_two_species_at_one_time_are_both_detected(work: Path):
    time = np.arange(4 * RATE) / RATE
    trill, sounding = 2 * np.sin(2 * np.pi * 9 * time), (time >= 1) & (time < 3)
    both = sum(0.15 * np.sin(2 * np.pi * PITCH[name] * time + trill) * sounding for name in ("bass", "soprano"))
    folder = work / "new"
    folder.mkdir()
    soundfile.write(folder / "both.wav", both + 0.02 * generator(4, "noise").standard_normal(len(time)), RATE)
    type_in(f"detect {folder} -o {work}/detections --model {work}/true")
    found = open_artifact(work / "detections").manifest()
    assert load_model(work / "true").classes == ("alto", "bass", "soprano")
    middle = found.filter((pl.col("start") <= 1.5) & (pl.col("end") >= 2.5))
    assert {"bass", "soprano"} <= set(middle["label"])
    assert "alto" not in set(middle["label"])
