"""Pretraining learns, and it learns from the pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from chirps import HEIGHT, WIDTH, view_pictures

from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.history import Row
from birdssl.training.inputs import Pictures
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import plan_optimiser
from birdssl.training.pairs import StoredViews
from birdssl.training.precision import fixed_numerics
from birdssl.training.pretraining import PairNetwork, Pretraining

TRAINED, HELD_OUT, EPOCHS, BATCH = 300, 100, 6, 50


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    drawn = np.stack([view for clip in range(TRAINED + HELD_OUT) for view in view_pictures(clip)])
    return Pictures.of(torch.from_numpy(drawn))


def history(objective: str, pictures: Pictures, folder: Path, *, shuffled: bool, precision: str = "fp32") -> list[Row]:
    with seeded_weights(1):
        encoder = build_encoder("simplecnn", height=HEIGHT, width=WIDTH)
        network = PairNetwork(encoder, Projector(encoder.features, 128), OBJECTIVES[objective]())
    rows = torch.arange(pictures.count).view(-1, 2)
    training = StoredViews(pictures, rows[:TRAINED], 1, shuffled=shuffled)
    task = Pretraining(network, training, StoredViews(pictures, rows[TRAINED:], 1), BATCH)
    optimiser = plan_optimiser("simplecnn", BATCH, name="adam", learning_rate=1e-3)
    plan = TrainingPlan(EPOCHS, BATCH, 1030, optimiser, drop_last=True)
    with fixed_numerics(1):
        return train(task, plan, make_fabric(torch.device("cpu"), precision), folder).history


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["barlow-twins", "vicreg"])
def test_the_other_view_of_unseen_clips_is_found_far_more_often(objective: str, pictures: Pictures, tmp_path: Path):
    """Chance is 0.01; an untrained encoder finds about a quarter, and shuffled pairs teach it nothing."""
    true = history(objective, pictures, tmp_path / "true", shuffled=False)
    control = history(objective, pictures, tmp_path / "control", shuffled=True)
    before, after, shuffled = true[0]["retrieval"], true[-1]["retrieval"], control[-1]["retrieval"]
    assert before == control[0]["retrieval"] > 0.05
    assert after > 2 * before
    assert after > shuffled + 0.25
    assert true[-1]["validation_loss"] < control[-1]["validation_loss"]
    assert true[-1]["alignment"] < control[-1]["alignment"]


@pytest.mark.slow
def test_bfloat16_learns_as_fp32_does(pictures: Pictures, tmp_path: Path):
    found = {
        precision: history("vicreg", pictures, tmp_path / precision, shuffled=False, precision=precision)
        for precision in ("fp32", "bf16")
    }
    wide, narrow = (found[precision][-1] for precision in ("fp32", "bf16"))
    assert found["fp32"][0] == found["bf16"][0]  # validation is in fp32 either way
    assert narrow["retrieval"] > wide["retrieval"] - 0.1
    assert narrow["validation_loss"] == pytest.approx(wide["validation_loss"], rel=0.05)
