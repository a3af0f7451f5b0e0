"""Views of a crop made by augmentations of the waveform: CLAR's, as P2 and MT-SLVR use them.

A plan is drawn for all clips of an epoch at once and carried out on any batch of them, so a clip's view depends on the
generator that its plan was drawn with and on its own sound, never on its neighbours. Example:

    first, second = clar_views(generator(seed, "clar", epoch), clips)
    view = apply(waves[rows], first.rows(rows), sample_rate)
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from birdssl.audio.device.effects import COLOURS, NOISE_SAMPLES, SHAPES, add_noise, fade, time_mask, time_shift
from birdssl.audio.device.vocoder import pitch_shift, time_stretch

OPERATIONS = (
    "pitch",
    "fade",
    "noise",
    "mixed-noise",
    "mask",
    "shift",
    "stretch",
)  # and MT-SLVR's labels, in this order
P2_ORDER = ("fade", "mask", "pitch", "shift")  # CLAR's, of the four that P2 uses
NONE = -1  # in a plan's order


@dataclass(frozen=True)
class Menu:
    """Ranges that parameters are drawn from, uniformly."""

    semitones: int = 15  # whole ones, up and down
    fade: float = 0.5  # longest share of a clip that a fade takes, at each end
    shapes: tuple[str, ...] = SHAPES  # of fades
    mask: float = 0.125  # longest share of a clip that is masked
    mask_noise: float = 0.01  # level of noise in half of the masks, of the clip's root mean square; 0 masks by zeros
    shift: float = 0.5  # largest share of a clip that it moves by, either way
    snr_db: tuple[float, float] = (3.0, 30.0)
    rate: tuple[float, float] = (0.5, 1.5)  # of a stretch


# P2 names the operations and not their ranges, which are those of CLAR's published code (docs/papers.md).
CLAR = Menu()
MT_SLVR = Menu(shapes=("linear", "logarithmic", "exponential"), mask_noise=0.0)


@dataclass(frozen=True)
class Plan:
    """What becomes of each clip: `order` (N, k) int64 numbers its operations, and every other field is (N,).

    Shares are of a clip's length. Plans stay on the CPU; parameters go where the waveforms are when they are used.
    """

    order: Tensor
    semitones: Tensor  # int64
    fade_in: Tensor
    fade_out: Tensor
    shape: Tensor  # int64, number in SHAPES
    mask_length: Tensor  # share
    mask_start: Tensor  # share of what the mask leaves
    mask_level: Tensor
    shift: Tensor  # share
    snr_db: Tensor
    colour: Tensor  # int64, number in COLOURS, of mixed noise
    rate: Tensor
    mask_noise_at: Tensor  # int64, place in the tables of noise
    noise_at: Tensor  # int64

    def rows(self, rows: Tensor) -> "Plan":
        """The plan of some clips, by number (B,)."""
        rows = rows.to(self.order.device)
        return Plan(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def applied(self) -> Tensor:
        """Which operations each clip goes through: (N, 7) float32 of 0 and 1, in the order of OPERATIONS."""
        done = torch.zeros(len(self.order), len(OPERATIONS) + 1)
        return done.scatter_(1, self.order.where(self.order != NONE, len(OPERATIONS)), 1.0)[:, :-1]


def draw(generator: np.random.Generator, order: Tensor, menu: Menu) -> Plan:
    """Parameters of one view of clips whose operations are `order` (N, k)."""
    clips = len(order)

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(generator.uniform(low, high, clips).astype(np.float32))

    def whole(low: int, high: int) -> Tensor:
        return torch.from_numpy(generator.integers(low, high, clips))

    shapes = torch.tensor([SHAPES.index(shape) for shape in menu.shapes])
    return Plan(
        order=order,
        semitones=whole(-menu.semitones, menu.semitones + 1),
        fade_in=uniform(0, menu.fade),
        fade_out=uniform(0, menu.fade),
        shape=shapes[whole(0, len(shapes))],
        mask_length=uniform(0, menu.mask),
        mask_start=uniform(0, 1),
        mask_level=whole(0, 2) * menu.mask_noise,
        shift=uniform(-menu.shift, menu.shift),
        snr_db=uniform(*menu.snr_db),
        colour=whole(1, len(COLOURS)),
        rate=uniform(*menu.rate),
        mask_noise_at=whole(0, NOISE_SAMPLES),
        noise_at=whole(0, NOISE_SAMPLES),
    )


def clar_views(generator: np.random.Generator, clips: int, menu: Menu = CLAR) -> tuple[Plan, Plan]:
    """P2's AcousticSSM2: fade, mask, pitch and shift on both views, each with parameters of its own."""
    order = torch.tensor([OPERATIONS.index(name) for name in P2_ORDER]).expand(clips, -1)
    return draw(generator, order, menu), draw(generator, order, menu)


def mt_slvr_views(generator: np.random.Generator, clips: int, menu: Menu = MT_SLVR) -> tuple[Plan, Plan]:
    """MT-SLVR: one to seven operations in any order, the same for both views, each with parameters of its own."""
    kinds = len(OPERATIONS)
    order = generator.random((clips, kinds)).argsort(axis=1, kind="stable")
    count = generator.integers(1, kinds + 1, clips)
    order[np.arange(kinds) >= count[:, None]] = NONE
    shared = torch.from_numpy(order)
    return draw(generator, shared, menu), draw(generator, shared, menu)


@torch.no_grad()
def apply(waves: Tensor, plan: Plan, sample_rate: int) -> Tensor:
    """Carry out a plan of B clips on (B, n) float32 in [-1, 1]; the result is as long. Levels may pass 1."""
    if len(plan.order) != len(waves):
        raise ValueError(f"a plan of {len(plan.order)} clips for {len(waves)} waveforms; take their rows of it")
    with torch.autocast(waves.device.type, enabled=False):
        out = waves.float()
        for step in plan.order.unbind(1):
            before = out
            for number in step.unique().tolist():
                if number == NONE:
                    continue
                chosen = (step == number).nonzero()[:, 0]
                if len(chosen) == len(waves):
                    out = _carry_out(OPERATIONS[number], before, plan, sample_rate)
                    continue
                out = out.clone() if out is before else out
                rows = chosen.to(waves.device)
                out[rows] = _carry_out(OPERATIONS[number], before[rows], plan.rows(chosen), sample_rate)
    return out


def _carry_out(operation: str, waves: Tensor, plan: Plan, sample_rate: int) -> Tensor:
    """One operation on all of (b, n)."""
    samples = waves.shape[1]

    def there(values: Tensor) -> Tensor:
        return values.to(waves.device)

    def masked() -> Tensor:
        length = (plan.mask_length * samples).long()
        start = (plan.mask_start * (samples - length + 1)).long().minimum(samples - length)
        return time_mask(waves, there(start), there(length), there(plan.mask_level), there(plan.mask_noise_at))

    def noisy(colour: Tensor) -> Tensor:
        return add_noise(waves, there(plan.snr_db), there(colour), there(plan.noise_at))

    ways: dict[str, Callable[[], Tensor]] = {
        "pitch": lambda: pitch_shift(waves, there(plan.semitones), sample_rate),
        "fade": lambda: fade(waves, there(plan.fade_in), there(plan.fade_out), there(plan.shape)),
        "noise": lambda: noisy(torch.zeros_like(plan.colour)),
        "mixed-noise": lambda: noisy(plan.colour),
        "mask": masked,
        "shift": lambda: time_shift(waves, there((plan.shift * samples).long())),
        "stretch": lambda: time_stretch(waves, there(plan.rate), sample_rate),
    }
    return ways[operation]()
