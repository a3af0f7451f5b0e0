"""Pitch shift and time stretch of many clips at once, each by its own amount: a phase vocoder on any device.

Grains of N samples are analysed every H samples and made again as grains of M: bin k of N becomes bin k of M, so all
frequencies move by N / M and nothing is resampled. For a stretch N = M, and grains are taken elsewhere instead. A
grain's phases continue those of the grain before it by what the sound itself turned in the time between (measured
between two grains of the input, so nothing is unwrapped). Two things keep sounds whole:

- A bin's rotation is the sum of its neighbours', each weighted by its energy, so a partial's bins turn together
  (phase locking after Puckette 1995, here over five bins).
- Where energy is new, the rotation is instead the one that keeps the grain's group delay: clicks stay clicks, and where
  they were.

Shifted by up to an octave, vibrato, trills, knocks and chirps came out with a spectral error of 0.09 to 0.19, against
0.10 to 0.20 by Signalsmith Stretch (`audio/augment.py`) and 0.45 to 0.78 by librosa (benchmarks/device_frontend.py).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

GRAIN_SECONDS = 0.0432  # of what is made: 864 samples at 20 kHz. Longer ones smear trills, shorter ones split tones
OVERLAP = 3  # grains over each sample; squared Hann windows add up to a constant from 3 on
SPREAD = 2  # neighbours on either side that a bin turns with
NEW = 4.0  # times the earlier energy: what exceeds it is new
LEAST = 1e-4  # share of a bin's energy that always counts as new, so that a phase can begin
FASTEST = 17  # transforms of lengths with no larger prime factor ran three times as fast
CENTS = 6.0  # deviation from the interval that a fast length may cost
ON_CPU = 32  # clips at a time
IN_CACHE = 2  # clips whose grains are transformed at a time on a CPU
TOGETHER = 16  # frames whose new energy is found at a time, so that it stays in a cache
TINY = 1e-30


def pitch_shift(waves: Tensor, semitones: Tensor, sample_rate: int) -> Tensor:
    """Shift all frequencies of each of (B, n) float32 by its own whole `semitones` (B,) int64; the length stays.

    Exact for octaves, else within 6 cents: grains have lengths that are fast to transform. What leaves
    the band is gone.
    A shift by 0 gives the clip itself.
    """
    size = _grain(sample_rate)
    return _in_turns(waves, semitones, lambda part, steps: _shifted(part, steps, size))


def time_stretch(waves: Tensor, rates: Tensor, sample_rate: int) -> Tensor:
    """Play each of (B, n) float32 at its own `rates` (B,) times the speed, at the same pitch; the length stays.

    The middle stays in the middle: a slower clip loses both ends, a faster one gets zeros there. A rate of 1 gives the
    clip itself.
    """
    size = _grain(sample_rate)
    return _in_turns(waves, rates.float(), lambda part, steps: _stretched(part, steps, size))


def _in_turns(waves: Tensor, amounts: Tensor, way: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Small batches of clips with like amounts; those with nothing to do are copied."""
    amounts = amounts.to(waves.device)
    nothing = amounts == (1 if amounts.is_floating_point() else 0)
    out = waves.float().clone()
    order = torch.argsort(amounts, stable=True)
    order = order[~nothing[order]]
    if not len(order):
        return out
    with torch.no_grad(), torch.autocast(waves.device.type, enabled=False):
        for rows in order.split(ON_CPU if waves.device.type == "cpu" else max(1, len(order))):
            out[rows] = way(out[rows], amounts[rows])
    return out


