"""NT-Xent, SimCLR's loss (Chen et al. 2020, Eq. 1)."""

import torch
from torch import Tensor
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.objectives.cola import share_found
from birdssl.objectives.objective import Objective, Terms


class NTXent(Objective):
    """Each of the 2 N views is to be told its partner from the 2 N - 2 views of other clips, by cosine similarity.

    loss = mean over views of the cross-entropy of similarity / temperature, a view's similarity to itself left out.

    Args:
        temperature: above 0. 0.5 is what SimCLR found best on CIFAR-10 at every batch size, the nearest of its
            settings to collections of some thousand clips (default); 0.07 in MT-SLVR.

    Raises UsageError for a temperature that isn't above 0.
    """

    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        if not temperature > 0:
            raise UsageError(f"the temperature must be above 0 and is {temperature:g}; 0.07 to 0.5 are usual")
        self.temperature = temperature

    def loss(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        views = functional.normalize(torch.cat([za, zb]), dim=1)  # (2 N, D)
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        scores = (views @ views.T / self.temperature).masked_fill(itself, -torch.inf)
        partner = torch.arange(len(views), device=views.device).roll(len(za))
        return functional.cross_entropy(scores, partner), {"found": share_found(scores, partner)}
