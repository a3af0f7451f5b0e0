"""The loop on a task small enough to work out by hand: one weight, pulled towards 3."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from birdssl.errors import BirdsslError
from birdssl.training import loop
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


def test_scores_and_checkpoints_come_at_each_n_th_epoch_and_at_the_last(tmp_path: Path, monkeypatch):
    """Scores of epochs 0, 3, 6 and 7: the best is chosen among these, and nothing is written in between."""
    written: list[int] = []
    saved = loop.save_checkpoint

    def note(folder, progress, *rest):
        written.append(progress.epoch)
        saved(folder, progress, *rest)

    monkeypatch.setattr(loop, "save_checkpoint", note)
    task = Pull([1.0, 5.0, 2.0, 4.0])
    found = pull(task, tmp_path, 7, validate_every=3)
    assert written == [0, 3, 6, 7]
    assert [row["epoch"] for row in found.history if "validation_loss" in row] == [0, 3, 6, 7]
    assert all("loss" in row for row in found.history[1:])
    assert len(found.history) == 8
    assert found.best == 6
    assert task.network.weight.item() == pytest.approx(3 - 3 / 4**6)


def test_the_last_epoch_is_kept_where_it_is_asked_for(tmp_path: Path):
    task = Pull([1.0, 2.0, 3.0, 9.0])
    assert pull(task, tmp_path, 3, select="last").best == 3
    assert task.network.weight.item() == pytest.approx(3 - 3 / 4**3)
    alone = Pull([7.0])
    assert pull(alone, tmp_path / "start", 0, select="last").best == 0
    rare = Pull([1.0, 2.0, 3.0])
    assert pull(rare, tmp_path / "rare", 5, select="last", validate_every=4).best == 5
    assert rare.network.weight.item() == pytest.approx(3 - 3 / 4**5)


@pytest.mark.parametrize("select", ["score", "last"])
def test_a_run_that_is_stopped_between_checkpoints_does_the_epochs_since_again(tmp_path: Path, select: str):
    """Stopped in epoch 5 with checkpoints of each second: it goes on after epoch 4, to the same history and weight."""
    scores = [9.0, 5.0, 2.0, 4.0, 3.0]  # of epochs 0, 2, 4, 6 and 7
    whole = Pull(scores)
    expected = pull(whole, tmp_path / "whole", 7, validate_every=2, select=select)

    class Stopped(Pull):
        def load(self, items: torch.Tensor, epoch: int) -> Batch:
            if epoch == 5 and self.seen.get(5):
                raise KeyboardInterrupt
            return super().load(items, epoch)

    with pytest.raises(KeyboardInterrupt):
        pull(Stopped(scores), tmp_path / "parts", 7, validate_every=2, select=select)
    second = Pull(scores[3:])
    found = pull(second, tmp_path / "parts", 7, validate_every=2, select=select)
    assert sorted(second.seen) == [5, 6, 7]
    assert (found.history, found.best) == (expected.history, expected.best)
    assert second.network.weight.equal(whole.network.weight)
    kept = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert kept == sorted(path.name for path in (tmp_path / "whole").iterdir())
