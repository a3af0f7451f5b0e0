"""Evaluations side by side: folds that were scored apart are one system, and what doesn't fit together is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from embeddings import embedded, evaluate, head, metrics, settled, table, write_artifact

from birdssl.artifacts.artifact import open_artifact, read_record
from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.base import check
from birdssl.settings.compare import CompareSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.compare import Compare
from birdssl.stages.runner import Outcome, run

FOLDS = (0, 1, 2)


def compared(out: Path, runs: list[Path], **settings: Any) -> Outcome:
    return run(Compare(check(CompareSettings, settings), runs, out), RunOptions(quiet=True))


def results(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems of three folds each, every fold scored by itself: bad is right in 40 % of clips, good in 80 %."""
    folder = tmp_path_factory.mktemp("runs")
    rows, vectors = table()
    for name, share in (("bad", 0.4), ("good", 0.8)):
        for fold in FOLDS:
            made = embedded(folder / f"embed-{name}-{fold}", rows, vectors, head(rows, share, seed=fold), fold)
            evaluate([made], folder / f"{name}-{fold}", name=[name], projection_clips=0, draws=200)
    evaluate([folder / f"embed-{name}-{fold}" for name in ("bad", "good") for fold in FOLDS], folder / "at-once",
             name=["bad"] * 3 + ["good"] * 3, projection_clips=0, draws=200)  # fmt: skip
    plain = embedded(folder / "embed-mel", rows, vectors)
    evaluate([plain], folder / "mel", name=["mel statistics"], projection_clips=0, draws=200)
    evaluate([plain], folder / "validation", name=["mel"], on="validation", projection_clips=0, draws=200)
    evaluate([plain], folder / "two-classes", name=["mel"], classes=["wren", "rain"], projection_clips=0, draws=200)
    return folder


def every(runs: Path) -> list[Path]:
    return [runs / f"{name}-{fold}" for name in ("bad", "good") for fold in FOLDS]


def test_folds_scored_apart_are_what_they_are_scored_at_once(runs: Path, tmp_path: Path):
    compared(tmp_path / "out", every(runs), draws=200)
    found, known = results(tmp_path / "out"), metrics(runs / "at-once")
    for one, other in zip(found["systems"], known["systems"], strict=True):
        assert {name: one[name] for name in ("name", "balanced_accuracy", "folds", "confusion", "recall")} == {
            name: other[name] for name in ("name", "balanced_accuracy", "folds", "confusion", "recall")
        }
    assert found["comparisons"] == known["comparisons"]
    assert open_artifact(tmp_path / "out").counts["rows"] == sum(
        open_artifact(path).counts["rows"] for path in every(runs)
    )


def test_a_better_system_is_told_over_recordings_and_over_folds(runs: Path, tmp_path: Path):
    outcome = compared(tmp_path / "out", [*every(runs), runs / "mel"], baseline="bad", expected=["ImageNet", "good"])
    found = results(tmp_path / "out")
    assert [row["name"] for row in found["systems"]] == ["bad", "good", "mel statistics"]
    pair = next(item for item in found["comparisons"] if (item["first"], item["second"]) == ("good", "bad"))
    assert pair["verdict"].startswith("good above bad by ")
    assert pair["folds"]["freedom"] == 2
    assert pair["folds"]["p"] < pair["folds"]["p_corrected"] == pair["folds"]["p_adjusted"]  # one test, so no others
    assert "Over recordings: good above bad" in outcome.text
    assert "Over folds: " in outcome.text
    page = (tmp_path / "out" / "table.md").read_text()
    assert "Each of the 3 intervals over recordings stands alone" in page
    assert "| ImageNet | weights not at hand |" in page
    assert "| good − bad | +" in page
    rows = list(csv.DictReader((tmp_path / "out" / "table.csv").read_text().splitlines()))
    good = [row for row in rows if row["system"] == "good"]
    assert [row["of"] for row in good] == ["all", "fold 0", "fold 1", "fold 2"]
    folds = [float(row["value"]) for row in good[1:]]
    system = found["systems"][1]["folds"]
    assert system["mean"] == pytest.approx(sum(folds) / 3, abs=1e-5)
    latex = (tmp_path / "out" / "latex.csv").read_text()
    assert f"good,${system['mean'] * 100:.1f} \\pm {system['deviation'] * 100:.1f}$" in latex
    assert (tmp_path / "out" / "systems.png").read_bytes().startswith(b"\x89PNG")
    assert outcome.summary["systems"][1]["value"] == found["systems"][1]["balanced_accuracy"]["value"]


