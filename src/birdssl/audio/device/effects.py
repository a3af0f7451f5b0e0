"""Changes to waveforms, in batches and each clip by its own parameters: fades, masks, shifts, noise and gain.

Every function takes (B, n) float32 and parameters of (B,), and changes nothing it was given. Noise comes from fixed
tables at places that are parameters too, so the same parameters give the same sound on any device.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from birdssl.seeds import generator

SHAPES = ("linear", "exponential", "logarithmic", "quarter-sine", "half-sine")
COLOURS = ("white", "pink", "brown")  # power falls as frequency to the 0, -1 and -2
NOISE_SAMPLES = 2**18  # of each table; a clip's noise starts anywhere in it and goes round


def fade(waves: Tensor, fade_in: Tensor, fade_out: Tensor, shape: Tensor) -> Tensor:
    """Fade in over the first and out over the last share of each clip, both in [0, 0.5], by shape number.

    With f from 0 to 1 along the fade, the gains are f, f 2^(f-1), log10(0.1 + f) + 1 (at most 1), sin(pi f / 2), and
    (1 - cos(pi f)) / 2: CLAR's five.
    """
    samples = waves.shape[1]
    place = torch.arange(samples, device=waves.device) + 0.5
    along = torch.minimum(place / (fade_in[:, None] * samples), (samples - place) / (fade_out[:, None] * samples))
    return waves * _gain(along.clamp_(max=1), shape)


def _gain(along: Tensor, shape: Tensor) -> Tensor:
    """Gain at each place (B, n) along a fade."""
    ways = (
        lambda f: f,
        lambda f: f * torch.exp2(f - 1),
        lambda f: (torch.log10(f + 0.1) + 1).clamp_(0, 1),
        lambda f: torch.sin(f * (math.pi / 2)),
        lambda f: (1 - torch.cos(f * math.pi)) / 2,
    )
    gain = torch.empty_like(along)
    for number in shape.unique().tolist():
        rows = (shape == number).nonzero()[:, 0]
        gain[rows] = ways[number](along[rows])
    return gain


def time_mask(waves: Tensor, start: Tensor, length: Tensor, deviation: Tensor, noise_at: Tensor) -> Tensor:
    """Replace `length` samples from `start` on (int64) by white noise of `deviation` times the clip's root mean square.

    A deviation of 0 makes it silence.
    """
    longest = int(length.max())
    first = start.clamp(
        max=waves.shape[1] - longest
    )  # all clips' stretches of equal length, to touch no more than that
    place = first[:, None] + torch.arange(longest, device=waves.device)
    masked = (place >= start[:, None]) & (place < (start + length)[:, None])
    level = deviation * waves.square().mean(1).sqrt()
    hiss = noise(torch.zeros_like(noise_at), noise_at + first, longest) * level[:, None]
    return waves.scatter(1, place, torch.where(masked, hiss, waves.gather(1, place)))


def time_shift(waves: Tensor, shift: Tensor) -> Tensor:
    """Move each clip `shift` samples (int64) later; what leaves at one end enters at the other."""
    place = torch.arange(waves.shape[1], device=waves.device) - shift[:, None]
    return waves.gather(1, place.remainder_(waves.shape[1]))


def add_noise(waves: Tensor, snr_db: Tensor, colour: Tensor, noise_at: Tensor) -> Tensor:
    """Add noise of a colour `snr_db` below each clip's mean power; silence stays silent."""
    level = (waves.square().mean(1) * 10 ** (-snr_db / 10)).sqrt()
    return torch.addcmul(waves, noise(colour, noise_at, waves.shape[1]), level[:, None])


def gain(waves: Tensor, decibels: Tensor) -> Tensor:
    """Change the level of each clip by `decibels`: ACDNet's random gain draws them from -6 to 6."""
    return waves * (10 ** (decibels / 20))[:, None]


def noise(colour: Tensor, start: Tensor, samples: int) -> Tensor:
    """Gaussian noise of deviation 1, from `start` (B,) int64 on in the table of its colour (B,): (B, samples)."""
    tables = _tables(start.device)
    place = (start[:, None] + torch.arange(samples, device=start.device)).remainder_(NOISE_SAMPLES)
    return tables.flatten()[place.add_(colour[:, None] * NOISE_SAMPLES)]


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> Tensor:
    """(colours, NOISE_SAMPLES) float32, each of mean 0 and deviation 1; their ends meet."""
    white = np.fft.rfft(generator(0, "noise tables").standard_normal(NOISE_SAMPLES))
    white[0] = 0
    frequency = np.maximum(
        NOISE_SAMPLES // 1000, np.arange(len(white))
    )  # level below 20 Hz of 20 kHz, or all were rumble
    tables = np.stack([np.fft.irfft(white * frequency ** (-power / 2)) for power in range(len(COLOURS))])
    return torch.from_numpy((tables / tables.std(axis=1, keepdims=True)).astype(np.float32)).to(device)
