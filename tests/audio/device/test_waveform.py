"""Waveforms for speech encoders: their rate, their normalisation, and what a saved model keeps."""

import pytest
import torch
import torch.nn.functional as F

from birdssl.audio.device.waveform import Waveforms
from birdssl.errors import IncompatibleError


def noise(clips: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(0))


def test_a_crop_at_another_rate_is_resampled() -> None:
    front = Waveforms(20000, 5.0)
    assert (front.samples, front.crop_samples) == (100000, 30225)
    assert front.inputs(noise(2, front.crop_samples)).shape == (2, 24180)


def test_waveforms_at_the_encoders_rate_are_left_alone() -> None:
    waves = noise(2, 4000)
    assert torch.equal(Waveforms(16000, 5.0).inputs(waves), waves)
    whole = (waves * 32768).to(torch.int16)
    assert torch.equal(Waveforms(16000, 5.0).inputs(whole), whole / 32768)


def test_normalised_as_torchaudios_pipelines_do() -> None:
    waves = noise(3, 4000) + 0.3
    front = Waveforms(16000, 5.0, normalise=True).fitted(waves)
    expected = torch.stack([F.layer_norm(wave, wave.shape) for wave in waves])
    torch.testing.assert_close(front.inputs(waves), expected, rtol=0, atol=1e-5)


def test_it_comes_back_from_its_dictionary() -> None:
    front = Waveforms(20000, 5.0, normalise=True)
    assert front.to_dict()["kind"] == "waveform"
    assert Waveforms.from_dict(front.to_dict()) == front


@pytest.mark.parametrize("change", [{"kind": "spectra"}, {"normalize": True}])
def test_what_it_does_not_know_is_refused(change: dict) -> None:
    with pytest.raises(IncompatibleError, match="kind"):
        Waveforms.from_dict({**Waveforms(20000, 5.0).to_dict(), **change})
    with pytest.raises(IncompatibleError, match="sample_rate"):
        Waveforms.from_dict({"clip_seconds": 1.0})
