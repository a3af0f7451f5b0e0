"""Whether a clip's nearest neighbours stay the same from one look at the embeddings to the next, without labels.

Early in training they change from epoch to epoch; where they have settled, more epochs change little of what k-NN or a
nearest-neighbour search would answer.
"""

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 10  # our choice


def nearest(embeddings: Tensor, count: int = NEIGHBOURS) -> Tensor:
    """The `count` nearest other clips of each, by cosine similarity: (N, D) to (N, min(count, N - 1)) int64, ascending.

    Embeddings are centred over the clips first, as in `training.retrieval`. In 64 bits on the processor.
    """
    wide = embeddings.detach().cpu().double()
    unit = functional.normalize(wide - wide.mean(dim=0), dim=1)
    likeness = unit @ unit.T
    likeness.fill_diagonal_(-torch.inf)
    return likeness.topk(min(count, len(unit) - 1), dim=1).indices.sort(dim=1).values


def kept_share(before: Tensor, now: Tensor) -> float:
    """Mean share of a clip's neighbours (N, k) that it had before (N, k) as well; by chance it is k / (N - 1)."""
    same = (before[:, :, None] == now[:, None, :]).any(dim=1)  # (N, k): whether each of now's was there
    return float(same.double().mean())
