"""What every objective is, and what they share."""

import torch
from torch import Tensor, nn

Terms = dict[str, Tensor]


class Objective(nn.Module):
    """A loss on two views' embeddings. Settings are arguments of `__init__`; a module, since some learn weights.

    It takes the global batch: with several processes gather first (`birdssl.training.gather`).
    """

    def loss(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        """Embeddings of the two views, each (N, D) of at least 32-bit floats, to the loss and its terms."""
        raise NotImplementedError

    def forward(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        """Embeddings (N, D) of the two views, row i of both from the same clip, to (loss, detached terms).

        Reduced precision is widened to 32 bits and autocast is off inside: sums over the batch lose their meaning in
        bfloat16. Raises ValueError when shapes differ, aren't (N, D), or N < 2.
        """
        if za.shape != zb.shape or za.ndim != 2 or len(za) < 2:
            raise ValueError(
                f"two views of at least 2 clips are needed, both of one shape (clips, width): got {tuple(za.shape)} "
                f"and {tuple(zb.shape)}"
            )
        with torch.autocast(za.device.type, enabled=False):
            loss, terms = self.loss(_widened(za), _widened(zb))
        return loss, {name: term.detach() for name, term in terms.items()}


def off_diagonal(matrix: Tensor) -> Tensor:
    """Elements of a square (D, D) matrix that aren't on its diagonal, flat (D * (D - 1),)."""
    size = len(matrix)
    return matrix.flatten()[:-1].view(size - 1, size + 1)[:, 1:].flatten()


def small_batch_message(batch: int, width: int) -> str | None:
    """What to tell a person whose global batch is small beside the projector's width; None when it isn't.

    Correlations among `width` outputs estimated from `batch` clips have rank below `batch`: under a quarter of the
    width, sampling noise dominates the redundancy terms (45 of Barlow Twins' loss at batch 30, width 512,
    on perfect embeddings). Losses are then comparable at equal batch only.
    """
    if batch >= width / 4:
        return None
    return (
        f"a batch of {batch} is small beside the projector's width of {width}: the correlations that the loss looks at "
        f"are mostly sampling noise. Compare losses at equal batch only; a batch of {-(-width // 4)} or a narrower "
        "projector lessens it"
    )


def _widened(z: Tensor) -> Tensor:
    return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z
