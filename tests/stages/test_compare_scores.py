"""Evaluations side by side: folds that were scored apart are one system, and what doesn't fit together is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from embeddings import embedded, evaluate, head, metrics, table

from birdssl.artifacts.artifact import open_artifact
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


def test_names_join_folds_or_keep_systems_apart(runs: Path, tmp_path: Path):
    compared(tmp_path / "out", [runs / "bad-0", runs / "good-1"], name=["one", "one"], draws=200)
    (row,) = results(tmp_path / "out")["systems"]
    assert (row["name"], row["folds"]["fold"]) == ("one", [0, 1])


@pytest.mark.parametrize(
    ("inputs", "settings", "kind", "words"),
    [
        (("mel", "validation"), {}, IncompatibleError, "has test and .* has validation for --on"),
        (("mel", "two-classes"), {}, IncompatibleError, "for --classes; compare evaluations of the same part"),
        (("bad-0", "bad-0"), {}, IncompatibleError, "bad, fold 0, answers clip .* in two inputs"),
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
