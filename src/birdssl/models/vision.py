"""P1's three larger encoders from torchvision, without their classifiers.

Grey images are repeated to three channels, so that ImageNet weights fit. Each network ends in global average pooling.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torchvision.models import inception_v3, mobilenet_v3_large, resnet50

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# torchvision's Inception weights come from TensorFlow and expect [-1, 1]; its `transform_input` undoes the usual
# ImageNet statistics to that, which in one step is this.
INCEPTION: Statistics = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
INCEPTION_LEAST = 75  # pixels: below, a pooling layer of Inception-V3 has nothing left


class VisionEncoder(Encoder):
    """A torchvision network whose classifier is removed, behind an optional normalisation of its input."""

    takes: ClassVar[Input] = "picture"

    def __init__(
        self,
        name: str,
        net: nn.Module,
        features: int,
        statistics: Statistics,
        *,
        height: int,
        width: int,
        imagenet_norm: bool,
        **options: bool,
    ) -> None:
        shape = {"height": height, "width": width}
        super().__init__(name, features, (1, height, width), **shape, imagenet_norm=imagenet_norm, **options)
        self.net = net
        mean, deviation = statistics if imagenet_norm else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)

    mean: Tensor
    deviation: Tensor

    def encode(self, images: Tensor) -> Tensor:
        colour = images.expand(-1, 3, -1, -1)  # (B, 3, H, W)
        if self.options["imagenet_norm"]:
            colour = (colour - self.mean) / self.deviation
        if self.options.get("double_rescale"):
            colour = colour / 127.5 - 1.0
        embeddings: Tensor = self.net(colour)
        return embeddings


def mobilenetv3_large(
    *, height: int, width: int, imagenet_norm: bool = False, double_rescale: bool = False
) -> VisionEncoder:
    """MobileNetV3-Large, 960 features.

    `double_rescale` is an ablation: Keras' network rescales [0, 255] to [-1, 1] itself, so P1's input of [0, 1] reached
    the first layer as [-1, -0.992]. Off by default; it can't be joined with `imagenet_norm`.
    """
    if imagenet_norm and double_rescale:
        raise UsageError("mobilenetv3-large takes imagenet_norm or double_rescale, not both: they set the same scale")
    net = mobilenet_v3_large(weights=None)
    net.classifier = nn.Sequential()
    return VisionEncoder(
        "mobilenetv3-large",
        net,
        960,
        IMAGENET,
        height=height,
        width=width,
        imagenet_norm=imagenet_norm,
        double_rescale=double_rescale,
    )


def resnet50_encoder(*, height: int, width: int, imagenet_norm: bool = False) -> VisionEncoder:
    """ResNet-50, 2048 features."""
    return _without_fc("resnet50", resnet50(weights=None), IMAGENET, height, width, imagenet_norm)


def inceptionv3(*, height: int, width: int, imagenet_norm: bool = False) -> VisionEncoder:
    """Inception-V3, 2048 features, without auxiliary classifier.

    The auxiliary classifier can't train at 256 x 256 (its 5x5 convolution meets a 4x4 map) and Keras has none, but
    torchvision's weights hold it: it is built, then dropped.
    """
    if min(height, width) < INCEPTION_LEAST:
        raise UsageError(
            f"inceptionv3 needs spectrograms of at least {INCEPTION_LEAST} x {INCEPTION_LEAST} pixels and got "
            f"{height} x {width}; make larger ones (--height and --width of `birdssl render`; of waveforms --n-mels "
            "and --hop)"
        )
    net = inception_v3(weights=None, aux_logits=True, init_weights=True, transform_input=False)
    net.AuxLogits = None
    net.aux_logits = False
    net.dropout = nn.Identity()  # belongs to the head
    return _without_fc("inceptionv3", net, INCEPTION, height, width, imagenet_norm)


def _without_fc(
    name: str, net: nn.Module, statistics: Statistics, height: int, width: int, imagenet_norm: bool
) -> VisionEncoder:
    net.fc = nn.Identity()
    return VisionEncoder(name, net, 2048, statistics, height=height, width=width, imagenet_norm=imagenet_norm)
