"""P1's objectives by name; all methods, with what each needs besides a loss, are in `birdssl.training.methods`."""

from birdssl.objectives.barlow_twins import BarlowTwins
from birdssl.objectives.objective import Objective
from birdssl.objectives.vicreg import VICReg, VICRegAlgorithm1, VICRegEquation

OBJECTIVES: dict[str, type[Objective]] = {
    "barlow-twins": BarlowTwins,
    "vicreg": VICReg,
    "vicreg-algorithm1": VICRegAlgorithm1,
    "vicreg-equation": VICRegEquation,
}
