"""Spectrogram images where training can reach them: on the device when they fit, else in the files."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from birdssl.training.saved_model import prepare

log = logging.getLogger(__name__)
Request = TypeVar("Request")
Answer = TypeVar("Answer")

MAX_NORM = {"offset": 0.0, "scale": 255.0}  # P1 divides by the largest value of a pixel
LOADED_AT_ONCE = 4096  # images copied to the device in one go
Reader = Callable[[np.ndarray], np.ndarray]


class Images(ABC):
    """Images by number. `take` gives them as an encoder's input."""

    count: int
    ahead: bool  # whether taking is slow enough to be worth doing beside the arithmetic

    @abstractmethod
    def take(self, rows: Tensor) -> Tensor:
        """Images numbered `rows` (B,) as (B, 1, height, width) float32 in [0, 1] on the device."""


class DeviceImages(Images):
    """All images in the device's memory as uint8; a batch is a gather of indices."""

    ahead = False

    def __init__(self, images: Tensor) -> None:
        """`images` is (N, height, width) uint8, on the device already."""
        self.images = images
        self.count = len(images)

    def take(self, rows: Tensor) -> Tensor:
        return prepare(self.images[rows.to(self.images.device)], MAX_NORM)


class MappedImages(Images):
    """Images read from memory-mapped files, batch by batch."""

    ahead = True

    def __init__(self, read: Reader, count: int, device: torch.device) -> None:
        self.read, self.count, self.device = read, count, device

    def take(self, rows: Tensor) -> Tensor:
        images = torch.from_numpy(self.read(rows.numpy()))
        return prepare(images.to(self.device), MAX_NORM)


def hold_images(read: Reader, count: int, shape: tuple[int, int], device: torch.device, budget: float) -> Images:
    """Images on the device when all of them fit into `budget` GiB, else left in their files.

    `read` takes numbers (int64 array of them) and gives (n, height, width) uint8. Both ways give the same values.
    """
    size = count * shape[0] * shape[1] / 2**30
    if size > budget:
        log.info("%d images (%.1f GiB) exceed --memory-budget %g GiB: read from their files", count, size, budget)
        return MappedImages(read, count, device)
    images = torch.empty((count, *shape), dtype=torch.uint8, device=device)
    for rows in np.array_split(np.arange(count), max(1, -(-count // LOADED_AT_ONCE))):
        images[rows[0] : rows[-1] + 1] = torch.from_numpy(read(rows)).to(device)
    return DeviceImages(images)


def one_ahead(load: Callable[[Request], Answer], requests: Iterable[Request]) -> Iterator[Answer]:
    """`load` of each request, in order, the next one being loaded in a thread while the caller works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="images") as pool:
        waiting = None
        for request in requests:
            coming = pool.submit(load, request)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
