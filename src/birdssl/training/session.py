"""Where and how exactly a run computes, fixed when it begins and kept when it goes on."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from birdssl.errors import IncompatibleError
from birdssl.training.checkpoints import read_progress
from birdssl.training.devices import choose_device
from birdssl.training.loop import make_fabric
from birdssl.training.precision import advise_threads, choose_precision, fixed_numerics, keep_freed_memory

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """A run's device and precision. `environment` goes into checkpoints and the model's provenance."""

    fabric: Fabric
    device: torch.device
    environment: dict[str, Any]


@contextlib.contextmanager
def training_session(device: str, precision: str, threads: int, encoder: str, scratch: Path) -> Iterator[Session]:
    """Choose device and precision, or take an interrupted run's, and compute by them inside.

    Raises IncompatibleError when the interrupted run began on another type of device: the rest of it would differ.
    """
    chosen = choose_device(device)
    environment: dict[str, Any] = {
        "device": chosen.type,
        "precision": choose_precision(precision, chosen, encoder),
        "threads": threads,
        "torch": torch.__version__,
    }
    begun = read_progress(scratch)
    if begun and begun.environment["device"] != chosen.type:
        was = begun.environment["device"]
        raise IncompatibleError(
            f"{scratch.parent.parent} was begun on {was} and would go on on {chosen.type}, which gives other bits; "
            f"give --device {was}, or --overwrite to start anew"
        )
    if begun and begun.environment["torch"] != torch.__version__:
        log.warning(
            "begun with torch %s, going on with %s: bits may differ", begun.environment["torch"], torch.__version__
        )
    if begun:
        environment["precision"] = begun.environment["precision"]
    if chosen.type == "cpu":
        advise_threads(threads)
        keep_freed_memory()
    log.info("precision: %s, threads: %d", environment["precision"], threads)
    with fixed_numerics(threads):
        yield Session(make_fabric(chosen, environment["precision"]), chosen, environment)
