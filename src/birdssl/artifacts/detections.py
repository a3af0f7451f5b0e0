"""Detections: windows of one class joined, and written for Raven and for spreadsheets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ROUNDING = 1e-6  # s; starts of windows are products of floats

RAVEN_COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Label",
    "Score",
)


@dataclass(frozen=True)
class Detection:
    """A stretch of a recording in which a class was heard.

    Attributes:
        start, end: seconds from the start of the recording.
        score: highest score of its windows, in [0, 1].
        windows: how many windows it joins.
        channel: from 0; None is the mean of all.
    """

    start: float
    end: float
    label: str
    score: float
    windows: int = 1
    channel: int | None = None


def window_starts(seconds: float, length: float, hop: float) -> list[float]:
    """Starts of windows that cover a recording of `seconds`: every `hop` until one reaches the end, in seconds.

    The last window may reach past the end. At least one, also for a recording shorter than a window.
    """
    starts, count = [0.0], 1
    while starts[-1] + length < seconds - ROUNDING and count * hop < seconds - ROUNDING:
        starts.append(count * hop)
        count += 1
    return starts


def merge(detections: Iterable[Detection], gap: float) -> list[Detection]:
    """Joins detections of one class and channel that overlap, touch, or lie up to `gap` seconds apart.

    Ordered by start, then class; the score is the highest.
    """
    joined: list[Detection] = []
    last: dict[tuple[str, int | None], int] = {}  # place in `joined` of each class's latest
    for found in sorted(detections, key=_order):
        key = (found.label, found.channel)
        place = last.get(key)
        if place is not None and found.start <= joined[place].end + gap + ROUNDING:
            joined[place] = _join(joined[place], found)
        else:
            last[key] = len(joined)
            joined.append(found)
    return joined


def _join(first: Detection, second: Detection) -> Detection:
    return Detection(
        first.start,
        max(first.end, second.end),
        first.label,
        max(first.score, second.score),
        first.windows + second.windows,
        first.channel,
    )


def _order(found: Detection) -> tuple[float, str, int]:
    return found.start, found.label, -1 if found.channel is None else found.channel


def raven_table(detections: Sequence[Detection], low: float, high: float) -> str:
    """A Raven selection table: tab-separated, one selection a detection, over the band from `low` to `high` Hz.

    Raven counts channels from 1; the mean of all channels is shown on the first.
    """
    lines = ["\t".join(RAVEN_COLUMNS)]
    for number, found in enumerate(detections, 1):
        channel = 1 if found.channel is None else found.channel + 1
        lines.append(
            f"{number}\tSpectrogram 1\t{channel}\t{found.start:.6f}\t{found.end:.6f}\t{low:.1f}\t{high:.1f}\t"
            f"{_one_cell(found.label)}\t{found.score:.4f}"
        )
    return "\n".join(lines) + "\n"


def _one_cell(label: str) -> str:
    return " ".join(label.split())
