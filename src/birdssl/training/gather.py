"""All processes' embeddings on every process, with gradient.

Each process computes the loss on the global batch. Its backward pass gives each process the sum over processes of the
gradients of its own rows, and distributed data parallel then averages parameters' gradients over processes: together
this is the gradient of one process on the joined batch. (The official Barlow Twins code reduces its matrix without
gradient, which gives 1/processes of it.)
"""

from typing import Any

import torch
from torch import Tensor, distributed


def gather(rows: Tensor) -> Tensor:
    """(B, ...) on each process to (processes * B, ...), ordered by rank, the same on all of them.

    B must be the same everywhere (drop the last, smaller batch). Without process group, or with one process alone, the
    tensor itself.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)
    return gathered


class _Gather(torch.autograd.Function):
    """All-gather forwards; backwards the sum over processes, of which each takes its own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total, op=distributed.ReduceOp.SUM)
        return total.chunk(distributed.get_world_size())[distributed.get_rank()]
