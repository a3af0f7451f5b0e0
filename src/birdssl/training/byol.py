"""BYOL-A as a task: an online network predicts what a slowly following target network makes of the other view."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.projector import TWO_LAYERS, TwoLayers
from birdssl.objectives.byol import both_ways
from birdssl.training.gather import gather
from birdssl.training.mel import mel_bins
from birdssl.training.pretraining import PairTask
from birdssl.training.task import Batch
from birdssl.training.validation import Measured

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
        first, second = normalised(first, second, gathered=True)
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


def normalised(first: Tensor, second: Tensor, *, gathered: bool = False) -> Two:
    """Both views (B, 1, F, T) by the mean and the deviation of all their values: BYOL-A's "post-norm".

    It undoes what mixing, cropping and fading did to the statistics that the encoder is used with later. With
    `gathered` they are those of the global batch, of which each process holds an equal share.
    """

    def overall(parts: list[Tensor]) -> Tensor:
        return (gather(torch.stack(parts)) if gathered else torch.stack(parts)).mean()

    mean = overall([first.mean(), second.mean()])
    variance = overall([(view - mean).pow(2).mean() for view in (first, second)])
    deviation = variance.sqrt().clamp_min(torch.finfo(first.dtype).eps)
    return (first - mean) / deviation, (second - mean) / deviation


class ByolA(PairTask):
    """Two augmented log-mel views of each clip, (B, 1, F, T); the epoch with the lowest validation loss is kept.

    Health is that of the online projections, retrieval is by the online encoder's embeddings.
    """

    network: ByolNetwork

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        predictions, targets = forward(*batch)
        return gather(both_ways(predictions, targets)).mean(), {}

    def stepped(self) -> None:
        """The target follows."""
        self.network.follow()

    def measure(self, batch: Batch) -> Measured:
        first, second = normalised(*batch)
        (h1, z1), (h2, z2) = self.network.project(first), self.network.project(second)
        loss = both_ways(self.network.predict(z1, z2), self.network.targets(first, second)).mean()
        return Measured(loss, {}, (h1, h2), (z1, z2))
