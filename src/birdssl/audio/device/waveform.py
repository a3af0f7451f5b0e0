"""Waveforms as they are, for encoders that take samples: wav2vec 2.0 and HuBERT, at their own 16 kHz."""

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from birdssl.audio.described import Described
from birdssl.audio.device.resampling import resample
from birdssl.audio.device.spectra import CROP_SECONDS, as_float

SPEECH_RATE = 16000  # Hz; of all of torchaudio's speech pipelines
EPSILON = 1e-5  # added to a waveform's variance, as torch's layer_norm does in those pipelines


@dataclass(frozen=True)
class Waveforms(Described):
    """How a clip becomes an encoder's samples; saved with a model.

    P2 says nothing of resampling for these encoders; 20 kHz taken for 16 kHz would shift all pitches by a fifth, so
    clips at another rate are resampled. `normalise` gives each waveform mean 0 and variance 1, which a bundle asks for
    (wav2vec 2.0 LV-60K, XLSR, HuBERT Large, WavLM Large) or doesn't (the base models).
    """

    kind: ClassVar[str] = "waveform"

    crop_seconds: float = CROP_SECONDS
    crops: int = 10
    encoder_rate: int = SPEECH_RATE  # Hz, of what the encoder is given
    normalise: bool = False

    @property
    def crop_samples(self) -> int:
        """Samples of a crop, at the clips' rate."""
        return round(self.crop_seconds * self.sample_rate)

    @property
    def encoder_options(self) -> dict[str, int]:
        """What an encoder of waveforms is built with: nothing follows from the frontend."""
        return {}

    @torch.no_grad()
    def inputs(self, waves: Tensor) -> Tensor:
        """(B, n) int16 or float in [-1, 1] to (B, samples at the encoder's rate) float32."""
        waves = resample(as_float(waves), self.sample_rate, self.encoder_rate)
        if not self.normalise:
            return waves
        variance, mean = torch.var_mean(waves, dim=1, keepdim=True, correction=0)
        return (waves - mean) * torch.rsqrt(variance + EPSILON)

    def fitted(self, waves: Tensor) -> Self:
        """Itself: nothing here is learnt from data."""
        return self
