"""Fine-tuning as a task: labelled images through encoder and head to class scores."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.models.encoder import Encoder
from birdssl.models.heads import Head
from birdssl.training.batches import even_batches
from birdssl.training.history import Row
from birdssl.training.images import Images
from birdssl.training.task import Batch, Task


class Classifier(nn.Module):
    """Encoder and head. With `frozen` only the head learns: the encoder stays in eval mode and keeps no gradients."""

    def __init__(self, encoder: Encoder, head: Head, *, frozen: bool = False) -> None:
        super().__init__()
        self.encoder, self.head, self.frozen = encoder, head, frozen
        if frozen:
            encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode; a frozen encoder's batch statistics stay as they are."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) to logits (B, classes)."""
        return self.head(self.encoder(images))


class Embedded(Images):
    """What an encoder makes of images, computed once and held: a frozen encoder gives the same in every epoch."""

    ahead = False

    def __init__(self, images: Images, encoder: Encoder, batch: int) -> None:
        """In eval mode and fp32, on the device that the images come to."""
        self.count = images.count
        device = images.take(torch.arange(1)).device
        encoder.to(device).eval()
        with torch.no_grad():
            parts = [encoder(images.take(rows)) for rows in even_batches(images.count, batch)]
        self.embeddings = torch.cat(parts)

    def take(self, rows: Tensor) -> Tensor:
        """Embeddings numbered `rows` (B,) as (B, features)."""
        return self.embeddings[rows.to(self.embeddings.device)]


class Finetuning(Task):
    """Single-label classification; the first epoch with the best validation balanced accuracy is kept."""

    score: ClassVar[str] = "validation_balanced_accuracy"
    larger_is_better: ClassVar[bool] = True
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "validation_balanced_accuracy")

    def __init__(
        self, network: nn.Module, images: Images, training: Tensor, validation: Tensor, targets: Tensor, batch: int
    ) -> None:
        """`network` takes what `images` gives: a `Classifier`, or a head alone over `Embedded` images.

        `training` and `validation` number images (copies may repeat), `targets` (N,) is each image's class.
        """
        self.network = network
        self.images, self.training, self.validation, self.batch = images, training, validation, batch
        self.targets = targets
        self.items, self.ahead = len(training), images.ahead

    def load(self, items: Tensor, epoch: int) -> Batch:
        rows = self.training[items]
        images = self.images.take(rows)
        return images, self.targets[rows].to(images.device)

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        images, targets = batch
        logits = forward(images).float()
        loss = functional.cross_entropy(logits, targets)
        return loss, {"accuracy": (logits.detach().argmax(dim=1) == targets).float().mean()}

    def validate(self) -> Row:
        logits = self.logits(self.validation)
        targets = self.targets[self.validation]
        return {
            "validation_loss": float(functional.cross_entropy(logits, targets)),
            "validation_accuracy": float((logits.argmax(dim=1) == targets).double().mean()),
            "validation_balanced_accuracy": balanced_accuracy(targets, logits.argmax(dim=1)),
        }

    def logits(self, rows: Tensor) -> Tensor:
        """Logits (B, classes), on the processor, of the images numbered `rows`."""
        parts = [self.network(self.images.take(rows[part])).cpu() for part in even_batches(len(rows), self.batch)]
        return torch.cat(parts)


def balanced_accuracy(targets: Tensor, predictions: Tensor) -> float:
    """Mean recall over the classes that occur in `targets`; a prediction of any other class is wrong.

    Both (N,) int64, N at least 1.
    """
    counts = torch.bincount(targets)
    hits = torch.bincount(targets[targets == predictions], minlength=len(counts))
    present = counts > 0
    return float((hits[present].double() / counts[present]).mean())
