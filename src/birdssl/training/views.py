"""Views of waveforms, made anew each epoch on the device, in the ways that the objectives' papers make them.

What is drawn follows from the seed, the epoch and the clip's place in the input alone: not from the batch it is in.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from birdssl.audio.device import byola, clar
from birdssl.seeds import generator
from birdssl.training.pairs import another_clip
from birdssl.training.waveforms import Frontend, Sounds

Made = tuple[Tensor, ...]
Plans = tuple[clar.Plan, clar.Plan]
Drawn = TypeVar("Drawn")


class WaveformViews:
    """Views of clips of `sounds`.

    `shuffled` makes each second view of another clip: a negative control, from which nothing can be learnt about
    clips. Where views share their crop, the other clip's crop is augmented as the clip's own would be.
    """

    def __init__(self, kind: str, sounds: Sounds, clips: Tensor, frontend: Frontend, *, shuffled: bool = False) -> None:
        """`clips` (C,) int64 says which of the sounds are shown; `frontend` must be fitted."""
        self.make = VIEWS[kind]
        self.sounds, self.rows, self.frontend, self.shuffled = sounds, clips, frontend, shuffled
        self.clips, self.ahead = len(clips), sounds.held.ahead
        self._drawn: tuple[int, Any] = (-1, None)

    def views(self, clips: Tensor, epoch: int) -> Made:
        return self.make(self, clips, epoch)

    def partner(self, clips: Tensor, epoch: int) -> Tensor:
        """The clips that second views are of: the same, unless shuffled."""
        return another_clip(self.clips, self.sounds.seed, epoch)[clips] if self.shuffled else clips

    def drawn(self, epoch: int, draw: Callable[[], Drawn]) -> Drawn:
        """What `draw` draws for all clips of an epoch; the last epoch's is kept."""
        if self._drawn[0] != epoch:
            self._drawn = epoch, draw()
        plans: Drawn = self._drawn[1]
        return plans

    def shared_crops(self, clips: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """The crop that both views of a clip are made of, twice; unless shuffled, the same tensor."""
        first = self.crop(clips, epoch, "first crop")
        return first, self.crop(self.partner(clips, epoch), epoch, "first crop") if self.shuffled else first

    def crop(self, clips: Tensor, epoch: int, name: str) -> Tensor:
        """A random crop with a random gain of each clip, (B, samples); one name gives one crop."""
        return self.sounds.random_crops(self.rows[clips], epoch, self.frontend.crop_samples, name)


def crops(views: WaveformViews, clips: Tensor, epoch: int) -> Made:
    """Two crops of one clip (COLA; AcousticSSM1)."""
    both = views.crop(clips, epoch, "first crop"), views.crop(views.partner(clips, epoch), epoch, "second crop")
    first, second = (views.frontend.inputs(wave) for wave in both)
    return first, second


def one(views: WaveformViews, clips: Tensor, epoch: int) -> Made:
    """A single crop, to be masked."""
    return (views.frontend.inputs(views.crop(clips, epoch, "first crop")),)


def clar_pair(views: WaveformViews, clips: Tensor, epoch: int) -> Made:
    """One crop with two sets of CLAR's augmentations (AcousticSSM2)."""
    first, second, _ = _augmented(views, clips, epoch, clar.clar_views)
    return first, second


def mt_slvr_pair(views: WaveformViews, clips: Tensor, epoch: int) -> Made:
    """One crop with one to seven augmentations, the same on both views and otherwise set, and which: (B, 7) float."""
    first, second, plan = _augmented(views, clips, epoch, clar.mt_slvr_views)
    return first, second, plan.applied().to(first.device)


def _augmented(
    views: WaveformViews, clips: Tensor, epoch: int, draw: Callable[[np.random.Generator, int], Plans]
) -> tuple[Tensor, Tensor, clar.Plan]:
    """Both views as the encoder takes them, and the first one's plan."""
    rate = views.frontend.sample_rate
    plans = views.drawn(epoch, lambda: draw(generator(views.sounds.seed, "augmentations", epoch), views.clips))
    one, two = (
        views.frontend.inputs(clar.apply(crop, plan.rows(clips), rate))
        for plan, crop in zip(plans, views.shared_crops(clips, epoch), strict=True)
    )
    return one, two, plans[0].rows(clips)


def byol_pair(views: WaveformViews, clips: Tensor, epoch: int) -> Made:
    """One crop, mixed with other clips, cropped and resized, and faded, twice (BYOL-A; the fade is its version 2's)."""
    random = generator(views.sounds.seed, "mixtures", epoch)
    plans = views.drawn(epoch, lambda: byola.byol_views(random, views.clips, byola.BYOL_A_2))
    made = []
    for plan, crop in zip(plans, views.shared_crops(clips, epoch), strict=True):
        drawn = plan.rows(clips)
        mixed_in = views.frontend.inputs(views.crop(drawn.partner, epoch, "first crop"))
        made.append(byola.apply(views.frontend.inputs(crop), mixed_in, drawn))
    return made[0], made[1]


VIEWS: dict[str, Callable[[WaveformViews, Tensor, int], Made]] = {
    "crops": crops,
    "one": one,
    "clar": clar_pair,
    "mt-slvr": mt_slvr_pair,
    "byol-a": byol_pair,
}
