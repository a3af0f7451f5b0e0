"""Pictures of an evaluation as PNG and SVG bytes, drawn off screen.

Colours are Okabe and Ito's, with a dark brown for their yellow, which people with any colour vision can tell apart, and
markers change with them: eight colours and seven markers make 56 pairs. Pictures are 5 to 6 inches wide with 11-point
text, so that they can be read on a telephone.
"""

import io
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from birdssl.evaluation.calibration import Reliability
from birdssl.evaluation.measure import BALANCED_ACCURACY
from birdssl.evaluation.metrics import Ints

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#603000", "#4D4D4D")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
INK, FAINT, GRID = "#22302b", "#66736e", "#dfe5e2"
DPI = 160
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "svg.hashsalt": "birdssl",  # names inside the file are then the same each time
    "text.parse_math": False,  # a class may be called "$x$"
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "xtick.labelcolor": FAINT,
    "text.color": INK,
}


@dataclass(frozen=True)
class Drawing:
    """A picture as PNG, and as SVG for a paper."""

    png: bytes
    svg: bytes

    def files(self, stem: str) -> dict[str, bytes]:
        """Both by their paths."""
        return {f"{stem}.png": self.png, f"{stem}.svg": self.svg}


@dataclass(frozen=True)
class Bar:
    """A point with its interval, if it has one: a system's score or a class's recall, in [0, 1]."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    points: tuple[float, ...] = ()  # scores of single folds
    quiet: bool = False  # drawn in grey: a baseline


def comparison(systems: Sequence[Bar], chance: float, words: str = BALANCED_ACCURACY.words) -> Drawing:
    """Scores of systems with intervals, single folds as small dots, and chance as a line; `words` name the score."""
    return _dots(systems, words, chance)


def recall(classes: Sequence[Bar]) -> Drawing:
    """Recall of each class with its interval; the note (counts) stands under the name."""
    return _dots(classes, "recall", None)


def precision(classes: Sequence[Bar]) -> Drawing:
    """Average precision of each class with its interval; the note (counts) stands under the name."""
    return _dots(classes, "average precision", None)


def _dots(bars: Sequence[Bar], label: str, chance: float | None) -> Drawing:
    with drawing_of(6, 1.0 + 0.52 * len(bars)) as (figure, data):
        axes = figure.add_subplot()
        heights = np.arange(len(bars))[::-1]
        for height, bar in zip(heights, bars, strict=True):
            colour = FAINT if bar.quiet else COLOURS[0]
            if bar.low is not None and bar.high is not None:
                axes.plot([bar.low, bar.high], [height, height], color=colour, lw=2.5, solid_capstyle="butt", zorder=2)
            if len(bar.points) > 1:
                axes.plot(bar.points, [height - 0.25] * len(bar.points), "o", ms=4, color=colour, alpha=0.6, mew=0)
            if not np.isnan(bar.value):
                axes.plot(bar.value, height, "o", ms=9, color=colour, mec="white", mew=1.2, zorder=3)
        if chance is not None and not np.isnan(chance):
            axes.axvline(chance, color=COLOURS[1], lw=1.5, ls=(0, (4, 3)), zorder=1)
            axes.annotate("chance", (chance, 1), xycoords=("data", "axes fraction"), xytext=(0, 3),
                          textcoords="offset points", ha="center", color=COLOURS[1], fontsize=10)  # fmt: skip
        names = [f"{short(bar.name, 30)}\n{bar.note}" if bar.note else in_lines(bar.name, 30) for bar in bars]
        axes.set_yticks(heights, names)
        axes.set_ylim(-0.6, len(bars) - 0.4)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xticks(np.linspace(0, 1, 6), [f"{share:.0%}" for share in np.linspace(0, 1, 6)])
        axes.set_xlabel(label)
        axes.grid(axis="x", color=GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
    return data.drawing()


def confusion(table: Ints, rows: Sequence[str], columns: Sequence[str]) -> Drawing:
    """Shares of each true class (rows) by answer (columns), in per cent; unscored answers stand apart."""
    clips = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, clips, out=np.zeros(table.shape), where=clips > 0)
    side = 0.42 if len(columns) > 16 else 0.52
    with drawing_of(max(4.5, 2.2 + side * len(columns)), max(3.4, 1.9 + side * len(rows))) as (figure, data):
        axes = figure.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                axes.text(column, row, f"{share * 100:.0f}", ha="center", va="center",
                          fontsize=9, color="white" if share > 0.55 else INK)  # fmt: skip
        axes.set_xticks(range(len(columns)), [short(name, 18) for name in columns], rotation=45, ha="right",
                        rotation_mode="anchor", color=INK)  # fmt: skip
        axes.set_yticks(range(len(rows)), [short(name, 18) for name in rows])
        axes.set_xlabel("answer, % of the clips of each row")
        axes.set_ylabel("truth")
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=1.5)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        if len(columns) > len(rows):
            axes.axvline(len(rows) - 0.5, color=FAINT, lw=1.5)
    return data.drawing()


def scatter(points: npt.NDArray, truth: Ints, classes: Sequence[str]) -> Drawing:
    """A plane of clips (clips, 2) by class, with its legend below."""
    shown = [kind for kind in range(len(classes)) if (truth == kind).any()]
    columns = 2 if max((len(classes[kind]) for kind in shown), default=0) > 14 else 3
    lines = -(-len(shown) // columns)
    with drawing_of(5.2, 4.5 + 0.26 * lines) as (figure, data):
        axes = figure.add_subplot()
        size = float(np.clip(9000 / max(len(points), 1), 10, 60))
        for kind in shown:
            mine = truth == kind
            marker = MARKERS[kind % len(MARKERS)]
            axes.scatter(points[mine, 0], points[mine, 1], s=size, marker=marker, color=COLOURS[kind % len(COLOURS)],
                         alpha=0.8, linewidths=0.3, edgecolors="white", label=_label(classes[kind]))  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_box_aspect(0.8)
        axes.spines[:].set_visible(True)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=columns, frameon=False, fontsize=10,
                    handletextpad=0.3, columnspacing=1.2, markerscale=max(1.0, 5 / size**0.5))  # fmt: skip
    return data.drawing()


def reliability(found: Reliability) -> Drawing:
    """How often answers are right by how sure they are; a dot's area is how many, the diagonal what should be."""
    full = found.answers > 0
    with drawing_of(4.6, 4.2) as (figure, data):
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=COLOURS[1], lw=1.5, ls=(0, (4, 3)), zorder=1)
        axes.plot(found.confidence[full], found.accuracy[full], color=COLOURS[0], lw=1.5, alpha=0.5, zorder=2)
        areas = 20 + 380 * found.answers[full] / found.answers.max()
        axes.scatter(found.confidence[full], found.accuracy[full], s=areas, color=COLOURS[0], edgecolors="white",
                     linewidths=1.2, zorder=3, clip_on=False)  # fmt: skip
        ticks = np.linspace(0, 1, 6)
        for axis, set_ticks in (("x", axes.set_xticks), ("y", axes.set_yticks)):
            set_ticks(ticks, [f"{share:.0%}" for share in ticks])
            axes.grid(axis=axis, color=GRID, lw=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_box_aspect(1)
        axes.set_xlabel("probability that was given to the answer")
        axes.set_ylabel("answers that were right")
    return data.drawing()


class _Saved:
    """What a figure is saved to."""

    def __init__(self) -> None:
        self.png, self.svg = io.BytesIO(), io.BytesIO()

    def drawing(self) -> Drawing:
        return Drawing(self.png.getvalue(), self.svg.getvalue())


@contextmanager
def drawing_of(width: float, height: float) -> Iterator[tuple[Figure, _Saved]]:
    """A figure in house style, in inches, and what holds its files once the block is left."""
    data = _Saved()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the page's text has it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure, data
        # No version and no date in the files: the same picture is the same bytes.
        figure.savefig(data.png, dpi=DPI, format="png", metadata={"Software": None})
        figure.savefig(data.svg, format="svg", metadata={"Date": None, "Creator": None})


def short(name: str, most: int) -> str:
    name = " ".join(name.split())
    return name if len(name) <= most else name[: most - 1] + "…"


def in_lines(name: str, most: int) -> str:
    """A name in two lines at most, of `most` characters each: systems differ in their last words as in their first."""
    lines = textwrap.wrap(name, most, break_on_hyphens=False) or [""]
    return "\n".join([lines[0], short(" ".join(lines[1:]), most)]) if len(lines) > 1 else lines[0]


def _label(name: str) -> str:
    """A legend entry; matplotlib hides labels that begin with an underscore."""
    text = short(name, 26)
    return "\u200b" + text if text.startswith("_") else text
