"""Results of answers that tell each class by itself: what is compared, and what is said of it."""

import numpy as np
import polars as pl
import pytest

from birdssl.evaluation.each_label import EachSystems
from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.scoring import Doubt

CLASSES = ("owl", "wren")
DOUBT = Doubt(seed=1, draws=300, level=0.9)


def answers(name, skill, clips=80, seed=0, fold=None, per_origin=2, first=0):
    """The same truth for the same clips, whoever answers; scores that know it by `skill`."""
    held = np.random.default_rng(9).random((400, 2))[first : first + clips] < 0.3
    scores = skill * held + np.random.default_rng(seed).normal(size=held.shape)
    named = [[label for label, yes in zip(CLASSES, row, strict=True) if yes] for row in held]
    said = [[label for label, yes in zip(CLASSES, row, strict=True) if yes] for row in scores > 0.5]
    return pl.DataFrame({
        "system": name, "model_fold": pl.Series([fold] * clips, dtype=pl.Int16),
        "id": [f"{first + clip:05d}" for clip in range(clips)],
        "origin": [f"o{(first + clip) // per_origin}" for clip in range(clips)],
        "truth": pl.Series(named, dtype=pl.List(pl.String)), "none": [not row for row in named],
        "predicted": pl.Series(said, dtype=pl.List(pl.String)),
        "scores": pl.Series(scores.tolist(), dtype=pl.List(pl.Float64)),
    })  # fmt: skip


def scored(table, baseline=None):
    return EachSystems(table, ClassList(CLASSES), DOUBT).results(baseline)


def test_a_pair_is_compared_on_the_clips_that_both_scored():
    table = pl.concat([answers("long", 1.0, clips=120), answers("short", 1.0, clips=80, seed=1)])
    found = scored(table)
    pair = found["comparisons"][0]
    alone = scored(pl.concat([answers("long", 1.0, clips=120).head(80), answers("short", 1.0, seed=1)]))
    assert pair["clips"] == 80
    assert pair["difference"] == alone["comparisons"][0]["difference"]
    assert any("not scored on the same clips" in note for note in found["notes"])
    apart = scored(pl.concat([answers("one", 1.0), answers("two", 1.0, first=200)]))
    assert apart["comparisons"][0]["verdict"] == "two and one share no clip"


def test_a_paired_interval_is_narrower_than_the_two_apart():
    """Two systems that make nearly the same mistakes: what recordings were drawn moves both alike."""
    same = answers("one", 1.0)
    close = same.with_columns(system=pl.lit("two"), scores=pl.col("scores").list.eval(pl.element() * 1.0 + 0.001))
    third = answers("three", 1.0, seed=4)
    found = scored(pl.concat([same, close, third]), baseline="one")
    gaps = {pair["first"]: pair["difference"] for pair in found["comparisons"] if pair["second"] == "one"}
    assert gaps["two"]["value"] == pytest.approx(0, abs=1e-9)
    assert "agree" in gaps["two"]["why_no_interval"]
    assert gaps["three"]["high"] - gaps["three"]["low"] > 0.01


def test_folds_are_tested_in_pairs():
    parts = [answers(name, skill, seed=seed + fold, fold=fold)
             for name, skill, seed in (("good", 3.0, 0), ("poor", 0.5, 10)) for fold in range(4)]  # fmt: skip
    found = scored(pl.concat(parts))
    test = found["comparisons"][0]["folds"]
    assert test["folds"] == 4
    assert test["verdict"].startswith("poor below good by")
    folds = found["systems"][0]["folds"]
    assert folds["mean"] == pytest.approx(np.mean(folds["macro_average_precision"]), abs=1e-6)


def test_what_a_reader_should_know_is_said():
    table = answers("net", 1.0, clips=20, per_origin=5)
    lonely = pl.when(pl.col("origin") == "o0").then(["wren"]).otherwise(pl.lit([], pl.List(pl.String)))
    table = table.with_columns(truth=lonely, predicted=pl.lit(["wren"]))
    notes = " ".join(scored(table)["notes"])
    assert "come from 4 origins only" in notes
    assert "In one origin only, so nothing is known of how well others are told: wren." in notes
    assert "No scored clip holds it, so left out of the means: owl." in notes
    assert "At its thresholds net hears wren in nearly every clip" in notes
    system = scored(table)["systems"][0]
    owl, wren = system["classes"]
    assert (owl["average_precision"]["value"], owl["recall"]) == (None, None)
    assert (wren["right"], wren["false_alarms"], wren["missed"]) == (5, 15, 0)
    assert wren["f1"] == pytest.approx(2 * 5 / (2 * 5 + 15))
    assert system["macro_f1"] == wren["f1"]
