"""What an encoder is put to in one few-shot episode: clips are embedded, and it is fine-tuned on the support.

Fine-tuning here has a loop of its own beside `birdssl.training.loop`: it takes seconds, is done a dozen times a cell,
and chooses no epoch, so checkpoints, validation and a line an epoch would cost more than they save.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from birdssl.errors import BirdsslError
from birdssl.models.encoder import Encoder
from birdssl.models.heads import build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.seeds import derive
from birdssl.training.batch_statistics import settle
from birdssl.training.batches import epoch_order, training_batches
from birdssl.training.finetuning import Classifier, Finetuning
from birdssl.training.inputs import Embedded, Inputs
from birdssl.training.optimisers import SGD, OptimiserPlan, build_optimiser
from birdssl.training.precision import without_tf32

CLIPS_AT_ONCE = 16  # embedded or tested in one pass, each by all its crops


@dataclass(frozen=True)
class Tuning:
    """How a classifier is fine-tuned: SGD without momentum at a fixed rate (P2)."""

    epochs: int
    batch: int
    freeze: bool
    seed: int


def embed(encoder: Encoder, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Embeddings (clips, features) of all clips, each the mean of its crops; in fp32, without dropout."""
    encoder.eval()
    with without_tf32():
        return Embedded(inputs, encoder, CLIPS_AT_ONCE).embeddings.float().cpu().numpy()


def finetuned(
    encoder: Encoder, inputs: Inputs, learned: Tensor, targets: Tensor, classes: int, rate: float, tuning: Tuning,
    fabric: Fabric,
) -> Finetuning:  # fmt: skip
    """A copy of the encoder with a fresh two-layer head, trained on the clips numbered `learned` (n,).

    `targets` (clips,) is each clip's class. The encoder itself stays as it is. Raises BirdsslError when the loss isn't
    finite any more.
    """
    with seeded_weights(derive(tuning.seed, "head")):
        copy = build_encoder(encoder.name, **encoder.options)
        head = build_head(encoder.name, encoder.features, classes)
    copy.load_state_dict(encoder.state_dict())
    network = Classifier(copy, head, frozen=tuning.freeze).to(fabric.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task = Finetuning(network, inputs, learned, learned, targets, CLIPS_AT_ONCE)
    _train(task, OptimiserPlan(SGD.name, rate), tuning, fabric)
    network.eval()
    return task


def probabilities(task: Finetuning, asked: Tensor) -> npt.NDArray[np.float64]:
    """Probabilities (n, classes) of the clips numbered `asked` (n,), each the mean over its crops; in fp32."""
    with torch.inference_mode(), without_tf32():
        logits = task.logits(asked)
    return functional.softmax(logits.double(), dim=1).numpy()


def _train(task: Finetuning, plan: OptimiserPlan, tuning: Tuning, fabric: Fabric) -> None:
    optimiser = build_optimiser(plan, task.network)
    batches: list[Tensor] = []
    for epoch in range(1, tuning.epochs + 1):
        torch.manual_seed(derive(tuning.seed, "dropout", epoch))
        order = epoch_order(task.items, tuning.seed, epoch)
        batches = training_batches(order, tuning.batch, drop_last=False, processes=1)
        task.train()
        total = 0.0
        for items in batches:
            with fabric.autocast():
                loss, _ = task.loss(task.network, task.load(items, epoch))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            total += float(loss.detach())
        if not math.isfinite(total):
            raise BirdsslError(
                f"the loss of fine-tuning is {total} in epoch {epoch} at a rate of {plan.learning_rate:g}: the weights "
                "have run away. Try a smaller --finetune-rate, a lower --sweep, or --precision fp32"
            )
    with fabric.autocast():
        last = (task.load(items, tuning.epochs) for items in batches)
        settle(task, task.network, last, tuning.epochs * len(batches))