def test_whether_pretraining_helped_is_answered_for_all_uses_of_an_encoder(tmp_path: Path):
    """Fine-tuned by its head, and frozen by two probes: frozen it knows the classes, and its random start does not."""
    rows, clear = table(spread=0.3)
    noise = np.random.default_rng(0).normal(size=clear.shape).astype(np.float32)
    write_artifact(tmp_path / "vicreg", "pretrain", rows.head(1), {"encoder": "simplecnn"})
    write_artifact(tmp_path / "none", "pretrain", rows.head(1), {"encoder": "simplecnn"})
    settled(tmp_path / "vicreg", {"objective": "vicreg", "epochs": 9})
    settled(tmp_path / "none", {"objective": "vicreg", "epochs": 0})
    runs = []
    for name, vectors in (("vicreg", clear), ("none", noise)):
        write_artifact(tmp_path / f"tuned-{name}", "finetune", rows.filter(~pl.col("test")))
        settled(tmp_path / f"tuned-{name}", {"start": f"../{name}"}, name)
        for use, scores in (("tuned-", head(rows, 0.6, seed=len(name))), ("", None)):
            made = embedded(tmp_path / f"embed-{use}{name}", rows, vectors, scores)
            record = read_record(made)
            record.facts |= {"model": "abc", "encoder": "simplecnn"}
            record.inputs = [{"path": f"../{use}{name}", "verb": "x", "digest": "d"}]
            record.write(made)
            more = {"probe": "linear,centroid"} if scores is None else {}
            evaluate([made], tmp_path / f"scores-{use}{name}", projection_clips=0, circumstance_clips=0, **more)
            runs.append(tmp_path / f"scores-{use}{name}")
    outcome = compared(tmp_path / "out", runs, draws=500)
    (row,) = results(tmp_path / "out")["pretraining"]
    assert row["answer"] == "yes by a linear probe and by nearest centroid; not shown when fine-tuned"
    assert [(use["use"], use["system"], use["comparisons"][0]["second"]) for use in row["uses"]] == [
        ("fine-tuned", "embed-tuned-vicreg", "embed-tuned-none"),
        ("linear probe", "embed-vicreg (linear)", "embed-none (linear)"),
        ("nearest centroid", "embed-vicreg (nearest centroid)", "embed-none (nearest centroid)"),
    ]
    sentence = f"Did pretraining help simplecnn (vicreg)? Yes{row['answer'][3:]}."
    assert sentence in outcome.text
    page = (tmp_path / "out" / "table.md").read_text()
    gap = row["uses"][1]["comparisons"][0]["difference"]
    low, value, high = (f"{gap[end] * 100:+.1f}" for end in ("low", "value", "high"))
    assert "## Did pretraining help simplecnn (vicreg)?" in page
    assert f"| linear probe | embed-vicreg (linear) | 100.0 | {value} ({low} to {high}) | – |" in page


def test_names_join_folds_or_keep_systems_apart(runs: Path, tmp_path: Path):
    compared(tmp_path / "out", [runs / "bad-0", runs / "good-1"], name=["one", "one"], draws=200)
    (row,) = results(tmp_path / "out")["systems"]
    assert (row["name"], row["folds"]["fold"]) == ("one", [0, 1])


@pytest.mark.parametrize(
    ("inputs", "settings", "kind", "words"),
    [
        (("mel", "validation"), {}, IncompatibleError, "has test and .* has validation for --on"),
        (("mel", "two-classes"), {}, IncompatibleError, "for --classes; compare evaluations of the same part"),
        (("bad-0", "good-0"), {"name": ["x", "x"]}, IncompatibleError, "x, fold 0, answers clip .* in two inputs"),
        (("bad-0",), {"name": ["a", "b"]}, UsageError, "--name: 2 names for 1 inputs"),
        (("at-once",), {"name": ["a"]}, UsageError, r"holds several systems \(bad, good\)"),
        (("bad-0",), {"baseline": "bd"}, UsageError, "--baseline 'bd' is no system; did you mean 'bad'"),
        (("bad-0",), {"apart": ["G1"]}, UsageError, "--apart has no meaning for runs of `birdssl evaluate`"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    runs: Path, tmp_path: Path, inputs: tuple[str, ...], settings: dict[str, Any], kind: type[Exception], words: str
):
    with pytest.raises(kind, match=words):
        compared(tmp_path / "out", [runs / name for name in inputs], **settings)
