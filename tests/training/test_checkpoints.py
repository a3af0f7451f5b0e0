"""Checkpoints: whole, safe to load, and exact."""

from pathlib import Path

import pytest
import torch
from torch import nn

from birdssl.errors import IncompatibleError
from birdssl.training.checkpoints import LAST, Progress, read_progress, restore, restore_best, save_checkpoint
from birdssl.training.optimisers import KINDS, build_optimiser


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)


def step(net: nn.Module, optimiser: torch.optim.Optimizer, seed: int) -> None:
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    net(images.contiguous(memory_format=torch.channels_last)).pow(2).sum().backward()
    optimiser.step()
    optimiser.zero_grad()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_optimiser_goes_on_with_the_same_bits_and_layout(kind: str, tmp_path: Path):
    net = network()
    optimiser = build_optimiser(KINDS[kind], net)
    for seed in (1, 2):
        step(net, optimiser, seed)
    save_checkpoint(tmp_path, Progress(epoch=2, history=[{"epoch": 2, "x": 0.1}], best=2), net, optimiser)
    other = network()
    fresh = build_optimiser(KINDS[kind], other)
    restore(tmp_path, other, fresh)
    for weight, values in fresh.state.items():
        assert all(value.stride() == weight.stride() for value in values.values() if value.shape == weight.shape)
    for seed in (3, 4):
        step(net, optimiser, seed)
        step(other, fresh, seed)
    assert all(a.equal(b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))
    assert read_progress(tmp_path) == Progress(epoch=2, history=[{"epoch": 2, "x": 0.1}], best=2)


def test_only_the_best_weights_are_kept_beside_the_last(tmp_path: Path):
    net = network()
    optimiser = build_optimiser(KINDS["sgd"], net)
    kept = {}
    for epoch, best in ((0, 0), (1, 1), (2, 1)):
        save_checkpoint(tmp_path, Progress(epoch=epoch, best=best), net, optimiser)
        kept[epoch] = net[0].weight.detach().clone()
        step(net, optimiser, epoch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-00001.safetensors", LAST]
    restore_best(tmp_path, 1, net)
    assert net[0].weight.equal(kept[1])


def test_a_run_killed_between_the_two_files_goes_on_from_the_epoch_before(tmp_path: Path):
    net = network()
    optimiser = build_optimiser(KINDS["sgd"], net)
    save_checkpoint(tmp_path, Progress(epoch=1, best=1), net, optimiser)
    (tmp_path / "best-00002.safetensors").write_bytes(b"of an epoch that was never finished")
    found = read_progress(tmp_path)
    assert (found.epoch, found.best) == (1, 1)
    restore_best(tmp_path, found.best, net)
    save_checkpoint(tmp_path, Progress(epoch=2, best=1), net, optimiser)
    assert not (tmp_path / "best-00002.safetensors").exists()


def test_no_checkpoint_and_a_damaged_one(tmp_path: Path):
    assert read_progress(tmp_path) is None
    (tmp_path / LAST).write_bytes(b"x" * 40)
    with pytest.raises(IncompatibleError, match="start it anew with --overwrite"):
        read_progress(tmp_path)


def test_another_networks_checkpoint_is_refused(tmp_path: Path):
    net = network()
    optimiser = build_optimiser(KINDS["sgd"], net)
    save_checkpoint(tmp_path, Progress(epoch=0), net, optimiser)
    with pytest.raises(IncompatibleError, match="doesn't fit its network"):
        restore(tmp_path, nn.Linear(2, 2), optimiser)
