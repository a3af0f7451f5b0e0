"""Answers of heads and probes where each class is told by itself."""

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from birdssl.errors import IncompatibleError
from birdssl.evaluation.each_answers import each_in_words, head_each, hot, probe_each

CLASSES = ("owl", "wren")


def taught(clips=90, origins=12, seed=0, spread=0.8):
    """Training clips whose vectors tell owls and wrens, each in a good third of them."""
    random = np.random.default_rng(seed)
    held = random.random((clips, 2)) < 0.35
    labels = [[name for name, yes in zip(CLASSES, row, strict=True) if yes] for row in held]
    vectors = (2 * held @ np.eye(2, 5) + spread * random.normal(size=(clips, 5))).astype(np.float32)
    return pl.DataFrame({
        "truth": pl.Series(labels, dtype=pl.List(pl.String)),
        "labels": [row or ["none"] for row in labels],
        "origin": [f"{clip % origins}" for clip in range(clips)],
        "embedding": pl.Series(vectors, dtype=pl.Array(pl.Float32, 5)),
    })  # fmt: skip


def test_labels_become_ones_and_an_empty_list_none():
    labels = pl.Series([["wren"], [], ["owl", "wren", "crow"]], dtype=pl.List(pl.String))
    assert hot(labels, CLASSES).tolist() == [[False, True], [False, False], [True, True]]


def test_a_head_s_scores_in_the_order_asked_for_and_its_thresholds():
    scores = pl.Series(np.array([[0.2, 0.9, 0.4]], np.float32), dtype=pl.Array(pl.Float32, 3))
    rows = pl.DataFrame({"scores": scores})
    found = head_each(rows, ("crow", "owl", "wren"), {"owl": 0.8, "wren": 0.5, "crow": 0.1}, ("wren", "owl"), "x")
    assert found.scores.tolist() == [pytest.approx([0.4, 0.9])]
    assert found.predicted == [["owl"]]
    assert head_each(rows, ("crow", "owl", "wren"), None, ("wren",), "x").facts["thresholds"] == {"wren": 0.5}
    with pytest.raises(IncompatibleError, match="no score for hawk"):
        head_each(rows, ("crow", "owl", "wren"), None, ("hawk",), "x")
    broken = rows.with_columns(pl.Series("scores", np.full((1, 3), np.nan, np.float32), dtype=pl.Array(pl.Float32, 3)))
    with pytest.raises(IncompatibleError, match="aren't finite"):
        head_each(broken, ("crow", "owl", "wren"), None, ("owl",), "x")


def test_a_linear_probe_is_a_logistic_regression_of_each_class():
    training, rows = taught(), taught(seed=1)
    found = probe_each("linear", training, rows, CLASSES, 0, "x")
    scaler = StandardScaler().fit(training["embedding"].to_numpy().astype(float))
    points, asked = (scaler.transform(table["embedding"].to_numpy().astype(float)) for table in (training, rows))
    for place, name in enumerate(CLASSES):
        wanted = LogisticRegression(C=found.facts["strength"], class_weight="balanced", max_iter=2000)
        wanted.fit(points, training["truth"].list.contains(name).to_numpy())
        assert found.scores[:, place] == pytest.approx(wanted.predict_proba(asked)[:, 1], abs=1e-5)


def test_thresholds_come_from_predictions_by_probes_that_did_not_learn_the_clip():
    """Vectors of noise: each clip is its own nearest neighbour, so thresholds on known clips would seem perfect."""
    training = taught(spread=0.0)
    noise = pl.Series(np.random.default_rng(2).normal(size=(90, 5)).astype(np.float32), dtype=pl.Array(pl.Float32, 5))
    training = training.with_columns(embedding=noise)
    known = probe_each("knn", training, training, CLASSES, 0, "x")
    assert ((known.scores > 0.99) == hot(training["truth"], CLASSES)).all()
    assert all(value < 0.5 for value in known.facts["thresholds"].values())  # where nothing is told: yes to nearly all
    assert known.facts["threshold_from"] == "out-of-fold"


def test_few_origins_leave_the_default_and_a_class_that_nobody_taught_scores_0():
    few = taught(origins=2)
    found = probe_each("linear", few, few, (*CLASSES, "crow"), 0, "x")
    assert found.facts["thresholds"] == dict.fromkeys((*CLASSES, "crow"), 0.5)
    assert (found.scores[:, 2] == 0).all()
    told = [{"system": "s", "models": [{"fold": None, **found.facts}]}]
    words = " ".join(each_in_words(told, "s"))
    assert "thresholds of 0.5, since nothing was there to choose them by" in words
    assert "No training clip holds crow: its score is 0." in words
    with pytest.raises(IncompatibleError, match=r"no clip to train a probe on.*crow"):
        probe_each("linear", few, few, ("crow",), 0, "x")
