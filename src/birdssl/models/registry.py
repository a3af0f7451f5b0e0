"""Encoders by name. A new one is a module here, a line in `ENCODERS`, a head in `birdssl.models.heads` and its name in
`birdssl.settings.names`."""

import inspect
from collections.abc import Callable
from typing import Any

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.simplecnn import simplecnn
from birdssl.models.vision import inceptionv3, mobilenetv3_large, resnet50_encoder

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "simplecnn": simplecnn,
    "mobilenetv3-large": mobilenetv3_large,
    "resnet50": resnet50_encoder,
    "inceptionv3": inceptionv3,
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
