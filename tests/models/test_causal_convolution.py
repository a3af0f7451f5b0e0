"""Convolution over time against its definition, and its gradient against differences."""

import pytest
import torch

from birdssl.models.causal_convolution import causal_convolution, transform_length


@pytest.mark.parametrize("length", [1, 2, 7, 60, 119])
def test_the_definition(length: int) -> None:
    draws = torch.Generator().manual_seed(1)
    frames = torch.randn(2, length, 3, dtype=torch.float64, generator=draws)
    kernels = torch.randn(3, length, dtype=torch.float64, generator=draws)
    expected = torch.zeros_like(frames)
    for t in range(length):
        for j in range(t + 1):
            expected[:, t] += kernels[:, j] * frames[:, t - j]
    torch.testing.assert_close(causal_convolution(frames, kernels), expected)


def test_gradients_are_the_differences() -> None:
    draws = torch.Generator().manual_seed(1)
    frames = torch.randn(2, 7, 3, dtype=torch.float64, generator=draws, requires_grad=True)
    kernels = torch.randn(3, 7, dtype=torch.float64, generator=draws, requires_grad=True)
    assert torch.autograd.gradcheck(causal_convolution, (frames, kernels))


def test_a_gradient_for_one_of_them_alone() -> None:
    frames, kernels = torch.randn(2, 5, 3), torch.randn(3, 5)
    causal_convolution(frames.requires_grad_(), kernels).sum().backward()
    assert frames.grad is not None
    assert kernels.grad is None
    causal_convolution(frames.detach(), kernels.requires_grad_()).sum().backward()
    # dy_t / dK_j is frame t - j, so the sum over t of all clips is the sum of the first T - j frames
    torch.testing.assert_close(kernels.grad, frames.detach().sum(0).cumsum(0).flip(0).t())


def test_frames_in_bfloat16_are_convolved_in_float32() -> None:
    draws = torch.Generator().manual_seed(1)
    frames, kernels = torch.randn(2, 119, 3, generator=draws).bfloat16(), torch.randn(3, 119, generator=draws)
    found = causal_convolution(frames, kernels)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, causal_convolution(frames.float(), kernels).bfloat16())


@pytest.mark.parametrize(("length", "size"), [(1, 2), (2, 4), (60, 120), (119, 240), (189, 384), (237, 480)])
def test_transforms_are_long_enough_and_fast(length: int, size: int) -> None:
    assert transform_length(length) == size
    assert size >= 2 * length - 1
