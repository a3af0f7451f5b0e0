"""Classifiers and their score."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from birdssl.models.heads import build_head
from birdssl.models.registry import build_encoder
from birdssl.training.finetuning import Classifier, EachLabel, balanced_accuracy, macro_average_precision
from birdssl.training.inputs import Inputs


def test_by_hand():
    targets = torch.tensor([0, 0, 0, 0, 2, 2])
    assert balanced_accuracy(targets, torch.tensor([0, 0, 0, 1, 2, 9])) == (3 / 4 + 1 / 2) / 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_it_is_scikit_learns_without_its_warnings(pairs: list[tuple[int, int]]):
    targets, predictions = np.array(pairs).T
    expected = balanced_accuracy_score(targets, predictions)
    assert balanced_accuracy(torch.tensor(targets), torch.tensor(predictions)) == pytest.approx(expected)


def test_average_precision_by_hand():
    """Positives at ranks 1 and 3: (1/1 + 2/3) / 2. The second class has none and doesn't count."""
    targets = torch.tensor([[1.0, 0], [0, 0], [1, 0], [0, 0]])
    scores = torch.tensor([[4.0, 1], [3, 2], [2, 3], [1, 4]])
    assert macro_average_precision(targets, scores) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(macro_average_precision(torch.zeros(2, 2), scores[:2]))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.booleans(), st.integers(0, 5)), min_size=1, max_size=40))
def test_average_precision_is_scikit_learns(rows: list[tuple[bool, int, bool, int]]):
    truth, scores = np.array(rows)[:, ::2], np.array(rows, float)[:, 1::2]
    wanted = [average_precision_score(truth[:, place], scores[:, place]) for place in (0, 1) if truth[:, place].any()]
    found = macro_average_precision(torch.tensor(truth, dtype=torch.float32), torch.tensor(scores))
    assert found == pytest.approx(np.mean(wanted)) if wanted else np.isnan(found)


class Logits(Inputs):
    """Two crops a clip, which stand for their own logits."""

    count, crops, ahead = 2, 2, False

    def take(self, rows: torch.Tensor) -> torch.Tensor:
        crops = torch.tensor([[[-40.0, 0.0], [40.0, 0.0]], [[1.0, 30.0], [2.0, 30.0]]])
        return crops[rows].flatten(0, 1)


def test_the_crops_of_a_clip_are_averaged_as_probabilities():
    task = EachLabel(torch.nn.Identity(), Logits(), torch.arange(2), torch.arange(2), torch.zeros(2, 2), 4)
    found = torch.sigmoid(task.logits(torch.arange(2)).double())
    wanted = [[0.5, 0.5], [(0.731059 + 0.880797) / 2, 1.0]]
    assert found.tolist() == [pytest.approx(row, abs=1e-6) for row in wanted]
    assert torch.isfinite(task.logits(torch.arange(2))).all()


def test_a_frozen_encoder_keeps_its_statistics_and_has_no_gradients():
    encoder = build_encoder("mobilenetv3-large", height=64, width=64)
    network = Classifier(encoder, build_head(encoder.name, encoder.features, 3), frozen=True)
    network.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    network(torch.rand(2, 1, 64, 64)).sum().backward()
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())
    assert all(weight.grad is None for weight in encoder.parameters())
    assert all(weight.grad is not None for weight in network.head.parameters())
    assert network.head.training
