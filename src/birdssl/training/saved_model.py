"""A model's directory: all that is needed to run it on raw recordings, and nothing that can run code.

model.json            encoder, head, classes, activation, frontend, normalisation, thresholds, and where it comes from
encoder.safetensors
head.safetensors      where there is a head
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from birdssl.artifacts.atomic import write_json
from birdssl.artifacts.weights import read_weights, write_weights
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.heads import Head, build_head
from birdssl.models.registry import build_encoder

SCHEMA_VERSION = 1
DESCRIPTION, ENCODER, HEAD = "model.json", "encoder.safetensors", "head.safetensors"
Activation = Literal["softmax", "sigmoid"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
PAYLOAD = (DESCRIPTION, ENCODER, HEAD)  # what a stage that saves a model owns in its OUT


@dataclass(frozen=True)
class ModelSpec:
    """What a model directory says besides its networks.

    Attributes:
        frontend: how audio becomes the encoder's input, as `Frontend.to_dict()` gives it.
        classes: names of the head's outputs, in their order; empty without a head.
        normalisation: what is done to the stored image: (image - offset) / scale. P1's "max-norm" divides 8-bit grey
            values by 255. Statistics are those of the training data, never of what the model is run on.
        thresholds: score in [0, 1] from which a class is detected, for each class; None when not chosen yet.
        activation: what makes scores of the head's logits: softmax (one class a clip), or sigmoid (each class by
            itself, so that a clip may have several, or none). A description without one is softmax.
        provenance: free JSON on what made it (verb, digests of inputs, epoch, scores).
    """

    frontend: dict[str, Any]
    classes: tuple[str, ...] = ()
    normalisation: dict[str, float] = field(default_factory=lambda: {"offset": 0.0, "scale": 255.0})
    thresholds: dict[str, float] | None = None
    activation: Activation = "softmax"
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedModel:
    """A model as loaded: networks in eval mode on the processor, and what belongs to them."""

    encoder: Encoder
    head: Head | None
    spec: ModelSpec

    @property
    def classes(self) -> tuple[str, ...]:
        return self.spec.classes

    @property
    def frontend(self) -> dict[str, Any]:
        return self.spec.frontend

    def scores(self, logits: Tensor) -> Tensor:
        """Logits (B, classes) to scores in [0, 1], as the head was trained: softmax, or sigmoid."""
        return torch.sigmoid(logits) if self.spec.activation == "sigmoid" else torch.softmax(logits, dim=1)

    def to(self, device: torch.device) -> "SavedModel":
        """Moves the networks, in place."""
        self.encoder.to(device)
        if self.head is not None:
            self.head.to(device)
        return self

    def prepare(self, images: Tensor) -> Tensor:
        """Stored images (B, height, width), uint8, to the encoder's input (B, 1, height, width), float32."""
        return prepare(images, self.spec.normalisation)


def prepare(images: Tensor, normalisation: Mapping[str, float]) -> Tensor:
    """Stored images (B, height, width), uint8, to an encoder's input (B, 1, height, width), float32.

    (image - offset) / scale: with the default normalisation in [0, 1].
    """
    return ((images.float() - normalisation["offset"]) / normalisation["scale"]).unsqueeze(1)


def save_model(folder: Path, encoder: Encoder, head: Head | None, spec: ModelSpec) -> None:
    """Writes a model into `folder`; model.json comes last, so that a directory with one is whole.

    Raises ValueError when the classes don't fit the head.
    """
    if (head.classes if head else 0) != len(spec.classes):
        raise ValueError(f"the head gives {head.classes if head else 0} scores for {len(spec.classes)} classes")
    write_weights(folder / ENCODER, encoder.state_dict())
    if head is None:
        (folder / HEAD).unlink(missing_ok=True)
    else:
        write_weights(folder / HEAD, head.state_dict())
    write_json(folder / DESCRIPTION, _description(encoder, head, spec))


