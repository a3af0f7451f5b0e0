"""Published checkpoints as a start: their tensors, handed in by name, put into one of our encoders.

`birdssl.artifacts.published` reads them; `birdssl.models.layouts` knows the names. Each tensor of a file is used, or
belongs to something that is named as left out; anything else is an error, and the encoder stays as it was.
"""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.layouts import LAYOUTS, Layout
from birdssl.models.speech import HUBERT, WAV2VEC2

# Names that tell wav2vec 2.0 and HuBERT apart; for the rest their checkpoints look alike.
MARKS = {
    "hubert": r"hubert\..*|.*label_embs_concat|logit_generator\..*",
    "wav2vec2": r".*quantizer\..*",
}
OURS = ("scalars",)  # of no published file: they start as they are
STILL = "num_batches_tracked"  # older files lack it, and it plays no part in the arithmetic here


def load_published(encoder: Encoder, weights: Mapping[str, Tensor], source: str) -> str:
    """Copies a published state dict into `encoder` and says in a sentence what was read, and for which frontend.

    `weights` are as `birdssl.artifacts.published.published_weights` gives them, `source` names their file. Raises
    UsageError for an encoder that no published checkpoint is known for, IncompatibleError when the file is of no known
    layout or of another method, or when a tensor is missing, unknown, or of another shape.
    """
    layout = _layout(encoder.name, weights, source)
    ours, left, unknown = _sorted(layout, weights)
    implied = _options(encoder.name, ours, weights)
    difference = _difference(encoder, ours, unknown) or _otherwise(encoder, implied)
    if difference:
        raise IncompatibleError(
            f"{source} doesn't fit {encoder.name} as it was built: {difference}. {_cure(encoder, implied, layout)}"
        )
    encoder.load_state_dict({**encoder.state_dict(), **ours}, strict=True)
    beside = f"; {len(left)} left out: {', '.join(sorted(set(left.values())))}" if left else ""
    return (
        f"{source}: {len(ours)} tensors read in {layout.name} layout{beside}. They were made with {layout.wants}: "
        "another frontend makes them mean less"
    )


def published_options(name: str, weights: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    """Options of the encoder called `name` that a published file decides, such as `features` or `size`.

    Pass them to `build_encoder` before `load_published`. Raises as `load_published` does for an unknown layout.
    """
    layout = _layout(name, weights, source)
    ours, _, _ = _sorted(layout, weights)
    return _options(name, ours, weights)


def _layout(name: str, weights: Mapping[str, Tensor], source: str) -> Layout:
    if name not in LAYOUTS:
        raise UsageError(
            f"no published checkpoints are known for {name}; there are for {', '.join(LAYOUTS)}. Leave out --weights"
        )
    for other, pattern in MARKS.items():
        if name in MARKS and other != name and any(re.fullmatch(pattern, given) for given in weights):
            raise IncompatibleError(f"{source} holds weights of {other}, not of {name}; choose --encoder {other}")
    found = next((layout for layout in LAYOUTS[name] if layout.fits(weights)), None)
    if found is None:
        known = ", ".join(layout.name for layout in LAYOUTS[name])
        elsewhere = [other for other, layouts in LAYOUTS.items() if any(one.fits(weights) for one in layouts)]
        cure = f"It looks like one for {elsewhere[0]}" if elsewhere else "Give a file that these codes publish"
        raise IncompatibleError(
            f"{source} holds no weights of {name} in a layout known here ({known}); the first of its {len(weights)} "
            f"tensors is {next(iter(weights), 'none')}. {cure}"
        )
    return found


def _sorted(layout: Layout, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str], list[str]]:
    """Tensors by our names, what each one left out belongs to, and names that nothing is known of."""
    ours: dict[str, Tensor] = {}
    left: dict[str, str] = {}
    unknown = []
    for name, tensor in weights.items():
        if what := layout.leaves_out(name):
            left[name] = what
        elif (mapped := layout.ours(name)) and mapped not in ours:
            ours[mapped] = tensor
        else:
            unknown.append(name)
    return ours, left, unknown


