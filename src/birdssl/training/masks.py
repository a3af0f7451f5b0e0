"""What masked acoustic modelling hides of a spectrum: spans of frames, a band of frequencies, and noise over all.

Mockingjay (Liu et al. 2020) hides spans of frames; TERA (Liu et al. 2021) also a band, and adds noise. Drawing gives
numbers that depend on (seed, epoch, clip) alone; hiding is a pure function of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from birdssl.errors import UsageError
from birdssl.seeds import generator

ZEROED, REPLACED = 0.8, 0.1  # of clips: spans set to zero, or to other frames of the clip; the rest is left as it is
NOISE_DEVIATION = 0.2  # in units of the standardised spectrum


@dataclass(frozen=True)
class Masking:
    """How much is hidden.

    Attributes:
        share: of the frames in spans, in (0, 1); spans may overlap, and there is at least one.
        span: frames of a span.
        bands: widest band, as a share of the frequencies; a width is drawn from 0 to that, both included. 0: none.
        noise: share of clips that get noise of deviation 0.2.
    """

    share: float = 0.15
    span: int = 7
    bands: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.share < 1 and self.span >= 1 and 0 <= self.bands <= 1 and 0 <= self.noise <= 1):
            raise UsageError(
                "masks need a share of frames between 0 and 1, spans of at least one frame, and shares of bands and "
                f"noise from 0 to 1: got {self.share:g}, {self.span}, {self.bands:g} and {self.noise:g}"
            )


MOCKINGJAY = Masking()
TERA = Masking(bands=0.2, noise=0.15)


@dataclass(frozen=True)
class Masks:
    """What is hidden of B clips of F frequencies and T frames.

    Attributes:
        starts: (B,) int64, first frame of one of each clip's spans.
        frames: (B, T) bool, frames within spans.
        zeroed: (B,) bool, whether spans are set to zero.
        sources: (B, T) int64, the frame that each frame is taken from: itself but where spans are replaced.
        bands: (B, F) bool, frequencies hidden in all frames.
        noise: (B, F, T) float32, added to all; None where the masking has none.
    """

    starts: Tensor
    frames: Tensor
    zeroed: Tensor
    sources: Tensor
    bands: Tensor
    noise: Tensor | None

    def hide(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, T) standardised spectra to what the encoder sees of them, and the places to rebuild (bool).

        Places are those of spans, left as they are or not, and of bands.
        """
        sources = self.sources.to(spectra.device)[:, None, None].expand_as(spectra)
        frames, bands, zeroed = (part.to(spectra.device) for part in (self.frames, self.bands, self.zeroed))
        blank = (frames & zeroed[:, None])[:, None, None] | bands[:, None, :, None]
        seen = spectra.gather(3, sources).masked_fill(blank, 0.0)
        if self.noise is not None:
            seen = seen + self.noise.to(spectra.device)[:, None]
        return seen, (frames[:, None, None] | bands[:, None, :, None]).expand_as(spectra)


def draw_masks(
    clips: Tensor, shape: Sequence[int], masking: Masking, seed: int, epoch: int, *, hide_all: bool = False
) -> Masks:
    """Masks of the clips numbered `clips` (B,), of `shape` (F, T) each, drawn by (seed, epoch, clip).

    With `hide_all` every clip's spans are zeroed, so that their content can only be told from around them. Raises
    UsageError when clips are no longer than a span.
    """
    bins, frames = shape
    if frames <= masking.span:
        raise UsageError(f"masks hide spans of {masking.span} frames and clips have {frames}; take longer crops")
    drawn = [_draw(generator(seed, "masks", epoch, int(clip)), bins, frames, masking) for clip in clips]
    starts, hidden, dice, sources, bands, noise = (np.stack(part) for part in zip(*drawn, strict=True))
    zeroed = np.full(len(drawn), True) if hide_all else dice < ZEROED
    replaced = ~zeroed & (dice < ZEROED + REPLACED)
    return Masks(
        starts=torch.from_numpy(starts),
        frames=torch.from_numpy(hidden),
        zeroed=torch.from_numpy(zeroed),
        sources=torch.from_numpy(np.where(replaced[:, None], sources, np.arange(frames))),
        bands=torch.from_numpy(bands),
        noise=torch.from_numpy(noise) if masking.noise else None,
    )


def _draw(rng: np.random.Generator, bins: int, frames: int, masking: Masking) -> tuple[np.ndarray, ...]:
    """One clip's first start, hidden frames, dice, source of each frame, hidden bins and noise."""
    spans = max(1, round(frames * masking.share / masking.span))
    places = frames - masking.span + 1
    starts, origins = rng.permutation(places)[:spans], rng.permutation(places)[:spans]
    hidden, sources = np.zeros(frames, bool), np.arange(frames)
    for start, origin in zip(starts, origins, strict=True):
        hidden[start : start + masking.span] = True
        sources[start : start + masking.span] = np.arange(origin, origin + masking.span)
    dice = rng.random()
    width = rng.integers(0, int(masking.bands * bins), endpoint=True)
    low = rng.integers(0, bins - width, endpoint=True)
    band = (np.arange(bins) >= low) & (np.arange(bins) < low + width)
    loud = NOISE_DEVIATION * (rng.random() < masking.noise)
    noise = np.zeros((bins, frames) if masking.noise else 0, np.float32)
    if loud:
        noise[:] = loud * rng.standard_normal((bins, frames), np.float32)
    return starts[0], hidden, np.asarray(dice), sources, band, noise
