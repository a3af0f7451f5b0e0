"""Supervised pretraining as a task: labelled clips or images, and an encoder whose head nobody needs afterwards."""

from typing import ClassVar

import torch
from torch import Tensor

from birdssl.training.batches import even_batches
from birdssl.training.finetuning import Classifier, Finetuning
from birdssl.training.health import spread_health
from birdssl.training.history import Row
from birdssl.training.inputs import mean_of_crops
from birdssl.training.validation import PROBED, exact_place, settled, spread


class Supervised(Finetuning):
    """Cross-entropy on one label a clip; the epoch with the lowest validation loss is kept, as of any pretraining.

    Health is that of the encoder's embeddings, since no projector stands between them and the loss. Without views there
    is no alignment, and no other view to find. No alarm hangs on it: accuracy on held-out clips says what is learnt,
    and behind a ReLU a low spread is usual (.02 was seen beside 97 %).
    """

    network: Classifier
    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "validation_balanced_accuracy", "effective_rank")

    def validate(self) -> Row:
        embeddings = self.embeddings(self.validation[spread(len(self.validation), PROBED)])
        return {**super().validate(), **spread_health(embeddings), **settled(embeddings, self.memory)}

    def embeddings(self, rows: Tensor) -> Tensor:
        """What the encoder makes of the clips numbered `rows` (N,), the mean of their crops: (N, features)."""
        parts = [self.network.encoder(self.inputs.take(rows[part])) for part in even_batches(len(rows), self.batch)]
        return torch.cat([exact_place(mean_of_crops(part, self.inputs.crops)) for part in parts])
