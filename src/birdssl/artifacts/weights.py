"""Tensors on disk: safetensors in and out, and torch files in, never anything that can run code."""

import http.client
import pickle
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from birdssl.artifacts.atomic import atomic_path
from birdssl.errors import IncompatibleError, NoInputError, UnavailableError

SAFETENSORS = ".safetensors"


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes tensors by name to a safetensors file, whole or not at all. Same tensors, same bytes."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic_path(path) as part:
        part.write_bytes(safetensors.torch.save(ready))  # not save_file: on a full disk its error is none of Python's


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the processor, from a `.safetensors` file or a state dict that torch saved (`.pth`, `.pt`).

    Torch files are read with `weights_only=True`. Raises NoInputError when there is no such file, IncompatibleError
    when it holds anything but tensors by name.
    """
    if not path.is_file():
        raise NoInputError(f"{path}: no such file of weights; give the path of a .safetensors or .pth file")
    if path.suffix.lower() == SAFETENSORS:
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except (safetensors.SafetensorError, OSError) as error:
        raise IncompatibleError(
            f"{path} can't be read as safetensors ({error}); it may be cut short: copy or make it again"
        ) from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise IncompatibleError(
            f"{path} can't be read as torch weights ({reason}); expected a state dict that torch.save wrote: "
            "tensors by name and nothing that could run code. Convert it to safetensors where it came from"
        ) from None
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):
        weights = weights["state_dict"]
    return _tensors(path, weights)


def _tensors(path: Path, weights: object) -> dict[str, Tensor]:
    if not isinstance(weights, Mapping):
        raise IncompatibleError(f"{path} holds a {type(weights).__name__}; expected a state dict: tensors by name")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise IncompatibleError(
                f'{path} holds a {type(tensor).__name__} under "{name}"; expected a state dict: tensors by name'
            )
    return dict(weights)


def download_weights(url: str) -> dict[str, Tensor]:
    """Tensors by name from torchvision's server, kept in torch's cache (TORCH_HOME) with their checksum verified.

    Raises UnavailableError when it can't be reached: it says which file to fetch by hand.
    """
    try:
        weights = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (http.client.HTTPException, OSError, RuntimeError) as error:
        name = url.rsplit("/", 1)[-1]
        raise UnavailableError(
            f"{url} can't be downloaded ({error}); fetch it on a machine that can, and give it with --weights {name}, "
            f"or copy it to {Path(torch.hub.get_dir()) / 'checkpoints' / name}, where recipes find it"
        ) from None
    return _tensors(Path(url), weights)