def _shifted(waves: Tensor, semitones: Tensor, size: int) -> Tensor:
    """`semitones` is sorted."""
    frames = _frames(waves.shape[1], size // OVERLAP)
    widest = min(grain_length(int(semitones[-1]), size), size) // 2 + 1
    now = waves.new_empty(frames, len(waves), widest, dtype=torch.complex64)
    before = torch.empty_like(now)
    compression = waves.new_empty(len(waves))
    first = 0
    for steps in _runs(semitones, IN_CACHE if waves.device.type == "cpu" else len(waves)):
        rows = slice(first, first + len(steps))
        length = grain_length(int(steps[0]), size)
        bins = min(length, size) // 2 + 1
        spectra, earlier = _regular_grains(waves[rows], length, size)
        for place, grains in ((now, spectra), (before, earlier)):
            place[:, rows, :bins] = grains[..., :bins].transpose(0, 1)
            place[:, rows, bins:] = 0
        compression[rows] = size / length
        first += len(steps)
    return _made(now, before, compression, waves.shape[1], size)


def _runs(numbers: Tensor, longest: int) -> list[Tensor]:
    """A sorted (n,) cut where the number changes, and into parts of at most `longest`."""
    _, counts = torch.unique_consecutive(numbers, return_counts=True)
    return [part for run in numbers.cpu().split(counts.tolist()) for part in run.split(longest)]


def _regular_grains(waves: Tensor, length: int, size: int) -> tuple[Tensor, Tensor]:
    """Spectra (b, frames, length // 2 + 1) of grains every hop, and, conjugate, of those `length / OVERLAP` earlier."""
    hop = size // OVERLAP
    earlier = round(length / OVERLAP)
    margin = length // 2 + OVERLAP * hop + earlier
    padded = F.pad(waves, (margin, margin + hop))
    window = _hann(length, waves.device)
    frames = _frames(waves.shape[1], hop)
    grains = padded[:, earlier + hop :].unfold(1, length, hop)[:, :frames]
    previous = padded[:, hop:].unfold(1, length, hop)[:, :frames]
    before = torch.fft.rfft(previous * window)
    torch.conj_physical(before, out=before)
    if length % OVERLAP:
        before *= _late(length, before.shape[-1], waves.device)
    return torch.fft.rfft(grains * window), before


def _stretched(waves: Tensor, rates: Tensor, size: int) -> Tensor:
    hop = size // OVERLAP
    samples = waves.shape[1]
    frames = _frames(samples, hop)
    centres = (torch.arange(frames, device=waves.device) - (OVERLAP - 1)) * hop - samples / 2
    starts = (samples / 2 + centres * rates[:, None]).round().long().clamp(-size, samples + size) + size // 2 + hop
    padded = F.pad(waves, (size + hop, 2 * size + hop))
    window = _hann(size, waves.device)
    rows = torch.arange(len(waves), device=waves.device)[:, None]
    every = padded.unfold(1, size, 1)
    now = torch.fft.rfft(every[rows, starts] * window).transpose(0, 1).contiguous()
    before = torch.fft.rfft(every[rows, starts - hop] * window).conj_physical().transpose(0, 1).contiguous()
    return _made(now, before, waves.new_ones(len(waves)), samples, size)


def _made(now: Tensor, before: Tensor, compression: Tensor, samples: int, size: int) -> Tensor:
    """(b, samples) from spectra (frames, b, bins) of grains and the conjugate ones of the time before each."""
    hop = size // OVERLAP
    _turn(now, before, compression)
    grains = torch.fft.irfft(now, n=size).mul_(_hann(size, now.device))
    frames, clips = grains.shape[:2]
    parts = grains.view(frames, clips, OVERLAP, hop)
    sound = grains.new_zeros(frames + OVERLAP - 1, clips, hop)
    for i in range(OVERLAP):
        sound[i : i + frames] += parts[:, :, i]
    sound *= (8 / (3 * OVERLAP) * compression)[:, None]  # squared Hann windows add up to 3/8 of their number
    start = size // 2 + (OVERLAP - 1) * hop
    return sound.transpose(0, 1).reshape(clips, -1)[:, start : start + samples]


def _turn(now: Tensor, before: Tensor, compression: Tensor) -> None:
    """Turn each grain's bins (frames, b, bins), in place, to go on from the grain made before it."""
    frames, clips, bins = now.shape
    neighbours = _Neighbours(clips, bins, now.device)
    made = torch.zeros_like(now[0])
    for first in range(0, frames, TOGETHER):
        block = slice(first, first + TOGETHER)
        for spectra, earlier, new in zip(
            now[block], before[block], _new(now[block], before[block], compression), strict=True
        ):
            torch.addcmul(new, made, earlier, out=neighbours.own)
            made = torch.mul(spectra, neighbours.direction(), out=spectra)


def _new(now: Tensor, before: Tensor, compression: Tensor) -> Tensor:
    """New energy of each bin, turned so that a grain's group delay stays as it was: (frames, b, bins) complex.

    A grain made `compression` times as long has its sounds that much farther from its middle. A sound d samples from
    the middle of N turns bin k by -2 pi k d / N; made in M samples, it's at d when bin k turns by -2 pi k d / M. The
    difference is (N / M - 1) times k times the angle between neighbouring bins.
    """
    conjugate = now.conj_physical()
    power = torch.view_as_real(now * conjugate)  # beside zeros: contiguous complex arithmetic is the fastest
    earlier = torch.view_as_real(before * before.conj_physical())
    fresh = torch.view_as_complex(torch.maximum(torch.sub(power, earlier, alpha=NEW), LEAST * power))
    between = (now[..., 1:] * conjugate[..., :-1]).mul_(fresh[..., 1:]).sum(-1)
    delay = torch.atan2(-between.imag, -between.real)  # signs: phases are counted from a grain's middle
    return fresh.mul_(_powers_of_turn(delay * (1 / compression - 1), now.shape[-1]))


def _powers_of_turn(angle: Tensor, count: int, block: int = 32) -> Tensor:
    """exp(i k angle) for k below `count`: (...,) to (..., count), from few sines."""
    low = torch.arange(block, device=angle.device)
    high = torch.arange(0, count, block, device=angle.device)
    one = torch.ones((), device=angle.device)
    fine, coarse = torch.polar(one, angle[..., None] * low), torch.polar(one, angle[..., None] * high)
    return (coarse[..., :, None] * fine[..., None, :]).flatten(-2)[..., :count]


class _Neighbours:
    """Sums over each bin's five neighbours, in arrays that are used again for every frame.

    Rows of bins have zeros between them and lie in one line, so that sums of neighbours are sums of shifted lines.
    """

    def __init__(self, clips: int, bins: int, device: torch.device) -> None:
        wide = bins + 2 * SPREAD
        rows = clips * wide
        line, total, square, scale = torch.zeros(4, rows + 2 * SPREAD, 2, device=device)
        self.own = torch.view_as_complex(line[:rows].view(clips, wide, 2))[:, SPREAD : SPREAD + bins]
        self._sum = torch.view_as_complex(total[:rows].view(clips, wide, 2))[:, :bins]
        self._inverse = torch.view_as_complex(scale[:rows].view(clips, wide, 2))[:, :bins]
        self._length = torch.zeros(rows, device=device)
        # Views are made once: making one costs as much as adding a row.
        line, total, square, scale = (numbers.view(-1) for numbers in (line, total, square, scale))
        pairs, fours = torch.zeros_like(line), torch.zeros_like(line)
        count = 2 * rows
        self._sums = (
            (line[:-2], line[2:], pairs[:-2]),
            (pairs[:-4], pairs[4:], fours[:-4]),
            (fours[:count], line[8 : 8 + count], total[:count]),
        )
        self._square = (total[:count], square[:count])
        self._halves = (square[0:count:2], square[1:count:2])
        self._scale = scale[0:count:2]

    def direction(self) -> Tensor:
        """The sums of `own` over two neighbours on either side, made of length 1: (clips, bins) complex."""
        for one, other, both in self._sums:
            torch.add(one, other, out=both)
        total, square = self._square
        torch.mul(total, total, out=square)
        torch.add(*self._halves, out=self._length).clamp_(min=TINY)
        torch.rsqrt(self._length, out=self._scale)
        return self._sum * self._inverse


def _frames(samples: int, hop: int) -> int:
    """Grains that touch a clip: their middles lie from before its start to after its end."""
    return samples // hop + 2 * OVERLAP


@lru_cache(maxsize=64)
def grain_length(semitones: int, size: int) -> int:
    """Even length near `size` times the interval: the nearest fast one within a few cents, else the nearest."""
    exact = size * 2 ** (semitones / 12)
    near = range(2 * round(exact / 2 - 12), 2 * round(exact / 2 + 12) + 2, 2)
    cents = {length: abs(1200 * math.log2(length / exact)) for length in near if length > 0}
    fast = [length for length in cents if _is_fast(length) and cents[length] < CENTS]
    return min(fast or cents, key=cents.__getitem__)


@lru_cache(maxsize=8)
def _grain(sample_rate: int) -> int:
    """Samples of a grain that is made: near GRAIN_SECONDS, even, fast, and divisible by the overlap."""
    step = 2 * OVERLAP
    wanted = max(step, round(GRAIN_SECONDS * sample_rate / step) * step)
    return next(length for length in range(wanted, 2 * wanted + step, step) if _is_fast(length, 5))


def _is_fast(count: int, largest: int = FASTEST) -> bool:
    for factor in range(2, largest + 1):
        while count % factor == 0:
            count //= factor
    return count == 1


@lru_cache(maxsize=64)
def _late(length: int, bins: int, device: torch.device) -> Tensor:
    """What the earlier grains' conjugate spectra lack to be `length / OVERLAP` samples early to a fraction: (bins,)."""
    missing = length / OVERLAP - round(length / OVERLAP)
    angle = 2 * math.pi * missing / length * torch.arange(bins, dtype=torch.float64)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64).to(device)


@lru_cache(maxsize=64)
def _hann(length: int, device: torch.device) -> Tensor:
    return torch.hann_window(length, dtype=torch.float64).float().to(device)
