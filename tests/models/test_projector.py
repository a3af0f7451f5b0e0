"""Projectors of two layers: sizes, and what stands between and behind the layers."""

import pytest
import torch
from torch import nn

from birdssl.errors import UsageError
from birdssl.models.initial import seeded_weights
from birdssl.models.projector import TWO_LAYERS, build_projector

# layers by kind, for an embedding of 512 values
LAYERS = {
    "cola": (nn.Linear, nn.ReLU, nn.Linear, nn.LayerNorm, nn.Tanh),
    "simclr": (nn.Linear, nn.ReLU, nn.Linear),
    "byol": (nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear),
}
SIZES = {"cola": (512, 128), "simclr": (512, 256), "byol": (4096, 256)}


@pytest.mark.parametrize("kind", TWO_LAYERS)
def test_layers_and_sizes(kind: str) -> None:
    projector = build_projector(kind, 512)
    assert tuple(type(layer) for layer in projector.layers) == LAYERS[kind]
    linear = [layer for layer in projector.layers if isinstance(layer, nn.Linear)]
    hidden, width = SIZES[kind]
    assert [tuple(layer.weight.shape) for layer in linear] == [(hidden, 512), (width, hidden)]
    assert all(layer.bias is not None for layer in linear)
    assert projector.width == width
    assert projector(torch.ones(3, 512)).shape == (3, width)


def test_p2s_projector_of_512_has_the_parameters_of_the_reference() -> None:
    assert sum(weight.numel() for weight in build_projector("cola", 512, 512).layers[:3].parameters()) == 525_312


def test_simclrs_hidden_layer_is_as_wide_as_the_embedding() -> None:
    assert build_projector("simclr", 500).layers[0].weight.shape == (500, 500)
    assert build_projector("cola", 500).layers[0].weight.shape == (512, 500)


def test_colas_outputs_are_bounded_and_centred_before_the_tanh() -> None:
    """An embedding's scale hardly matters, and no output passes 1."""
    with seeded_weights(1):
        projector = build_projector("cola", 32, 16)
    inputs = torch.randn(5, 32, generator=torch.Generator().manual_seed(2)) * 1e3
    outputs = projector(inputs)
    assert outputs.abs().max() <= 1
    torch.testing.assert_close(torch.atanh(outputs.double()).mean(dim=1), torch.zeros(5).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(projector(inputs * 10), outputs, atol=1e-3, rtol=0)


def test_unknown_kinds_and_widths_are_refused() -> None:
    with pytest.raises(UsageError, match=r'"dense".*cola, simclr, byol'):
        build_projector("dense", 512)
    with pytest.raises(UsageError, match="at least one output"):
        build_projector("cola", 512, 0)
