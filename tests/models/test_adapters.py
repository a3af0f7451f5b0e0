"""ResNet-18 with adapters: the published sizes, what tasks share and don't, and the arithmetic of each adapter."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from birdssl.errors import UsageError
from birdssl.models.adapters import SIZES, AdapterResNet18, TaskBlock, TaskConv, pooled_shortcut, resnet18_adapters
from birdssl.models.initial import seeded_weights

# With three input channels (docs/papers.md). "none" is the plain ResNet-18.
PARAMETERS = {"bn": 11_524_904, "series": 14_308_648, "parallel": 13_949_736, "none": 11_689_512}
OWN = r"(dense|norms|own\.\d+\.\w+\.(beside|behind|norms))\.{task}\."


def built(adapters: str, tasks: int = 2, channels: int = 3) -> AdapterResNet18:
    with seeded_weights(1):
        return resnet18_adapters(channels=channels, bins=32, adapters=adapters, tasks=tasks)


def spectra(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("adapters", PARAMETERS)
def test_parameter_counts(adapters: str) -> None:
    encoder = built(adapters)
    assert sum(weight.numel() for weight in encoder.parameters()) == PARAMETERS[adapters]
    assert (encoder.features, encoder.task_features) == (1000, 500)


@pytest.mark.parametrize("adapters", PARAMETERS)
def test_the_embedding_is_the_tasks_side_by_side(adapters: str) -> None:
    encoder = built(adapters, tasks=4).eval()
    for frames in (20, 33):
        inputs = spectra(2, 3, 32, frames)
        parts = encoder.by_task(inputs)
        assert [part.shape for part in parts] == [(2, 250)] * 4
        assert torch.equal(encoder(inputs), torch.cat(parts, dim=1))
        assert not torch.allclose(parts[0], parts[1])
    assert encoder.options == {
        "channels": 3,
        "bins": 32,
        "widths": [64, 128, 256, 512],
        "adapters": adapters,
        "tasks": 4,
    }


def test_without_adapters_it_is_torchvisions_resnet18() -> None:
    ours = built("none").eval()
    theirs = resnet18(weights=None).eval()
    weights = [value for value in ours.state_dict().values() if value.ndim]
    places = [name for name, value in theirs.state_dict().items() if value.ndim]
    body, (first, first_bias, second, second_bias) = weights[:-4], weights[-4:]
    head = [torch.cat([first, second]), torch.cat([first_bias, second_bias])]
    theirs.load_state_dict(dict(zip(places, [*body, *head], strict=True)), strict=False)
    inputs = spectra(2, 3, 32, 40)
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("adapters", PARAMETERS)
def test_a_task_learns_nothing_of_the_others_own_weights(adapters: str) -> None:
    """Kernels of 3x3 get a gradient from either task, adapters and statistics from their own alone."""
    encoder = built(adapters).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items() if "running_mean" in name}
    encoder.by_task(spectra(4, 3, 32, 20))[1].pow(2).sum().backward()
    names = dict(encoder.named_parameters())
    moved = {name for name, weight in names.items() if weight.grad is not None}
    own = {task: {name for name in names if re.match(OWN.format(task=task), name)} for task in (0, 1)}
    assert len(own[0]) == len(own[1]) == {"none": 2, "bn": 28, "parallel": 40, "series": 64}[adapters]
    assert not moved & own[0]
    assert moved | own[0] == set(names)
    after = encoder.state_dict()
    assert all(not torch.equal(after[name], value) for name, value in before.items())  # by_task ran both tasks


@pytest.mark.parametrize("size", SIZES)
def test_named_sizes_embed_alike_and_can_be_rebuilt(size: str) -> None:
    encoder = resnet18_adapters(channels=1, bins=16, **SIZES[size])
    again = resnet18_adapters(**encoder.options)
    again.load_state_dict(encoder.state_dict())
    inputs = spectra(2, 1, 16, 20)
    assert torch.equal(again.eval()(inputs), encoder.eval()(inputs))
    assert encoder(inputs).shape == (2, 1000)


def test_statistics_belong_to_the_task() -> None:
    conv = TaskConv(3, 4, 1, "parallel", 2).train()
    conv(spectra(4, 3, 8, 8) * 5 + 1, 1)
    assert torch.equal(conv.norms[0].running_mean, torch.zeros(4))
    assert not torch.equal(conv.norms[1].running_mean, torch.zeros(4))


def test_a_parallel_adapter_is_a_change_of_the_kernels_centre() -> None:
    for stride in (1, 2):
        conv = TaskConv(3, 4, stride, "parallel", 2).eval()
        maps = spectra(2, 3, 9, 7)
        kernel = conv.conv.weight + functional.pad(conv.beside[1].weight, (1, 1, 1, 1))
        expected = functional.conv2d(maps, kernel, stride=stride, padding=1) / (1 + 1e-5) ** 0.5
        torch.testing.assert_close(conv(maps, 1), expected, rtol=1e-4, atol=1e-5)


def test_a_series_adapter_mixes_channels_behind_the_kernel() -> None:
    conv = TaskConv(3, 4, 1, "series", 2).eval()
    maps = spectra(2, 3, 9, 7)
    scale = (1 + 1e-5) ** 0.5  # of a fresh batch normalisation
    mix = torch.eye(4) + conv.behind[1][1].weight[:, :, 0, 0] / scale
    expected = torch.einsum("dc,bcft->bdft", mix, conv.conv(maps)) / scale
    torch.testing.assert_close(conv(maps, 1), expected, rtol=1e-4, atol=1e-5)


def test_a_block_that_adds_nothing_passes_means_on_and_zeros_for_new_channels() -> None:
    block = TaskBlock(1, 2, 2, "bn", 1).eval()
    nn.init.zeros_(block.second.norms[0].weight)
    maps = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    assert block(maps, 0).tolist() == [[[[3.5, 5.5], [11.5, 13.5]], [[0.0, 0.0], [0.0, 0.0]]]]


def test_the_shortcut_fits_odd_sizes() -> None:
    maps = spectra(2, 3, 5, 7)
    kept = pooled_shortcut(maps, torch.empty(2, 6, 3, 4))
    assert kept.shape == (2, 6, 3, 4)
    torch.testing.assert_close(kept[:, :3, 0, 0], maps[:, :, :2, :2].mean(dim=(2, 3)))
    assert not kept[:, 3:].any()
    assert pooled_shortcut(maps, maps) is maps


def test_impossible_settings_and_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match=r'"serial".*parallel, series, bn, none'):
        resnet18_adapters(channels=3, bins=128, adapters="serial")
    for wrong in ({"tasks": 3}, {"tasks": 0}, {"channels": 0}, {"bins": 0}):
        with pytest.raises(UsageError, match="can be divided by"):
            resnet18_adapters(**{"channels": 3, "bins": 128, **wrong})
    for widths in ([], [0, 8], [16, 8]):
        with pytest.raises(UsageError, match="don't shrink"):
            resnet18_adapters(channels=3, bins=128, widths=widths)
    with pytest.raises(ValueError, match=r"\(batch, 3, 32, any\)"):
        built("bn").by_task(spectra(1, 1, 32, 20))
