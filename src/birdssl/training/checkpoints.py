"""Where a run stands at the end of an epoch, in files that can't run code.

    last.safetensors     weights and buffers, the states of optimiser and task, and (in its metadata) the history so far
    best-00007.safetensors   weights of the best epoch so far

Each appears whole or not at all, and last.safetensors names the best file that it belongs to; so a run that is killed
between the two goes on from the epoch before.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from birdssl.artifacts.atomic import TEMPORARY, atomic_path
from birdssl.artifacts.weights import read_weights, write_weights
from birdssl.errors import IncompatibleError
from birdssl.training.history import Row

LAST = "last.safetensors"
NOTHING: Mapping[str, Tensor] = {}


@dataclass
class Progress:
    """How far a run has come. `environment` is what it was begun with and is to go on with (precision, device)."""

    epoch: int = -1  # last one that is finished; -1 before the first validation, 0 after it
    history: list[Row] = field(default_factory=list)
    best: int = 0
    environment: dict[str, Any] = field(default_factory=dict)


def best_path(folder: Path, epoch: int) -> Path:
    """File of the best epoch's weights."""
    return folder / f"best-{epoch:05d}.safetensors"


def save_checkpoint(
    folder: Path, progress: Progress, network: nn.Module, optimiser: Optimizer, memory: Mapping[str, Tensor] = NOTHING
) -> None:
    """Write the end of an epoch: the best weights first when this epoch is the best, the rest after."""
    folder.mkdir(parents=True, exist_ok=True)
    if progress.best == progress.epoch:
        write_weights(best_path(folder, progress.epoch), network.state_dict())
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= _optimiser_tensors(optimiser)
    tensors |= {f"memory.{name}": value for name, value in memory.items()}
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with atomic_path(folder / LAST) as part:
        safetensors.torch.save_file(ready, part, metadata={"progress": json.dumps(asdict(progress))})
    for path in folder.glob("best-*.safetensors"):
        if path != best_path(folder, progress.best):
            path.unlink()


def read_progress(folder: Path) -> Progress | None:
    """How far an interrupted run in `folder` came, or None where there is none."""
    path = folder / LAST
    if not path.exists():
        return None
    for leftover in folder.glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return Progress(**json.loads(file.metadata()["progress"]))
    except (safetensors.SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise IncompatibleError(
            f"{path} can't be read ({error}): the interrupted run can't go on from it; start it anew with --overwrite"
        ) from None


def restore(folder: Path, network: nn.Module, optimiser: Optimizer) -> dict[str, Tensor]:
    """Fill network and optimiser with the state of the last finished epoch; returns the task's memory."""
    tensors = read_weights(folder / LAST)
    prefix = "network."
    _fill(network, {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)})
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    _restore_layout(optimiser)
    kept = "memory."
    return {name[len(kept) :]: value for name, value in tensors.items() if name.startswith(kept)}


def restore_best(folder: Path, epoch: int, network: nn.Module) -> None:
    """Fill the network with the weights of the best epoch."""
    _fill(network, read_weights(best_path(folder, epoch)))


def _fill(network: nn.Module, weights: dict[str, Tensor]) -> None:
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise IncompatibleError(
            f"the checkpoint of the interrupted run doesn't fit its network ({str(error).splitlines()[0]}): "
            "it was written by another version; start the run anew with --overwrite"
        ) from None


def _optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    return {
        f"optimiser.{number}.{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, values in optimiser.state_dict()["state"].items()
        for key, value in values.items()
        if value is not None
    }


def _restore_layout(optimiser: Optimizer) -> None:
    """Give each state the memory layout of its weight, which files don't keep: sums in another order differ in bits."""
    for weight, values in optimiser.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                values[key] = torch.empty_like(weight).copy_(value)
