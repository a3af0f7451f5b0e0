"""`birdssl demo`: from start to end on a tiny recipe, and closing words that say what was found."""

import re
from pathlib import Path
from typing import Any

import pytest

from birdssl.cli.verbs import VERBS
from birdssl.settings.demo import DemoSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.cells import Expansion
from birdssl.stages.demo import BASELINE, PRETRAINED, RECIPE, START, demo, finding, gap_between, table
from birdssl.stages.recipe import read_recipe

TINY = {"hours": 0.15, "species": 3, "train_fraction": 0.8, "epochs": 1}


def results(**gaps: tuple[float, float, float]) -> dict[str, Any]:
    """Results of four systems whose differences are given as other=(value, low, high), in points."""
    names = [BASELINE, START, *PRETRAINED]
    keys = {"bt": (PRETRAINED[0], START), "vicreg": (PRETRAINED[1], START), "mel": (PRETRAINED[1], BASELINE)}
    scores = dict(zip(names, (0.5, 0.4, 0.45, 0.55), strict=True))
    comparisons = [
        {"first": keys[key][0], "second": keys[key][1],
         "difference": dict(zip(("value", "low", "high"), (value / 100 for value in gap), strict=True))}
        for key, gap in gaps.items()
    ]  # fmt: skip
    systems = [{"name": name, "balanced_accuracy": {"value": score, "low": score - 0.1, "high": score + 0.1}}
               for name, score in scores.items()]  # fmt: skip
    return {"settings": {"level": 0.95}, "chance": {"balanced_accuracy": 0.125}, "systems": systems,
            "comparisons": comparisons}  # fmt: skip


def test_the_table_has_chance_the_baseline_and_three_starts() -> None:
    assert table(results()) == [
        "                 score  95 % interval",
        "chance          12.5 %",
        "mel statistics  50.0 %  40.0 % to 60.0 %",
        "random start    40.0 %  30.0 % to 50.0 %",
        "Barlow Twins    45.0 %  35.0 % to 55.0 %",
        "VICReg          55.0 %  45.0 % to 65.0 %",
    ]


def test_no_difference_is_said_when_none_is_shown() -> None:
    words = " ".join(finding(results(bt=(5, -3, 13), vicreg=(1, -8, 9), mel=(-4, -12, 5))))
    assert "Barlow Twins: no difference from a random start shown, +5.0 points (-3.0 to +13.0)." in words
    assert "no difference from mel statistics with logistic regression shown" in words
    assert "this run shows no difference between pretraining and a random start" in words
    assert "helped" not in words


def test_help_is_claimed_only_where_the_interval_says_so() -> None:
    words = " ".join(finding(results(bt=(5, -3, 13), vicreg=(15, 6, 22), mel=(12, 2, 20))))
    assert "VICReg: 15.0 points above a random start (+6.0 to +22.0)." in words
    assert "helped (VICReg)" in words
    assert "VICReg, the better of the two: 12.0 points above mel statistics" in words


def test_harm_is_said() -> None:
    words = " ".join(finding(results(bt=(-12, -20, -4), vicreg=(1, -5, 6), mel=(0, -5, 5))))
    assert "Barlow Twins: 12.0 points below a random start (-20.0 to -4.0)." in words
    assert "did not help, and in part it harmed" in words


def test_a_difference_can_be_read_from_either_side() -> None:
    found = results(bt=(5, -3, 13))
    assert gap_between(found, START, PRETRAINED[0]) == {"value": -0.05, "low": -0.13, "high": 0.03}
    assert gap_between(found, START, BASELINE) is None


def test_the_recipe_is_the_story_of_the_issue(tmp_path: Path) -> None:
    recipe = read_recipe(RECIPE, VERBS)
    steps = Expansion(recipe, VERBS, tmp_path).steps(recipe.cells())
    verbs = [step.verb for step in steps]
    assert list(dict.fromkeys(verbs)) == [
        "synth", "segment", "split", "augment", "render", "finetune", "embed", "pretrain", "detect", "evaluate",
        "report",
    ]  # fmt: skip
    assert (verbs.count("finetune"), verbs.count("pretrain"), verbs.count("embed")) == (3, 2, 4)
    assert len({step.out for step in steps}) == len(steps) == 17


@pytest.mark.slow
def test_a_tiny_demo_runs_to_its_report_and_then_has_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    text = RECIPE.read_text(encoding="utf-8")
    for key, value in TINY.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(text)
    options, out = RunOptions(device="cpu"), tmp_path / "demo"
    caplog.set_level("INFO", logger="birdssl")
    assert demo(DemoSettings(), out=out, options=options, verbs=VERBS, recipe=recipe) == 0
    told = capsys.readouterr().out
    for name in ("chance", BASELINE, START, *PRETRAINED, "Open the report:"):
        assert name in told
    report = Path(told.rsplit("Open the report:", 1)[1].strip())
    assert "</html>" in report.read_text(encoding="utf-8")
    commands = [record.getMessage() for record in caplog.records if "$ birdssl " in record.getMessage()]
    assert len(commands) == 17
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    caplog.clear()
    assert demo(DemoSettings(), out=out, options=options, verbs=VERBS, recipe=recipe) == 0
    assert sum("already complete; nothing to do" in record.getMessage() for record in caplog.records) == 17
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {out / "tiny.results.csv"}
