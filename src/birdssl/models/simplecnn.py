"""SimpleCNN: the SB-CNN of Salamon & Bello (2017), P1's smallest encoder.

- three 5x5 convolutions without padding, 24-48-48 channels;
- the first two followed by max pooling of 4 on frequency and 2 on time;
- flattened (27,360 values at 256 x 256), or averaged to 48 with `pool="gap"`;
- its dense layers belong to the head (`birdssl.models.heads`).
"""

from typing import ClassVar, Literal

from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

CHANNELS = (24, 48, 48)
KERNEL = 5
POOL = (4, 2)  # frequency, time


def simplecnn(*, height: int, width: int, pool: Literal["flatten", "gap"] = "flatten") -> "SimpleCNN":
    """SimpleCNN for images of height x width pixels; `pool` is "flatten" (P1) or "gap" (48 features, our option)."""
    return SimpleCNN(height=height, width=width, pool=pool)


class SimpleCNN(Encoder):
    """Conv-pool-ReLU twice, conv-ReLU once, then flatten or global average pooling."""

    takes: ClassVar[Input] = "picture"

    def __init__(self, *, height: int, width: int, pool: Literal["flatten", "gap"] = "flatten") -> None:
        if pool not in ("flatten", "gap"):
            raise UsageError(f'simplecnn has no pool "{pool}"; use "flatten" or "gap"')
        rows, columns = final_size(height, width)
        features = CHANNELS[-1] * (rows * columns if pool == "flatten" else 1)
        super().__init__("simplecnn", features, (1, height, width), height=height, width=width, pool=pool)
        first, second, third = CHANNELS
        self.layers = nn.Sequential(
            nn.Conv2d(1, first, KERNEL),  # (B, 24, H-4, W-4)
            nn.MaxPool2d(POOL),  # (B, 24, (H-4)/4, (W-4)/2)
            nn.ReLU(),
            nn.Conv2d(first, second, KERNEL),
            nn.MaxPool2d(POOL),
            nn.ReLU(),
            nn.Conv2d(second, third, KERNEL),
            nn.ReLU(),
        )
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(1) if pool == "gap" else nn.Identity()

    def encode(self, images: Tensor) -> Tensor:
        maps: Tensor = self.pool(self.layers(images))  # (B, 48, rows, columns), or (B, 48, 1, 1)
        return maps.flatten(1)  # (B, features); (channel, row, column) order whatever the memory format


def final_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the last feature map for an image of height x width pixels.

    Raises UsageError when nothing would be left (less than 100 x 32 pixels).
    """
    shrink = KERNEL - 1
    rows, columns = height, width
    for _ in range(2):
        rows, columns = (rows - shrink) // POOL[0], (columns - shrink) // POOL[1]
    rows, columns = rows - shrink, columns - shrink
    if rows < 1 or columns < 1:
        raise UsageError(
            f"simplecnn needs spectrograms of at least 100 x 32 pixels (height x width) and got {height} x {width}; "
            "make larger ones (--height and --width of `birdssl render`; of waveforms --n-mels and --hop)"
        )
    return rows, columns
