"""Pieces of a stream, checked against slices of the whole."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from birdssl.audio.cutting import Cut, count_cuts, cut_blocks


def pieces(total: int, cut: Cut, block: int = 7) -> list[tuple[int, list[float], int]]:
    whole = np.arange(1, total + 1, dtype=np.float32)
    blocks = (whole[start : start + block] for start in range(0, total, block))
    return [(number, samples.tolist(), padded) for number, samples, padded in cut_blocks(blocks, cut)]


def test_three_samples_every_three_and_a_padded_rest() -> None:
    cut = Cut(rate=1, seconds=3, hop=3, pad=True, min_last=1)
    assert pieces(8, cut) == [(0, [1, 2, 3], 0), (1, [4, 5, 6], 0), (2, [7, 8, 0], 1)]


def test_the_rest_is_dropped_when_told_or_too_short() -> None:
    assert len(pieces(8, Cut(1, 3, 3, False, 1))) == 2
    assert len(pieces(8, Cut(1, 3, 3, True, 3))) == 2


def test_overlapping_pieces_end_with_one_rest_not_with_many() -> None:
    assert [(number, padded) for number, _, padded in pieces(9, Cut(1, 4, 1, True, 1))] == [(n, 0) for n in range(6)]
    assert [(n, padded) for n, _, padded in pieces(9, Cut(1, 4, 2, True, 1))] == [(0, 0), (1, 0), (2, 0), (3, 1)]


def test_gaps_between_pieces_are_left_out() -> None:
    assert pieces(9, Cut(1, 2, 5, True, 1)) == [(0, [1, 2], 0), (1, [6, 7], 0)]
    assert pieces(11, Cut(1, 2, 5, True, 1))[-1] == (2, [11, 0], 1)


def test_starts_do_not_drift() -> None:
    assert Cut(44100, 3, 1 / 3, True, 1).start(300_000) == 44100 * 100_000


@given(
    st.integers(0, 200), st.integers(1, 30), st.integers(1, 12), st.floats(0.3, 15), st.booleans(), st.floats(0.1, 5)
)
def test_a_stream_is_cut_as_its_length_says_whatever_its_blocks(
    total: int, block: int, seconds: int, hop: float, pad: bool, min_last: float
) -> None:
    cut = Cut(2, seconds, hop, pad, min_last)
    found = pieces(total, cut, block)
    assert [(number, padded) for number, _, padded in found] == list(count_cuts(total, cut))
    whole = np.concatenate((np.arange(1, total + 1), np.zeros(cut.length)))
    for number, samples, _ in found:
        assert samples == whole[cut.start(number) : cut.start(number) + cut.length].tolist()


def test_memory_does_not_grow_with_the_stream() -> None:
    def hours(count: int) -> Iterator[np.ndarray]:
        for _ in range(count):
            yield np.zeros(48_000, np.float32)

    peaks = []
    for count in (20, 400):
        tracemalloc.start()
        for _ in cut_blocks(hours(count), Cut(48_000, 3.0, 3.0, True, 1.0)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
