"""ImageNet weights as a start: torchvision's state dict, handed in, put into one of our encoders.

Version 1 of torchvision's weights: trained with the classical recipe, the nearest to the Keras weights of P1.
"""

from collections.abc import Mapping

from torch import Tensor
from torchvision.models import Inception_V3_Weights, MobileNet_V3_Large_Weights, ResNet50_Weights

from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.vision import VisionEncoder

CLASSIFIERS: dict[str, tuple[str, ...]] = {
    "mobilenetv3-large": ("classifier.",),
    "resnet50": ("fc.",),
    "inceptionv3": ("fc.", "AuxLogits."),
}
URLS: dict[str, str] = {
    "mobilenetv3-large": MobileNet_V3_Large_Weights.IMAGENET1K_V1.url,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1.url,
    "inceptionv3": Inception_V3_Weights.IMAGENET1K_V1.url,
}


def imagenet_url(name: str) -> str:
    """Where torchvision offers its ImageNet weights for the encoder called `name`. UsageError when there are none."""
    if name not in URLS:
        raise UsageError(f"there are no ImageNet weights for {name}; start it at random, or take {', '.join(URLS)}")
    return URLS[name]


def load_imagenet(encoder: Encoder, weights: Mapping[str, Tensor]) -> None:
    """Copies a torchvision state dict into `encoder`, all of it but the classifier.

    Raises UsageError for an encoder that has no ImageNet weights (simplecnn), IncompatibleError when a tensor is
    missing, unknown, or of another shape; the encoder is unchanged then.
    """
    imagenet_url(encoder.name)
    assert isinstance(encoder, VisionEncoder)
    dropped = CLASSIFIERS[encoder.name]
    given = {name: tensor for name, tensor in weights.items() if not name.startswith(dropped)}
    difference = _difference(encoder.net.state_dict(), given)
    if difference:
        raise IncompatibleError(
            f"these are not torchvision's weights for {encoder.name}: {difference}. "
            "Give the state dict that torchvision publishes for this network, or choose the encoder that they are for"
        )
    encoder.net.load_state_dict(given, strict=True)


def _difference(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """What keeps `given` from fitting `expected`, in words; empty when it fits."""
    parts = []
    # some of torchvision's files are older than the count of batches, which plays no part in the arithmetic here
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    unknown = [name for name in given if name not in expected]
    shapes = [name for name in given if name in expected and given[name].shape != expected[name].shape]
    if missing:
        parts.append(f"{len(missing)} tensors are missing (first {missing[0]})")
    if unknown:
        parts.append(f"{len(unknown)} are unknown (first {unknown[0]})")
    if shapes:
        name = shapes[0]
        parts.append(f"{name} has shape {tuple(given[name].shape)}, expected {tuple(expected[name].shape)}")
    return ", ".join(parts)
