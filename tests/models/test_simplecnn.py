"""SimpleCNN against the published network's layer plan."""

import pytest
import torch
from torch import nn

from birdssl.errors import UsageError
from birdssl.models.heads import build_head
from birdssl.models.simplecnn import SimpleCNN, final_size, simplecnn


@pytest.mark.parametrize(("size", "expected"), [((128, 128), (2, 25)), ((256, 256), (10, 57)), ((100, 32), (1, 1))])
def test_final_map(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert final_size(*size) == expected


@pytest.mark.parametrize("size", [(99, 256), (256, 31)])
def test_too_small_an_image_says_how_large(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"at least 100 x 32 .* got \d+ x \d+"):
        simplecnn(height=size[0], width=size[1])


def test_published_size_for_ten_classes() -> None:
    encoder = simplecnn(height=128, width=128)
    head = build_head("simplecnn", encoder.features, 10)
    assert encoder.features == 2400
    total = sum(weight.numel() for module in (encoder, head) for weight in module.parameters())
    assert total == 241_434  # Salamon & Bello's network, as Keras ports count it


def test_shapes_of_every_stage_at_256() -> None:
    encoder = SimpleCNN(height=256, width=256)
    maps, shapes = torch.zeros(1, 1, 256, 256), []
    for layer in encoder.layers:
        maps = layer(maps)
        if not isinstance(layer, nn.ReLU):
            shapes.append(tuple(maps.shape[1:]))
    assert shapes == [(24, 252, 252), (24, 63, 126), (48, 59, 122), (48, 14, 61), (48, 10, 57)]


def test_gap_is_the_mean_of_the_flat_features_per_channel() -> None:
    flat = simplecnn(height=128, width=128).eval()
    gap = simplecnn(height=128, width=128, pool="gap").eval()
    gap.load_state_dict(flat.state_dict())
    image = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        torch.testing.assert_close(gap(image), flat(image).view(2, 48, -1).mean(2))
    assert gap.features == 48


def test_features_do_not_depend_on_the_memory_format() -> None:
    encoder = simplecnn(height=128, width=128).eval()
    image = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        plain = encoder(image)
        last = encoder.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain)


def test_unknown_pool() -> None:
    with pytest.raises(UsageError, match=r'"max".*"flatten" or "gap"'):
        simplecnn(height=128, width=128, pool="max")  # type: ignore[arg-type]
