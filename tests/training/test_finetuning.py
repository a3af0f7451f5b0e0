"""Classifiers and their score."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from birdssl.models.heads import build_head
from birdssl.models.registry import build_encoder
from birdssl.training.finetuning import Classifier, balanced_accuracy


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
