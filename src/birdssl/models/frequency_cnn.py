"""The convolutional part of AcousticSSM: a residual network over frequency that never mixes frames (P2, section III).

- stem: Conv 7x1 (frequency x time), BatchNorm, ReLU, max pooling 3x1;
- four stages of two residual blocks, every convolution 3x1;
- mean over frequency.

Kernel and stride are 1 in time throughout, so a frame's output depends on that frame alone (in eval mode; in training
the batch statistics join them) and sound can be taken in frame by frame.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

BLOCKS = 2  # a stage


class FrequencyCNN(nn.Module):
    """(B, C, F, T) to (B, T, features): one vector a frame.

    Args:
        channels: C, input channels.
        widths: channels of the four stages (of as many as are given); the stem has the first's.
        strided: True halves frequency in the stem's convolution, its pooling, and every stage but the first, as
            ResNet-18 does (to F/32 with four stages); False in the pooling only ("identically repeated" blocks).
    """

    def __init__(self, channels: int, widths: Sequence[int], strided: bool = True) -> None:
        super().__init__()
        first = widths[0]
        self.features = widths[-1]
        self.stem = nn.Conv2d(channels, first, (7, 1), stride=(2 if strided else 1, 1), padding=(3, 0), bias=False)
        self.norm = nn.BatchNorm2d(first)
        blocks: list[nn.Module] = []
        inputs = first
        for stage, width in enumerate(widths):
            for block in range(BLOCKS):
                blocks.append(ResidualBlock(inputs, width, 2 if strided and stage > 0 and block == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as ResNet

    def forward(self, spectra: Tensor) -> Tensor:
        """(B, C, F, T) to (B, T, features)."""
        maps = spectra.contiguous(memory_format=torch.channels_last)
        maps = functional.relu(halved(self.norm(self.stem(maps))))  # in this order ReLU sees half as many values
        return self.blocks(maps).permute(0, 2, 3, 1).mean(1)  # in the order they lie in memory


class ResidualBlock(nn.Module):
    """Two 3x1 convolutions with BatchNorm, and a shortcut: identity, or a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, (3, 1), stride=(stride, 1), padding=(1, 0), bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, (3, 1), padding=(1, 0), bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride=(stride, 1), bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, F, T) to (B, width, F / stride, T)."""
        hidden = functional.relu(self.first_norm(self.first(maps)), inplace=True)
        hidden = self.second_norm(self.second(hidden))
        return functional.relu(hidden.add_(self.shortcut(maps)), inplace=True)


def halved(maps: Tensor) -> Tensor:
    """Max pooling over frequency, 3x1 with stride 2 and padding 1: (B, C, F, T) to (B, C, (F + 1) // 2, T).

    The values and gradients of torch's own (of equal values the first gets the gradient), by whole slices instead of
    windows: as fast on a CPU, and deterministic on a GPU, where the library's gradient isn't.
    """
    pooled: Tensor = _Halved.apply(maps)
    return pooled


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        centre, beside = maps[:, :, 0::2], maps[:, :, 1::2]  # of each window, and above one and below the next
        pooled = centre.clone(memory_format=torch.preserve_format)
        above, below = pooled[:, :, 1:], pooled[:, :, : beside.shape[2]]
        torch.maximum(below, beside, out=below)
        torch.maximum(above, beside[:, :, : above.shape[2]], out=above)
        ctx.save_for_backward(maps, pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        maps, pooled = ctx.saved_tensors
        centre, beside = maps[:, :, 0::2], maps[:, :, 1::2]
        inner = pooled.shape[2] - 1  # windows that have a value above their centre
        rest = gradient.clone(memory_format=torch.preserve_format)
        first = _where_equal(beside[:, :, :inner], pooled[:, :, 1:], rest[:, :, 1:])
        rest[:, :, 1:].sub_(first)
        second = _where_equal(centre, pooled, rest)
        given = torch.empty_like(maps)
        given[:, :, 0::2] = second
        third = given[:, :, 1::2]
        torch.sub(rest[:, :, : third.shape[2]], second[:, :, : third.shape[2]], out=third)
        third[:, :, :inner].add_(first)
        return given


def _where_equal(values: Tensor, pooled: Tensor, gradient: Tensor) -> Tensor:
    """The gradient where a value is the pooled one, else 0. By a product: torch vectorises no mask on a CPU."""
    return values.clone(memory_format=torch.preserve_format).eq_(pooled).mul_(gradient)
