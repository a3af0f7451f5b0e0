"""COLA's loss with a learnt bilinear similarity (Saeed et al. 2021), which P2 trains AcousticSSM with (its Eq. 4).

P2 takes two crops of one clip (AcousticSSM1) or, after CLAR, two augmentations of one crop (AcousticSSM2); the loss is
the same. LayerNorm and tanh, which COLA puts on embeddings that meet a bilinear similarity, end its projector
(`birdssl.models.projector`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.objectives.objective import Objective, Terms


class BilinearSimilarity(Objective):
    """Each anchor is to be told its own positive from all others of the batch, by s(a, b) = a W b.

    loss = cross-entropy over the rows of za W zb^T, the diagonal being right: from anchor to positive only, as in
    COLA's code and P2. The weights W are learnt.

    In a batch of clips of few classes many of the others are of the anchor's own class (a fifth in P2's groups of
    five), and some of its own recording; like the paper, the loss counts them as wrong.

    Args:
        width: length D of the embeddings.
        bilinear_init: start of W. "identity" is I / sqrt(D), our choice: related pairs score high from the first step
            (a loss of about 0.1 at batch 64 and width 512). "normal:SD" draws each weight from N(0, SD^2); Google's
            0.05 starts at a loss of about 25, where chance is 4.2.
        symmetric: average the loss with that from positive to anchor.

    Raises UsageError for another `bilinear_init`, or a width below 1.
    """

    def __init__(self, width: int, bilinear_init: str = "identity", symmetric: bool = False) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.weight = nn.Parameter(initial_bilinear(width, bilinear_init))

    def loss(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        scores = za @ self.weight.to(za.dtype) @ zb.T  # (N, N): anchors in rows, positives in columns
        own = torch.arange(len(za), device=za.device)
        loss = functional.cross_entropy(scores, own)
        if self.symmetric:
            loss = (loss + functional.cross_entropy(scores.T, own)) / 2
        return loss, {"found": share_found(scores, own)}


def initial_bilinear(width: int, how: str) -> Tensor:
    """(width, width) weights to start from: "identity" or "normal:SD" (from torch's global generator)."""
    if width < 1:
        raise UsageError(f"a bilinear similarity needs embeddings of at least one value and got {width}")
    if how == "identity":
        return torch.eye(width) / width**0.5
    kind, _, deviation = how.partition(":")
    if kind == "normal" and deviation.replace(".", "", 1).isdecimal() and float(deviation) > 0:
        return torch.randn(width, width) * float(deviation)
    raise UsageError(
        f'"{how}" is no start for the bilinear weights; use "identity", or "normal:" and a standard deviation above 0 '
        '(Google\'s is "normal:0.05")'
    )


def share_found(scores: Tensor, own: Tensor) -> Tensor:
    """Share of rows of `scores` (N, M) whose best column is `own` (N,) alone: a tie is none, so collapse scores 0."""
    best, place = scores.topk(2, dim=1)
    return ((place[:, 0] == own) & (best[:, 0] > best[:, 1])).float().mean()
