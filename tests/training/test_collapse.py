"""Collapse is said aloud once it has set in; precision brings none about."""

import logging

import pytest
import torch

from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.pretraining import PairNetwork, Pretraining
from birdssl.training.validation import lasting_collapse, spread


def rows(*spreads: float) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "embedding_std": value, "effective_rank": 20.0} for epoch, value in enumerate((0.9, *spreads))
    ]


def test_three_epochs_in_a_row_are_a_collapse_and_the_start_is_none():
    assert lasting_collapse(rows(0.01, 0.01)) is None
    assert lasting_collapse(rows(0.01, 0.01, 0.5)) is None
    assert "collapsed" in str(lasting_collapse(rows(0.01, 0.01, 0.0)))


def test_it_is_said_once(caplog: pytest.LogCaptureFixture):
    history = rows(0.5, 0.01, 0.01, 0.01, 0.01, 0.01)
    task = object.__new__(Pretraining)
    with caplog.at_level(logging.WARNING):
        for count in range(1, len(history) + 1):
            task.remark(history[:count])
    assert [record.getMessage()[:8] for record in caplog.records] == ["epoch 4:"]


def test_probed_clips_are_spread_over_all():
    assert spread(3, 10).tolist() == [0, 1, 2]
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]


def test_the_projector_computes_in_fp32_beside_a_bfloat16_encoder():
    """With all of it in bfloat16, clips that differ little (noise, batch 4) blew the weights up within ten steps."""
    torch.manual_seed(0)
    encoder = build_encoder("simplecnn", height=100, width=32)
    network = PairNetwork(encoder, Projector(encoder.features, 16), OBJECTIVES["vicreg"]()).eval()
    images = torch.rand(4, 1, 100, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        first, _ = network(images, images)
        embeddings = encoder(images)
    assert embeddings.dtype == torch.bfloat16
    with torch.inference_mode():
        assert first.equal(network.projector(embeddings.float()))
