"""BYOL's regression loss (Grill et al. 2020), as BYOL-A takes it.

It isn't an `Objective` on two views' embeddings: a prediction of one view is compared with the target network's
projection of the other, and only the prediction carries gradient.
"""

import torch
from torch import Tensor
from torch.nn import functional


def regression(predictions: Tensor, targets: Tensor) -> Tensor:
    """2 - 2 cos of each prediction and its target: (N, D) twice to (N,), between 0 (one direction) and 4 (opposite).

    In at least 32-bit floats, autocast or not. Targets carry no gradient. Raises ValueError when shapes differ.
    """
    if predictions.shape != targets.shape or predictions.ndim != 2:
        raise ValueError(
            f"predictions and targets must both be (clips, width): {tuple(predictions.shape)}, {tuple(targets.shape)}"
        )
    with torch.autocast(predictions.device.type, enabled=False):
        likeness = (_directions(predictions) * _directions(targets.detach())).sum(dim=1)
    return 2 - 2 * likeness


def both_ways(predictions: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
    """(N,) sums of the two ways: the first view's prediction to the second's target, and the other way round.

    Each tensor is (N, D); element i of `predictions` and of `targets` belongs to view i. The loss is the mean over the
    clips of the global batch.
    """
    return regression(predictions[0], targets[1]) + regression(predictions[1], targets[0])


def _directions(z: Tensor) -> Tensor:
    return functional.normalize(z if z.dtype == torch.float64 else z.float(), dim=1)
