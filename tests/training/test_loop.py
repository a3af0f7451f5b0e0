"""The loop on a task small enough to work out by hand: one weight, pulled towards 3."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from birdssl.errors import BirdsslError
from birdssl.training.loop import Trained, TrainingPlan, make_fabric, train
from birdssl.training.optimisers import SGD, OptimiserPlan, Schedule
from birdssl.training.task import Batch, Task


class Pull(Task):
    """Loss (w - 3)^2 on items that it notes; scores are handed in."""

    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss",)

    def __init__(self, scores: list[float], items: int = 10) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.network.weight)
        self.scores, self.items, self.ahead = scores, items, False
        self.seen: dict[int, list[int]] = {}
        self.weights: list[float] = []

    def load(self, items: torch.Tensor, epoch: int) -> Batch:
        self.seen.setdefault(epoch, []).extend(items.tolist())
        return (torch.ones(len(items), 1),)

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (forward(*batch) - 3).pow(2).mean()
        return loss, {"twice": 2 * loss.detach()}

    def validate(self) -> dict[str, float]:
        assert not self.network.training
        assert torch.is_inference_mode_enabled()
        self.weights.append(self.network.weight.item())
        return {"validation_loss": self.scores[len(self.weights) - 1]}


def pull(task: Pull, folder: Path, epochs: int, **plan) -> Trained:
    chosen = {"optimiser": OptimiserPlan("sgd", 0.25), **plan}
    return train(task, TrainingPlan(epochs, 5, 1, **chosen), make_fabric(torch.device("cpu"), "fp32"), folder)


def test_steps_means_and_the_best_epochs_weight(tmp_path: Path):
    task = Pull([9.0, 5.0, 2.0, 2.0, 4.0])
    found = pull(task, tmp_path, 4)
    # each step halves the distance to 3, and an epoch has two of them
    assert task.weights == pytest.approx([3 - 3 / 4**epoch for epoch in range(5)])
    assert found.best == 2
    assert task.network.weight.item() == pytest.approx(3 - 3 / 16)
    assert found.history[0] == {"epoch": 0, "validation_loss": 9.0}
    assert found.history[1]["loss"] == pytest.approx((9 + 9 / 4) / 2)
    assert found.history[1]["twice"] == pytest.approx(9 + 9 / 4)


def test_every_item_once_an_epoch_in_another_order(tmp_path: Path):
    task = Pull([0.0] * 4, items=13)
    pull(task, tmp_path, 3)
    assert all(sorted(items) == list(range(13)) for items in task.seen.values())
    assert len({tuple(items) for items in task.seen.values()}) == 3
    short = Pull([0.0] * 2, items=13)
    pull(short, tmp_path / "short", 1, drop_last=True)
    assert len(short.seen[1]) == 10


def test_a_resumed_run_sees_what_was_left(tmp_path: Path):
    whole, first, second = (Pull([1.0] * 5) for _ in range(3))
    pull(whole, tmp_path / "whole", 4)
    pull(first, tmp_path / "parts", 2)
    pull(second, tmp_path / "parts", 4)
    assert second.seen == {epoch: whole.seen[epoch] for epoch in (3, 4)}
    assert second.weights == whole.weights[3:]


def test_the_rate_follows_the_schedule_within_epochs(tmp_path: Path):
    task = Pull([0.0] * 2)
    pull(task, tmp_path, 1, schedule=Schedule("cosine", warmup=1, epochs=1))
    # the first step has rate 0, the second half of 0.25: 3 - 3 * (1 - 2 * 0.125)
    assert task.weights[1] == pytest.approx(0.75)


def test_a_score_that_is_not_finite_stops_the_run(tmp_path: Path):
    with pytest.raises(BirdsslError, match=r"the validation loss is nan in epoch 2.*it was 0\.01"):
        pull(Pull([1.0, 1.0, float("nan")]), tmp_path, 3, optimiser=SGD)


def test_a_slurm_job_of_several_tasks_does_not_confuse_a_single_run(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}.items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric(torch.device("cpu"), "fp32")
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
