"""Stored clips as an encoder's input: as they are learnt from, and as they are looked at."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from birdssl.training.batches import even_batches
from birdssl.training.held import DeviceHeld, Held
from birdssl.training.saved_model import prepare

MAX_NORM = {"offset": 0.0, "scale": 255.0}  # P1 divides by the largest value of a pixel


class Inputs(ABC):
    """Clips by number, as an encoder takes them. `crops` inputs stand for each clip where it is looked at."""

    count: int
    crops: int = 1
    ahead: bool  # whether taking is slow enough to be worth doing beside the arithmetic

    @abstractmethod
    def take(self, rows: Tensor) -> Tensor:
        """Inputs of the clips numbered `rows` (B,): (B * crops, ...) on the device, a clip's crops side by side."""

    def draw(self, rows: Tensor, epoch: int) -> Tensor:
        """One input of each clip to learn from in an epoch, (B, ...); without choice the same in every epoch."""
        return self.take(rows)


class Pictures(Inputs):
    """8-bit pictures as (B, 1, height, width) float32 in [0, 1]."""

    def __init__(self, held: Held) -> None:
        self.held, self.count, self.ahead = held, held.count, held.ahead

    @classmethod
    def of(cls, pictures: Tensor) -> "Pictures":
        """Pictures (N, height, width) uint8 that are on the device already."""
        return cls(DeviceHeld(pictures))

    def take(self, rows: Tensor) -> Tensor:
        return prepare(self.held.take(rows), MAX_NORM)


class Embedded(Inputs):
    """What a frozen encoder makes of clips, computed once and held: it gives the same in every epoch."""

    ahead = False

    def __init__(self, inputs: Inputs, encoder: Callable[[Tensor], Tensor], batch: int) -> None:
        """`encoder` gives (B, ...) of inputs; in eval mode, in fp32, on the device that they come to."""
        self.count = inputs.count
        with torch.no_grad():
            parts = [
                mean_of_crops(encoder(inputs.take(rows)), inputs.crops) for rows in even_batches(inputs.count, batch)
            ]
        self.embeddings = torch.cat(parts)

    def take(self, rows: Tensor) -> Tensor:
        """Embeddings numbered `rows` (B,) as (B, features), or whatever the encoder gave."""
        return self.embeddings[rows.to(self.embeddings.device)]


def mean_of_crops(values: Tensor, crops: int) -> Tensor:
    """(B * crops, ...) to the mean of each clip's, (B, ...)."""
    return values if crops == 1 else values.unflatten(0, (-1, crops)).mean(dim=1)
