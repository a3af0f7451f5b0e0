"""Embeddings whose truth is known, as `birdssl embed` leaves them, and their evaluation."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import MANIFEST, StageRecord, read_record
from birdssl.artifacts.atomic import write_table
from birdssl.artifacts.manifest import clips
from birdssl.settings.base import check
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.evaluate import Evaluate
from birdssl.stages.runner import run

FROG, WREN, RAIN = 'frog <b>&amp;"x"', "wren", "rain"
CLASSES = [FROG, WREN, RAIN]
FEATURES = 6


def table(recordings=10, clips_each=4, spread=1.0, seed=0, sites=1):
    """Recordings of one class each in turn, the last fifth of each class in the test part, the rest in two folds."""
    random = np.random.default_rng(seed)
    rows, vectors = [], []
    for number in range(recordings * len(CLASSES)):
        kind, turn = number % len(CLASSES), number // len(CLASSES)
        test = turn >= recordings * 0.8
        for clip in range(clips_each):
            rows.append({
                "id": f"{number:04x}{clip:012x}", "role": "original", "recording": f"card/{number}.wav",
                "origin": f"card/{number}.wav", "start": clip * 3.0, "seconds": 3.0, "labels": [CLASSES[kind]],
                "test": test, "fold": None if test else turn % 2, "site": ("north", "south")[turn % sites],
            })  # fmt: skip
            vectors.append(2 * np.eye(FEATURES)[kind] + spread * random.normal(size=FEATURES))
    return clips(rows), np.array(vectors, np.float32)


def write_artifact(folder: Path, verb: str, rows: pl.DataFrame, facts=None, inputs=()):
    write_table(folder / MANIFEST, rows)
    record = StageRecord(verb=verb, version="0.1.0", state="complete", settings={}, inputs=list(inputs), plan="",
                         facts=facts or {}, counts={"rows": rows.height, "units": 1, "rejects": 0},
                         digest=f"{folder.name}-{rows.height}")  # fmt: skip
    record.write(folder)
    return folder


def settled(folder: Path, settings, *inputs: str):
    """Give a run its settings, and what it started from."""
    record = read_record(folder)
    record.settings = settings
    record.inputs = [{"path": f"../{name}", "verb": "x", "digest": "d"} for name in inputs]
    record.write(folder)


def embedded(folder: Path, rows, vectors, scores=None, fold=None, sound=None):
    """An embed directory; `scores` (clips, 3) makes it one of a model with a head, `sound` (Hz, s) one to be heard."""
    rows = rows.with_columns(embedding=pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])))
    facts = {"kind": "embedding", "classes": CLASSES, "model": None if scores is None else "abc"} | (
        {} if fold is None else {"fold": fold}
    )
    if sound is not None:
        facts |= {"sample_rate": sound[0], "clip_seconds": sound[1]}
    if scores is not None:
        rows = rows.with_columns(scores=pl.Series(scores.astype(np.float32), dtype=pl.Array(pl.Float32, 3)))
    return write_artifact(folder, "embed", rows, facts)


def head(rows, share, seed=0):
    """Scores that name the right class with a given probability, and another one else."""
    random = np.random.default_rng(seed)
    truth = np.array([CLASSES.index(labels[0]) if labels else 0 for labels in rows["labels"].to_list()])
    answer = np.where(random.random(len(truth)) < share, truth, (truth + random.integers(1, 3, len(truth))) % 3)
    return 0.7 * np.eye(3)[answer] + 0.1


def evaluate(inputs, out, **settings):
    return run(Evaluate(check(EvaluateSettings, settings), inputs, out), RunOptions(quiet=True))


def metrics(out: Path):
    return json.loads((out / "metrics.json").read_text())


SPECIES = ["frog", "owl", "wren"]


def table_of_several(recordings=20, clips_each=4, spread=0.7, seed=0):
    """Clips that hold any of three species, or none of them; every tenth one is unlabelled.

    The last fifth of the recordings is the test part, the rest are two folds. Vectors point to the species' sum.
    """
    random = np.random.default_rng(seed)
    rows, vectors = [], []
    for number in range(recordings):
        test = number >= recordings * 0.8
        for clip in range(clips_each):
            held = random.random(3) < (0.5, 0.3, 0.2)
            labels = [name for name, yes in zip(SPECIES, held, strict=True) if yes] or ["none"]
            bare = (number * clips_each + clip) % 10 == 9
            rows.append({
                "id": f"{number:04x}{clip:012x}", "role": "original", "recording": f"card/{number}.wav",
                "origin": f"card/{number}.wav", "start": clip * 3.0, "seconds": 3.0, "labels": [] if bare else labels,
                "test": test, "fold": None if test else number % 2, "site": "north",
            })  # fmt: skip
            vectors.append(2 * held @ np.eye(3, FEATURES) + spread * random.normal(size=FEATURES))
    return clips(rows), np.array(vectors, np.float32)


def embedded_each(folder: Path, rows, vectors, scores=None, thresholds=None, fold=None, classes=SPECIES, sound=None):
    """An embed directory; `scores` (clips, classes) makes it one of a model that tells each class by itself.

    `sound` (Hz, s) makes it one to be heard.
    """
    rows = rows.with_columns(embedding=pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])))
    facts = {"kind": "embedding", "classes": classes} | ({} if fold is None else {"fold": fold})
    if sound is not None:
        facts |= {"sample_rate": sound[0], "clip_seconds": sound[1]}
    if scores is not None:
        facts |= {"model": "abc", "scores": "sigmoid", "thresholds": thresholds}
        rows = rows.with_columns(scores=pl.Series(scores.astype(np.float32), dtype=pl.Array(pl.Float32, len(classes))))
    return write_artifact(folder, "embed", rows, facts)


def frozen_each(folder: Path, name: str, rows, vectors, epochs: int):
    """Embeddings by a network that `epochs` of VICReg made, before any label: 0 is its random start."""
    write_artifact(folder / f"run-{name}", "pretrain", rows.head(1), {"encoder": "simplecnn"})
    settled(folder / f"run-{name}", {"objective": "vicreg", "epochs": epochs})
    made = embedded_each(folder / name, rows, vectors)
    record = read_record(made)
    record.facts |= {"model": "abc", "encoder": "simplecnn"}
    record.inputs = [{"path": f"../run-{name}", "verb": "pretrain", "digest": "d"}]
    record.write(made)
    return made


def each_scores(rows, skill, seed=0):
    """Scores in (0, 1) of the three species, by chance and by what a clip holds."""
    held = np.array([[name in labels for name in SPECIES] for labels in rows["labels"].to_list()])
    return 1 / (1 + np.exp(1 - skill * held - np.random.default_rng(seed).normal(size=held.shape)))
