"""Evaluations whose clips can be heard: a tone a class, in files of their own, alone or several at once."""

from pathlib import Path

import numpy as np
import polars as pl
import soundfile
from embeddings import (
    CLASSES,
    SPECIES,
    each_scores,
    embedded,
    embedded_each,
    evaluate,
    head,
    table,
    table_of_several,
)

from birdssl.settings.base import check
from birdssl.settings.report import ReportSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.report import Report
from birdssl.stages.runner import Outcome, run

RATE, SECONDS = 16_000, 1.0
HERTZ = dict(zip(CLASSES, (500, 1500, 4000), strict=True))
CALLS = dict(zip(SPECIES, (500, 1500, 4000), strict=True))


def sounding(folder: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows and vectors of `embeddings.table`, each row with a second of its class's tone in a file below `folder`."""
    rows, vectors = table(sites=2)
    time = np.arange(int(RATE * SECONDS)) / RATE
    (folder / "sound").mkdir(parents=True)
    for label, hertz in HERTZ.items():
        wave = 0.01 * np.sin(2 * np.pi * hertz * time)
        soundfile.write(folder / "sound" / f"{CLASSES.index(label)}.wav", wave, RATE)
    paths = [f"../sound/{CLASSES.index(labels[0])}.wav" for labels in rows["labels"]]
    return rows.with_columns(path=pl.Series(paths), offset=pl.lit(0, pl.Int64), seconds=pl.lit(SECONDS),
                             padded=pl.lit(0.0)), vectors  # fmt: skip


def evaluations(folder: Path) -> list[Path]:
    """Plain features and two folds of a model, the folds scored apart."""
    rows, vectors = sounding(folder)
    plain = embedded(folder / "mel", rows, vectors, sound=(RATE, SECONDS))
    folds = [embedded(folder / f"fold-{fold}", rows, vectors, head(rows, 0.8, seed=fold), fold, (RATE, SECONDS))
             for fold in (0, 1)]  # fmt: skip
    evaluate([plain], folder / "scores-mel", name=["mel statistics"], draws=200)
    for fold, inputs in enumerate(folds):
        evaluate([inputs], folder / f"scores-{fold}", name=["VICReg"], draws=200)
    return [folder / "scores-mel", folder / "scores-0", folder / "scores-1"]


def sounding_together(folder: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows and vectors of `embeddings.table_of_several`, each row with a second of its species' tones together."""
    rows, vectors = table_of_several(recordings=40)
    time = np.arange(int(RATE * SECONDS)) / RATE
    (folder / "sound").mkdir(parents=True)
    names = ["-".join(labels) or "unlabelled" for labels in rows["labels"].to_list()]
    for name in sorted(set(names)):
        wave = sum((0.01 * np.sin(2 * np.pi * CALLS[species] * time) for species in SPECIES if species in name),
                   np.zeros(len(time)))  # fmt: skip
        soundfile.write(folder / "sound" / f"{name}.wav", wave, RATE)
    return rows.with_columns(path=pl.Series([f"../sound/{name}.wav" for name in names]), offset=pl.lit(0, pl.Int64),
                             seconds=pl.lit(SECONDS), padded=pl.lit(0.0)), vectors  # fmt: skip


def evaluations_each(folder: Path) -> list[Path]:
    """Plain features and two folds of a model that tells each class by itself, the folds scored apart."""
    rows, vectors = sounding_together(folder)
    plain = embedded_each(folder / "mel", rows, vectors, sound=(RATE, SECONDS))
    evaluate([plain], folder / "scores-mel", name=["mel statistics"], several_labels="each", draws=200)
    for fold in (0, 1):
        scores = each_scores(rows, 3.0, seed=fold)
        made = embedded_each(folder / f"fold-{fold}", rows, vectors, scores, dict.fromkeys(SPECIES, 0.5), fold,
                             sound=(RATE, SECONDS))  # fmt: skip
        evaluate([made], folder / f"scores-{fold}", name=["VICReg"], draws=200)
    return [folder / "scores-mel", folder / "scores-0", folder / "scores-1"]


def report(inputs: list[Path], out: Path, **settings: object) -> Outcome:
    return run(Report(check(ReportSettings, {"draws": 200, **settings}), inputs, out), RunOptions(quiet=True))