def _description(encoder: Encoder, head: Head | None, spec: ModelSpec) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "encoder": {"name": encoder.name, "options": encoder.options, "features": encoder.features},
        "head": None if head is None else {"kind": head.kind, "penultimate": head.width},
        "classes": list(spec.classes),
        "activation": None if head is None else spec.activation,
        "frontend": spec.frontend,
        "normalisation": spec.normalisation,
        "thresholds": spec.thresholds,
        "provenance": spec.provenance,
    }


def load_model(folder: Path) -> SavedModel:
    """The model in `folder`, in eval mode.

    Raises NoInputError when there is none, IncompatibleError when it was made by a newer birdssl, lacks a part, or its
    weights don't fit its description.
    """
    path = folder / DESCRIPTION
    description = _read_description(path)
    try:
        plan, head_plan = description["encoder"], description["head"]
        spec = ModelSpec(
            frontend=description["frontend"],
            classes=tuple(description["classes"]),
            normalisation=description["normalisation"],
            thresholds=description["thresholds"],
            activation=_activation(description, path),
            provenance=description["provenance"],
        )
        encoder = build_encoder(plan["name"], **plan["options"])
        head = None if head_plan is None else build_head(head_plan["kind"], plan["features"], len(spec.classes))
    except KeyError as missing:
        raise IncompatibleError(
            f"{path} has no {missing}; it isn't a whole description of a model: make it anew"
        ) from None
    except (UsageError, TypeError) as error:
        raise IncompatibleError(f"{path} describes a model that this birdssl can't build: {error}") from None
    _fill(encoder, folder / ENCODER)
    if head is not None:
        _fill(head, folder / HEAD)
        head.eval()
    encoder.eval()
    return SavedModel(encoder, head, spec)


def _activation(description: Mapping[str, Any], path: Path) -> Activation:
    """The head's activation; models written before there was a choice, and those without a head, are softmax."""
    wanted = description.get("activation") or "softmax"
    for known in ACTIVATIONS:
        if known == wanted:
            return known
    raise IncompatibleError(
        f"{path} has activation {wanted!r} and this birdssl knows {' and '.join(ACTIVATIONS)}; update birdssl"
    )


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        inside = path.parent / "classifier"  # of `birdssl fewshot --protocol own`
        raise NoInputError(
            f"{path.parent} holds no {path.name}, so it isn't a model; give "
            + (f"{inside}, which is one" if (inside / path.name).exists() else
               "the OUT of `birdssl pretrain` or `birdssl finetune`, or OUT/classifier of `birdssl fewshot`")
        ) from None  # fmt: skip
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IncompatibleError(f"{path} isn't readable as JSON ({error}); copy or make the model again") from None
    schema = description.get("schema") if isinstance(description, dict) else None
    if schema != SCHEMA_VERSION:
        newer = isinstance(schema, int) and schema > SCHEMA_VERSION
        cure = "it was made by a newer birdssl: update yours" if newer else "make the model anew with this version"
        raise IncompatibleError(f"{path} has schema {schema!r} and this birdssl reads schema {SCHEMA_VERSION}; {cure}")
    return dict(description)


def _fill(module: nn.Module, path: Path) -> None:
    """Loads all tensors of `module` from a file that holds these and no others."""
    weights = read_weights(path)
    expected = module.state_dict()
    for name, tensor in expected.items():
        if name not in weights:
            raise IncompatibleError(
                f"{path} lacks the tensor {name}; it isn't from this model, or cut short: copy it again"
            )
        if weights[name].shape != tensor.shape:
            raise IncompatibleError(
                f"{path}: {name} has shape {tuple(weights[name].shape)}, and model.json asks for "
                f"{tuple(tensor.shape)}; the two are from different models"
            )
    unknown = sorted(weights.keys() - expected.keys())
    if unknown:
        raise IncompatibleError(
            f"{path} holds {unknown[0]}, which the model of model.json doesn't have; it's another one's"
        )
    module.load_state_dict(weights, strict=True)
