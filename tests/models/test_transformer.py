"""Mockingjay's and TERA's transformer: published sizes, torch's own layers as oracle, and what knows of what."""

import numpy as np
import pytest
import torch
from torch import nn

from birdssl.errors import UsageError
from birdssl.models.initial import seeded_weights
from birdssl.models.transformer import Layer, SpectrumHead, Transformer, sinusoid, transformer

SMALL = {"layers": 2, "width": 24, "heads": 3, "feedforward": 40}


def built(**options) -> Transformer:
    with seeded_weights(3):
        return transformer(**{"channels": 1, "bins": 10, **SMALL, **options}).eval()


def weights(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_published_sizes():
    """TERA's base and its head, and Mockingjay's large with 85.1 million."""
    with torch.device("meta"):
        assert weights(transformer(channels=1, bins=80)) == 21_327_360
        assert weights(SpectrumHead(768, 80)) == 653_648
        assert weights(transformer(channels=1, bins=80, layers=12)) == 85_118_208


def test_shapes_and_the_mean_over_time():
    encoder = built(channels=2)
    spectra = torch.randn(3, 2, 10, 17, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        states, frames, found = encoder.hidden_states(spectra), encoder.frames(spectra), encoder(spectra)
    assert [state.shape for state in states] == [(3, 24, 17)] * 3
    assert frames.equal(states[-1])
    torch.testing.assert_close(found, frames.mean(dim=2))
    assert transformer(**encoder.options).options == encoder.options
    assert SpectrumHead(24, 12)(frames).shape == (3, 1, 12, 17)


def test_sinusoid_against_its_formula():
    found = sinusoid(50, 8).numpy()
    for frame in (0, 1, 17, 49):
        for place in range(8):
            angle = frame / 10000 ** (2 * (place // 2) / 8)
            assert found[frame, place] == pytest.approx(np.cos(angle) if place % 2 else np.sin(angle), abs=1e-5)


def test_first_state_is_normalised():
    with torch.no_grad():
        first = built().hidden_states(torch.randn(2, 1, 10, 9, generator=torch.Generator().manual_seed(4)))[0]
    torch.testing.assert_close(first.mean(dim=1), torch.zeros(2, 9), atol=1e-5, rtol=0)
    torch.testing.assert_close(first.var(dim=1, correction=0), torch.ones(2, 9), atol=1e-4, rtol=0)


def test_a_layer_is_torchs_post_norm_layer():
    with seeded_weights(5):
        ours = Layer(24, 3, 40, 0.1).eval()
        theirs = nn.TransformerEncoderLayer(24, 3, 40, 0.1, "gelu", layer_norm_eps=1e-12, batch_first=True).eval()
        for weight in ours.parameters():
            nn.init.normal_(weight, std=0.3)
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([part.weight for part in (ours.query, ours.key, ours.value)]),
            "self_attn.in_proj_bias": torch.cat([part.bias for part in (ours.query, ours.key, ours.value)]),
            **{f"self_attn.out_proj.{name}": value for name, value in ours.joined.state_dict().items()},
            **{f"linear1.{name}": value for name, value in ours.network[0].state_dict().items()},
            **{f"linear2.{name}": value for name, value in ours.network[2].state_dict().items()},
            **{f"norm1.{name}": value for name, value in ours.attention_norm.state_dict().items()},
            **{f"norm2.{name}": value for name, value in ours.network_norm.state_dict().items()},
        }
    )
    states = torch.randn(2, 11, 24, generator=torch.Generator().manual_seed(6))
    torch.testing.assert_close(ours(states), theirs(states), rtol=1e-4, atol=1e-5)


def test_every_frame_knows_of_every_other_and_of_its_place():
    encoder = built()
    spectra = torch.randn(1, 1, 10, 12, generator=torch.Generator().manual_seed(7))
    changed = spectra.clone()
    changed[..., -1] += 1
    with torch.no_grad():
        plain, other, turned = (encoder.frames(given) for given in (spectra, changed, spectra.flip(3)))
    assert (plain - other)[..., 0].abs().max() > 1e-6
    assert (plain - turned.flip(2)).abs().max() > 1e-2


def test_dropout_only_while_training():
    encoder = built(dropout=0.5)
    spectra = torch.randn(2, 1, 10, 12, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        assert encoder(spectra).equal(encoder(spectra))
        encoder.train()
        assert not encoder(spectra).equal(encoder(spectra))


def test_starting_weights():
    encoder = transformer(channels=1, bins=80, layers=1)
    assert encoder.embed.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert not encoder.embed.bias.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 25}, "multiple of its 3 heads, and it is 25"),
        ({"width": 9}, "even"),
        ({"heads": 0}, "0 heads"),
        ({"layers": 0}, "at least one layer.*got 0, 40 and 0.1"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\)"),
    ],
)
def test_sizes_that_do_not_fit(options: dict[str, float], message: str):
    with pytest.raises(UsageError, match=message):
        built(**options)
