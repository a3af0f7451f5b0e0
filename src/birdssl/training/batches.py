"""The order in which items are trained on, and how they are cut into batches."""

import numpy as np
import torch
from torch import Tensor

from birdssl.seeds import generator


def epoch_order(items: int, seed: int, epoch: int) -> Tensor:
    """A shuffle of 0..items-1 (int64) that depends on the seed and the epoch alone."""
    return torch.from_numpy(generator(seed, "order", epoch).permutation(items))


def training_batches(order: Tensor, batch: int, *, drop_last: bool, processes: int = 1) -> list[Tensor]:
    """Cut an order into batches of `batch`.

    With `drop_last` a short last batch is left out: self-supervised losses depend on the batch. Otherwise it stays,
    but a single item joins the batch before it, since batch normalisation needs two. With several processes the last
    batch loses what doesn't divide among them.
    """
    if drop_last:
        return list(order[: len(order) // batch * batch].split(batch))
    parts = list(order.split(batch))
    if len(parts) > 1 and len(parts[-1]) < 2:
        parts[-2:] = [torch.cat(parts[-2:])]
    return [part for part in (part[: len(part) // processes * processes] for part in parts) if len(part)]


def even_batches(items: int, batch: int) -> list[Tensor]:
    """Cut 0..items-1, in order, into batches of nearly equal size, none below `batch` unless there are fewer items.

    For validation: every item counts, and no batch is so small that a self-supervised loss means something else in it.
    """
    parts = np.array_split(np.arange(items), max(1, items // batch))
    return [torch.from_numpy(part) for part in parts if len(part)]


def share(batch: Tensor, rank: int, processes: int) -> Tensor:
    """The part of a batch that process `rank` works on: a contiguous run, so that gathering restores the order."""
    return batch.tensor_split(processes)[rank]
