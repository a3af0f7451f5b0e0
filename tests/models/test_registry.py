"""Every encoder: P1's at the sizes of the reference, all rebuilt from their own options, their heads, their errors."""

import json
from typing import get_args

import pytest
import torch
from encoders import inputs_of, small_encoder
from torch import nn

from birdssl.audio.device.spectra import PRESETS
from birdssl.errors import UsageError
from birdssl.models.heads import HEADS, build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.models.registry import ENCODERS, SIZES, build_encoder, sized
from birdssl.settings.names import ENCODER_INPUT, ENCODER_NAMES, ENCODER_PRESET, PresetName


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_names_for_the_command_line_are_the_registry() -> None:
    assert tuple(ENCODERS) == ENCODER_NAMES
    assert tuple(HEADS) == ENCODER_NAMES
    assert tuple(ENCODER_INPUT) == ENCODER_NAMES
    assert ENCODER_PRESET.keys() <= ENCODERS.keys()
    assert set(ENCODER_PRESET.values()) <= PRESETS.keys()
    assert get_args(PresetName) == tuple(PRESETS)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_built_again_from_its_name_and_options(name: str) -> None:
    with seeded_weights(1):
        encoder = small_encoder(name)
    assert encoder.name == name
    assert encoder.takes == ENCODER_INPUT[name]
    options = json.loads(json.dumps(encoder.options))
    assert options == encoder.options, "options must survive model.json"
    with seeded_weights(1):
        again = build_encoder(name, **options)
    assert again.options == options
    assert (again.features, again.expected) == (encoder.features, encoder.expected)
    one, two = encoder.state_dict(), again.state_dict()
    assert one.keys() == two.keys()
    assert all(one[key].equal(two[key]) for key in one)
    embeddings = encoder.eval()(inputs_of(encoder, 2))
    assert embeddings.shape == (2, encoder.features)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_input_of_another_shape_is_refused(name: str) -> None:
    encoder = small_encoder(name).eval()
    clips = inputs_of(encoder, 2)
    wrong = clips[:, None] if encoder.takes == "waveform" else clips[:, :, 1:]
    with pytest.raises(ValueError, match=rf"{name} was built for a {encoder.takes} of shape \(batch, .*own frontend"):
        encoder(wrong)


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in SIZES for size in SIZES[name]])
def test_every_named_size_can_be_built(name: str, size: str) -> None:
    shape = {"channels": 3, "bins": 128} if ENCODER_INPUT[name] == "spectra" else {}
    with torch.device("meta"):
        encoder = build_encoder(name, **shape, **sized(name, size))
        usual = build_encoder(name, **shape)
    if size == "full":
        assert encoder.options == usual.options
    if size in ("small", "quick"):
        assert parameters(encoder) < parameters(usual) / 2


def test_an_unknown_size_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r'acoustic-ssm has no size "huge"; it has full, small, quick'):
        sized("acoustic-ssm", "huge")
    with pytest.raises(UsageError, match=r'resnet50 has no size "small"; it comes in one size'):
        sized("resnet50", "small")


# encoder alone, with P1's head for 15 classes, embedding, penultimate
COUNTS = {
    "simplecnn": (87_120, 1_839_199, 27_360, 64),
    "mobilenetv3-large": (2_971_952, 4_221_247, 960, 1280),
    "resnet50": (23_508_032, 23_538_767, 2048, 2048),
    "inceptionv3": (21_785_568, 21_816_303, 2048, 2048),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name: str) -> None:
    encoder = build_encoder(name, height=256, width=256)
    head = build_head(name, encoder.features, 15)
    alone, classifier, features, penultimate = COUNTS[name]
    assert encoder.features == features
    assert head.width == penultimate
    assert parameters(encoder) + parameters(head) == classifier
    assert parameters(encoder) == alone


@pytest.mark.parametrize(
    ("features", "expected"), [(27_360, 14_534_656), (48, 550_912), (960, 1_017_856), (2048, 1_574_912)]
)
def test_projector_counts(features: int, expected: int) -> None:
    assert parameters(Projector(features, 512)) == expected
    assert parameters(Projector(features, 512, bias=True)) == expected + 1024


def test_projector_keeps_its_last_layer_linear() -> None:
    projector = Projector(6, 5, layers=2)
    linear = [module for module in projector.modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(5, 6), (5, 5)]
    assert projector.layers[-1] is linear[-1]
    assert Projector(6, 5, layers=1)(torch.ones(2, 6)).shape == (2, 5)
    with pytest.raises(UsageError, match="at least one layer"):
        Projector(6, 5, layers=0)


def test_unknown_name_and_option_say_what_there_is() -> None:
    with pytest.raises(UsageError, match=r'"vgg".*simplecnn.*inceptionv3'):
        build_encoder("vgg", height=256, width=256)
    with pytest.raises(UsageError, match=r'resnet50 has no option "pool".*imagenet_norm'):
        build_encoder("resnet50", height=256, width=256, pool="gap")
    with pytest.raises(UsageError, match="no head"):
        build_head("vgg", 3, 2)
    with pytest.raises(UsageError, match="at least one class"):
        build_head("resnet50", 2048, 0)


def test_seed_alone_decides_the_weights() -> None:
    def build(seed: int) -> torch.Tensor:
        with seeded_weights(seed):
            return torch.cat(
                [weight.detach().flatten() for weight in build_encoder("simplecnn", height=128, width=128).parameters()]
            )

    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = build(7)
    assert torch.equal(torch.get_rng_state(), before), "the global generator moved"
    torch.rand(5)
    assert torch.equal(build(7), first)
    assert not torch.equal(build(8), first)


@pytest.mark.parametrize("name", ENCODERS)
def test_penultimate_features_lead_to_the_logits(name: str) -> None:
    head = build_head(name, 10, 3).eval()
    embeddings = torch.randn(4, 10, generator=torch.Generator().manual_seed(1))
    assert torch.equal(head.classify(head.penultimate(embeddings)), head(embeddings))
    assert head(embeddings).shape == (4, 3)
