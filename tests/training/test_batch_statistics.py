"""Running averages of networks that have taken few steps."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.training.batch_statistics import settle, unsettled
from birdssl.training.fewshot import Tuning, finetuned, probabilities
from birdssl.training.inputs import Pictures
from birdssl.training.loop import Trained, TrainingPlan, make_fabric, train
from birdssl.training.optimisers import OptimiserPlan
from birdssl.training.task import Batch, Task


class Levels(Task):
    """Two classes, told by a small difference on top of an offset that batch normalisation has to take away."""

    score: ClassVar[str] = "accuracy"
    larger_is_better: ClassVar[bool] = True
    shown: ClassVar[tuple[str, ...]] = ("loss",)

    def __init__(self, *extra: nn.Module, momentum: float = 0.01, items: int = 8) -> None:
        norms = [nn.BatchNorm1d(1, momentum=momentum), *extra]
        self.network = nn.Sequential(*norms, nn.Linear(1, 2))
        nn.init.constant_(self.network[-1].weight, 0.1)
        nn.init.zeros_(self.network[-1].bias)
        self.items, self.ahead = items, False
        self.targets = torch.arange(items) % 2
        self.levels = 50 + self.targets[:, None].float()
        self.loaded = 0

    def load(self, items: torch.Tensor, epoch: int) -> Batch:
        self.loaded += len(items)
        return self.levels[items], self.targets[items]

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return functional.cross_entropy(forward(batch[0]), batch[1]), {}

    def validate(self) -> dict[str, float]:
        return {"accuracy": float((self.network(self.levels).argmax(dim=1) == self.targets).float().mean())}


def taught(task: Levels, folder: Path, epochs: int) -> Trained:
    plan = TrainingPlan(epochs, 4, 1, OptimiserPlan("sgd", 0.5), select="last")
    return train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder)


def batches(*values: list[float]) -> list[Batch]:
    return [
        (torch.tensor(part, dtype=torch.float32)[:, None], torch.zeros(len(part), dtype=torch.int64)) for part in values
    ]


def test_averages_become_the_means_over_batches():
    """Batches 1, 3 and 5, 9: means 2 and 7, variances (of n - 1) 2 and 8."""
    task = Levels()
    norm = task.network[0]
    norm.running_mean.fill_(1000.0)
    before = [weight.clone() for weight in task.network.parameters()]
    assert settle(task, task.network, batches([1, 3], [5, 9]), steps=3) == 1
    assert norm.running_mean.item() == pytest.approx(4.5)
    assert norm.running_var.item() == pytest.approx(5.0)
    assert norm.momentum == 0.01
    assert all(weight.equal(old) for weight, old in zip(task.network.parameters(), before, strict=True))
    assert all(weight.grad is None for weight in task.network.parameters())


def test_those_that_have_forgotten_their_start_stay():
    """A hundredth a step takes five hundred steps, a tenth fifty; with several, each goes by its own."""
    task = Levels(nn.BatchNorm1d(1, momentum=0.1))
    slow, quick = task.network[0], task.network[1]
    task.train()
    assert unsettled(task.network, 49) == [slow, quick]
    assert unsettled(task.network, 50) == [slow]
    assert unsettled(task.network, 500) == []
    quick.running_mean.fill_(7.0)
    settle(task, task.network, batches([1, 3]), steps=50)
    assert (slow.running_mean.item(), quick.running_mean.item()) == (2.0, 7.0)


def test_nothing_is_loaded_where_nothing_is_to_be_set():
    def never():
        raise AssertionError("asked for a batch")
        yield

    assert settle(Levels(), nn.Identity(), never(), steps=500) == 0
    fixed = Levels()
    fixed.network[0] = nn.BatchNorm1d(1, track_running_stats=False)
    assert settle(fixed, fixed.network, never(), steps=0) == 0
    whole = Levels()
    whole.network[0].momentum = None  # its averages are means over all steps already
    assert settle(whole, whole.network, never(), steps=0) == 0


def test_frozen_layers_keep_theirs():
    class Frozen(Levels):
        def train(self) -> None:
            super().train()
            self.network[0].eval()

    task = Frozen()
    settle(task, task.network, batches([1, 3]), steps=0)
    assert task.network[0].running_mean.item() == 0.0


def test_dropout_is_off():
    """Half of the values at zero and the others doubled would leave another variance behind."""
    task = Levels(nn.Dropout(0.5), nn.BatchNorm1d(1, affine=False))
    settle(task, task.network, batches([1.0, 3.0] * 50), steps=0)
    # settled one after the other would be 1 on both counts; in one pass the second sees the first's batch, normalised
    assert task.network[2].running_var.item() == pytest.approx(100 / 99, rel=1e-4)
    assert task.network[2].running_mean.item() == pytest.approx(0.0, abs=1e-6)


def test_a_network_of_few_steps_tells_clips_apart_in_use(tmp_path: Path):
    """Eight steps of a hundredth take the average to 4 of 50, so all clips would look alike, far above the mean."""
    task = Levels()
    assert taught(task, tmp_path, 4).history[-1]["accuracy"] == 1.0
    norm = task.network[0]
    assert norm.running_mean.item() == pytest.approx(50.5, abs=0.2)
    assert task.loaded == 2 * 4 * task.items


def test_the_start_is_looked_at_as_it_came(tmp_path: Path):
    task = Levels()
    taught(task, tmp_path, 0)
    assert (task.network[0].running_mean.item(), task.loaded) == (0.0, 0)


def test_a_run_is_looked_at_again_in_all_its_epochs_or_in_none(tmp_path: Path):
    """Of momentum 0.5: averages are settled after ten steps, which are five epochs of two."""
    for epochs, looks in ((4, 2), (5, 1), (8, 1)):
        task = Levels(momentum=0.5)
        taught(task, tmp_path / str(epochs), epochs)
        assert task.loaded == looks * epochs * task.items


def test_a_resumed_run_has_the_same_averages(tmp_path: Path):
    whole, first, second = (Levels() for _ in range(3))
    expected = taught(whole, tmp_path / "whole", 4)
    taught(first, tmp_path / "parts", 2)
    assert taught(second, tmp_path / "parts", 4).history == expected.history
    assert second.network[0].running_mean.equal(whole.network[0].running_mean)


def test_few_shot_fine_tuning_settles_its_copy_and_no_other():
    pictures = Pictures.of(torch.from_numpy(np.random.default_rng(1).integers(0, 256, (6, 32, 32), dtype=np.uint8)))
    with seeded_weights(1):
        encoder = build_encoder("mobilenetv3-large", height=32, width=32)
    fabric = make_fabric(torch.device("cpu"), "fp32")
    places, targets = torch.arange(6), torch.arange(6) % 2
    task = finetuned(encoder, pictures, places, targets, 2, 0.006, Tuning(3, 6, False, 1), fabric)
    seen: list[torch.Tensor] = []
    norm = next(layer for layer in task.network.modules() if isinstance(layer, nn.BatchNorm2d))
    norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    probabilities(task, places)
    assert norm.running_mean.numpy() == pytest.approx(torch.cat(seen).mean(dim=(0, 2, 3)).numpy(), abs=1e-5)
    first = next(layer for layer in encoder.modules() if isinstance(layer, nn.BatchNorm2d))
    assert first.running_mean.equal(torch.zeros_like(first.running_mean))
