"""Fine-tuning from a published checkpoint, through the stage contract."""

import argparse
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from waves import rendered_waves

from birdssl.errors import IncompatibleError
from birdssl.models.registry import build_encoder
from birdssl.settings.base import check
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.finetune import Finetune
from birdssl.stages.pretrain import Pretrain
from birdssl.stages.runner import Outcome, run
from birdssl.training.saved_model import load_model

SMALL = {"batch_size": 8, "epochs": 0, "precision": "fp32", "threads": 1, "crops": 1, "start": "published"}


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waves")
    rendered_waves(folder, 4, labels=("bass", "alto"))
    return folder


def finetune(waves: Path, out: Path, **settings: Any) -> Outcome:
    return run(Finetune(check(FinetuneSettings, {**SMALL, **settings}), [waves], out, RunOptions(device="cpu")))


def byol_a(features: int) -> dict[str, Tensor]:
    """A checkpoint of BYOL-A's layout, its numbers those of another random start."""
    ours = build_encoder("byol-a-cnn", channels=1, bins=64, features=features).state_dict()
    return {name.replace("convolutions.", "features.").replace("dense.", "fc."): t for name, t in ours.items()}


def test_the_checkpoint_decides_the_size(waves: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = byol_a(24)
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=3e-4)}, tmp_path / "byola.pth")
    with caplog.at_level(logging.INFO):
        finetune(waves, tmp_path / "out", encoder="byol-a-cnn", weights=tmp_path / "byola.pth")
    encoder = load_model(tmp_path / "out").encoder
    assert encoder.features == 24
    torch.testing.assert_close(encoder.state_dict()["dense.3.weight"], weights["fc.3.weight"])
    assert "byola.pth: 25 tensors read in BYOL-A's layout" in caplog.text


def test_a_size_that_is_asked_for_must_be_the_checkpoints(waves: Path, tmp_path: Path) -> None:
    torch.save(byol_a(24), tmp_path / "byola.pth")
    with pytest.raises(IncompatibleError, match=r"The file is of an encoder with features 24: take that one"):
        finetune(waves, tmp_path / "out", encoder="byol-a-cnn", weights=tmp_path / "byola.pth", size="quick")


def test_pretraining_goes_on_from_a_checkpoint(waves: Path, tmp_path: Path) -> None:
    weights = byol_a(24)
    torch.save(weights, tmp_path / "byola.pth")
    given = {**SMALL, "objective": "byol-a", "weights": tmp_path / "byola.pth", "validation_fraction": 0.5}
    del given["start"]
    run(Pretrain(check(PretrainSettings, given), [waves], tmp_path / "out", RunOptions(device="cpu")))
    encoder = load_model(tmp_path / "out").encoder
    assert encoder.features == 24
    torch.testing.assert_close(encoder.state_dict()["dense.3.weight"], weights["fc.3.weight"])
