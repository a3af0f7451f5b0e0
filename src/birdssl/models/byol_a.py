"""BYOL-A's convolutional encoder (Niizumi et al. 2021, and its second version of 2023).

- blocks of 3x3 convolution to 64 channels, batch normalisation, ReLU and max pooling of 2 on both axes:
  three in version 1, two in version 2;
- every frame's 64 x bins/8 values (version 2: 64 x bins/4) through two dense layers with dropout between them;
- version 2 lays the frame's own values beside what the dense layers make of them;
- maximum plus mean over time.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

WIDTH = 64  # channels of every convolution
DROPOUT = 0.3
BLOCKS = {1: 3, 2: 2}
FEATURES = {1: 2048, 2: 3072}  # the papers' sizes; version 1 was published with 512 and 1024, too
HIDDEN = 2048  # between version 2's dense layers


def byol_a_cnn(*, channels: int, bins: int, version: int = 1, features: int | None = None) -> "ByolACnn":
    """BYOL-A's encoder for spectra of `channels` channels and `bins` frequencies; any number of frames from 8 (4) on.

    Args:
        version: 1 (2021), or 2 (2023).
        features: length of the embedding; None for 2048 in version 1 (published: 512, 1024 and 2048) and 3072 in
            version 2, where it counts the 64 x bins/4 values of the convolutions.

    Raises UsageError for another version, too few frequencies for the poolings, or features that leave nothing for
    the dense layers.
    """
    if version not in BLOCKS:
        raise UsageError(f"byol-a-cnn has no version {version}; there are 1 and 2")
    return ByolACnn(channels, bins, version, FEATURES[version] if features is None else features)


class ByolACnn(Encoder):
    """Convolutions that shrink both axes, then dense layers for each frame that is left, then maximum plus mean.

    Attributes:
        shrink: input frames (and bins) to one of the output.
    """

    takes: ClassVar[Input] = "spectra"

    def __init__(self, channels: int, bins: int, version: int, features: int) -> None:
        self.shrink = 2 ** BLOCKS[version]
        values = bins // self.shrink * WIDTH  # of one frame after the convolutions
        made = features - (values if version == 2 else 0)
        _check(bins, self.shrink, features, made)
        shape = {"channels": channels, "bins": bins}
        super().__init__("byol-a-cnn", features, (channels, bins, None), **shape, version=version)
        self.options["features"] = features
        self.shortest = self.shrink
        self.version = version
        self.convolutions = nn.Sequential(*_blocks(channels, BLOCKS[version]))
        hidden = features if version == 1 else HIDDEN
        self.dense = nn.Sequential(
            nn.Linear(values, hidden), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(hidden, made), nn.ReLU()
        )

    def frames(self, inputs: Tensor) -> Tensor:
        """(B, channels, bins, T) standardised to (B, features, T // 8), or T // 4 in version 2.

        Raises ValueError for fewer frames than the poolings take.
        """
        if inputs.shape[-1] < self.shrink:
            raise ValueError(
                f"{self.name} pools over {self.shrink} frames and got {inputs.shape[-1]}; give it longer clips"
            )
        maps: Tensor = self.convolutions(inputs)  # (B, 64, bins/shrink, T')
        values = maps.permute(0, 3, 2, 1).flatten(2)  # (B, T', bins/shrink * 64), as the published weights order them
        made = self.dense(values)
        frames = made if self.version == 1 else torch.cat([values, made], dim=2)
        return frames.transpose(1, 2)

    def encode(self, inputs: Tensor) -> Tensor:
        frames = self.frames(inputs).float()
        return frames.amax(dim=2) + frames.mean(dim=2)


def _blocks(channels: int, count: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for block in range(count):
        convolution = nn.Conv2d(WIDTH if block else channels, WIDTH, 3, padding=1)
        layers += [convolution, nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.MaxPool2d(2)]
    return layers


def _check(bins: int, shrink: int, features: int, made: int) -> None:
    if bins < shrink:
        raise UsageError(f"byol-a-cnn needs at least {shrink} frequencies and got {bins}; use a frontend with more")
    if made < 1:
        raise UsageError(
            f"byol-a-cnn keeps {features - made} values of each frame beside those of its dense layers, so {features} "
            "features are too few; ask for more"
        )
