"""Cutting a stream of samples into pieces of one length, without holding more of it than a piece and a block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cut:
    """How a stream is cut: lengths in samples at `rate` Hz."""

    rate: int
    seconds: float  # length of a piece
    hop: float  # s from the start of a piece to the next
    pad: bool  # whether a rest becomes a piece, with silence at its end
    min_last: float  # s; shorter rests are dropped

    @property
    def length(self) -> int:
        """Samples in a piece."""
        return round(self.seconds * self.rate)

    def start(self, number: int) -> int:
        """First sample of the piece `number`, rounded on its own so that errors don't add up."""
        return round(number * self.hop * self.rate)

    def last(self, number: int, total: int) -> bool:
        """Whether a piece `number`, the first that isn't whole, is made from what is left of `total` samples."""
        covered = self.start(number - 1) + self.length if number else 0
        rest = total - max(covered, self.start(number))
        return self.pad and rest > 0 and rest >= round(self.min_last * self.rate)


def cut_blocks(blocks: Iterable[np.ndarray], cut: Cut) -> Iterator[tuple[int, np.ndarray, int]]:
    """Cut joined (n,) blocks; yields (number, (length,) samples, how many of them are silence at the end).

    Pieces start at multiples of the hop and may overlap, or leave gaps. The rest at the end becomes one last piece
    where it holds at least `min_last` seconds that no piece before it has.
    """
    held, position, number = np.zeros(0, np.float32), 0, 0  # `position` is the place of held[0] in the stream
    for block in blocks:
        held = np.concatenate((held, block))
        while (start := cut.start(number) - position) + cut.length <= len(held):
            yield number, held[start : start + cut.length], 0
            number += 1
        behind = min(len(held), cut.start(number) - position)
        held, position = held[behind:].copy(), position + behind
    if cut.last(number, position + len(held)):
        rest = held[cut.start(number) - position :]
        piece = np.zeros(cut.length, np.float32)
        piece[: len(rest)] = rest
        yield number, piece, cut.length - len(rest)


def count_cuts(total: int, cut: Cut) -> Iterator[tuple[int, int]]:
    """The same pieces from a length alone: yields (number, samples of silence at its end)."""
    number = 0
    while cut.start(number) + cut.length <= total:
        yield number, 0
        number += 1
    if cut.last(number, total):
        yield number, cut.length - (total - cut.start(number))
