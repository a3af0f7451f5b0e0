"""Fine-tuning as a task: labelled clips through encoder and head to class scores."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.models.encoder import Encoder
from birdssl.models.heads import Head
from birdssl.training.batches import even_batches
from birdssl.training.history import Row
from birdssl.training.inputs import Inputs, mean_of_crops
from birdssl.training.precision import without_tf32
from birdssl.training.task import Batch, Task

TINY = 1e-30  # under which a probability's logarithm is not taken


class Classifier(nn.Module):
    """Encoder and head. With `frozen` only the head learns, and what the encoder says isn't frozen of it.

    Frozen parts stay in eval mode and keep no gradients.
    """

    def __init__(self, encoder: Encoder, head: Head, *, frozen: bool = False) -> None:
        super().__init__()
        self.encoder, self.head, self.frozen = encoder, head, frozen
        for part in self.frozen_parts():
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode; a frozen encoder's batch statistics stay as they are."""
        super().train(mode)
        for part in self.frozen_parts():
            part.eval()
        return self

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        """Empty unless frozen."""
        return self.encoder.frozen_parts() if self.frozen else ()

    def forward(self, images: Tensor) -> Tensor:
        """The encoder's input to logits (B, classes)."""
        return self.head(self.encoder(images))


class Thawed(nn.Module):
    """What still learns of a frozen encoder, and the head, over `pooled_states` that were computed once."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def train(self, mode: bool = True) -> "Thawed":
        """As the classifier."""
        super().train(mode)
        self.classifier.train(mode)
        return self

    def forward(self, states: Tensor) -> Tensor:
        """(B, ...) states to logits (B, classes)."""
        return self.classifier.head(self.classifier.encoder.mix(states))


class Finetuning(Task):
    """Single-label classification; the first epoch with the best validation balanced accuracy is kept."""

    score: ClassVar[str] = "validation_balanced_accuracy"
    larger_is_better: ClassVar[bool] = True
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "validation_balanced_accuracy")

    def __init__(
        self, network: nn.Module, inputs: Inputs, training: Tensor, validation: Tensor, targets: Tensor, batch: int
    ) -> None:
        """`network` takes what `inputs` gives: a `Classifier`, or a head alone over `Embedded` ones.

        `training` and `validation` number clips (copies may repeat), `targets` (N,) is each clip's class.
        """
        self.network = network
        self.inputs, self.training, self.validation, self.batch = inputs, training, validation, batch
        self.targets = targets
        self.items, self.ahead = len(training), inputs.ahead

    def load(self, items: Tensor, epoch: int) -> Batch:
        rows = self.training[items]
        inputs = self.inputs.draw(rows, epoch)
        return inputs, self.targets[rows].to(inputs.device)

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        inputs, targets = batch
        logits = forward(inputs).float()
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
        """Logits (B, classes), on the processor, of the clips numbered `rows`.

        Of several crops, those of their mean probabilities (the mean of a network's outputs, as ACDNet tests).
        """
        parts = [self._logits(rows[part]).cpu() for part in even_batches(len(rows), self.batch)]
        return torch.cat(parts)

    def _logits(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.network(self.inputs.take(rows)).float()
        return logits if self.inputs.crops == 1 else self._of_crops(logits)

    def _of_crops(self, logits: Tensor) -> Tensor:
        return mean_of_crops(functional.softmax(logits, dim=1), self.inputs.crops).clamp_min(TINY).log()


def balanced_accuracy(targets: Tensor, predictions: Tensor) -> float:
    """Mean recall over the classes that occur in `targets`; a prediction of any other class is wrong.

    Both (N,) int64, N at least 1.
    """
    counts = torch.bincount(targets)
    hits = torch.bincount(targets[targets == predictions], minlength=len(counts))
    present = counts > 0
    return float((hits[present].double() / counts[present]).mean())


class EachLabel(Finetuning):
    """Classes told one by one, so that a clip may have several or none: sigmoids, and binary cross-entropy.

    The first epoch with the best validation macro average precision is kept: the mean over classes, so that a rare one
    counts as much as a common one, and of ranks, so that thresholds can be chosen afterwards. The validation part must
    have a positive of some class.
    """

    score: ClassVar[str] = "validation_macro_average_precision"
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "validation_macro_average_precision")

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over clips and classes; `targets` are (N, classes), 0 or 1."""
        inputs, targets = batch
        return functional.binary_cross_entropy_with_logits(forward(inputs).float(), targets), {}

    def validate(self) -> Row:
        logits = self.logits(self.validation)
        targets = self.targets[self.validation]
        return {
            "validation_loss": float(functional.binary_cross_entropy_with_logits(logits, targets)),
            "validation_macro_average_precision": macro_average_precision(targets, logits),
        }

    def validation_scores(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Truth and scores of the validation clips, both (clips, classes), by the network as it is now."""
        self.network.eval()
        with torch.inference_mode(), without_tf32():
            scores = torch.sigmoid(self.logits(self.validation))
        return self.targets[self.validation].numpy() > 0, scores.numpy()

    def _of_crops(self, logits: Tensor) -> Tensor:
        # in 64 bits, on the processor: near 1 a probability of 32 has lost its logit
        return mean_of_crops(torch.sigmoid(logits.cpu().double()), self.inputs.crops).logit(TINY).float()


def macro_average_precision(targets: Tensor, scores: Tensor) -> float:
    """Mean over the classes that have a positive of their average precision, by scikit-learn; NaN where none has.

    Both (N, classes), on the processor.
    """
    from sklearn.metrics import average_precision_score  # takes a second to import, and most training doesn't need it

    present = (targets > 0.5).any(dim=0)
    if not present.any():
        return float("nan")
    return float(average_precision_score(targets[:, present].numpy() > 0.5, scores[:, present].numpy()))
