"""Collapse is said aloud once it has set in; precision brings none about."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from chirps import HEIGHT, WIDTH, view_pictures

from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.inputs import Pictures
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import plan_optimiser
from birdssl.training.pairs import StoredViews
from birdssl.training.precision import fixed_numerics
from birdssl.training.pretraining import PairNetwork, Pretraining
from birdssl.training.validation import lasting_collapse, spread


def rows(*spreads: float) -> list[dict[str, float]]:
    return [{"epoch": epoch, "embedding_std": value, "effective_rank": 9.0, "encoder_rank": 20.0, "retrieval": 0.1}
            for epoch, value in enumerate((0.9, *spreads))]  # fmt: skip


def test_three_epochs_in_a_row_are_a_collapse_and_the_start_is_none():
    assert lasting_collapse(rows(0.01, 0.01)) is None
    assert lasting_collapse(rows(0.01, 0.01, 0.5)) is None
    assert "collapsed" in str(lasting_collapse(rows(0.01, 0.01, 0.0)))


@pytest.mark.parametrize(
    ("rank", "retrieval", "said"),
    [(3.6, 0.1, True), (3.6, 0.05, True), (3.6, 0.11, False), (4.0, 0.1, False), (30.0, 0.0, False)],
)
def test_lost_directions_are_said_at_once_where_nothing_was_learned(rank: float, retrieval: float, said: bool):
    """From an encoder's rank of 20 and a retrieval of .1 before training, whatever the projections' rank."""
    after = {"epoch": 1, "embedding_std": 0.5, "effective_rank": 9.0, "encoder_rank": rank, "retrieval": retrieval}
    assert ("of 20.0 before training" in str(lasting_collapse([*rows(), after]))) == said
    assert lasting_collapse([after]) is None  # without the start there's nothing to compare with


@pytest.mark.slow
def test_a_run_made_to_collapse_is_named_after_an_epoch_and_a_healthy_one_never(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Views that need only agree, at a rate that is too high, against VICReg as it is."""
    pictures = Pictures.of(torch.from_numpy(np.stack([view for clip in range(200) for view in view_pictures(clip)])))
    pairs = torch.arange(400).view(-1, 2)

    def history(rate: float, epochs: int, folder: Path, **weights: float) -> list[dict[str, float]]:
        with seeded_weights(1):
            encoder = build_encoder("simplecnn", height=HEIGHT, width=WIDTH)
            network = PairNetwork(encoder, Projector(encoder.features, 128), OBJECTIVES["vicreg"](**weights))
        task = Pretraining(network, StoredViews(pictures, pairs[:150], 1), StoredViews(pictures, pairs[150:], 1), 50)
        plan = TrainingPlan(
            epochs, 50, 1, plan_optimiser("simplecnn", 50, name="adam", learning_rate=rate), drop_last=True
        )
        with fixed_numerics(1):
            return train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history

    history(1e-2, 2, tmp_path / "collapsed", variance=0.0, covariance=0.0)
    assert [record.getMessage()[:8] for record in caplog.records if "collaps" in record.getMessage()] == ["epoch 1:"]
    caplog.clear()
    assert lasting_collapse(history(1e-3, 4, tmp_path / "healthy")) is None
    assert "collaps" not in caplog.text


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
