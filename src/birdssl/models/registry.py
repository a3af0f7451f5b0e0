"""Encoders by name. A new one is a module here, a line in `ENCODERS`, a head in `birdssl.models.heads` and its name in
`birdssl.settings.names`."""

import inspect
from collections.abc import Callable
from typing import Any

from birdssl.errors import UsageError
from birdssl.models.acoustic_ssm import SIZES as SSM_SIZES
from birdssl.models.acoustic_ssm import acoustic_ssm, adapted_cnn
from birdssl.models.adapters import SIZES as ADAPTER_SIZES
from birdssl.models.adapters import resnet18_adapters
from birdssl.models.byol_a import byol_a_cnn
from birdssl.models.encoder import Encoder
from birdssl.models.simplecnn import simplecnn
from birdssl.models.speech import HUBERT, WAV2VEC2, hubert, wav2vec2
from birdssl.models.transformer import transformer
from birdssl.models.vision import inceptionv3, mobilenetv3_large, resnet50_encoder

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "simplecnn": simplecnn,
    "mobilenetv3-large": mobilenetv3_large,
    "resnet50": resnet50_encoder,
    "inceptionv3": inceptionv3,
    "acoustic-ssm": acoustic_ssm,
    "adapted-cnn": adapted_cnn,
    "resnet18-adapters": resnet18_adapters,
    "byol-a-cnn": byol_a_cnn,
    "transformer": transformer,
    "wav2vec2": wav2vec2,
    "hubert": hubert,
}

# Named sizes: options that stand for each. "full" is the paper's, and so is every other but "small" and "quick", which
# are ours and for two CPU cores.
SPEECH_QUICK = {"layers": 2, "width": 128, "channels": 64}
SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "acoustic-ssm": SSM_SIZES,
    "adapted-cnn": {name: {"widths": size["widths"]} for name, size in SSM_SIZES.items()},
    "resnet18-adapters": ADAPTER_SIZES,
    "byol-a-cnn": {"full": {"features": 2048}, "small": {"features": 1024}, "quick": {"features": 512}},
    "transformer": {
        "full": {},
        "small": {"layers": 3, "width": 384, "heads": 6, "feedforward": 1536},
        "quick": {"layers": 2, "width": 128, "heads": 4, "feedforward": 512},
    },
    "wav2vec2": {"full": {}, **{name: {"size": name} for name in WAV2VEC2}, "quick": SPEECH_QUICK},
    "hubert": {"full": {}, **{name: {"size": name} for name in HUBERT}, "quick": SPEECH_QUICK},
}


def build_encoder(name: str, **options: Any) -> Encoder:
    """The encoder called `name`, with random weights.

    `options` hold the shape of its input, as its frontend says it, and its own options. Build it inside
    `birdssl.models.initial.seeded_weights` for weights that a seed decides. Raises UsageError for an unknown name, an
    option that the encoder doesn't have or needs, or an input too small for it.
    """
    if name not in ENCODERS:
        raise UsageError(f'no encoder is called "{name}"; there are {", ".join(ENCODERS)}')
    known = inspect.signature(ENCODERS[name]).parameters
    for option in options:
        if option not in known:
            raise UsageError(f'{name} has no option "{option}"; it has {", ".join(known)}')
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            raise UsageError(f"{name} needs {option}, which its frontend says")
    return ENCODERS[name](**options)


def sized(name: str, size: str) -> dict[str, Any]:
    """Options of an encoder's named size. Raises UsageError, with the sizes there are, for another."""
    known = SIZES.get(name, {})
    if size not in known:
        there = f"it has {', '.join(known)}" if known else "it comes in one size"
        raise UsageError(f'{name} has no size "{size}"; {there}')
    return dict(known[size])
