"""Objectives by name, whole: what is built around an encoder, and the task that trains it.

A new one is a line in `METHODS`, its name in `birdssl.settings.names` and its own settings in
`birdssl.settings.objective`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from birdssl.models.encoder import Encoder
from birdssl.models.projector import Projector, build_projector
from birdssl.objectives.cola import BilinearSimilarity
from birdssl.objectives.nt_xent import NTXent
from birdssl.objectives.objective import Objective
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.byol import ByolA, ByolNetwork
from birdssl.training.masked import VARIANTS, MaskedModelling, MaskedNetwork
from birdssl.training.mtslvr import MtSlvr, MtSlvrNetwork
from birdssl.training.pairs import Views
from birdssl.training.pretraining import PairNetwork, Pretraining
from birdssl.training.task import Task

Own = dict[str, Any]


@dataclass(frozen=True)
class Sources:
    """What a task is made from besides its network.

    Attributes:
        training, validation: views to learn from, and to choose the epoch by.
        batch: clips in a batch, over all processes.
        seed: of what a task draws itself, such as masks.
        own: the objective's own settings that are given.
        shuffled: whether nothing is to be learnt: the negative control. Views of pairs are shuffled already.
    """

    training: Views
    validation: Views
    batch: int
    seed: int
    own: Own
    shuffled: bool = False


@dataclass(frozen=True)
class Method:
    """A way to learn without labels.

    Attributes:
        build: encoder and the objective's own settings to the network that is trained, which holds `encoder`. It draws
            its starting weights from torch's global generator.
        task: that network and its sources to the task that trains it.
        views: kinds of views that it can learn from; the first is its own.
    """

    build: Callable[[Encoder, Own], nn.Module]
    task: Callable[[Any, Sources], Task]
    views: tuple[str, ...]


def _pairs(network: PairNetwork, sources: Sources) -> Pretraining:
    return Pretraining(network, sources.training, sources.validation, sources.batch)


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


def _mt_slvr(network: MtSlvrNetwork, sources: Sources) -> MtSlvr:
    return MtSlvr(network, sources.training, sources.validation, sources.batch)


def _byol(encoder: Encoder, own: Own) -> ByolNetwork:
    sizes = {"width": own["projector_width"]} if "projector_width" in own else {}
    return ByolNetwork(encoder, **sizes, **{name: own[name] for name in own if name == "ema"})


def _byol_task(network: ByolNetwork, sources: Sources) -> ByolA:
    return ByolA(network, sources.training, sources.validation, sources.batch)


def _masked(name: str) -> Method:
    """Mockingjay or TERA: what isn't given of the masks is the variant's."""

    def task(network: MaskedNetwork, sources: Sources) -> MaskedModelling:
        usual = {f"mask_{part}": value for part, value in asdict(VARIANTS[name]).items()}
        masks = {**usual, **sources.own}
        return MaskedModelling(
            network,
            sources.training,
            sources.validation,
            sources.batch,
            sources.seed,
            **masks,
            shuffle_pairs=sources.shuffled,
        )

    return Method(lambda encoder, own: MaskedNetwork(encoder), task, ("one",))


def frames_needed(objective: str, own: Own) -> int:
    """The fewest frames that an objective can learn from: masks leave at least one unhidden."""
    return own.get("mask_span", VARIANTS[objective].span) + 1 if objective in VARIANTS else 1


METHODS: dict[str, Method] = {
    **{name: _p1(objective) for name, objective in OBJECTIVES.items()},
    "cola": Method(_bilinear, _pairs, ("crops", "clar", "stored")),
    "clar": Method(_bilinear, _pairs, ("clar", "crops", "stored")),
    "simclr": Method(_simclr, _pairs, ("clar", "crops", "stored")),
    "mt-slvr": Method(lambda encoder, own: MtSlvrNetwork(encoder, **own), _mt_slvr, ("mt-slvr",)),
    "byol-a": Method(_byol, _byol_task, ("byol-a", "crops")),
    **{name: _masked(name) for name in VARIANTS},
}
