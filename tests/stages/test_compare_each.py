"""Evaluations that tell each class by itself, side by side: folds that were scored apart are one system."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embeddings import (
    SPECIES,
    each_scores,
    embedded,
    embedded_each,
    evaluate,
    frozen_each,
    head,
    metrics,
    table,
    table_of_several,
)

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import IncompatibleError
from birdssl.settings.base import check
from birdssl.settings.compare import CompareSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.compare import Compare
from birdssl.stages.runner import Outcome, run

FOLDS = (0, 1, 2)
THRESHOLDS = dict.fromkeys(SPECIES, 0.5)
FEW = {"draws": 200}


def compared(out: Path, runs: list[Path], **settings: Any) -> Outcome:
    return run(Compare(check(CompareSettings, {**FEW, **settings}), runs, out), RunOptions(quiet=True))


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good and a poor system of three folds each, every fold scored by itself, and all of them in one go."""
    folder = tmp_path_factory.mktemp("runs")
    rows, vectors = table_of_several(recordings=60)
    for name, skill in (("poor", 0.3), ("good", 3.0)):
        for fold in FOLDS:
            made = embedded_each(folder / f"embed-{name}-{fold}", rows, vectors, each_scores(rows, skill, seed=fold),
                                 THRESHOLDS, fold)  # fmt: skip
            evaluate([made], folder / f"{name}-{fold}", name=[name], **FEW)
    evaluate([folder / f"embed-{name}-{fold}" for name in ("poor", "good") for fold in FOLDS], folder / "at-once",
             name=["poor"] * 3 + ["good"] * 3, **FEW)  # fmt: skip
    backwards = folder / "good-1-backwards"
    evaluate([folder / "embed-good-1"], backwards, name=["good"], classes=SPECIES[::-1], **FEW)
    evaluate([folder / "embed-good-0"], folder / "two-classes", name=["good"], classes=SPECIES[:2], **FEW)
    rows, vectors = table()
    evaluate([embedded(folder / "embed-single", rows, vectors, head(rows, 0.6))], folder / "single",
             projection_clips=0, circumstance_clips=0, **FEW)  # fmt: skip
    return folder


def every(runs: Path) -> list[Path]:
    return [runs / f"{name}-{fold}" for name in ("poor", "good") for fold in FOLDS]


def test_folds_scored_apart_are_what_they_are_scored_at_once(runs: Path, tmp_path: Path):
    """Also where one has its classes in another order, and where one is given twice."""
    apart = [path if path.name != "good-1" else runs / "good-1-backwards" for path in every(runs)]
    compared(tmp_path / "out", [*apart, runs / "good-1"])
    found, known = results(tmp_path / "out"), metrics(runs / "at-once")
    for one, other in zip(found["systems"], known["systems"], strict=True):
        for row in other["classes"]:
            del row["thresholds"]
        del other["how"], other["figures"]
        assert one == other
    assert found["comparisons"] == known["comparisons"]
    assert found["chance"] == known["chance"]
    assert found["systems"][1]["folds"]["fold"] == [*FOLDS]


def test_a_better_system_is_told_over_recordings_and_over_folds(runs: Path, tmp_path: Path):
    outcome = compared(tmp_path / "out", every(runs), baseline="poor", expected=["ImageNet"])
    found = results(tmp_path / "out")
    (pair,) = found["comparisons"]
    assert pair["verdict"].startswith("good above poor by ")
    assert pair["folds"]["freedom"] == 2
    assert pair["folds"]["p_adjusted"] < 0.05
    assert "Over recordings: good above poor" in outcome.text
    assert "Over folds: good above poor" in outcome.text
    good = found["systems"][1]
    macro, micro, auroc = (good[name]["value"] for name in
                           ("macro_average_precision", "micro_average_precision", "macro_auroc"))  # fmt: skip
    beside = [f"{value * 100:.1f}" for value in (micro, auroc, good["macro_f1"])]
    spread = f"{good['folds']['mean'] * 100:.1f} ± {good['folds']['deviation'] * 100:.1f}"
    page = (tmp_path / "out" / "table.md").read_text()
    assert "| system | macro AP | 95 % interval | over folds | micro AP | macro AUROC | macro F1 | clips" in page
    assert f"| {spread} | {' | '.join(beside)} | {good['clips']} | {good['origins']} |" in page
    assert "| ImageNet | weights not at hand |" in page
    assert "balanced accuracy" not in page.lower()
    assert f"{macro * 100:.1f} %" in outcome.text
    rows = [row for row in csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines())
            if row["system"] == "good"]  # fmt: skip
    assert [row["of"] for row in rows] == ["all", "fold 0", "fold 1", "fold 2", "micro AP", "macro AUROC", "macro F1"]
    assert [float(row["value"]) for row in rows[1:4]] == good["folds"]["macro_average_precision"]
    assert float(rows[4]["low"]) == good["micro_average_precision"]["low"]
    latex = (tmp_path / "out" / "latex.csv").read_text()
    assert f"good,${spread.replace('±', chr(92) + 'pm')}$" in latex
    assert latex.startswith("system,macro AP,low,high,micro AP,macro AUROC,macro F1\n")
    assert (tmp_path / "out" / "systems.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.summary["systems"][1]["macro_f1"] == good["macro_f1"]


def test_truth_and_answers_are_kept_as_lists(runs: Path, tmp_path: Path):
    compared(tmp_path / "out", [runs / "good-1-backwards"])
    made = open_artifact(tmp_path / "out")
    assert made.facts["classes"] == SPECIES[::-1]
    for row in made.manifest().iter_rows(named=True):
        said = {name for name, score in zip(SPECIES[::-1], row["scores"], strict=True) if score >= 0.5}
        assert set(row["predicted"]) == said


def test_whether_pretraining_helped_is_answered_in_every_table(tmp_path: Path):
    rows, vectors = table_of_several(recordings=40)
    noise = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    runs = []
    for name, points, epochs in (("vicreg", vectors, 9), ("none", noise, 0)):
        made = frozen_each(tmp_path, name, rows, points, epochs)
        evaluate([made], tmp_path / f"scores-{name}", several_labels="each", probe=["linear", "knn"], **FEW)
        runs.append(tmp_path / f"scores-{name}")
    outcome = compared(tmp_path / "out", runs)
    (row,) = results(tmp_path / "out")["pretraining"]
    assert row["answer"] == "yes by a linear probe and by k-NN"
    assert "Did pretraining help simplecnn (vicreg)? Yes by a linear probe and by k-NN." in outcome.text
    page = (tmp_path / "out" / "table.md").read_text()
    assert "| use | system | macro AP | over random start | over plain features |" in page
    gap = row["uses"][0]["comparisons"][0]["difference"]
    low, value, high = (f"{gap[end] * 100:+.1f}" for end in ("low", "value", "high"))
    assert f"| {row['uses'][0]['score'] * 100:.1f} | {value} ({low} to {high}) | – |" in page


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (("good-0", "single"), r"good-0 scores each class by itself, and .*single one label a clip"),
        (("single", "good-0"), r"good-0 scores each class by itself, and .*single one label a clip"),
        (("good-0", "two-classes"), "for --classes; compare evaluations of the same part"),
    ],
)
def test_what_does_not_fit_together_is_refused(runs: Path, tmp_path: Path, inputs: tuple[str, ...], words: str):
    with pytest.raises(IncompatibleError, match=words):
        compared(tmp_path / "out", [runs / name for name in inputs])
