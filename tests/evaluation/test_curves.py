"""Training histories behind a model: which runs, what they are called, and the health of the epoch that was kept."""

import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from PIL import Image

from birdssl.artifacts.artifact import StageRecord
from birdssl.evaluation.curves import curve_table, curves_behind, health_rows
from birdssl.evaluation.study_figures import finetuning, fold_points, pretraining

PRETRAINED = "epoch,validation_loss,effective_rank,loss\n0,9.0,5.0,\n1,4.0,6.0,7.0\n2,5.0,7.5,3.0\n"
TUNED = "epoch,validation_balanced_accuracy,loss\n0,0.5,\n1,0.8,1.0\n"


def run(folder: Path, verb: str, history: str, inputs=(), summary=None, **facts: Any) -> Path:
    folder.mkdir()
    settings = {key: facts.pop(key) for key in ("start", "fold") if key in facts}
    earlier = [{"path": f"../{name}", "verb": made_by} for name, made_by in inputs]
    record = StageRecord(verb, "0", "complete", settings, earlier, "", facts={"encoder": "simplecnn", **facts},
                         summary=summary or {}, digest=folder.name)  # fmt: skip
    record.write(folder)
    (folder / "history.csv").write_text(history)
    pl.DataFrame({"id": ["a"], "origin": ["a"], "parent": [None]}).write_parquet(folder / "manifest.parquet")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A fine-tuned model of fold 1 that started from VICReg."""
    run(tmp_path / "pre", "pretrain", PRETRAINED, objective="vicreg", fold=1,
        summary={"best_epoch": 1, "collapsed": True})  # fmt: skip
    return run(tmp_path / "fine", "finetune", TUNED, [("pre", "pretrain")], {"best_epoch": 1}, start="../pre", fold=1)


def test_a_model_leads_to_every_run_behind_it_once(model: Path, tmp_path: Path):
    curves = curves_behind([model, model, tmp_path / "pre"])
    assert [(curve.verb, curve.method, curve.fold, curve.kept) for curve in curves] == [
        ("pretrain", "VICReg", 1, 1), ("finetune", "VICReg", 1, 1),
    ]  # fmt: skip


def test_health_is_that_of_the_epoch_that_was_kept(model: Path, tmp_path: Path):
    (row,) = health_rows(curves_behind([model]), tmp_path)
    assert (row["run"], row["epochs"], row["kept"], row["collapsed"]) == ("pre", 2, 1, True)
    assert (row["validation_loss"], row["effective_rank"], row["retrieval"]) == (4.0, 6.0, None)


def test_the_table_has_every_value_once_and_no_gaps(model: Path, tmp_path: Path):
    table = curve_table(curves_behind([model]), tmp_path)
    assert table.height == 8 + 3  # numbers in the two files, epochs apart
    losses = table.filter((pl.col("run") == "pre") & (pl.col("measure") == "loss"))
    assert losses.select("epoch", "value", "kept").rows() == [(1, 7.0, True), (2, 3.0, False)]


def test_a_start_without_training_has_no_curve(tmp_path: Path):
    run(tmp_path / "none", "pretrain", "epoch,validation_loss\n0,9.0\n", objective="vicreg")
    assert curves_behind([tmp_path / "none"]) == []


@pytest.mark.parametrize(
    ("start", "word"), [("random", "random"), ("imagenet", "ImageNet"), ("../gone", "another model")]
)
def test_what_a_run_started_from_in_words(tmp_path: Path, start: str, word: str):
    run(tmp_path / "fine", "finetune", TUNED, start=start)
    (curve,) = curves_behind([tmp_path / "fine"])
    assert curve.method == word


def test_pictures_of_training_grow_with_what_was_measured(model: Path):
    curves = curves_behind([model])
    few, many = finetuning(curves, "simplecnn"), pretraining(curves, "VICReg")
    heights = [Image.open(io.BytesIO(drawing.png)).height for drawing in (few, many)]
    assert heights[0] < heights[1]  # two panels in one row, three in two


def upright_lines(svg: str, colour: str) -> dict[bool, list[float]]:
    """Places of the upright lines of a colour in an SVG, by whether they're dashed."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):
        style, ends = path.get("style") or "", re.findall(r"[ML] ([\d.]+) ([\d.]+)", path.get("d") or "")
        if f"stroke: {colour}" in style and len(ends) == 2 and ends[0][0] == ends[1][0]:
            found["dasharray" in style].append(float(ends[0][0]))
    return found


def test_every_fold_is_a_point_with_its_mean_and_median():
    rows = [{"start": "random", "encoder": "a", "system": "one"}]
    svg = fold_points(rows, {"one": [0.2, 0.3, 0.7]}, 0.1).svg.decode()
    points = [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)" [^>]*fill-opacity: 0; stroke: #0072b2', svg)][:3]
    width = (points[2] - points[0]) / 0.5  # of a whole share
    assert points[1] - points[0] == pytest.approx(0.1 * width, abs=0.05)
    lines = upright_lines(svg, "#0072b2")
    assert [x - points[0] for x in lines[False]] == pytest.approx([0.2 * width], abs=0.05)  # the mean, .4
    assert [x - points[0] for x in lines[True]] == pytest.approx([0.1 * width], abs=0.05)  # the median, .3
