"""What the loop needs to know of what is trained."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

from torch import Tensor, nn

from birdssl.training.history import Row

Batch = tuple[Tensor, ...]


class Task(ABC):
    """Something to train: a network, the items it learns from, its loss, and a score that chooses the epoch.

    Attributes:
        network: all weights and buffers that are trained, or belong to a checkpoint.
        items: how many things there are to learn from; the loop numbers them from 0.
        ahead: whether `load` is worth calling in a thread beside the arithmetic.
        score: key of `validate`'s row that chooses the epoch; `larger_is_better` says which way.
        shown: keys of a row that the log shows.
    """

    network: nn.Module
    items: int
    ahead: bool
    score: ClassVar[str]
    larger_is_better: ClassVar[bool]
    shown: ClassVar[tuple[str, ...]]

    @cached_property
    def memory(self) -> dict[str, Tensor]:
        """What validation keeps from one epoch for the next; a checkpoint holds it beside the network."""
        return {}

    @abstractmethod
    def load(self, items: Tensor, epoch: int) -> Batch:
        """Bring the items numbered `items` (B,) to the device."""

    @abstractmethod
    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and its detached terms. `forward` is the network as the loop wrapped it."""

    @abstractmethod
    def validate(self) -> Row:
        """Numbers of the validation part, `score` among them. The network is in eval mode, without gradients."""

    def train(self) -> None:
        """Put the network into training mode."""
        self.network.train()

    def stepped(self) -> None:
        """Called after each step of the optimiser, such as for a network that follows another's weights."""
        return

    def remark(self, history: list[Row]) -> None:
        """Say aloud what a person should know of the last row."""
        return
