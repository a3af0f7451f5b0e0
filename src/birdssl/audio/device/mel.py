"""Mel filters as tensors: each group of neighbouring filters over its own bins only.

A dense mel matrix costs several times the Fourier transform's arithmetic.
"""

import numpy as np
import torch
from torch import Tensor

from birdssl.audio.spectrogram import filter_groups, mel_edges, triangles, unit_area

SCALES = ("slaney", "htk")
Group = tuple[slice, slice, Tensor]  # which mels, over which bins, (mels, bins) weights


def htk_edges(n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """Corners in Hz of triangles evenly spaced on HTK's mel scale, 2595 log10(1 + f / 700): (n_mels + 2,)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (f_min, f_max))
    return 700 * (10 ** (np.linspace(low, high, n_mels + 2) / 2595) - 1)


def filter_bank(scale: str, sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> np.ndarray:
    """(n_fft // 2 + 1, n_mels) float32: unit area on Slaney's scale (librosa), height 1 on HTK's (torchaudio)."""
    if scale == "htk":
        return triangles(htk_edges(n_mels, f_min, f_max), sample_rate, n_fft).astype(np.float32)
    edges = mel_edges(n_mels, f_min, f_max)
    return (triangles(edges, sample_rate, n_fft) * unit_area(edges)).astype(np.float32)


def groups_on(filters: np.ndarray, device: torch.device) -> list[Group]:
    """Groups of neighbouring filters, their weights on a device."""
    return [
        (mels, bins, torch.from_numpy(weights.T.copy()).to(device)) for mels, bins, weights in filter_groups(filters)
    ]


def project(rows: Tensor, groups: list[Group], n_mels: int) -> Tensor:
    """(..., bins) to (n_mels, ...): bands come first, as encoders want them above time."""
    flat = rows.reshape(-1, rows.shape[-1])
    mel = flat.new_empty(n_mels, len(flat))
    for mels, bins, weights in groups:
        torch.mm(weights, flat[:, bins].T, out=mel[mels])
    return mel.reshape(n_mels, *rows.shape[:-1])
