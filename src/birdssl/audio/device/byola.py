"""BYOL-A's views of a log-mel spectrogram: mixed with another sound, cropped and resized, and faded (version 2).

Both views are made from one crop of a clip, standardised by the frontend's fixed statistics. That is BYOL-A's
pre-normalisation, whose running statistics stop changing after ten epochs, with all the training data at once.

What is mixed in, BYOL-A takes from a queue of the last 2048 inputs. Here it is another clip of the pool, drawn for each
clip, view and epoch. In a shuffled epoch the two are alike, since the queue is a random sample of the pool; but nothing
has to be kept, so a run resumes at an epoch's end without a state, and a clip's view doesn't depend on the order in
which others came before it. It costs a frontend's pass for each clip that is mixed in.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

CUBIC = -0.75  # Keys' parameter as in torch's bicubic interpolation


@dataclass(frozen=True)
class Menu:
    """Ranges that parameters are drawn from, uniformly."""

    mix: float = 0.4  # largest share of the other sound
    canvas: tuple[float, float] = (1.0, 1.5)  # height and width that crops lie in, of the picture's
    scale: tuple[float, float] = (0.6, 1.5)  # height and width of a crop, of the picture's
    fade: float = 0.0  # largest level added at either end


BYOL_A = Menu()
BYOL_A_2 = Menu(fade=1.0)


@dataclass(frozen=True)
class Plan:
    """What becomes of each clip: fields of (N,), float32 but for `partner`, the number of the clip that is mixed in."""

    partner: Tensor  # int64
    mix: Tensor  # share of it
    height: Tensor  # of the crop, of the picture's
    width: Tensor
    top: Tensor  # share of the places where the crop may begin
    left: Tensor
    head: Tensor  # level added to the first frame
    tail: Tensor  # and to the last, evenly in between

    def rows(self, rows: Tensor) -> "Plan":
        """The plan of some clips, by number (B,)."""
        rows = rows.to(self.partner.device)
        return Plan(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def draw(generator: np.random.Generator, clips: int, menu: Menu = BYOL_A) -> Plan:
    """Parameters of one view of each clip.

    Every other clip is equally likely to be mixed in; where there is only one, it is mixed with itself.
    """

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(generator.uniform(low, high, clips).astype(np.float32))

    step = generator.integers(1, max(2, clips), clips)
    return Plan(
        partner=torch.from_numpy((np.arange(clips) + step) % clips),
        mix=uniform(0, menu.mix),
        height=uniform(*menu.scale),
        width=uniform(*menu.scale),
        top=uniform(0, 1),
        left=uniform(0, 1),
        head=uniform(-menu.fade, menu.fade),
        tail=uniform(-menu.fade, menu.fade),
    )


def byol_views(generator: np.random.Generator, clips: int, menu: Menu = BYOL_A) -> tuple[Plan, Plan]:
    """Plans of two views, independent of each other."""
    return draw(generator, clips, menu), draw(generator, clips, menu)


@torch.no_grad()
def apply(spectra: Tensor, partners: Tensor, plan: Plan, menu: Menu = BYOL_A) -> Tensor:
    """One view of each of (B, 1, F, T) standardised log-mel spectra; `partners` are those of `plan.partner`."""
    if not len(plan.mix) == len(spectra) == len(partners):
        raise ValueError(f"a plan of {len(plan.mix)} clips for {len(spectra)} spectra and {len(partners)} partners")
    there = spectra.device
    with torch.autocast(there.type, enabled=False):
        mixed = log_mixup_exp(spectra.float(), partners.float(), plan.mix.to(there))
        height, width, top, left = (share.to(there) for share in (plan.height, plan.width, plan.top, plan.left))
        cropped = random_resized_crop(mixed, height, width, top, left, menu.canvas)
        return linear_fade(cropped, plan.head.to(there), plan.tail.to(there))


def log_mixup_exp(spectra: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """ln((1 - a) exp(x) + a exp(z)) with a `share` a of (B,): sounds mixed in proportion, as in the air."""
    a = share[:, None, None, None]
    return torch.logaddexp(spectra + torch.log1p(-a), others + torch.log(a))


def random_resized_crop(
    spectra: Tensor, height: Tensor, width: Tensor, top: Tensor, left: Tensor, canvas: tuple[float, float]
) -> Tensor:
    """Crops of (B, 1, F, T), each of its own size and place, resized to (F, T) by bicubic interpolation.

    Crops lie on a canvas of zeros with the picture in its middle. `height` and `width` (B,) are of the picture's, `top`
    and `left` (B,) in [0, 1) say where among the possible places. Corners are aligned; the interpolation is torch's.
    """
    rows, columns = (
        _interpolation(size, int(size * factor), scale, place)
        for size, factor, scale, place in zip(spectra.shape[2:], canvas, (height, width), (top, left), strict=True)
    )
    return (rows @ spectra[:, 0] @ columns.transpose(1, 2))[:, None]


def _interpolation(size: int, canvas: int, scale: Tensor, place: Tensor) -> Tensor:
    """(B, size, size) weights with which each place along a picture goes into each place along its resized crop."""
    length = (scale * size).long().clamp(1, canvas)
    first = (place * (canvas - length + 1)).long().minimum(canvas - length)
    step = (length - 1).float() / max(1, size - 1)
    source = torch.arange(size, device=scale.device) * step[:, None]  # in the crop
    whole = source.floor()
    along = torch.arange(size, device=scale.device) + (canvas - size) // 2  # the picture's places on the canvas
    weights = torch.zeros(len(scale), size, size, device=scale.device)
    for tap in range(-1, 3):
        index = (whole.long() + tap).clamp(min=0).minimum(length[:, None] - 1) + first[:, None]
        weights += (index[..., None] == along) * _cubic((source - whole - tap).abs())[..., None]
    return weights


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic convolution kernel at distances in [0, 2]."""
    near = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * CUBIC - 4 * CUBIC
    return torch.where(distance <= 1, near, far)


def linear_fade(spectra: Tensor, head: Tensor, tail: Tensor) -> Tensor:
    """Add a level that goes evenly from `head` (B,) in the first frame to `tail` (B,) in the last."""
    along = torch.linspace(0, 1, spectra.shape[-1], device=spectra.device)
    return spectra + torch.lerp(head[:, None], tail[:, None], along)[:, None, None]
