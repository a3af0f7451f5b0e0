"""Crops of clips as ACDNet takes them (P2 follows its preprocessing): trimmed of silence, padded, then cut.

Leading and trailing exact zeros are cut away, half a crop of zeros is put at both ends, and a crop lies anywhere in
that: at random in training, evenly spaced in tests. A start is counted in samples of the stored clip, and may be
negative; as what was trimmed is zeros anyway, nothing needs to be moved.
"""

import torch
from torch import Tensor


def bounds(waves: Tensor) -> Tensor:
    """First and last-plus-one sample that isn't exactly zero, of (N, samples): (N, 2) int64.

    A clip that is zero throughout keeps its whole length.
    """
    length = waves.shape[1]
    sounds = waves != 0
    first = sounds.to(torch.uint8).argmax(1)
    last = length - sounds.flip(1).to(torch.uint8).argmax(1)
    silent = ~sounds.any(1)
    return torch.stack([first.masked_fill(silent, 0), last.masked_fill(silent, length)], dim=1)


def random_starts(bounds: Tensor, length: int, uniform: Tensor) -> Tensor:
    """Starts of one crop a clip, (B,) int64: `uniform` (B,) in [0, 1) says where between the first and last possible.

    `bounds` is (B, 2) as `bounds` gives it. Every possible start is equally likely.
    """
    first, span = _range(bounds, length)
    number = torch.float32 if bounds.device.type == "mps" else torch.float64  # Apple's processors have no 64 bits
    return first + (uniform.to(bounds.device, number) * (span + 1)).long().minimum(span)


def even_starts(bounds: Tensor, length: int, count: int) -> Tensor:
    """Starts of `count` evenly spaced crops a clip, (B, count) int64: the first and the last possible included.

    A single crop lies in the middle.
    """
    first, span = _range(bounds, length)
    if count == 1:
        return (first + span // 2)[:, None]
    return first[:, None] + span[:, None] * torch.arange(count, device=bounds.device) // (count - 1)


def take_crops(waves: Tensor, starts: Tensor, length: int) -> Tensor:
    """`length` samples of each of (B, samples) from its start (B,) on, zeros outside: (B, length) of the same type."""
    places = starts[:, None] + torch.arange(length, device=waves.device)
    inside = (places >= 0) & (places < waves.shape[1])
    return waves.gather(1, places.clamp_(0, waves.shape[1] - 1)).mul_(inside)


def _range(bounds: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """First possible start, and how many samples later the last one is, with length // 2 zeros at both ends."""
    first = bounds[:, 0] - length // 2
    last = bounds[:, 1] + length // 2 - length
    return first, (last - first).clamp(min=0)
