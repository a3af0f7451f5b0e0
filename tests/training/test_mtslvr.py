"""MT-SLVR trained for real: it finds the other view of unseen clips, and tells which augmentations were applied."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from birdssl.models.adapters import SIZES, resnet18_adapters
from birdssl.models.initial import seeded_weights
from birdssl.seeds import generator
from birdssl.training.history import Row
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.mtslvr import AUGMENTATIONS, MtSlvr, MtSlvrNetwork
from birdssl.training.optimisers import OptimiserPlan
from birdssl.training.pairs import another_clip
from birdssl.training.precision import fixed_numerics

BINS, FRAMES = 32, 32
TRAINED, HELD_OUT, EPOCHS, BATCH = 256, 100, 12, 32


def spectrum(clip: int, applied: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(1, BINS, FRAMES) of the clip's ridges, with the augmentations applied in the way of spectra, at random strength.

    Shift in frequency, fade, fine noise, coarse noise, time mask, shift in time, stretch.
    """
    calls = generator(5, "clip", clip)
    shift, stretch = applied[0] * rng.choice([-4, -3, 3, 4]), 1 + applied[6] * rng.choice([-0.35, 0.5])
    time, bins = np.arange(FRAMES), np.arange(BINS)[:, None]
    found = np.zeros((BINS, FRAMES))
    for onset, length, centre, slope in calls.uniform([0, 4, 6, -1], [28, 12, 26, 1], (4, 4)):
        way = (time - 16 - (onset - 16) * stretch) / (length * stretch)
        loud = np.sqrt(np.clip(np.sin(np.pi * np.clip(way, 0, 1)), 0, 1))
        found += 3 * loud * np.exp(-(((bins - centre - shift - 6 * slope * (way - 0.5)) / 1.2) ** 2))
    found *= 1 - applied[1] * rng.uniform(0.5, 1) * np.abs(np.linspace(-1, 1, FRAMES))
    found += applied[2] * rng.uniform(0.2, 0.5) * rng.standard_normal((BINS, FRAMES))
    found += applied[3] * rng.uniform(0.3, 0.6) * rng.standard_normal((BINS, 1))
    if applied[4]:
        start = rng.integers(0, FRAMES - 6)
        found[:, start : start + 6] = -1.0
    return np.roll(found, int(applied[5] * rng.integers(-14, 15)), axis=1)[None].astype(np.float32)


class AugmentedSpectra:
    """Two views of each clip with the same augmentations, of random number and strength, and which these were."""

    ahead = False

    def __init__(self, first: int, count: int, *, shuffled: bool = False) -> None:
        self.first, self.clips, self.shuffled = first, count, shuffled

    def views(self, clips: Tensor, epoch: int) -> tuple[Tensor, ...]:
        others = another_clip(self.clips, 1, epoch)[clips] if self.shuffled else clips
        made: list[list[Tensor]] = [[], [], []]
        for clip, other in zip(clips.tolist(), others.tolist(), strict=True):
            rng = generator(3, "views", epoch, self.first + clip)
            applied = (rng.permutation(AUGMENTATIONS) < rng.integers(1, AUGMENTATIONS + 1)).astype(np.float32)
            pair = [spectrum(self.first + number, applied, rng) for number in (clip, other)]
            for part, value in zip(made, (*pair, applied), strict=True):
                part.append(torch.from_numpy(value))
        return tuple(torch.stack(part) for part in made)


def network(**options: float) -> MtSlvrNetwork:
    with seeded_weights(1):
        return MtSlvrNetwork(resnet18_adapters(channels=1, bins=BINS, **SIZES["quick"]), **options)


def history(folder: Path, *, shuffled: bool) -> list[Row]:
    task = MtSlvr(
        network(), AugmentedSpectra(0, TRAINED, shuffled=shuffled), AugmentedSpectra(TRAINED, HELD_OUT), BATCH
    )
    plan = TrainingPlan(EPOCHS, BATCH, 1030, OptimiserPlan("adam", 1e-3), drop_last=True)
    with fixed_numerics(1):
        return train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history


@pytest.mark.slow
def test_both_tasks_are_learnt_and_the_pairs_teach(tmp_path: Path) -> None:
    """Chance is 0.01 for the other view, and 4/7 for each augmentation; shuffled pairs teach nothing about clips."""
    true = history(tmp_path / "true", shuffled=False)
    control = history(tmp_path / "control", shuffled=True)
    for row in (*true, *control):
        print({k: round(v, 3) for k, v in row.items()})
    before, after, shuffled = true[0], true[-1], control[-1]
    assert after["retrieval"] > 2 * before["retrieval"]
    assert after["retrieval"] > shuffled["retrieval"] + 0.25
    assert after["effective_rank"] > 10
    assert after["validation_told"] > 0.7
