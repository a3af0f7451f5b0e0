"""A small split directory, written by hand: tones of known pitch in a file of 1-second clips for each recording."""

from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, UNITS, StageRecord
from birdssl.artifacts.manifest import ORIGINAL, clip_id, clips

RATE, SECONDS = 8000, 1.0
PITCH = {"high": 2000.0, "low": 500.0, "rare": 1000.0}  # Hz of each class
CLIPS = {"high": 10, "low": 5, "rare": 5}  # clips of each class in the training part
FOLDS = 5


def tone(frequency: float, seconds: float = SECONDS, seed: int = 0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return 0.3 * np.sin(2 * np.pi * frequency * time) + 0.003 * noise


def make_split(folder: Path, unlabelled: int = 3) -> Path:
    """Write recordings and the directory `folder/split`: training clips in folds, one test clip a class, unlabelled."""
    rows: list[dict] = []
    for label, count in CLIPS.items():
        wave = np.concatenate([tone(PITCH[label], seed=i) for i in range(count + 1)])
        write_recording(folder, f"{label}.wav", wave)
        rows += [{**row(f"{label}.wav", i), "labels": [label], "test": i == count,
                  "fold": None if i == count else i % FOLDS} for i in range(count + 1)]  # fmt: skip
    if unlabelled:
        write_recording(folder, "unlabelled.flac", np.concatenate([tone(3000, seed=i) for i in range(unlabelled)]))
        rows += [{**row("unlabelled.flac", i), "test": False, "fold": i % FOLDS} for i in range(unlabelled)]
    return write_split(folder / "split", rows)


def write_recording(folder: Path, name: str, wave: np.ndarray) -> None:
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "recordings" / name, wave, RATE)


def row(name: str, number: int) -> dict:
    recording = f"recordings/{name}"
    return {"id": clip_id(recording, number * SECONDS, SECONDS, None), "role": ORIGINAL, "recording": recording,
            "origin": recording, "start": number * SECONDS, "seconds": SECONDS, "padded": 0.0,
            "path": f"../recordings/{name}", "offset": round(number * SECONDS * RATE)}  # fmt: skip


def write_split(out: Path, rows: list[dict]) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    clips(rows).write_parquet(out / MANIFEST)
    pl.DataFrame({"key": ["all"], "identity": [""], "rows": [len(rows)], "rejects": [0]}).write_parquet(out / UNITS)
    facts = {"sample_rate": RATE, "clip_seconds": SECONDS, "classes": sorted(PITCH)}
    StageRecord("split", "0", COMPLETE, {}, [], "", facts=facts, digest=str(rows)).write(out)
    return out
