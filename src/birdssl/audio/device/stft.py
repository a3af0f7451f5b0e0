"""Short-time Fourier transforms of batches of waveforms, in float32."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def planes(waves: Tensor, n_fft: int, window: int, hop: int, phase_at: str) -> Tensor:
    """Power, real and imaginary part of each frame, (3, B, frames, n_fft // 2 + 1), of (B, n) float32.

    Frame i covers samples i * hop to i * hop + n_fft; nothing is padded, nor scaled. A component's phase is what it is
    at the frame's first sample (`phase_at` "start") or in its middle ("centre"). Parts apart in memory make the mel
    projection of all three one matrix product.
    """
    spectra = torch.view_as_real(torch.fft.rfft(waves.unfold(1, n_fft, hop) * hann(window, n_fft, waves.device)))
    parts = spectra.new_empty(3, *spectra.shape[:-1])
    signs = _signs(n_fft // 2 + 1, phase_at, waves.device)
    torch.mul(spectra[..., 0], signs, out=parts[1])
    torch.mul(spectra[..., 1], signs, out=parts[2])
    torch.mul(parts[1], parts[1], out=parts[0]).addcmul_(parts[2], parts[2])
    return parts


@lru_cache(maxsize=16)
def hann(length: int, n_fft: int, device: torch.device) -> Tensor:
    """Periodic Hann window in the middle of n_fft samples, zeros beside it: (n_fft,) float32."""
    before = (n_fft - length) // 2
    window = torch.hann_window(length, dtype=torch.float64).float()
    return F.pad(window, (before, n_fft - length - before)).to(device)


@lru_cache(maxsize=16)
def _signs(bins: int, phase_at: str, device: torch.device) -> Tensor:
    """What moves the phase's origin by half a frame: bin k makes k half turns in it."""
    signs = torch.ones(bins, device=device)
    if phase_at == "centre":
        signs[1::2] = -1
    return signs
