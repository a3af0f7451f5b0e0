"""Barlow Twins (Zbontar et al. 2021), as its official code computes it."""

import torch
from torch import Tensor

from birdssl.objectives.objective import Objective, Terms, off_diagonal


class BarlowTwins(Objective):
    """Pulls the cross-correlation matrix of two views towards the identity.

    loss = sum_i (1 - C_ii)^2 + redundancy * sum_{i != j} C_ij^2

    Args:
        redundancy: weight of the off-diagonal term; 0.005 in P1 (the official code's default is 0.0051).
        eps: added to each output's variance, 1e-5 as in batch normalisation.
    """

    def __init__(self, redundancy: float = 0.005, eps: float = 1e-5) -> None:
        super().__init__()
        self.redundancy = redundancy
        self.eps = eps

    def loss(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        matrix = cross_correlation(za, zb, self.eps)
        on = (torch.diagonal(matrix) - 1).pow(2).sum()
        off = off_diagonal(matrix).pow(2).sum()
        return on + self.redundancy * off, {"on_diagonal": on, "off_diagonal": off}


def cross_correlation(za: Tensor, zb: Tensor, eps: float = 1e-5) -> Tensor:
    """(N, D) twice to the (D, D) matrix of correlations over the batch, outputs of `za` in rows.

    Each output is centred and divided by the square root of its biased variance plus `eps`; the sum is divided by N.
    The unbiased variance of the paper's pseudo-code leaves a floor of D / N^2 under perfect invariance.
    """
    return standardise(za, eps).T @ standardise(zb, eps) / len(za)


def standardise(z: Tensor, eps: float) -> Tensor:
    """(N, D) with each column centred and divided by the root of its biased variance plus eps; stateless."""
    centred = z - z.mean(dim=0)
    return centred / (centred.pow(2).mean(dim=0) + eps).sqrt()
