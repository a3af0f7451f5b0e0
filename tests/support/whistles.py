"""Clips of gliding whistles, drawn as standardised mel spectra, and views of them as two methods are shown them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from birdssl.seeds import generator
from birdssl.training.pairs import another_clip


def whistles(clip: int, bins: int, frames: int) -> Any:
    """(bins, frames): two or three ridges of height 1 through the whole clip, which its number alone decides."""
    rng = generator(5, "whistles", clip)
    time, height = np.arange(frames) / frames, np.arange(bins)[:, None] / bins
    found = np.zeros((bins, frames))
    for _ in range(rng.integers(2, 4)):
        centre, slope = rng.uniform(0.1, 0.9), rng.uniform(-0.3, 0.3)
        found += np.exp(-(((height - centre - slope * (time - 0.5)) / 0.05) ** 2))
    return found


class SingleCrops:
    """Clips numbered from `first`, under faint noise: what is hidden of them can be told from the rest."""

    ahead = False

    def __init__(self, first: int, clips: int, bins: int = 24, frames: int = 40) -> None:
        self.clips = clips
        drawn = [
            whistles(first + clip, bins, frames)
            + 0.15 * generator(5, "faint", first + clip).standard_normal((bins, frames))
            for clip in range(clips)
        ]
        self.spectra = torch.from_numpy((np.stack(drawn) - 0.2) / 0.35).float()[:, None]

    def views(self, clips: Tensor, epoch: int) -> tuple[Tensor, ...]:
        return (self.spectra[clips],)


class ClickedPairs:
    """Two views of each clip, with a level, a noise and loud clicks of their own: what they share is the whistles."""

    ahead = False

    def __init__(self, first: int, clips: int, bins: int = 16, frames: int = 24, *, shuffled: bool = False) -> None:
        self.first, self.clips, self.shape, self.shuffled = first, clips, (bins, frames), shuffled

    def views(self, clips: Tensor, epoch: int) -> tuple[Tensor, ...]:
        partner = another_clip(self.clips, 1, epoch)[clips] if self.shuffled else clips
        first, second = (
            torch.from_numpy(np.stack([self._view(int(clip), epoch, number) for clip in chosen])).float()[:, None]
            for number, chosen in enumerate((clips, partner))
        )
        return first, second

    def _view(self, clip: int, epoch: int, number: int) -> Any:
        rng = generator(6, "view", self.first + clip, epoch, number)
        bins, frames = self.shape
        found = rng.uniform(0.6, 1) * whistles(self.first + clip, bins, frames)
        clicks = 2 * rng.uniform(0.5, 1, frames) * (rng.random(frames) < 0.15)
        return found + 0.15 * rng.standard_normal((bins, frames)) + clicks