def _difference(encoder: Encoder, ours: Mapping[str, Tensor], unknown: list[str]) -> str:
    """What keeps a file's tensors from fitting `encoder`, in words; empty when they fit."""
    expected = encoder.state_dict()
    missing = [name for name in expected if name not in ours and name not in OURS and not name.endswith(STILL)]
    unknown = unknown + [name for name in ours if name not in expected]
    shapes = [name for name in ours if name in expected and ours[name].shape != expected[name].shape]
    parts = []
    if missing:
        parts.append(f"{len(missing)} tensors are missing (first {missing[0]})")
    if unknown:
        parts.append(f"{len(unknown)} are unknown (first {unknown[0]})")
    if shapes:
        name = shapes[0]
        parts.append(
            f"{len(shapes)} have another shape (first {name}: {tuple(ours[name].shape)}, expected "
            f"{tuple(expected[name].shape)})"
        )
    return ", ".join(parts)


def _otherwise(encoder: Encoder, implied: Mapping[str, Any]) -> str:
    """What no shape shows: attention with another number of heads."""
    heads = encoder.options.get("heads")
    return f"{implied['heads']} attention heads, expected {heads}" if implied.get("heads", heads) != heads else ""


def _cure(encoder: Encoder, implied: Mapping[str, Any], layout: Layout) -> str:
    """What to build instead, where the file tells it."""
    others = {option: value for option, value in implied.items() if encoder.options.get(option) != value}
    if others:
        wanted = ", ".join(f"{option} {value}" for option, value in others.items())
        return f"The file is of an encoder with {wanted}: take that one (without --size the file decides)"
    return f"Give the whole file as it was published, and the frontend that it was made with ({layout.wants})"


def _options(name: str, ours: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options that tensors by our names imply; none where the tensors that tell them are missing."""
    try:
        if name == "byol-a-cnn":
            return _byol_a(ours)
        if name == "resnet18-adapters":
            return _adapters(ours)
        if name == "transformer":
            return _transformer(ours, weights)
        return _speech(WAV2VEC2 if name == "wav2vec2" else HUBERT, ours)
    except KeyError:
        return {}


def _byol_a(ours: Mapping[str, Tensor]) -> dict[str, Any]:
    made, kept = ours["dense.3.weight"].shape[0], ours["dense.0.weight"].shape[1]
    if "convolutions.8.weight" in ours:
        return {"version": 1, "features": made}
    return {"version": 2, "features": made + kept}


def _adapters(ours: Mapping[str, Tensor]) -> dict[str, Any]:
    tasks = sum(bool(re.fullmatch(r"dense\.\d+\.weight", name)) for name in ours)
    if "shared.2.first.conv.weight" in ours:
        return {"adapters": "none", "tasks": tasks}
    own = {"beside": "parallel", "behind": "series"}
    found = [kind for place, kind in own.items() if any(f".{place}." in name for name in ours)]
    return {"adapters": found[0] if found else "bn", "tasks": tasks}


def _transformer(ours: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    found = {
        "layers": sum(bool(re.fullmatch(r"layers\.\d+\.query\.weight", name)) for name in ours),
        "width": ours["embed.weight"].shape[0],
        "feedforward": ours["layers.0.network.0.weight"].shape[0],
    }
    return {**found, "heads": int(weights["Config.heads"])} if "Config.heads" in weights else found


def _speech(sizes: Mapping[str, Any], ours: Mapping[str, Tensor]) -> dict[str, Any]:
    width = ours["net.encoder.transformer.layer_norm.weight"].shape[0]
    layers = sum(name.endswith("attention.q_proj.weight") for name in ours)
    bias = "net.feature_extractor.conv_layers.0.conv.bias" in ours
    norm = "layer_norm" if "net.feature_extractor.conv_layers.1.layer_norm.weight" in ours else "group_norm"
    for size, plan in sizes.items():
        if (plan.width, plan.layers, plan.bias, plan.norm) == (width, layers, bias, norm):
            return {"size": size}
    return {}
