"""Causal convolution over time with a kernel a channel, as long as the signal, by fast Fourier transforms in float32.

The layer around it keeps channels last, the transforms want time last: the two transposes, in the layer's precision,
are part of the operation in both directions. Its gradient is written out because torch's own for a real transform goes
by a complex one of the full length, twice the work.
"""

from typing import Any

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.autograd.function import once_differentiable


def causal_convolution(frames: Tensor, kernels: Tensor) -> Tensor:
    """y_t = sum_j kernel_j frame_(t-j), for each channel: (B, T, H) and (H, T) real to (B, T, H) of the frames' dtype.

    Computed in the kernels' dtype. Differentiable once.
    """
    convolved: Tensor = _CausalConvolution.apply(frames, kernels)
    return convolved


def transform_length(length: int) -> int:
    """The least even length without prime factors above 5 that keeps `length` frames of a convolution free of wrapping.

    2 * length - 1 would do; factors such as 17 (119 frames) make a transform eight times as slow.
    """
    return 2 * next_fast_len(length, real=True)


class _CausalConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, frames: Tensor, kernels: Tensor) -> Tensor:
        size = transform_length(frames.shape[1])
        signal = torch.fft.rfft(_time_last(frames, size, kernels.dtype))  # (H, B, size/2 + 1)
        kernel = torch.fft.rfft(kernels, n=size)[:, None]
        ctx.save_for_backward(signal, kernel)
        ctx.size, ctx.real = size, kernels.dtype
        return _channels_last(torch.fft.irfft(signal * kernel, n=size), frames)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        signal, kernel = ctx.saved_tensors
        spectrum = torch.fft.rfft(_time_last(gradient, ctx.size, ctx.real))
        for_frames = for_kernels = None
        if ctx.needs_input_grad[1]:
            correlation = torch.linalg.vecdot(signal, spectrum, dim=1)  # summed over clips
            for_kernels = torch.fft.irfft(correlation, n=ctx.size)[:, : gradient.shape[1]]
        if ctx.needs_input_grad[0]:
            for_frames = _channels_last(torch.fft.irfft(spectrum * kernel.conj(), n=ctx.size), gradient)
        return for_frames, for_kernels


def _time_last(frames: Tensor, size: int, kind: torch.dtype) -> Tensor:
    """(B, T, H) to (H, B, size) in `kind`, with zeros at the end.

    The transpose is one of a matrix, which torch copies several times as fast as one of three dimensions.
    """
    batch, length, width = frames.shape
    matrix = frames.reshape(batch * length, width).t().contiguous()
    padded = torch.zeros(width, batch, size, dtype=kind, device=frames.device)
    padded[..., :length] = matrix.view(width, batch, length)
    return padded


def _channels_last(signals: Tensor, like: Tensor) -> Tensor:
    """(H, B, T and more) to (B, T, H) in the shape and dtype of `like`."""
    batch, length, width = like.shape
    matrix = signals[..., :length].to(like.dtype).reshape(width, batch * length)
    return matrix.t().contiguous().view(batch, length, width)
