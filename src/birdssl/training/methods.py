"""Objectives by name, whole: what is built around an encoder, and the task that trains it.

A new one is a line in `METHODS`, its name in `birdssl.settings.names` and its own settings in
`birdssl.settings.objective`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from birdssl.models.encoder import Encoder
from birdssl.models.projector import Projector, build_projector
from birdssl.objectives.cola import BilinearSimilarity
from birdssl.objectives.nt_xent import NTXent
from birdssl.objectives.objective import Objective
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.pairs import Views
from birdssl.training.pretraining import PairNetwork, Pretraining
from birdssl.training.task import Task

Own = dict[str, Any]


@dataclass(frozen=True)
class Method:
    """A way to learn without labels.

    Attributes:
        build: encoder and the objective's own settings to the network that is trained, which holds `encoder`. It draws
            its starting weights from torch's global generator.
        task: network, views to train on, views to validate by, batch and seed to the task.
        views: kinds of views that it can learn from; the first is its own.
    """

    build: Callable[[Encoder, Own], nn.Module]
    task: Callable[[Any, Views, Views, int, int], Task]
    views: tuple[str, ...]


def _pairs(network: PairNetwork, training: Views, validation: Views, batch: int, seed: int) -> Pretraining:
    """Pairs of views; nothing is drawn beside them, so the seed isn't needed."""
    return Pretraining(network, training, validation, batch)


def _p1(objective: type[Objective]) -> Method:
    """Barlow Twins and VICReg: P1's projector of equal layers."""

    def build(encoder: Encoder, own: Own) -> PairNetwork:
        sizes = {name.removeprefix("projector_"): own[name] for name in own if name.startswith("projector_")}
        weights = {name: value for name, value in own.items() if not name.startswith("projector_")}
        return PairNetwork(encoder, Projector(encoder.features, **sizes), objective(**weights))

    return Method(build, _pairs, ("crops", "stored", "clar"))


def _bilinear(encoder: Encoder, own: Own) -> PairNetwork:
    projector = build_projector("cola", encoder.features, own.get("projector_width"))
    weights = {name: own[name] for name in own if name == "bilinear_init"}
    return PairNetwork(encoder, projector, BilinearSimilarity(projector.width, **weights))


def _simclr(encoder: Encoder, own: Own) -> PairNetwork:
    projector = build_projector("simclr", encoder.features, own.get("projector_width"))
    weights = {name: own[name] for name in own if name == "temperature"}
    return PairNetwork(encoder, projector, NTXent(**weights))


METHODS: dict[str, Method] = {
    **{name: _p1(objective) for name, objective in OBJECTIVES.items()},
    "cola": Method(_bilinear, _pairs, ("crops", "clar", "stored")),
    "clar": Method(_bilinear, _pairs, ("clar", "crops", "stored")),
    "simclr": Method(_simclr, _pairs, ("clar", "crops", "stored")),
}
