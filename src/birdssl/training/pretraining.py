"""Self-supervised pretraining as a task: pairs of views through encoder and projector to an objective."""

import logging
from typing import ClassVar

import torch
from torch import Tensor, nn

from birdssl.models.encoder import Encoder
from birdssl.models.projector import Projector, TwoLayers
from birdssl.objectives.objective import Objective
from birdssl.training.batches import even_batches
from birdssl.training.gather import gather
from birdssl.training.health import collapse_message, health
from birdssl.training.history import Row
from birdssl.training.pairs import Views
from birdssl.training.retrieval import retrieval_top1
from birdssl.training.task import Batch, Task

log = logging.getLogger(__name__)

PROBED = 1024  # validation clips that health and retrieval look at: both grow with the square of it
PATIENCE = 3  # epochs in a row that must look collapsed before it is said


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


class Pretraining(Task):
    """Pairs of views; the epoch with the lowest validation loss is kept (P1)."""

    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "retrieval", "effective_rank")

    def __init__(self, network: PairNetwork, training: Views, validation: Views, batch: int) -> None:
        self.network: PairNetwork = network
        self.training, self.validation, self.batch = training, validation, batch
        self.items, self.ahead = training.clips, training.ahead

    def load(self, items: Tensor, epoch: int) -> Batch:
        return self.training.views(items, epoch)

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        first, second = forward(*batch)
        return self.network.objective(gather(first), gather(second))

    def validate(self) -> Row:
        """Loss and terms over batches of the training size, health of projections, retrieval by embeddings.

        Batch normalisation uses its running statistics, as in Keras' evaluation, which P1 chose epochs by.
        """
        sums: dict[str, float] = {}
        kept: list[tuple[Tensor, ...]] = []
        probed = spread(self.validation.clips, PROBED)
        for clips in even_batches(self.validation.clips, self.batch):
            views = self.validation.views(clips, 0)
            embeddings = [self.network.encoder(view) for view in views]
            projections = [self.network.projector(embedding) for embedding in embeddings]
            loss, terms = self.network.objective(*projections)
            for name, value in {"loss": loss, **terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(clips)
            wanted = torch.isin(clips, probed)
            kept.append(tuple(_exact_place(part)[wanted] for part in (*embeddings, *projections)))
        row = {f"validation_{name}": value / self.validation.clips for name, value in sums.items()}
        h1, h2, z1, z2 = (torch.cat(parts) for parts in zip(*kept, strict=True))
        return {**row, **health(z1, z2), "retrieval": retrieval_top1(h1, h2)}

    def remark(self, history: list[Row]) -> None:
        """Collapse is said when it has set in, not again each epoch."""
        now = lasting_collapse(history)
        if now and not lasting_collapse(history[:-1]):
            log.warning("epoch %d: %s", int(history[-1]["epoch"]), now)


def lasting_collapse(history: list[Row]) -> str | None:
    """What to say when the last epochs' embeddings have all collapsed, else None.

    One epoch says little: VICReg's projections start out with a common offset that takes an epoch or two to shrink.
    """
    last = [row for row in history if row["epoch"] > 0 and "effective_rank" in row][-PATIENCE:]
    messages = [collapse_message(row) for row in last]
    return messages[-1] if len(last) == PATIENCE and all(messages) else None


def spread(count: int, most: int) -> Tensor:
    """At most `most` of 0..count-1, evenly spread."""
    return torch.arange(min(count, most)) * count // min(count, most)


def _exact_place(values: Tensor) -> Tensor:
    """The values where there are 64-bit floats, which an Apple GPU hasn't."""
    return values.cpu() if values.device.type == "mps" else values
