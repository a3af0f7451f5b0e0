"""BYOL-A's encoder: the published sizes, and what its frames are."""

import pytest
import torch

from birdssl.errors import UsageError
from birdssl.models.byol_a import ByolACnn, byol_a_cnn
from birdssl.models.initial import seeded_weights


def built(**options) -> ByolACnn:
    with seeded_weights(3):
        return byol_a_cnn(**{"channels": 1, "bins": 64, **options}).eval()


def weights(encoder: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in encoder.parameters())


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"features": 512}, 600_192),
        ({"features": 1024}, 1_649_792),
        ({}, 5_321_856),
        ({"version": 2}, 6_333_376),
    ],
)
def test_published_sizes(options: dict[str, int], count: int):
    assert weights(built(**options)) == count


@pytest.mark.parametrize(
    ("options", "features", "frames"), [({"features": 512}, 512, 12), ({"version": 2, "channels": 3}, 3072, 24)]
)
def test_shapes_of_a_published_input(options: dict[str, int], features: int, frames: int):
    encoder = built(**options)
    spectra = torch.zeros(2, encoder.options["channels"], 64, 96)
    assert encoder.frames(spectra).shape == (2, features, frames)
    assert encoder(spectra).shape == (2, features) == (2, encoder.features)
    assert byol_a_cnn(**encoder.options).options == encoder.options


def test_the_embedding_is_maximum_plus_mean_over_time():
    encoder = built(features=64)
    spectra = torch.randn(2, 1, 64, 61, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        frames = encoder.frames(spectra)
        found = encoder(spectra)
    assert frames.shape[2] == 7  # the last five frames fill no pool
    for clip, row in zip(frames, found, strict=True):
        torch.testing.assert_close(row, torch.stack([max(values) + values.mean() for values in clip]))


def test_a_sound_eight_frames_later_is_the_same_one_frame_later():
    encoder = built(features=64)
    spectra = torch.zeros(1, 1, 64, 128)
    spectra[0, 0, 20:30, 48:64] = 3.0
    with torch.no_grad():
        early, late = encoder.frames(spectra), encoder.frames(spectra.roll(8, 3))
    assert (early[0, :, 6] - early[0, :, 1]).abs().max() > 0.01
    torch.testing.assert_close(late[..., 2:15], early[..., 1:14])


def test_second_version_keeps_each_frames_convolutions_by_frequency_then_channel():
    encoder = built(version=2, bins=16)
    spectra = torch.randn(1, 1, 16, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        maps = encoder.convolutions(spectra)  # (1, 64, 4, 2)
        frames = encoder.frames(spectra)
    for frequency, channel, frame in ((0, 5, 1), (3, 63, 0), (2, 0, 1)):
        assert frames[0, frequency * 64 + channel, frame] == maps[0, channel, frequency, frame]


def test_what_does_not_fit_is_told():
    with pytest.raises(UsageError, match="no version 3"):
        built(version=3)
    with pytest.raises(UsageError, match="at least 8 frequencies and got 7"):
        built(bins=7)
    with pytest.raises(UsageError, match=r"keeps 1024 values .* 1024 features are too few"):
        built(version=2, features=1024)
    with pytest.raises(ValueError, match="pools over 8 frames and got 7"):
        built(features=64)(torch.zeros(1, 1, 64, 7))
