"""MT-SLVR trained for real: it finds the other view of unseen clips, and tells which augmentations were applied."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.adapters import SIZES, resnet18_adapters
from birdssl.models.initial import seeded_weights
from birdssl.models.simplecnn import simplecnn
from birdssl.objectives.nt_xent import NTXent
from birdssl.seeds import generator
from birdssl.training.history import Row
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.mtslvr import AUGMENTATIONS, MtSlvr, MtSlvrNetwork
from birdssl.training.optimisers import OptimiserPlan
from birdssl.training.pairs import another_clip
from birdssl.training.precision import fixed_numerics

BINS, FRAMES = 32, 32
TRAINED, HELD_OUT, EPOCHS, BATCH = 384, 100, 14, 32


def spectrum(clip: int, applied: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(1, BINS, FRAMES) of the clip's ridges at a random level, with augmentations applied as they show in spectra.

    Shift in frequency, fade, fine noise, coarse noise, time mask, shift in time, stretch; each of random strength.
    """
    calls = generator(5, "clip", clip).uniform([0, 6, 3, -1], [FRAMES - 4, 16, BINS - 3, 1], (4, 4))
    shift, stretch = applied[0] * rng.choice([-2, -1, 1, 2]), 1 + applied[6] * rng.choice([-0.2, 0.25])
    time, bins = np.arange(FRAMES), np.arange(BINS)[:, None]
    found = np.zeros((BINS, FRAMES))
    for onset, length, centre, slope in calls:
        way = (time - FRAMES / 2 - (onset - FRAMES / 2) * stretch) / (length * stretch)
        loud = np.sqrt(np.clip(np.sin(np.pi * np.clip(way, 0, 1)), 0, 1))
        found += 3 * loud * np.exp(-(((bins - centre - shift - 6 * slope * (way - 0.5)) / 1.2) ** 2))
    found *= 1 - applied[1] * rng.uniform(0.5, 1) * np.abs(np.linspace(-1, 1, FRAMES))
    found += applied[2] * rng.uniform(0.2, 0.4) * rng.standard_normal((BINS, FRAMES))
    found += applied[3] * rng.uniform(0.2, 0.4) * rng.standard_normal((BINS, 1))
    if applied[4]:
        start = rng.integers(0, FRAMES - 6)
        found[:, start : start + 6] = -1.0
    found = np.roll(found, int(applied[5] * rng.integers(-5, 6)), axis=1)
    return (found + rng.standard_normal())[None].astype(np.float32)


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
    training, held_out = AugmentedSpectra(0, TRAINED, shuffled=shuffled), AugmentedSpectra(TRAINED, HELD_OUT)
    task = MtSlvr(network(), training, held_out, BATCH)
    plan = TrainingPlan(EPOCHS, BATCH, 1030, OptimiserPlan("adam", 3e-3), drop_last=True, validate_every=EPOCHS)
    with fixed_numerics(1):
        return train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history


@pytest.mark.slow
def test_both_tasks_are_learnt_and_the_pairs_teach(tmp_path: Path):
    """Chance is 0.01 for the other view and 4/7 for an augmentation; shuffled pairs teach nothing about clips.

    What shuffled pairs share is which augmentations were applied, so these are learnt there too, and few directions.
    """
    true, control = history(tmp_path / "true", shuffled=False), history(tmp_path / "control", shuffled=True)
    before, after, shuffled = true[0], true[-1], control[-1]
    assert before == control[0]
    assert after["retrieval"] > 3 * before["retrieval"]
    assert after["retrieval"] > shuffled["retrieval"] + 0.15
    assert after["effective_rank"] > max(6, 1.5 * shuffled["effective_rank"])
    assert after["validation_contrast"] < shuffled["validation_contrast"] - 0.5
    assert min(after["validation_told"], shuffled["validation_told"]) > 0.63 > before["validation_told"]


def test_the_loss_is_nt_xent_of_one_task_and_cross_entropy_of_the_other():
    net = network(prediction=0.5).eval()
    first, second, applied = AugmentedSpectra(0, 6).views(torch.arange(6), 1)
    one, two, logits = net(first, second)
    loss, terms = net.losses(one, two, logits, applied)
    contrast, _ = NTXent(0.07)(one, two)
    chances = torch.sigmoid(logits)
    truth = torch.stack([applied, applied], dim=1)
    prediction = -(truth * chances.log() + (1 - truth) * (1 - chances).log()).mean()
    torch.testing.assert_close(terms["contrast"], contrast.detach())
    torch.testing.assert_close(terms["prediction"], prediction.detach())
    torch.testing.assert_close(loss, contrast + 0.5 * prediction)
    assert terms["told"].item() == pytest.approx(((chances > 0.5) == (truth == 1)).double().mean().item())


def test_each_task_takes_its_own_part_of_the_embedding():
    """Projections follow from the first 500 values, logits from the last 500; row i of both views is clip i."""
    net = network().eval()
    first, second, _ = AugmentedSpectra(0, 3).views(torch.arange(3), 1)
    one, two, logits = net(first, second)
    for number, (view, projected) in enumerate(((first, one), (second, two))):
        embedding = net.encoder(view)
        torch.testing.assert_close(projected, net.projector(embedding[:, :500]), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(logits[:, number], net.predictor(embedding[:, 500:]), rtol=1e-4, atol=1e-5)
    assert one.shape == (3, 256)
    assert logits.shape == (3, 2, AUGMENTATIONS)


def test_adapters_of_a_task_learn_from_that_task_alone():
    net = network(prediction=0.0)
    batch = AugmentedSpectra(0, 4).views(torch.arange(4), 1)
    loss, _ = net.losses(*net(*batch[:2]), batch[2])
    loss.backward()
    gradients = {name: weight.grad for name, weight in net.encoder.named_parameters()}
    assert gradients["own.0.first.beside.0.weight"].any()
    assert not gradients["own.0.first.beside.1.weight"].any()
    assert not gradients["dense.1.weight"].any()


def test_heads_have_the_sizes_of_the_published_code():
    net = network()
    shapes = {
        name: [tuple(layer.weight.shape) for layer in head.modules() if isinstance(layer, nn.Linear)]
        for name, head in (("projector", net.projector), ("predictor", net.predictor))
    }
    assert shapes["projector"] == [(500, 500), (256, 500)]
    assert shapes["predictor"] == [(256, 500), (64, 256), (16, 64), (7, 16)]
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in net.predictor) == 3
    assert (net.objective.temperature, net.prediction) == (0.07, 1.0)


def test_bfloat16_stays_in_the_encoder():
    net = network().eval()
    first, second, _ = AugmentedSpectra(0, 3).views(torch.arange(3), 1)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = net(first, second)
        embedding = net.encoder(first)
    assert embedding.dtype == torch.bfloat16
    assert all(output.dtype == torch.float32 for output in outputs)
    torch.testing.assert_close(outputs[0], net.projector(embedding[:, :500].float()), rtol=0.05, atol=0.01)


def test_other_encoders_are_refused():
    with pytest.raises(UsageError, match=r"simplecnn.*--encoder resnet18-adapters"):
        MtSlvrNetwork(simplecnn(height=100, width=32))
    with pytest.raises(UsageError, match="two tasks"):
        MtSlvrNetwork(resnet18_adapters(channels=1, bins=32, tasks=4, **SIZES["quick"]))
