import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, silhouette_score

from birdssl.errors import IncompatibleError
from birdssl.evaluation.metrics import (
    ClassList,
    balanced_accuracy,
    chance,
    class_list,
    confusion,
    recalls,
    silhouette,
)

BIRDS = ClassList(("wren", "robin"), ("rain",))


def test_truth_table_worked_by_hand():
    """Wren 3 of 4, robin 1 of 2 with one answer in the unscored class: (0.75 + 0.5) / 2."""
    truth = BIRDS.truth(["wren"] * 4 + ["robin"] * 2)
    predicted = BIRDS.predicted(["wren", "wren", "wren", "robin", "rain", "robin"])
    table = confusion(truth, predicted, BIRDS)
    assert table.tolist() == [[3, 1, 0], [0, 1, 1]]
    assert recalls(table).tolist() == [0.75, 0.5]
    assert balanced_accuracy(table) == 0.625


@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label was found")
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=60))
def test_agrees_with_sklearn_and_never_warns(pairs):
    """Scored classes 0-4 of 7; scikit-learn warns about answers outside them, which P1 counts as wrong."""
    truth, predicted = np.array(pairs).T
    classes = ClassList(tuple("abcde"), ("f", "g"))
    table = confusion(truth, predicted, classes)
    assert balanced_accuracy(table) == pytest.approx(balanced_accuracy_score(truth, predicted), abs=1e-12)
    assert table.tolist() == confusion_matrix(truth, predicted, labels=range(7))[:5].tolist()


def test_a_class_without_clips_has_no_recall_and_leaves_the_mean_alone():
    table = confusion(BIRDS.truth(["wren"]), BIRDS.predicted(["wren"]), BIRDS)
    assert np.isnan(recalls(table)[1])
    assert balanced_accuracy(table) == 1.0
    assert np.isnan(balanced_accuracy(np.zeros((2, 3))))


def test_chance_counts_scored_classes_with_clips():
    assert chance([3, 0, 5, 1]) == pytest.approx(1 / 3)
    assert np.isnan(chance([0, 0]))


def test_class_list_puts_the_wanted_classes_first():
    assert class_list(["a", "b", "c"], ["c", "a"]) == ClassList(("c", "a"), ("b",))
    assert class_list(["a", "b"]).answers == ("a", "b")


@pytest.mark.parametrize(("wanted", "words"), [(["x"], "names x; the classes here are a, b"), (["a", "a"], "twice")])
def test_class_list_refuses_unknown_and_repeated_classes(wanted, words):
    with pytest.raises(IncompatibleError, match=words):
        class_list(["a", "b"], wanted)


def test_an_unknown_label_is_named():
    with pytest.raises(IncompatibleError, match="'rain' isn't a class of interest"):
        BIRDS.truth(["rain"])


def test_silhouette_matches_sklearn_and_a_value_worked_by_hand():
    points, truth = np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])
    # Inner distance 1; outer 10.5, 9.5, 9.5, 10.5.
    by_hand = np.mean([1 - 1 / 10.5, 1 - 1 / 9.5, 1 - 1 / 9.5, 1 - 1 / 10.5])
    assert silhouette(points, truth).value == pytest.approx(by_hand, abs=1e-12)
    cloud = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    kinds = np.arange(50) % 3
    assert silhouette(cloud, kinds).value == pytest.approx(silhouette_score(cloud.astype(float), kinds), abs=1e-9)


@pytest.mark.parametrize("truth", [[0, 0, 0], [0, 1, 2], [0], []])
def test_an_undefined_silhouette_says_why(truth):
    found = silhouette(np.zeros((len(truth), 2)), np.array(truth, int))
    assert found.value is None
    assert "two" in (found.reason or "")


def test_silhouette_of_many_clips_takes_the_same_part_each_time(monkeypatch):
    monkeypatch.setattr("birdssl.evaluation.metrics.SILHOUETTE_CLIPS", 40)
    cloud, kinds = np.random.default_rng(2).normal(size=(200, 3)), np.arange(200) % 2
    first, second = silhouette(cloud, kinds, seed=3), silhouette(cloud, kinds, seed=3)
    assert first == second
    assert first.clips == 40
