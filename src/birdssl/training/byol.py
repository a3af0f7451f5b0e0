"""BYOL-A as a task: an online network predicts what a slowly following target network makes of the other view."""

import copy
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.projector import TWO_LAYERS, TwoLayers
from birdssl.objectives.byol import both_ways
from birdssl.training.batches import even_batches
from birdssl.training.gather import gather
from birdssl.training.health import health
from birdssl.training.history import Row
from birdssl.training.mel import mel_bins
from birdssl.training.pairs import Views
from birdssl.training.pretraining import PROBED, lasting_collapse, spread
from birdssl.training.retrieval import retrieval_top1
from birdssl.training.task import Batch, Task

log = logging.getLogger(__name__)

Two = tuple[Tensor, Tensor]


class ByolNetwork(nn.Module):
    """Encoder, projector and predictor that learn, and a target encoder and projector that follow them.

    The target begins as a copy and takes no gradient; `follow` moves it. It stays with the network in checkpoints. In
    training mode its batch normalisation uses the batch, like the online network's. Projectors and predictor compute
    in fp32 whatever the encoder's precision, for the reason given at `PairNetwork`.

    Args:
        encoder: takes the mel channel alone; UsageError otherwise.
        width: outputs of projector and predictor; 256 in BYOL-A.
        hidden: values between their two layers; 4096 in BYOL-A.
        ema: share of itself that the target keeps at a step, in [0, 1).
    """

    def __init__(self, encoder: Encoder, width: int = 256, hidden: int = 4096, ema: float = 0.99) -> None:
        super().__init__()
        mel_bins(encoder, "byol-a")
        if not 0 <= ema < 1:
            raise UsageError(f"the target keeps a share of itself in [0, 1), and ema is {ema:g}")
        plan = replace(TWO_LAYERS["byol"], hidden=hidden)
        self.ema = ema
        self.encoder = encoder
        self.projector = TwoLayers(encoder.features, width, plan)
        self.predictor = TwoLayers(width, width, plan)
        self.target_encoder = copy.deepcopy(encoder).requires_grad_(False)
        self.target_projector = copy.deepcopy(self.projector).requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Two, Two]:
        """Two views (B, 1, F, T) to predictions and targets, each of view 1 and 2 and (B, width)."""
        first, second = normalised(first, second)
        online = self.project(first)[1], self.project(second)[1]
        return self.predict(*online), self.targets(first, second)

    def project(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """A normalised view to the online embedding (B, features) and projection (B, width)."""
        return _through(self.encoder, self.projector, view)

    def predict(self, first: Tensor, second: Tensor) -> Two:
        """Projections of both views to predictions of the other view's target."""
        with torch.autocast(first.device.type, enabled=False):
            return self.predictor(first), self.predictor(second)

    @torch.no_grad()
    def targets(self, first: Tensor, second: Tensor) -> Two:
        """The target network's projections of both normalised views."""
        one, two = (_through(self.target_encoder, self.target_projector, view)[1] for view in (first, second))
        return one, two

    @torch.no_grad()
    def follow(self) -> None:
        """Move the target's weights 1 - ema of the way to the online network's. Its batch statistics are its own."""
        for target, online in self._pairs():
            target.lerp_(online, 1 - self.ema)

    def _pairs(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        yield from zip(self.target_encoder.parameters(), self.encoder.parameters(), strict=True)
        yield from zip(self.target_projector.parameters(), self.projector.parameters(), strict=True)


def _through(encoder: nn.Module, projector: nn.Module, view: Tensor) -> tuple[Tensor, Tensor]:
    embedding = encoder(view)
    with torch.autocast(view.device.type, enabled=False):
        return embedding, projector(embedding.float())


def normalised(first: Tensor, second: Tensor) -> Two:
    """Both views (B, 1, F, T) by the mean and the deviation of all their values: BYOL-A's "post-norm".

    Over the global batch: with several processes all of them take the same numbers. It undoes what mixing, cropping and
    fading did to the statistics that the encoder is used with later.
    """
    mean = gather(torch.stack([first.mean(), second.mean()])).mean()
    variance = gather(torch.stack([(view - mean).pow(2).mean() for view in (first, second)])).mean()
    deviation = variance.sqrt().clamp_min(torch.finfo(first.dtype).eps)
    return (first - mean) / deviation, (second - mean) / deviation


class ByolA(Task):
    """Two augmented log-mel views of each clip; the epoch with the lowest validation loss is kept."""

    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "retrieval", "effective_rank")

    def __init__(self, network: ByolNetwork, training: Views, validation: Views, batch: int) -> None:
        """Views are two a clip, (B, 1, F, T) each."""
        self.network: ByolNetwork = network
        self.training, self.validation, self.batch = training, validation, batch
        self.items, self.ahead = training.clips, training.ahead

    def load(self, items: Tensor, epoch: int) -> Batch:
        return self.training.views(items, epoch)

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        predictions, targets = forward(*batch)
        return gather(both_ways(predictions, targets)).mean(), {}

    def stepped(self) -> None:
        """The target follows."""
        self.network.follow()

    def validate(self) -> Row:
        """Loss, health of the online projections, retrieval by the online encoder's embeddings."""
        total = 0.0
        kept: list[tuple[Tensor, ...]] = []
        probed = spread(self.validation.clips, PROBED)
        for clips in even_batches(self.validation.clips, self.batch):
            views = normalised(*self.validation.views(clips, 0))
            (h1, z1), (h2, z2) = (self.network.project(view) for view in views)
            total += float(both_ways(self.network.predict(z1, z2), self.network.targets(*views)).sum())
            wanted = torch.isin(clips, probed)
            kept.append(tuple(part.float().cpu()[wanted] for part in (h1, h2, z1, z2)))
        h1, h2, z1, z2 = (torch.cat(parts) for parts in zip(*kept, strict=True))
        return {
            "validation_loss": total / self.validation.clips,
            **health(z1, z2),
            "retrieval": retrieval_top1(h1, h2),
        }

    def remark(self, history: list[Row]) -> None:
        """Collapse is said when it has set in, not again each epoch."""
        now = lasting_collapse(history)
        if now and not lasting_collapse(history[:-1]):
            log.warning("epoch %d: %s", int(history[-1]["epoch"]), now)
