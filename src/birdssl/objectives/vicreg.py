"""VICReg (Bardes et al. 2022) in the three scalings that go by its name.

They differ by up to 2.15 times on the same embeddings, so losses compare within one name only.
"""

from torch import Tensor
from torch.nn import functional

from birdssl.objectives.objective import Objective, Terms, off_diagonal


class VICReg(Objective):
    """Invariance, variance and covariance, scaled as in the official code (the default).

    loss = invariance * mse(za, zb) + variance * (v(za) + v(zb)) / 2 + covariance * (c(za) + c(zb))

    Args:
        invariance, variance, covariance: weights of the three terms; 25, 25, 1 in the paper and in P1.
        gamma: standard deviation that the variance term asks of each output.
        eps: added to the variance under the root.
    """

    def __init__(
        self,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        gamma: float = 1.0,
        eps: float = 1e-4,
    ) -> None:
        super().__init__()
        self.invariance = invariance
        self.variance = variance
        self.covariance = covariance
        self.gamma = gamma
        self.eps = eps

    def invariance_term(self, za: Tensor, zb: Tensor) -> Tensor:
        """Squared distance of the two views: averaged over clips and outputs."""
        return functional.mse_loss(za, zb)

    def variance_term(self, za: Tensor, zb: Tensor) -> Tensor:
        """Lack of spread: averaged over the two views."""
        return (variance_hinge(za, self.gamma, self.eps) + variance_hinge(zb, self.gamma, self.eps)) / 2

    def loss(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        invariance = self.invariance_term(za, zb)
        variance = self.variance_term(za, zb)
        covariance = covariance_penalty(za) + covariance_penalty(zb)
        total = self.invariance * invariance + self.variance * variance + self.covariance * covariance
        return total, {"invariance": invariance, "variance": variance, "covariance": covariance}


class VICRegAlgorithm1(VICReg):
    """As the paper's Algorithm 1 and solo-learn write it: the variance terms of the two views are summed."""

    def variance_term(self, za: Tensor, zb: Tensor) -> Tensor:
        return variance_hinge(za, self.gamma, self.eps) + variance_hinge(zb, self.gamma, self.eps)


class VICRegEquation(VICRegAlgorithm1):
    """As the paper's equations read: besides, squared distances are summed over outputs and averaged over clips."""

    def invariance_term(self, za: Tensor, zb: Tensor) -> Tensor:
        return (za - zb).pow(2).sum(dim=1).mean()


def variance_hinge(z: Tensor, gamma: float = 1.0, eps: float = 1e-4) -> Tensor:
    """Mean over the D outputs of max(0, gamma - sqrt(unbiased variance + eps)); z is (N, D)."""
    return functional.relu(gamma - (z.var(dim=0) + eps).sqrt()).mean()


def covariance_penalty(z: Tensor) -> Tensor:
    """Sum of squared off-diagonal covariances (divisor N - 1) over D; z is (N, D).

    P1 prints the divisor as the number of outputs less one, a slip of letters.
    """
    centred = z - z.mean(dim=0)
    matrix = centred.T @ centred / (len(z) - 1)
    return off_diagonal(matrix).pow(2).sum() / z.shape[1]
