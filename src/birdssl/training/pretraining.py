"""Self-supervised pretraining as a task: pairs of views through encoder and projector to an objective."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from birdssl.models.encoder import Encoder
from birdssl.models.projector import Projector, TwoLayers
from birdssl.objectives.objective import Objective
from birdssl.training.gather import gather
from birdssl.training.history import Row
from birdssl.training.pairs import Views
from birdssl.training.task import Batch, Task
from birdssl.training.validation import Measured, say_collapse, validated


class PairNetwork(nn.Module):
    """Encoder and projector over both views.

    One pass for each view, as the official codes do: batch statistics are then one view's, and on a CPU two passes ran
    1.2-1.5 times as fast as one of both (docs/decisions.md).

    The projector computes in fp32 whatever the encoder's precision: its batch normalisation divides by differences
    between clips, and where these are small, bfloat16's rounding is all that would be left of them.
    """

    def __init__(self, encoder: Encoder, projector: Projector | TwoLayers, objective: Objective) -> None:
        super().__init__()
        self.encoder, self.projector, self.objective = encoder, projector, objective

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Two views (B, ...), as the encoder takes them, to their projections (B, width) each."""
        embeddings = self.encoder(first), self.encoder(second)
        with torch.autocast(first.device.type, enabled=False):
            one, two = (self.projector(embedding.float()) for embedding in embeddings)
        return one, two


class PairTask(Task):
    """Pairs of views, whatever is learnt of them; the epoch with the lowest validation loss is kept (P1)."""

    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "retrieval", "effective_rank")

    def __init__(self, network: nn.Module, training: Views, validation: Views, batch: int) -> None:
        self.network = network
        self.training, self.validation, self.batch = training, validation, batch
        self.items, self.ahead = training.clips, training.ahead

    @abstractmethod
    def measure(self, batch: Batch) -> Measured:
        """What the network makes of a batch, for validation."""

    def load(self, items: Tensor, epoch: int) -> Batch:
        return self.training.views(items, epoch)

    def validate(self) -> Row:
        return validated(self.validation, self.batch, self.measure, self.memory)

    def remark(self, history: list[Row]) -> None:
        """Collapse is said."""
        say_collapse(history)


class Pretraining(PairTask):
    """An objective on the projections of two views."""

    network: PairNetwork

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        first, second = forward(*batch)
        return self.network.objective(gather(first), gather(second))

    def measure(self, batch: Batch) -> Measured:
        first, second = (self.network.encoder(view) for view in batch)
        projections = self.network.projector(first), self.network.projector(second)
        loss, terms = self.network.objective(*projections)
        return Measured(loss, terms, (first, second), projections)
