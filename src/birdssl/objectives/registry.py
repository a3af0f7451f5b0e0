"""Objectives by name. A new one is a module here, a line below and its name in `birdssl.settings.names`."""

from birdssl.objectives.barlow_twins import BarlowTwins
from birdssl.objectives.objective import Objective
from birdssl.objectives.vicreg import VICReg, VICRegAlgorithm1, VICRegEquation

OBJECTIVES: dict[str, type[Objective]] = {
    "barlow-twins": BarlowTwins,
    "vicreg": VICReg,
    "vicreg-algorithm1": VICRegAlgorithm1,
    "vicreg-equation": VICRegEquation,
}
