"""torchvision's encoders: their input, and ImageNet weights put into them."""

import pytest
import torch
from torch import nn
from torchvision.models import inception_v3, mobilenet_v3_large, resnet50

from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.imagenet import imagenet_url, load_imagenet
from birdssl.models.registry import build_encoder


class Echo(nn.Module):
    """Returns its input: shows what a network would have seen."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def seen_by(name: str, image: torch.Tensor, **options: bool) -> torch.Tensor:
    encoder = build_encoder(name, height=96, width=96, **options)
    encoder.net = Echo()
    return encoder(image)


def test_grey_is_repeated_and_left_alone_by_default() -> None:
    image = torch.rand(2, 1, 96, 96)
    assert torch.equal(seen_by("resnet50", image), image.repeat(1, 3, 1, 1))


def test_imagenet_norm_is_that_of_each_networks_weights() -> None:
    image = torch.full((1, 1, 96, 96), 0.485)
    assert seen_by("resnet50", image, imagenet_norm=True)[0, :, 0, 0].tolist() == pytest.approx(
        [0, (0.485 - 0.456) / 0.224, (0.485 - 0.406) / 0.225], abs=1e-6
    )
    # Inception's weights come from TensorFlow: [0, 1] to [-1, 1]
    assert seen_by("inceptionv3", torch.ones(1, 1, 96, 96), imagenet_norm=True).max() == 1
    assert seen_by("inceptionv3", torch.zeros(1, 1, 96, 96), imagenet_norm=True).min() == -1


def test_double_rescale_squeezes_the_input_as_keras_did() -> None:
    edges = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 1, 96, 2).repeat(1, 1, 1, 48)
    seen = seen_by("mobilenetv3-large", edges, double_rescale=True)
    assert (seen.min().item(), seen.max().item()) == pytest.approx((-1, -0.99216), abs=1e-5)
    with pytest.raises(UsageError, match="not both"):
        build_encoder("mobilenetv3-large", height=96, width=96, double_rescale=True, imagenet_norm=True)


def test_inception_says_how_large_images_must_be() -> None:
    with pytest.raises(UsageError, match="at least 75 x 75"):
        build_encoder("inceptionv3", height=74, width=128)


FULL = {
    "mobilenetv3-large": lambda: mobilenet_v3_large(weights=None),
    "resnet50": lambda: resnet50(weights=None),
    "inceptionv3": lambda: inception_v3(weights=None, init_weights=True),
}


@pytest.mark.parametrize("name", FULL)
def test_imagenet_weights_give_torchvisions_features(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        full = FULL[name]().eval()
    encoder = build_encoder(name, height=96, width=96).eval()
    # files of torchvision that are older than torch 1.0 don't count batches
    load_imagenet(encoder, {key: t for key, t in full.state_dict().items() if not key.endswith("num_batches_tracked")})
    for layer in ("fc", "classifier", "dropout"):
        if hasattr(full, layer):
            setattr(full, layer, nn.Identity())
    image = torch.rand(2, 1, 96, 96)
    with torch.no_grad():
        assert torch.equal(encoder(image), full(image.repeat(1, 3, 1, 1)))


def test_weights_of_another_network_are_refused_and_change_nothing() -> None:
    encoder = build_encoder("resnet50", height=96, width=96)
    before = {key: tensor.clone() for key, tensor in encoder.state_dict().items()}
    other = mobilenet_v3_large(weights=None).state_dict()
    with pytest.raises(IncompatibleError, match=r"not torchvision's weights for resnet50: \d+ tensors are missing"):
        load_imagenet(encoder, other)
    wrong = resnet50(weights=None).state_dict()
    wrong["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    with pytest.raises(IncompatibleError, match=r"conv1.weight has shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)"):
        load_imagenet(encoder, wrong)
    assert all(torch.equal(tensor, before[key]) for key, tensor in encoder.state_dict().items())


def test_simplecnn_has_no_imagenet_weights() -> None:
    with pytest.raises(UsageError, match="no ImageNet weights for simplecnn"):
        load_imagenet(build_encoder("simplecnn", height=128, width=128), {})
    assert imagenet_url("resnet50").startswith("https://download.pytorch.org/")
