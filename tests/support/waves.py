"""Stored waveforms of tones, as `birdssl render --kind waveform` leaves them, and few-shot on them in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, REJECTS, UNITS, StageRecord
from birdssl.artifacts.manifest import clip_id, clips
from birdssl.artifacts.shards import write_shard
from birdssl.seeds import generator
from birdssl.settings.base import check
from birdssl.settings.fewshot import FewshotSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.fewshot import Fewshot

RATE, SECONDS = 8000, 1.0
SMALL = {
    "widths": [8, 8, 8, 16], "ssm_layers": 1, "ssm_state": 4, "n_mels": 32, "hop": 512, "crop_seconds": 0.5,
    "crops": 2, "epochs": 2, "batch_size": 8, "shots": 3, "draws": 2, "finetune_epochs": 2, "support_folds": 2,
    "threads": 1, "precision": "fp32", "validate_every": 1,
}  # fmt: skip
QUIET = RunOptions(quiet=True, device="cpu")
PITCH = {"bass": 300.0, "tenor": 700.0, "alto": 1400.0, "soprano": 2800.0}  # Hz


def tone(label: str, clip: int) -> np.ndarray:
    """(RATE * SECONDS,) int16: a tone of about the class's pitch, somewhere in the clip, under noise."""
    rng = generator(11, label, clip)
    time = np.arange(round(RATE * SECONDS)) / RATE
    start = rng.uniform(0, 0.4)
    sound = np.sin(2 * np.pi * PITCH.get(label, 1000.0) * rng.uniform(0.9, 1.1) * time)
    inside = (time >= start) & (time < start + 0.5)
    return np.rint(6000 * sound * inside + 300 * rng.standard_normal(len(time))).astype(np.int16)


def waves_row(label: str | None, clip: int, per_origin: int) -> dict[str, Any]:
    recording = f"card/{label}-{clip // per_origin:03d}.wav"
    start = float(clip % per_origin)
    return {"id": clip_id(recording, start, SECONDS, None), "role": "original", "recording": recording,
            "origin": recording, "start": start, "seconds": SECONDS, "padded": 0.0, "path": recording, "offset": 0,
            "labels": [label] if label else []}  # fmt: skip


def rendered_waves(
    folder: Path, each: int = 8, *, labels: tuple[str, ...] = tuple(PITCH), per_origin: int = 1, unlabelled: int = 0
) -> Path:
    """`each` clips of every label and some without any, in one shard; `per_origin` clips are of one recording."""
    known = [(label, clip) for label in labels for clip in range(each)]
    asked = known + [(None, clip) for clip in range(unlabelled)]
    rows = [{**waves_row(label, clip, per_origin), "shard": 0, "row": place}
            for place, (label, clip) in enumerate(asked)]  # fmt: skip
    write_shard(folder, 0, np.stack([tone(label or "alto", clip) for label, clip in asked]))
    clips(rows).write_parquet(folder / MANIFEST)
    pl.DataFrame(schema={"name": pl.String, "where": pl.String, "reason": pl.String}).write_parquet(folder / REJECTS)
    pl.DataFrame({"key": ["shard"], "identity": ["x"]}).write_parquet(folder / UNITS)
    facts = {"kind": "waveform", "sample_rate": RATE, "clip_seconds": SECONDS, "frontend": None,
             "array": {"shape": [round(RATE * SECONDS)], "dtype": "int16"}, "classes": sorted(labels)}  # fmt: skip
    counts = {"units": 1, "rows": len(rows), "rejects": 0}
    StageRecord("render", "0", COMPLETE, {}, [], "plan", facts, counts, {}, f"{folder.name} {len(rows)}").write(folder)
    return folder


def few_shot(folder: Path, waves: Path, **settings: Any) -> Fewshot:
    """The stage, small enough for a test; `...` leaves a setting at its default."""
    given = {name: value for name, value in {**SMALL, **settings}.items() if value is not ...}
    return Fewshot(check(FewshotSettings, given), [waves], folder, QUIET)
