"""Retrieval of a clip's other view: whether embeddings know a clip again, without labels."""

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 1024  # rows of the similarity matrix held at a time


def retrieval_top1(first: Tensor, second: Tensor) -> float:
    """Share of clips whose other view is their nearest neighbour.

    `first` and `second` are (N, D) embeddings, row i of both from one clip. Each view in turn looks for its partner by
    cosine similarity among all N embeddings of the other side; chance is 1 / N. Each output is centred over the clips
    of its side first, so that an offset common to all clips (a ReLU's, or the effect of a kind of view) doesn't hide
    their differences. A tie counts as missed, so that collapsed embeddings score 0. Raises ValueError on other shapes.
    """
    if first.shape != second.shape or first.ndim != 2 or len(first) == 0:
        raise ValueError(
            f"two equal (clips, features) embeddings are needed: {tuple(first.shape)}, {tuple(second.shape)}"
        )
    a, b = _directions(first), _directions(second)
    own = torch.empty(len(a), dtype=a.dtype, device=a.device)
    by_first = torch.empty_like(own)  # best of the other clips, for each first view
    by_second = torch.full_like(own, -torch.inf)
    for start in range(0, len(a), BLOCK):
        likeness = a[start : start + BLOCK] @ b.T  # (block, N)
        rows = torch.arange(len(likeness), device=a.device)
        own[start + rows] = likeness[rows, start + rows]
        likeness[rows, start + rows] = -torch.inf
        by_first[start + rows] = likeness.max(dim=1).values
        by_second = torch.maximum(by_second, likeness.max(dim=0).values)
    return int((own > by_first).sum() + (own > by_second).sum()) / (2 * len(a))


def _directions(embeddings: Tensor) -> Tensor:
    wide = embeddings.double()
    return functional.normalize(wide - wide.mean(dim=0), dim=1)
