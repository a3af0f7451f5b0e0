"""The speech networks: torchaudio's own, with the hidden states and the mixture that SUPERB takes of them."""

import pytest
import torch
import torchaudio.models
from torch import Tensor

from birdssl.errors import UsageError
from birdssl.models.initial import seeded_weights
from birdssl.models.speech import HUBERT, WAV2VEC2, SpeechEncoder, frame_count, hubert, standardised, wav2vec2

SMALL = {"layers": 2, "width": 64, "channels": 16}


def small(size: str = "base", layer: str = "weighted") -> SpeechEncoder:
    with seeded_weights(3):
        return wav2vec2(size=size, layer=layer, **SMALL).eval()


def waves(clips: int = 2, samples: int = 2000) -> Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(5))


def shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def test_base_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        encoder = wav2vec2()
    assert sum(weight.numel() for weight in encoder.net.parameters()) == 94_370_944
    assert sum(weight.numel() for weight in encoder.parameters()) == 94_370_944 + 13
    assert encoder.features == 768


FACTORIES = {
    ("wav2vec2", "base"): "wav2vec2_base",
    ("wav2vec2", "large"): "wav2vec2_large",
    ("wav2vec2", "large-lv60k"): "wav2vec2_xlsr_300m",  # one architecture
    ("wav2vec2", "xlsr-1b"): "wav2vec2_xlsr_1b",
    ("wav2vec2", "xlsr-2b"): "wav2vec2_xlsr_2b",
    ("hubert", "base"): "hubert_base",
    ("hubert", "large"): "hubert_large",
    ("hubert", "large-bias"): "wav2vec2_xlsr_300m",  # as Hugging Face has it, that network's shape
    ("hubert", "xlarge"): "hubert_xlarge",
}


@pytest.mark.parametrize(("name", "size"), FACTORIES)
def test_sizes_are_those_of_torchaudios_factories(name: str, size: str) -> None:
    with torch.device("meta"):
        ours = {"wav2vec2": wav2vec2, "hubert": hubert}[name](size=size)
        theirs = getattr(torchaudio.models, FACTORIES[name, size])()
    assert shapes(ours.net) == shapes(theirs)
    norm_first, heads = ours.plan.norm_first, ours.plan.heads
    assert theirs.encoder.transformer.layers[0].attention.num_heads == heads
    assert theirs.encoder.transformer.layers[0].layer_norm_first is norm_first


def test_every_size_is_compared() -> None:
    assert set(FACTORIES) == {("wav2vec2", size) for size in WAV2VEC2} | {("hubert", size) for size in HUBERT}


@pytest.mark.parametrize(
    ("name", "size", "bundle"),
    [
        ("wav2vec2", "base", "WAV2VEC2_BASE"),
        ("wav2vec2", "large", "WAV2VEC2_LARGE"),
        ("wav2vec2", "large-lv60k", "WAV2VEC2_LARGE_LV60K"),
        ("wav2vec2", "large-lv60k", "WAV2VEC2_XLSR53"),
        ("wav2vec2", "xlsr-2b", "WAV2VEC2_XLSR_2B"),
        ("hubert", "base", "HUBERT_BASE"),
        ("hubert", "large", "HUBERT_LARGE"),
        ("hubert", "xlarge", "HUBERT_XLARGE"),
    ],
)
def test_waveforms_are_normalised_where_the_bundle_asks(name: str, size: str, bundle: str) -> None:
    sizes = {"wav2vec2": WAV2VEC2, "hubert": HUBERT}[name]
    assert sizes[size].normalise is getattr(torchaudio.pipelines, bundle)._normalize_waveform
    assert getattr(torchaudio.pipelines, bundle).sample_rate == 16_000


def test_a_clip_of_p2_makes_75_frames() -> None:
    assert frame_count(24_180) == 75
    with torch.inference_mode():
        assert small().frames(waves(1, 24_180)).shape == (1, 64, 75)


@pytest.mark.parametrize("samples", [400, 401, 719, 720, 1039, 1040, 16_000])
def test_frame_count(samples: int) -> None:
    with torch.inference_mode():
        assert small(layer="last").frames(waves(1, samples)).shape[2] == frame_count(samples)


def test_fewer_samples_than_a_frame_sees() -> None:
    assert frame_count(399) == 0
    with pytest.raises(ValueError, match="at least 400 samples"):
        small()(waves(1, 399))


