import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import StandardScaler

from birdssl.errors import IncompatibleError
from birdssl.evaluation.baseline import FALLBACK_STRENGTH, STRENGTHS, as_layer, fit_probe, mel_statistics

NAMES = ("frog", "owl", "wren")


def clouds(count=90, features=8, apart=2.0, seed=0):
    """Three Gaussian classes; clip n belongs to origin n // 3."""
    random = np.random.default_rng(seed)
    kinds = (np.arange(count) // 3) % 3
    centres = np.random.default_rng(99).normal(size=(3, features)) * apart
    points = (centres[kinds] + random.normal(size=(count, features))).astype(np.float32)
    return points, [NAMES[kind] for kind in kinds], [f"r{clip // 3}" for clip in range(count)]


@pytest.mark.parametrize("kind", ["linear", "knn", "centroid"])
def test_a_probe_tells_clear_classes_apart_and_gives_probabilities(kind):
    probe = fit_probe(kind, *clouds(), seed=0)
    points, labels, _ = clouds(seed=1)
    scores = probe.scores(points)
    assert probe.classes == NAMES
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-9)
    assert np.mean([NAMES[best] == label for best, label in zip(scores.argmax(1), labels, strict=True)]) > 0.95


@pytest.mark.parametrize("features", [8, 400])
def test_the_linear_probe_is_sklearns_at_the_chosen_strength(features):
    """Of 400 features too, which 90 clips span only a part of; clips that weren't learned from lie outside that."""
    points, labels, origins = clouds(apart=0.5 if features == 8 else 0.1, features=features)
    probe = fit_probe("linear", points, labels, origins, seed=0)
    assert probe.facts["strength"] in STRENGTHS
    assert "folds by origin" in probe.facts["chosen"]
    scaled = StandardScaler().fit(points)
    tight = {} if features == 8 else {"tol": 1e-8}  # over fewer axes the fit stops nearer to the optimum
    oracle = LogisticRegression(C=probe.facts["strength"], class_weight="balanced", max_iter=2000, **tight)
    oracle.fit(scaled.transform(points.astype(float)), labels)
    for asked in (points, clouds(seed=1, apart=0.1, features=features)[0]):
        np.testing.assert_allclose(
            probe.scores(asked),
            oracle.predict_proba(scaled.transform(asked.astype(float))),
            atol=1e-6 if not tight else 1e-3,
        )


def test_too_few_origins_for_a_choice_fix_the_strength():
    points, labels, _ = clouds(count=9)
    probe = fit_probe("linear", points, labels, labels, seed=0)
    assert probe.facts["strength"] == FALLBACK_STRENGTH
    assert "fewer than 3 origins" in probe.facts["chosen"]


def test_centroids_match_sklearn():
    points, labels, origins = clouds(apart=0.4)
    probe = fit_probe("centroid", points, labels, origins, seed=0)
    scaled = StandardScaler().fit_transform(points.astype(float))
    oracle = NearestCentroid().fit(scaled, labels).predict(scaled)
    assert [NAMES[best] for best in probe.scores(points).argmax(1)] == list(oracle)


def test_same_seed_same_probe():
    first, second = (fit_probe("linear", *clouds(apart=0.5), seed=4) for _ in range(2))
    assert first.facts == second.facts
    assert np.array_equal(first.scores(clouds()[0]), second.scores(clouds()[0]))


def test_constant_features_and_fewer_clips_than_neighbours_are_fine():
    probe = fit_probe("knn", np.array([[1.0, 0.0], [1.0, 1.0]]), ["a", "b"], ["x", "y"], seed=0)
    assert probe.facts["neighbours"] == 2
    assert probe.scores(np.array([[1.0, 0.9]])).argmax() == 1


def test_one_class_or_broken_values_are_refused_with_a_sentence():
    with pytest.raises(IncompatibleError, match="two classes or more; these 2 are of: a"):
        fit_probe("linear", np.zeros((2, 2)), ["a", "a"], ["x", "y"], seed=0)
    with pytest.raises(IncompatibleError, match="aren't finite"):
        fit_probe("linear", np.full((2, 2), np.nan), ["a", "b"], ["x", "y"], seed=0)


def test_mel_statistics_worked_by_hand():
    picture = np.array([[[0, 10], [4, 4]]], np.uint8)
    assert mel_statistics(picture).tolist() == [[5.0, 4.0, 5.0, 0.0]]


@pytest.mark.parametrize("kind", ["linear", "centroid"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("features", [8, 400])
def test_a_probe_is_one_layer_of_raw_embeddings(kind, classes, features):
    points, labels, origins = clouds(features=features)
    kept = np.isin(labels, NAMES[:classes])
    chosen = [[values[place] for place in np.flatnonzero(kept)] for values in (labels, origins)]
    probe = fit_probe(kind, points[kept], *chosen, seed=0)
    weights, bias = as_layer(probe)
    asked = clouds(seed=1, features=features)[0].astype(float)
    logits = asked @ weights.T + bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), probe.scores(asked), atol=1e-9)


def test_neighbours_are_no_layer():
    with pytest.raises(ValueError, match="knn is no layer"):
        as_layer(fit_probe("knn", *clouds(), seed=0))
