"""Every encoder in a size that a test can afford, settings of a frontend that suits it, and inputs of its kind."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from birdssl.models.encoder import Encoder
from birdssl.models.registry import SIZES, build_encoder
from birdssl.settings.names import ENCODER_INPUT

CHANNELS, BINS, FRAMES = 3, 32, 24  # of spectra
SAMPLES = 4000  # of a waveform
PICTURE = {"n_mels": 104, "hop": 200, "crop_seconds": 1.0}  # at 16 kHz 104 x 81 pixels; inceptionv3 needs 75 of each


@dataclass(frozen=True)
class Small:
    """Options that make an encoder small, settings of waveforms' frontends, and the fewest pixels of a picture."""

    options: dict[str, Any] = field(default_factory=dict)
    frontend: dict[str, Any] = field(default_factory=dict)
    height: int = 0
    width: int = 0


def _quick(name: str, **frontend: Any) -> Small:
    return Small(SIZES[name]["quick"], frontend)


SMALL: dict[str, Small] = {
    "simplecnn": Small({}, PICTURE, 100, 32),
    "mobilenetv3-large": Small({}, PICTURE, 64, 64),
    "resnet50": Small({}, PICTURE, 64, 64),
    "inceptionv3": Small({}, PICTURE, 75, 75),
    "acoustic-ssm": _quick("acoustic-ssm", preset="quick"),
    "adapted-cnn": _quick("adapted-cnn", preset="quick"),
    "resnet18-adapters": _quick("resnet18-adapters"),
    "byol-a-cnn": _quick("byol-a-cnn"),
    "transformer": _quick("transformer"),
    "wav2vec2": _quick("wav2vec2"),
    "hubert": _quick("hubert"),
}


def small_encoder(name: str, channels: int = CHANNELS) -> Encoder:
    """The encoder, small, for `inputs_of`, with random weights of torch's global generator.

    `channels` are those of spectra.
    """
    small = SMALL[name]
    shapes = {
        "picture": {"height": small.height, "width": small.width},
        "spectra": {"channels": channels, "bins": BINS},
        "waveform": {},
    }
    return build_encoder(name, **shapes[ENCODER_INPUT[name]], **small.options)


def inputs_of(encoder: Encoder, count: int, seed: int = 0) -> Tensor:
    """(count, *shape) float32 as the encoder takes them: grey in [0, 1], noise of deviation 1, samples in [-1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    if encoder.takes == "waveform":
        return torch.rand(count, SAMPLES, generator=draw) * 2 - 1
    shape = [FRAMES if size is None else size for size in encoder.expected]
    made = torch.rand if encoder.takes == "picture" else torch.randn
    return made(count, *shape, generator=draw)
