"""Evaluations where clips may hold several classes, each told by itself."""

import re

import numpy as np
import polars as pl
import pytest
from embeddings import (
    SPECIES,
    each_scores,
    embedded,
    embedded_each,
    evaluate,
    frozen_each,
    metrics,
    table,
    table_of_several,
)
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.base import check
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.evaluate import Evaluate
from birdssl.stages.runner import run

THRESHOLDS = {"frog": 0.5, "owl": 0.6, "wren": 0.4}
FEW = {"draws": 200}


@pytest.fixture(scope="module")
def clips():
    return table_of_several(recordings=40)


@pytest.fixture(scope="module")
def folders(clips, tmp_path_factory):
    """A good head and a poor one, and embeddings without a head, of the same clips."""
    folder = tmp_path_factory.mktemp("embedded")
    rows, vectors = clips
    return [
        embedded_each(folder / "good", rows, vectors, each_scores(rows, 3.0), THRESHOLDS),
        embedded_each(folder / "poor", rows, vectors, each_scores(rows, 0.0, seed=1), THRESHOLDS),
        embedded_each(folder / "plain", rows, vectors),
    ]


@pytest.fixture(scope="module")
def evaluated(folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate") / "out"
    return out, evaluate(folders, out, baseline="poor", **FEW)


def truth_and_scores(rows):
    labelled = rows.filter(pl.col("test") & (pl.col("labels").list.len() > 0)).sort("id")
    truth = np.array([[name in labels for name in SPECIES] for labels in labelled["labels"].to_list()])
    return truth, labelled["scores"].to_numpy()


def test_figures_are_scikit_learns(folders, evaluated):
    out, _ = evaluated
    truth, scores = truth_and_scores(open_artifact(folders[0]).manifest())
    found = {system["name"]: system for system in metrics(out)["systems"]}["good"]
    assert found["macro_average_precision"]["value"] == pytest.approx(average_precision_score(truth, scores), abs=1e-6)
    micro = average_precision_score(truth, scores, average="micro")
    assert found["micro_average_precision"]["value"] == pytest.approx(micro, abs=1e-6)
    assert found["macro_auroc"]["value"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-6)
    said = scores >= np.array([THRESHOLDS[name] for name in SPECIES])
    ranks, curves = (oracle(truth, scores, average=None) for oracle in (average_precision_score, roc_auc_score))
    precision, recall, f1, count = precision_recall_fscore_support(truth, said)
    for place, row in enumerate(found["classes"]):
        assert row["class"] == SPECIES[place]
        assert row["average_precision"]["value"] == pytest.approx(ranks[place], abs=1e-6)
        assert row["auroc"]["value"] == pytest.approx(curves[place], abs=1e-6)
        wanted = [precision[place], recall[place], f1[place]]
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(wanted, abs=1e-6)
        assert row["clips"] == count[place] == row["right"] + row["missed"]
        assert row["thresholds"] == [THRESHOLDS[row["class"]]]
    assert found["macro_f1"] == pytest.approx(f1.mean(), abs=1e-6)


def test_chance_is_the_share_of_positives_and_a_poor_head_lies_there(folders, evaluated):
    out, _ = evaluated
    found = metrics(out)
    truth, _ = truth_and_scores(open_artifact(folders[0]).manifest())
    assert found["chance"]["average_precision"] == pytest.approx(truth.mean(axis=0), abs=1e-6)
    assert found["chance"]["micro_average_precision"] == pytest.approx(truth.mean(), abs=1e-6)
    systems = {system["name"]: system for system in found["systems"]}
    poor, good = (systems[name]["macro_average_precision"] for name in ("poor", "good"))
    assert poor["low"] < found["chance"]["macro_average_precision"] < good["low"]
    assert systems["poor"]["macro_auroc"]["low"] < 0.5 < systems["poor"]["macro_auroc"]["high"]
    pairs = {(pair["first"], pair["second"]): pair for pair in found["comparisons"]}
    gap = pairs["good", "poor"]
    assert gap["difference"]["value"] == pytest.approx(good["value"] - poor["value"], abs=2e-6)
    assert gap["verdict"].startswith("good above poor by")
    assert gap["differences"]["macro_auroc"]["low"] > 0


def test_none_is_scored_and_unlabelled_clips_are_left_out(clips, evaluated):
    out, outcome = evaluated
    rows, _ = clips
    test = rows.filter(pl.col("test"))
    bare = test.filter(pl.col("labels").list.len() == 0).height
    nothing = test.filter(pl.col("labels").list.contains("none")).height
    assert bare > 1
    assert nothing > 1
    made = open_artifact(out)
    answers = made.manifest().filter(pl.col("system") == "good")
    assert answers.height == test.height - bare
    assert answers.filter("none").height == nothing == answers.filter(pl.col("truth").list.len() == 0).height
    assert made.facts["classes"] == SPECIES
    assert (outcome.summary["none"], outcome.summary["unlabelled"]) == (nothing, bare)
    assert metrics(out)["data"]["none"] == nothing
    assert {"why": "unlabelled", "clips": bare} in metrics(out)["left_out"]
    told = Evaluate(check(EvaluateSettings, FEW), [], out)
    told.each = True
    said = f'{nothing} scored clips are labelled "none", negatives of every class; {bare} unlabelled clips'
    assert said in told.report(outcome.summary)
    page = (out / "report.html").read_text()
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert f"{nothing} of the scored clips are labelled “none”" in words
    assert f"{bare} unlabelled clips were left out" in words
    assert "http" not in re.sub(r"http-equiv", "", page)


def test_the_manifest_has_truth_and_answer_as_lists(evaluated):
    out, _ = evaluated
    answers = open_artifact(out).manifest().filter(pl.col("system") == "good")
    for row in answers.iter_rows(named=True):
        assert row["predicted"] == [
            name for name, score in zip(SPECIES, row["scores"], strict=True) if score >= THRESHOLDS[name]
        ]
        assert set(row["truth"]) <= set(SPECIES)
    assert answers["predicted"].list.len().max() > 1


@pytest.mark.parametrize("kind", ["linear", "knn", "centroid"])
def test_probes_are_fitted_beside_and_say_where_thresholds_come_from(folders, tmp_path, kind):
    evaluate(folders[2:], tmp_path / "out", probe=kind, several_labels="each", **FEW)
    found = metrics(tmp_path / "out")
    system = found["systems"][0]
    assert system["macro_average_precision"]["low"] > found["chance"]["macro_average_precision"]
    assert system["macro_f1"] > 0.6
    assert any("out-of-fold predictions of the training clips" in line for line in system["how"])
    thresholds = [row["thresholds"][0] for row in system["classes"]]
    assert len(set(thresholds)) == 3


def test_labels_that_mean_nothing_score_as_chance(clips, tmp_path):
    rows, vectors = clips
    shuffled = np.random.default_rng(5).permutation(vectors)
    folder = embedded_each(tmp_path / "shuffled", rows, shuffled)
    evaluate([folder], tmp_path / "out", several_labels="each", **FEW)
    found = metrics(tmp_path / "out")
    score = found["systems"][0]["macro_average_precision"]
    assert score["low"] < found["chance"]["macro_average_precision"] < score["high"]


def test_whether_pretraining_helped_is_told_by_macro_average_precision(clips, tmp_path):
    """Embeddings that know the species beside those of a random start, which don't, by two probes."""
    rows, vectors = clips
    noise = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
    folders = [frozen_each(tmp_path, "vicreg", rows, vectors, 9), frozen_each(tmp_path, "random", rows, noise, 0)]
    outcome = evaluate(folders, tmp_path / "out", probe=["linear", "centroid"], several_labels="each", **FEW)
    found = metrics(tmp_path / "out")
    (row,) = found["pretraining"]
    assert row["answer"] == "yes by a linear probe and by nearest centroid"
    systems = {system["name"]: system["macro_average_precision"]["value"] for system in found["systems"]}
    pairs = {(pair["first"], pair["second"]): pair for pair in found["comparisons"]}
    for use in row["uses"]:
        assert use["score"] == systems[use["system"]]
        (beside,) = use["comparisons"]
        alone = pairs[beside["second"], beside["first"]]["difference"]  # named the other way round
        assert beside["difference"]["value"] == pytest.approx(-alone["value"])
    sentence = "Did pretraining help simplecnn (vicreg)? Yes by a linear probe and by nearest centroid."
    assert outcome.summary["pretraining"][0].startswith(sentence)
    assert sentence in outcome.text
    page = (tmp_path / "out" / "report.html").read_text()
    assert sentence in page
    assert '<section id="pretraining">' in page
    assert "balanced accuracy" not in page


def test_folds_are_ranked_by_their_own_models(clips, tmp_path):
    rows, vectors = clips
    folders = [embedded_each(tmp_path / str(fold), rows, vectors, each_scores(rows, 2.0, seed=fold), THRESHOLDS, fold)
               for fold in (0, 1)]  # fmt: skip
    evaluate(folders, tmp_path / "out", on="validation", name=["net", "net"], **FEW)
    system = metrics(tmp_path / "out")["systems"][0]
    labelled = rows.filter(~pl.col("test") & (pl.col("labels").list.len() > 0))
    assert system["clips"] == labelled.height
    wanted = []
    for fold, folder in enumerate(folders):
        part = open_artifact(folder).manifest().filter((pl.col("fold") == fold) & (pl.col("labels").list.len() > 0))
        truth = [[name in labels for name in SPECIES] for labels in part["labels"].to_list()]
        wanted.append(average_precision_score(truth, part["scores"].to_numpy()))
    assert system["folds"]["macro_average_precision"] == pytest.approx(wanted, abs=1e-6)
    assert system["macro_average_precision"]["value"] == pytest.approx(np.mean(wanted), abs=1e-6)


def test_classes_of_interest_leave_clips_of_others_as_negatives(folders, tmp_path):
    evaluate(folders[:1], tmp_path / "out", classes=["owl"], **FEW)
    found = metrics(tmp_path / "out")
    truth, scores = truth_and_scores(open_artifact(folders[0]).manifest())
    assert found["data"]["clips"] == len(truth)
    assert found["data"]["of_no_class"] == int((~truth[:, 1]).sum())
    value = found["systems"][0]["macro_average_precision"]["value"]
    assert value == pytest.approx(average_precision_score(truth[:, 1], scores[:, 1]), abs=1e-6)


def test_the_same_bytes_again_and_by_two_workers(folders, evaluated, tmp_path):
    run(Evaluate(check(EvaluateSettings, {"baseline": "poor", **FEW}), folders, tmp_path / "two"), RunOptions(jobs=2))
    one, two = (folder_bytes(folder) for folder in (evaluated[0], tmp_path / "two"))
    assert {name for name in one if one[name] != two.get(name)} <= {"report.html", "stage.json"}  # these hold paths


def test_what_does_not_fit_is_refused(clips, folders, tmp_path):
    rows, vectors = clips
    single, points = table()
    softmax = embedded(tmp_path / "softmax", single, points, np.full((single.height, 3), 1 / 3))
    with pytest.raises(IncompatibleError, match=r"softmax answers one class a clip.*finetune --several-labels each"):
        evaluate([softmax], tmp_path / "out", several_labels="each")
    with pytest.raises(UsageError, match=r"head of .*good tells each class by itself"):
        evaluate(folders[:1], tmp_path / "out", several_labels="leave-out")
    with pytest.raises(IncompatibleError, match=r"clips carry several labels .*each"):
        evaluate(folders[2:], tmp_path / "out")
    other = embedded_each(tmp_path / "other", rows, vectors, each_scores(rows, 1.0)[:, :2], None, None, SPECIES[:2])
    with pytest.raises(IncompatibleError, match=r"other: its head has no score for wren; .*--classes"):
        evaluate([folders[0], other], tmp_path / "out", **FEW)
    quiet = rows.with_columns(pl.when("test").then(pl.lit(["none"])).otherwise("labels").alias("labels"))
    folder = embedded_each(tmp_path / "quiet", quiet, vectors, each_scores(rows, 1.0), THRESHOLDS)
    with pytest.raises(IncompatibleError, match=r"none of its .* is of a class of interest"):
        evaluate([folder], tmp_path / "empty")
