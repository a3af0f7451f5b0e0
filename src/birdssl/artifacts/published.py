"""Checkpoints as their authors published them: their tensors by name, and nothing that can run code.

Besides weights, such files hold optimisers, options and progress, often as objects of the code that wrote them
(s3prl's `argparse.Namespace`, fairseq's `omegaconf` settings). `torch.load(weights_only=True)` refuses a file that
names a class it doesn't know. The classes of a few publishing packages, and these alone, are met with a stand-in
instead: an empty object that keeps nothing, whatever the file says it was made of. Their code is neither imported nor
run, and a file that names anything else, such as `builtins.exec`, is refused. So a stranger's file can hold wrong
weights; it can't be a program.
"""

import _compat_pickle
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import torch
from torch import Tensor

from birdssl.artifacts.weights import SAFETENSORS, read_weights
from birdssl.errors import IncompatibleError, NoInputError

# Packages whose classes stand in published checkpoints beside the weights, and types that their settings refer to.
BYSTANDERS = ("argparse", "fairseq", "lightning", "numpy", "omegaconf", "optimizers", "pytorch_lightning", "s3prl",
              "schedulers", "typing")  # fmt: skip
PLAIN = (*(f"builtins.{name}" for name in ("bool", "dict", "float", "int", "list", "str", "tuple")),
         "collections.defaultdict")  # fmt: skip
# Lightning's settings are dictionaries of a class of its own, and are read as plain ones.
DICTIONARIES = tuple(f"{package}.AttributeDict" for package in
                     ("pytorch_lightning.utilities.parsing", "lightning.pytorch.utilities.parsing",
                      "lightning_fabric.utilities.data", "lightning.fabric.utilities.data"))  # fmt: skip
OF_TORCH = ("torch.", "collections.OrderedDict", "_codecs.encode")  # what its reader knows by itself

# Where publishing codes keep the state dict of a checkpoint that holds more: fairseq, s3prl's conversions of it,
# PyTorch Lightning (BYOL-A), MT-SLVR's training state.
WRAPPERS = ("model", "model_weight", "state_dict", "framework")
# s3prl (Mockingjay, TERA): state dicts side by side; their names stay in front of the tensors' own.
PARTS = ("Transformer", "SpecHead")
SETTINGS = ("Upstream_Config", "Config")  # s3prl's; the older files have the second alone


class StandIn:
    """Takes the place of any foreign object in a checkpoint, and keeps nothing of it."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """An empty object, whatever the file says it was made of."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def published_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the processor, of a published `.safetensors`, `.pt`, `.pth`, `.ckpt` or `.bin` file.

    The names are the file's own, in front of them "Transformer." or "SpecHead." in s3prl's files. "Config.heads" is
    s3prl's number of attention heads, which no tensor's shape shows. `birdssl.models.published` knows what they mean.

    Raises NoInputError when there is no such file, IncompatibleError when it is broken, holds no tensors by name, or
    names a class that isn't on the list above.
    """
    if not path.is_file():
        raise NoInputError(
            f"{path}: no such file of weights; give the path of a .safetensors, .pt, .pth, .ckpt or .bin file"
        )
    if path.suffix.lower() == SAFETENSORS:
        return read_weights(path)
    return _weights(path, _load(path))


def _load(path: Path) -> Any:
    """What a torch file holds, foreign objects replaced. Tensors of newer files stay on disk until they are used."""
    try:
        allowed: list[Any] = [(OrderedDict if name in DICTIONARIES else StandIn, name)
                              for name in _names(path) if _is_bystander(name)]  # fmt: skip
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
        raise IncompatibleError(_unreadable(path, error)) from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:  # a damaged or made-up pickle
        raise IncompatibleError(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).split("\n")[0].split(" Please use")[0]
    reason = reason.split(" This file can still be loaded")[0]  # which would run what it holds
    strange = _strangers(path)
    return (
        f"{path} can't be read as torch weights ({reason}). "
        + (f"It names {', '.join(strange[:4])}, which might run code. " if strange else "")
        + "It may be cut short: copy it again. If it holds other objects than tensors, save its state dict alone where "
        'its own code runs (safetensors.torch.save_file(state_dict, "weights.safetensors")), and give that'
    )


def _strangers(path: Path) -> list[str]:
    """What a file names that is neither torch's nor on the list above; nothing where it can't be read at all."""
    try:
        return sorted(name for name in _names(path) if not _is_bystander(name) and not name.startswith(OF_TORCH))
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, IndexError, KeyError):
        return []


def _is_bystander(name: str) -> bool:
    return name in PLAIN or name.split(".")[0] in BYSTANDERS


def _names(path: Path) -> set[str]:
    """Full names of the classes and functions that a torch file's pickles name."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found = set()
            for member in archive.namelist():
                if member.rsplit("/", 1)[-1] == "data.pkl":
                    with archive.open(member) as stream:
                        found |= set(_named(stream))
            return found
    with path.open("rb") as stream:  # torch before 1.6: four pickles (the third says of the machine), then the tensors
        return {name for _ in range(4) for name in _named(stream)}


def _named(stream: IO[bytes]) -> Iterator[str]:
    """Names in one pickle, which is read and not run. torch writes protocol 2, which names by this one instruction."""
    for instruction, argument, _ in pickletools.genops(stream):
        if instruction.name == "GLOBAL":
            module, name = str(argument).split(" ", 1)
            # as Python 3 reads what Python 2 called it: protocol 2 writes `int` as `__builtin__ long`
            module, name = _compat_pickle.NAME_MAPPING.get(
                (module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name)
            )
            yield f"{module}.{name}"


def _weights(path: Path, content: Any) -> dict[str, Tensor]:
    """The state dicts in a file's content, flat."""
    if not isinstance(content, Mapping):
        raise IncompatibleError(
            f"{path} holds a {type(content).__name__}; expected a state dict (tensors by name), or a file that has one"
        )
    if isinstance(content.get(PARTS[0]), Mapping):
        parts = {part: content[part] for part in PARTS if isinstance(content.get(part), Mapping)}
        found = {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}
        return _tensors(path, found) | _heads(content)
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            return _tensors(path, content[wrapper])
    return _tensors(path, content)


def _tensors(path: Path, weights: Mapping[str, Any]) -> dict[str, Tensor]:
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise IncompatibleError(
                f'{path} holds a {type(tensor).__name__} under "{name}"; expected a state dict (tensors by name), or a '
                f"checkpoint that holds one under {', '.join(WRAPPERS)} or {PARTS[0]}"
            )
    return {name: tensor.detach() for name, tensor in weights.items()}


def _heads(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """s3prl's number of attention heads where the file says it."""
    for name in SETTINGS:
        settings = content.get(name)
        inner = settings.get("transformer") if isinstance(settings, Mapping) else None
        if isinstance(inner, Mapping) and isinstance(inner.get("num_attention_heads"), int):
            return {"Config.heads": torch.tensor(inner["num_attention_heads"])}
    return {}
