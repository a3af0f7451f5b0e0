"""Pictures of a study: every fold of every system as a point (P1's Figure 1), and how runs were trained."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from birdssl.evaluation.curves import Curve
from birdssl.evaluation.figures import COLOURS, FAINT, GRID, INK, MARKERS, Drawing, drawing_of, in_lines
from birdssl.evaluation.lineage import PRETRAIN
from birdssl.evaluation.measure import BALANCED_ACCURACY

# what a pretraining's picture shows beside its losses, with its best and worst value in words
PANELS = {
    "retrieval": "other view found first",
    "effective_rank": "effective rank (directions)",
    "embedding_std": "spread (1 is full)",
    "alignment": "alignment (0 is best)",
    "uniformity": "uniformity (lower is more even)",
    "neighbour_stability": "neighbours kept since last look",
}


def fold_points(
    rows: Sequence[Mapping[str, Any]],
    folds: Mapping[str, Sequence[float | None]],
    chance: float,
    words: str = BALANCED_ACCURACY.words,
) -> Drawing:
    """The score of each fold as a point, with their mean and median as lines; systems by encoder.

    `rows` are a study's; `folds` has the scores of each system's folds, as shares; `words` name the score.
    """
    shown = [row for row in rows if "why" not in row]
    encoders = list(dict.fromkeys(row["encoder"] for row in shown))
    starts = list(dict.fromkeys(row["start"] for row in shown))
    shown = sorted(shown, key=lambda row: encoders.index(row["encoder"]))
    names = [row["system"] for row in shown]
    with drawing_of(6, 1.7 + 0.46 * len(names)) as (figure, data):
        axes = figure.add_subplot()
        for place, row in enumerate(shown):
            height, kind = len(shown) - 1 - place, starts.index(row["start"])
            scores = np.array([score for score in folds[row["system"]] if score is not None])
            colour, marker = COLOURS[kind % len(COLOURS)], MARKERS[kind % len(MARKERS)]
            axes.plot(scores, np.full(len(scores), height), marker, ms=7, mfc="none", mec=colour, mew=1.4, zorder=3)
            if len(scores) > 1:
                axes.plot([scores.mean()] * 2, [height - 0.34, height + 0.34], color=colour, lw=2.2, zorder=2)
                median = float(np.median(scores))
                axes.plot([median] * 2, [height - 0.34, height + 0.34], color=colour, lw=1.6, ls=(0, (1.5, 1.2)))
            if place and row["encoder"] != shown[place - 1]["encoder"]:
                axes.axhline(height + 0.5, color=GRID, lw=1)
        if not np.isnan(chance):
            axes.axvline(chance, color=FAINT, lw=1.3, ls=(0, (4, 3)), zorder=1)
        axes.set_yticks(range(len(names) - 1, -1, -1), [in_lines(name, 32) for name in names])
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel(f"{words} of one fold, %")
        ticks = axes.get_xticks()
        axes.set_xticks(ticks, [f"{tick * 100:.0f}" for tick in ticks])
        axes.grid(axis="x", color=GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        keys = [Line2D([], [], ls="", marker=MARKERS[kind % len(MARKERS)], mfc="none", mew=1.4,
                       mec=COLOURS[kind % len(COLOURS)], label=start) for kind, start in enumerate(starts)]  # fmt: skip
        keys += [Line2D([], [], color=INK, lw=2.2, label="mean"), Line2D([], [], color=INK, ls=(0, (1.5, 1.2)),
                                                                          label="median"),
                 Line2D([], [], color=FAINT, ls=(0, (4, 3)), label="chance")]  # fmt: skip
        figure.legend(handles=keys, loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return data.drawing()


def pretraining(curves: Sequence[Curve], objective: str) -> Drawing:
    """Losses and label-free health by epoch of all runs of one objective: a colour an encoder, a line a run.

    A dot is the epoch that was kept.
    """
    mine = [curve for curve in curves if curve.verb == PRETRAIN and curve.method == objective]
    panels = {"loss": "training loss", "validation_loss": "validation loss", **PANELS}
    panels = {name: title for name, title in panels.items() if any(name in curve.rows.columns for curve in mine)}
    return _panels(panels, [[(curve, curve.encoder) for curve in mine]] * len(panels), list(panels))


def finetuning(curves: Sequence[Curve], encoder: str) -> Drawing:
    """Loss and validation score by epoch of all fine-tuning runs of one encoder: a colour a start, a line a run."""
    mine = [curve for curve in curves if curve.verb != PRETRAIN and curve.encoder == encoder]
    panels = {"loss": "training loss", "validation_loss": "validation loss",
              "validation_balanced_accuracy": "validation balanced accuracy",
              "validation_macro_average_precision": "validation macro average precision"}  # fmt: skip
    panels = {name: title for name, title in panels.items() if any(name in curve.rows.columns for curve in mine)}
    return _panels(panels, [[(curve, curve.method) for curve in mine]] * len(panels), list(panels))


def _panels(
    titles: Mapping[str, str], lines: Sequence[Sequence[tuple[Curve, str]]], measures: Sequence[str]
) -> Drawing:
    """Small pictures in two columns, one a measure, with one legend below."""
    names = list(dict.fromkeys(name for panel in lines for _, name in panel))
    across = min(2, len(measures))
    down = -(-len(measures) // across)
    with drawing_of(3.1 * across, 2.0 * down + 0.5) as (figure, data):
        grid = figure.subplots(down, across, squeeze=False)
        for place, (measure, panel) in enumerate(zip(measures, lines, strict=True)):
            axes = grid[place // across][place % across]
            for curve, name in panel:
                _line(axes, curve, measure, names.index(name))
            axes.set_title(titles[measure], fontsize=10, color=INK, loc="left")
            axes.grid(axis="y", color=GRID, lw=0.8)
            axes.set_axisbelow(True)
            axes.tick_params(length=0, labelsize=9)
            if place + across >= len(measures):
                axes.set_xlabel("epoch", fontsize=10)
        for place in range(len(measures), down * across):
            grid[place // across][place % across].set_visible(False)
        keys = [Line2D([], [], color=COLOURS[kind % len(COLOURS)], marker=MARKERS[kind % len(MARKERS)], label=name)
                for kind, name in enumerate(names)]  # fmt: skip
        figure.legend(handles=keys, loc="outside lower center", ncols=min(3, len(names)), frameon=False, fontsize=10)
    return data.drawing()


def _line(axes: Axes, curve: Curve, measure: str, kind: int) -> None:
    if measure not in curve.rows.columns:
        return
    rows = curve.rows.select("epoch", measure).drop_nulls()
    colour = COLOURS[kind % len(COLOURS)]
    axes.plot(rows["epoch"], rows[measure], color=colour, lw=1.3, alpha=0.75)
    kept = rows.filter(rows["epoch"] == (-1 if curve.kept is None else curve.kept))
    axes.plot(kept["epoch"], kept[measure], MARKERS[kind % len(MARKERS)], color=colour, ms=6, mec="white", mew=0.8)
