"""Average precision and AUROC, with scikit-learn as the oracle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from birdssl.evaluation import ranking
from birdssl.evaluation.ranking import Ranked, Ranking, as_drawn, redrawn

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=40)


def system(seed=0, clips=60, classes=3, skill=1.0):
    """Truth by chance, scores that know something of it, origins of three clips each."""
    random = np.random.default_rng(seed)
    truth = random.random((clips, classes)) < 0.3
    return Ranked(truth, (skill * truth + random.normal(size=truth.shape)).round(1), np.arange(clips) // 3)


def test_by_hand():
    """Positives at ranks 1 and 3 of 4: precision 1 and 2/3; one of the two negatives is above one positive."""
    found = Ranking.of(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1]))
    precision, auroc = found.measure(np.ones((1, 4)))
    assert precision == pytest.approx([(1 + 2 / 3) / 2])
    assert auroc == pytest.approx([3 / 4])


def test_one_score_for_all_clips_is_chance():
    """Average precision is then the share of positives, and AUROC a half."""
    found = Ranking.of(np.array([True, False, False, False, True]), np.zeros(5))
    assert [float(value[0]) for value in found.measure(np.ones((1, 5)))] == pytest.approx([0.4, 0.5])


@given(ROWS)
def test_they_are_scikit_learns_under_weights(rows):
    truth, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    precision, auroc = Ranking.of(truth, scores).measure(weights[None].astype(float))
    positives, negatives = weights[truth].sum(), weights[~truth].sum()
    if positives:
        assert precision[0] == pytest.approx(average_precision_score(truth, scores, sample_weight=weights))
    else:
        assert np.isnan(precision[0])
    if positives and negatives:
        assert auroc[0] == pytest.approx(roc_auc_score(truth, scores, sample_weight=weights))
    else:
        assert np.isnan(auroc[0])


def test_macro_and_micro_are_scikit_learns():
    model = system()
    found = as_drawn([model], 20)
    for average, value in {"macro": found.macro_average_precision, "micro": found.micro_average_precision}.items():
        assert value[0] == pytest.approx(average_precision_score(model.truth, model.scores, average=average))
    assert found.macro_auroc[0] == pytest.approx(roc_auc_score(model.truth, model.scores, average="macro"))
    each = average_precision_score(model.truth, model.scores, average=None)
    assert found.average_precision[0] == pytest.approx(each)


def test_a_class_without_a_positive_is_left_out_of_the_mean():
    model = system()
    truth = model.truth.copy()
    truth[:, 1] = False
    found = as_drawn([Ranked(truth, model.scores, model.origins)], 20)
    assert np.isnan(found.average_precision[0, 1])
    assert found.macro_average_precision[0] == pytest.approx(found.average_precision[0, [0, 2]].mean())


def test_each_model_ranks_its_own_clips():
    """Two models of which one says everything with twice the score: each is worth what it is worth alone."""
    first, second = system(1), system(2)
    louder = Ranked(second.truth, 2 * second.scores + 5, second.origins)
    apart = [as_drawn([model], 20).macro_average_precision[0] for model in (first, second)]
    assert as_drawn([first, louder], 20).macro_average_precision[0] == pytest.approx(np.mean(apart))


def test_a_draw_takes_all_clips_of_an_origin(monkeypatch):
    """Drawing origins is repeating their clips, as often as they were drawn."""
    model = system(clips=30)
    weights = np.random.default_rng(3).integers(0, 3, (4, 10)).astype(float)
    found = ranking.measured([model], [weights])
    for draw, counts in enumerate(weights):
        rows = np.repeat(np.arange(30), counts[model.origins].astype(int))
        wanted = average_precision_score(model.truth[rows], model.scores[rows], average="micro")
        assert found.micro_average_precision[draw] == pytest.approx(wanted)
    monkeypatch.setattr(ranking, "AT_ONCE", 60)  # a draw at a time gives the same
    again = ranking.measured([model], [weights])
    assert again.macro_auroc == pytest.approx(found.macro_auroc)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_draws_lie_about_the_figure_of_all_clips(seed):
    model = system(seed, clips=120)
    drawn, whole = redrawn([model], 40, 300, seed), as_drawn([model], 40)
    low, high = np.quantile(drawn.macro_auroc, [0.005, 0.995])
    assert low < whole.macro_auroc[0] < high
