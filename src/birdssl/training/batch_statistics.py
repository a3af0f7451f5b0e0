"""Batch normalisation's statistics in networks that have taken few steps.

In use, batch normalisation divides by running averages that move by `momentum` a step. MobileNetV3's move by a
hundredth: after the sixty steps that a hundred labelled clips give, half of each is still what it began with, and one
layer's error feeds the next. Such a network tells its training batches apart and gives every other clip one class.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from birdssl.training.task import Batch, Task

FORGOTTEN = 5.0  # time constants of a running average, 1 / momentum steps each, after which 0.7 % of its start is left


def unsettled(network: nn.Module, steps: int) -> list[_BatchNorm]:
    """The batch normalisations in training mode whose averages still hold what they began with, `steps` steps on."""
    return [
        layer
        for layer in network.modules()
        if isinstance(layer, _BatchNorm)
        and layer.training
        and layer.running_mean is not None
        and layer.momentum is not None
        and steps * layer.momentum < FORGOTTEN
    ]


def settle(task: Task, forward: nn.Module, batches: Iterable[Batch], steps: int) -> int:
    """Set the averages that a run of `steps` steps leaves unsettled to the means over `batches`; returns how many.

    No weight moves, dropout is off, and layers that are frozen or settled keep theirs. `batches` is asked for nothing
    when there is nothing to set: only runs of less than `FORGOTTEN / momentum` steps look at their batches twice. The
    means are Wu and Johnson's "precise" statistics (2021, arXiv:2105.07576); when to take them is our choice
    (docs/decisions.md).
    """
    task.train()
    layers = unsettled(task.network, steps)
    if not layers:
        return 0
    usual = [layer.momentum for layer in layers]
    task.network.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None  # PyTorch's word for equal weights
    with torch.no_grad():
        for batch in batches:
            task.loss(forward, batch)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
    return len(layers)
