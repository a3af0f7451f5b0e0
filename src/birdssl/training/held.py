"""Stored clips where training can reach them: on the device when they fit, else in the files.

A stored clip is what `birdssl render` wrote of it: a uint8 picture, or an int16 waveform.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

log = logging.getLogger(__name__)
Request = TypeVar("Request")
Answer = TypeVar("Answer")

LOADED_AT_ONCE = 4096  # clips copied to the device in one go
Reader = Callable[[np.ndarray], np.ndarray]


class Held(ABC):
    """Stored clips by number."""

    count: int
    ahead: bool  # whether taking is slow enough to be worth doing beside the arithmetic
    device: torch.device

    @abstractmethod
    def take(self, rows: Tensor) -> Tensor:
        """Clips numbered `rows` (B,) as they are stored, (B, *shape), on the device."""


class DeviceHeld(Held):
    """All clips in the device's memory; a batch is a gather of indices."""

    ahead = False

    def __init__(self, clips: Tensor) -> None:
        """`clips` is (N, *shape), on the device already."""
        self.clips = clips
        self.count, self.device = len(clips), clips.device

    def take(self, rows: Tensor) -> Tensor:
        return self.clips[rows.to(self.device)]


class MappedHeld(Held):
    """Clips read from memory-mapped files, batch by batch."""

    ahead = True

    def __init__(self, read: Reader, count: int, device: torch.device) -> None:
        self.read, self.count, self.device = read, count, device

    def take(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(self.read(rows.numpy())).to(self.device)


def hold(
    read: Reader, count: int, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device, budget: float
) -> Held:
    """Clips on the device when all of them fit into `budget` GiB, else left in their files.

    `read` takes numbers (int64 array of them) and gives (n, *shape) of `dtype`. Both ways give the same values.
    """
    size = count * int(np.prod(shape)) * dtype.itemsize / 2**30
    if size > budget:
        log.info("%d clips (%.1f GiB) exceed --memory-budget %g GiB: read from their files", count, size, budget)
        return MappedHeld(read, count, device)
    clips = torch.empty((count, *shape), dtype=dtype, device=device)
    for rows in np.array_split(np.arange(count), max(1, -(-count // LOADED_AT_ONCE))):
        clips[rows[0] : rows[-1] + 1] = torch.from_numpy(read(rows)).to(device)
    return DeviceHeld(clips)


def one_ahead(load: Callable[[Request], Answer], requests: Iterable[Request]) -> Iterator[Answer]:
    """`load` of each request, in order, the next one being loaded in a thread while the caller works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="clips") as pool:
        waiting = None
        for request in requests:
            coming = pool.submit(load, request)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