@pytest.mark.parametrize("size", ["base", "large-lv60k"])
def test_states_are_the_first_layers_input_and_each_layers_output(size: str) -> None:
    """torchaudio gives the outputs; the input comes from a hook on the first layer, as s3prl takes it."""
    encoder, clips, seen = small(size), waves(), []
    given = standardised(clips) if size != "base" else clips
    with torch.inference_mode():
        hook = encoder.net.encoder.transformer.layers[0].register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0])
        )
        outputs, _ = encoder.net.extract_features(given)
        final, _ = encoder.net(given)
        hook.remove()
        states = encoder.states(clips)
    assert len(states) == 3
    torch.testing.assert_close(states[0], seen[0])
    torch.testing.assert_close(states[1], outputs[0])
    torch.testing.assert_close(states[2], final)
    if size == "base":
        torch.testing.assert_close(states[2], outputs[1])


def test_embedding_starts_as_the_plain_mean_of_all_states_over_time() -> None:
    encoder, clips = small(), waves()
    with torch.inference_mode():
        expected = torch.stack(encoder.states(clips)).mean(dim=(0, 2))
        torch.testing.assert_close(encoder(clips), expected)
        torch.testing.assert_close(encoder.frames(clips).mean(dim=2), expected)


def test_scalars_choose_states() -> None:
    encoder, clips = small(), waves()
    assert encoder.scalars is not None
    with torch.no_grad():
        encoder.scalars.copy_(torch.tensor([0.0, 3.0, 0.0]).log().clamp(min=-100))
        torch.testing.assert_close(encoder(clips), encoder.states(clips)[1].mean(dim=1))
        encoder.scalars.copy_(torch.tensor([0.0, 2.0, 6.0]).log().clamp(min=-100))
        mixed = 0.25 * encoder.states(clips)[1] + 0.75 * encoder.states(clips)[2]
        torch.testing.assert_close(encoder(clips), mixed.mean(dim=1))


def test_the_last_layer_alone() -> None:
    encoder, clips = small(layer="last"), waves()
    assert encoder.scalars is None
    with torch.inference_mode():
        final, _ = encoder.net(clips)
        torch.testing.assert_close(encoder(clips), final.mean(dim=1))


def test_the_mixture_learns_while_the_network_is_frozen() -> None:
    encoder, clips = small(), waves()
    for part in encoder.frozen_parts():
        part.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in encoder.net.state_dict().items()}
    learning = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    assert learning == ["scalars"]
    optimiser = torch.optim.SGD([encoder.scalars], lr=10.0)
    with torch.no_grad():
        wanted = encoder.states(clips)[2].mean(dim=1)
    for _ in range(50):
        optimiser.zero_grad()
        (encoder(clips) - wanted).square().mean().backward()
        optimiser.step()
    weights = torch.softmax(encoder.scalars.detach(), dim=0)
    assert weights[2] > 0.8
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.net.state_dict().items())


def test_states_kept_from_a_frozen_network_give_the_same_embedding() -> None:
    encoder, clips = small(), waves()
    with torch.inference_mode():
        torch.testing.assert_close(encoder.mix(encoder.pooled_states(clips)), encoder(clips))


def test_a_normalising_network_hears_no_gain_and_no_neighbour() -> None:
    clips = waves()
    with torch.inference_mode():
        large, base = small("large-lv60k"), small("base")
        torch.testing.assert_close(large(clips), large(3 * clips + 0.1), atol=1e-4, rtol=1e-3)
        assert not torch.allclose(base(clips), base(3 * clips + 0.1), atol=1e-3)
        louder = torch.cat([clips[:1], 100 * clips[1:]])
        torch.testing.assert_close(large(louder)[0], large(clips)[0], atol=1e-4, rtol=1e-3)


def test_options_build_the_same_encoder_again() -> None:
    first = small("large-lv60k")
    again = wav2vec2(**first.options)
    again.load_state_dict(first.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(again.eval()(waves()), first(waves()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "small"}, 'no size "small"; it has base, large'),
        ({"layer": "first"}, 'no layer "first"'),
        ({"width": 100}, "multiple of 64"),
        ({"layers": 0}, "at least 1"),
        ({"channels": 0}, "at least 1"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        wav2vec2(**options)
