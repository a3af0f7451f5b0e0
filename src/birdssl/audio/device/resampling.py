"""Waveforms at another sample rate, by a Fourier transform of the whole: band-limited, in batches, on any device."""

import math

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

MARGIN = 0.01  # seconds of zeros at both ends, so that what the filter spreads doesn't wrap round
ROLL_OFF = 0.95  # share of the kept band that passes unchanged; above it the gain falls to zero


def resample(waves: Tensor, rate: int, target: int) -> Tensor:
    """(B, n) float at `rate` Hz to (B, ceil(n * target / rate)) float32 at `target` Hz.

    Sample i is the sound at time i / target. Nothing aliases: the band that both rates hold passes up to 95 % of it,
    and the rest of it fades out on a raised cosine.
    """
    if rate == target or not waves.shape[1]:
        return waves.float()
    up, down = target // math.gcd(rate, target), rate // math.gcd(rate, target)
    count = -(-waves.shape[1] * up // down)
    before = -(-round(MARGIN * rate) // down) * down  # whole steps of both rates
    blocks = next_fast_len(-(-(waves.shape[1] + 2 * before) // down), real=True)
    after = blocks * down - waves.shape[1] - before
    with torch.autocast(waves.device.type, enabled=False):
        spectra = torch.fft.rfft(F.pad(waves.float(), (before, after)))
        kept = blocks * min(up, down) // 2 + 1
        spectra = spectra[:, :kept] * _roll_off(kept, waves.device)
        moved = torch.fft.irfft(spectra, n=blocks * up) * (up / down)
    start = before // down * up
    return moved[:, start : start + count]


def _roll_off(kept: int, device: torch.device) -> Tensor:
    """Gain of each bin of the kept band: 1, then half a cosine down to 0."""
    place = torch.linspace(0, 1, kept, device=device)
    return 0.5 + 0.5 * torch.cos(math.pi * ((place - ROLL_OFF) / (1 - ROLL_OFF)).clamp(0, 1))
