import json

import polars as pl
import pytest
from sklearn.metrics import balanced_accuracy_score

from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.scoring import ALL_PAIRS, Doubt, pairs, score

CLASSES = ClassList(("frog", "wren"), ("rain",))


def answers(system, rows, fold=None):
    """Rows of (id, origin, truth, predicted)."""
    table = pl.DataFrame(rows, schema=["id", "origin", "truth", "predicted"], orient="row")
    return table.with_columns(system=pl.lit(system), model_fold=pl.lit(fold, pl.Int16))


TRUTH = [(f"c{n}", f"r{n // 2}", "frog" if n < 8 else "wren") for n in range(12)]
PERFECT = answers("perfect", [(*row, row[2]) for row in TRUTH])
# Frog 6 of 8, wren 2 of 4 with one answer in the unscored class.
FAIR = answers("fair", [(*row, "wren" if n in (0, 1) else "rain" if n == 9 else "frog" if n == 8 else row[2])
                        for n, row in enumerate(TRUTH)])  # fmt: skip


def test_scores_worked_by_hand():
    found = score(pl.concat([FAIR, PERFECT]), CLASSES, Doubt(seed=0))
    fair = found["systems"][0]
    assert fair["balanced_accuracy"]["value"] == 0.625
    assert fair["confusion"]["counts"] == [[6, 2, 0], [1, 2, 1]]
    assert [row["value"] for row in fair["recall"]] == [0.75, 0.5]
    assert [(row["clips"], row["origins"]) for row in fair["recall"]] == [(8, 4), (4, 2)]
    assert found["chance"] == {"balanced_accuracy": 0.5, "classes": 2}
    assert found["data"]["origins"] == 6
    assert found["systems"][1]["balanced_accuracy"]["why_no_interval"] == "all 6 origins agree"
    assert "come from 6 origins only" in found["notes"][0]
    json.dumps(found, allow_nan=False)


def test_the_baseline_stands_first_and_pairs_are_told_from_its_side():
    found = score(pl.concat([PERFECT, FAIR]), CLASSES, Doubt(seed=0), baseline="fair")
    assert [system["name"] for system in found["systems"]] == ["fair", "perfect"]
    assert found["systems"][0]["baseline"] is True
    pair = found["comparisons"][0]
    assert (pair["first"], pair["second"], pair["clips"]) == ("perfect", "fair", 12)
    assert pair["difference"]["value"] == 0.375


def test_folds_on_the_same_clips_are_the_mean_over_folds():
    """P1: five models, one test set; the score is the mean of theirs, beside its deviation."""
    truth = [row[2] for row in TRUTH]
    said = {0: ["frog"] * 12, 1: [*truth[:11], "frog"]}
    table = pl.concat([answers("five", [(*row, word) for row, word in zip(TRUTH, words, strict=True)], fold)
                       for fold, words in said.items()])  # fmt: skip
    found = score(table, CLASSES, Doubt(seed=0))["systems"][0]
    single = [balanced_accuracy_score(truth, words) for words in said.values()]
    assert found["folds"]["balanced_accuracy"] == pytest.approx(single)
    assert found["folds"]["same_clips"] is True
    assert found["balanced_accuracy"]["value"] == pytest.approx(sum(single) / 2)
    assert found["folds"]["mean"] == pytest.approx(sum(single) / 2)
    assert found["folds"]["deviation"] == pytest.approx(abs(single[0] - single[1]) / 2**0.5, abs=1e-6)


def test_folds_on_their_own_clips_are_scored_together():
    first, second = FAIR.head(6).with_columns(model_fold=pl.lit(0)), FAIR.tail(6).with_columns(model_fold=pl.lit(1))
    found = score(pl.concat([first, second]), CLASSES, Doubt(seed=0))["systems"][0]
    assert found["balanced_accuracy"]["value"] == 0.625
    assert found["folds"]["same_clips"] is False


def test_equal_folds_are_tested_in_pairs():
    table = []
    for fold in range(3):
        table += [FAIR.with_columns(model_fold=pl.lit(fold)), PERFECT.with_columns(model_fold=pl.lit(fold))]
    found = score(pl.concat(table), CLASSES, Doubt(seed=0))["comparisons"][0]["folds"]
    assert (found["folds"], found["difference"], found["freedom"]) == (3, 0.375, 2)
    assert (found["p"], found["p_corrected"], found["p_adjusted"], found["effect"]) == (None,) * 4
    assert "all 3 folds differ by the same amount" in found["verdict"]


def test_tests_over_folds_are_judged_together():
    """Three systems over four folds: the p of each of the three tests is adjusted for all of them."""
    table = []
    for fold in range(4):
        wrong = PERFECT.with_columns(
            predicted=pl.when(pl.int_range(pl.len()) < fold).then(pl.lit("rain")).otherwise("truth")
        )
        table += [
            part.with_columns(model_fold=pl.lit(fold))
            for part in (FAIR, PERFECT, wrong.with_columns(system=pl.lit("wrong")))
        ]
    pairs = score(pl.concat(table), CLASSES, Doubt(seed=0))["comparisons"]
    tests = [pair["folds"] for pair in pairs]
    known = [test for test in tests if test["p_corrected"] is not None]
    assert len(known) == 2  # the third differs by the same amount in all folds
    assert all(test["p_corrected"] <= test["p_adjusted"] <= 2 * test["p_corrected"] for test in known)
    assert all("with 4 folds" in test["verdict"] and "of 2 comparisons" in test["verdict"] for test in known)


def test_systems_on_other_clips_are_compared_where_they_meet():
    found = score(pl.concat([FAIR, PERFECT.tail(8)]), CLASSES, Doubt(seed=0))
    assert found["comparisons"][0]["clips"] == 8
    assert any("not scored on the same clips" in note for note in found["notes"])
    apart = score(pl.concat([FAIR.head(4), PERFECT.tail(4)]), CLASSES, Doubt(seed=0))["comparisons"][0]
    assert apart["verdict"] == "perfect and fair share no clip"


def test_the_order_of_rows_changes_nothing():
    table = pl.concat([FAIR, PERFECT])
    assert score(table, CLASSES, Doubt(seed=1)) == score(pl.concat([FAIR[::-1], PERFECT[::-1]]), CLASSES, Doubt(seed=1))


def test_classes_with_one_origin_or_none_are_named():
    found = score(
        FAIR.filter(pl.col("id").is_in(["c0", "c2", "c8"])), ClassList(("frog", "wren", "owl")), Doubt(seed=0)
    )
    assert any("One origin only" in note and "wren" in note for note in found["notes"])
    assert any("No clip to score" in note and "owl" in note for note in found["notes"])
    assert found["chance"]["classes"] == 2


def test_many_systems_are_compared_with_the_first_only():
    assert len(pairs("abc")) == 3
    assert pairs([str(n) for n in range(ALL_PAIRS + 1)]) == [("0", str(n)) for n in range(1, ALL_PAIRS + 1)]


def test_a_system_with_one_answer_for_all_is_named():
    stuck = answers("stuck", [(*row, "frog") for row in TRUTH])
    found = score(pl.concat([stuck, FAIR]), CLASSES, Doubt(seed=0))
    sentences = [note for note in found["notes"] if "hardly learned" in note]
    assert sentences == [
        "stuck answers frog to 100% of the clips: it has hardly learned, so look at its training first."
    ]
    assert found["systems"][0]["balanced_accuracy"]["value"] == found["chance"]["balanced_accuracy"]
