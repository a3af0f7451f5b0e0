"""MT-SLVR (Heggan et al. 2023) as a task: SimCLR, and telling which augmentations were applied, on one encoder.

Both tasks share the encoder's 3x3 kernels and have adapters of their own (`birdssl.models.adapters`): what must be
forgotten of an augmentation for the one, and kept for the other, needn't stand in the same place.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.adapters import AdapterResNet18
from birdssl.models.encoder import Encoder
from birdssl.models.projector import build_projector
from birdssl.objectives.nt_xent import NTXent
from birdssl.training.gather import gather
from birdssl.training.pretraining import PairTask
from birdssl.training.task import Batch
from birdssl.training.validation import Measured

AUGMENTATIONS = 7  # that may be applied to a clip, in MT-SLVR
HIDDEN = (256, 64, 16)  # layers of the predictor
TEMPERATURE = 0.07


class MtSlvrNetwork(nn.Module):
    """Encoder with adapters, SimCLR's projector on its first task, a predictor of augmentations on its second.

    The heads compute in fp32 whatever the encoder's precision.

    Args:
        encoder: a `resnet18-adapters` of two tasks; UsageError for another.
        projector_width: outputs of the projector; None for 256.
        temperature: of NT-Xent.
        prediction: weight of the prediction's loss beside NT-Xent.
        augmentations: how many there are to tell.
    """

    def __init__(
        self,
        encoder: Encoder,
        projector_width: int | None = None,
        temperature: float = TEMPERATURE,
        prediction: float = 1.0,
        augmentations: int = AUGMENTATIONS,
    ) -> None:
        super().__init__()
        if not isinstance(encoder, AdapterResNet18) or encoder.tasks != 2:
            raise UsageError(
                f"mt-slvr trains two tasks on one encoder, and {encoder.name} isn't built for that; "
                "use --encoder resnet18-adapters"
            )
        self.encoder = encoder
        self.projector = build_projector("simclr", encoder.task_features, projector_width)
        self.predictor = build_predictor(encoder.task_features, augmentations)
        self.objective = NTXent(temperature)
        self.prediction = prediction

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Two views (B, C, F, T) each to their projections (B, width) each, and logits of the augmentations.

        Logits are (B, 2, augmentations), of both views. One pass of the encoder for each view, as in `PairNetwork`.
        """
        return self.heads(self.encoder.by_task(first), self.encoder.by_task(second))

    def heads(self, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """`forward` from the two views' embeddings by task on."""
        with torch.autocast(first[0].device.type, enabled=False):
            one, two = (self.projector(view[0].float()) for view in (first, second))
            # both views in one batch, as in the published code: its normalisation sees them together
            logits = self.predictor(torch.cat([first[1], second[1]]).float())
        return one, two, torch.stack(logits.chunk(2), dim=1)

    def losses(
        self, first: Tensor, second: Tensor, logits: Tensor, applied: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and detached terms of what `forward` gave for a global batch; `applied` is (B, augmentations) of 0 or 1.

        Both views of a clip had the same augmentations, with other parameters. "told" is the share of right answers on
        whether one was applied.
        """
        contrast, terms = self.objective(first, second)
        truth = applied[:, None].expand_as(logits)
        prediction = functional.binary_cross_entropy_with_logits(logits, truth)
        told = ((logits > 0) == (truth > 0.5)).float().mean()
        loss = contrast + self.prediction * prediction
        return loss, {"contrast": contrast.detach(), "prediction": prediction.detach(), "told": told, **terms}


class MtSlvr(PairTask):
    """Both tasks at once; views must come with the augmentations that were applied, (B, augmentations) float.

    The epoch with the lowest validation loss is kept, as in MT-SLVR. Retrieval is by the embedding that is kept for
    use, both tasks' side by side.
    """

    network: MtSlvrNetwork
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "validation_told", "retrieval", "effective_rank")

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        first, second, applied = batch
        one, two, logits = (gather(part) for part in forward(first, second))
        return self.network.losses(one, two, logits, gather(applied))

    def measure(self, batch: Batch) -> Measured:
        first, second, applied = batch
        embeddings = self.network.encoder.by_task(first), self.network.encoder.by_task(second)
        one, two, logits = self.network.heads(*embeddings)
        loss, terms = self.network.losses(one, two, logits, applied)
        whole = tuple(torch.cat(view, dim=1) for view in embeddings)
        return Measured(loss, terms, (whole[0], whole[1]), (one, two))


def build_predictor(features: int, augmentations: int) -> nn.Sequential:
    """(B, features) to (B, augmentations) logits: 256-64-16, with batch normalisation and ReLU after each."""
    parts: list[nn.Module] = []
    inputs = features
    for width in HIDDEN:
        parts += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*parts, nn.Linear(inputs, augmentations))
