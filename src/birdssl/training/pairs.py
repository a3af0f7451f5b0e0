"""Views of clips, through one interface, wherever they come from."""

import logging
from typing import Protocol

import polars as pl
import torch
from torch import Tensor

from birdssl.artifacts.manifest import VIEW
from birdssl.errors import IncompatibleError
from birdssl.seeds import generator
from birdssl.training.inputs import Inputs

log = logging.getLogger(__name__)


class Views(Protocol):
    """Clips of which views can be had: stored ones, or views made of waveforms anew each epoch."""

    clips: int

    @property
    def ahead(self) -> bool:
        """Whether `views` is worth calling in a thread beside the arithmetic."""
        ...

    def views(self, clips: Tensor, epoch: int) -> tuple[Tensor, ...]:
        """Views of each clip numbered `clips` (B,), as the encoder takes them, on the device.

        Two for objectives on pairs. What else an objective asks for stands beside them (`birdssl.training.methods`).
        """
        ...


class StoredViews:
    """Views that `birdssl augment --views` planned and `birdssl render` drew.

    Of two views the first is always the first. Of more than two, two different ones are drawn for each clip and epoch.
    `shuffled` pairs each clip's first view with another clip's second view: a negative control, from which nothing
    can be learnt about clips.
    """

    def __init__(self, images: Inputs, rows: Tensor, seed: int, *, shuffled: bool = False) -> None:
        """`rows` (clips, views) int64 says which image is which view."""
        self.images, self.rows, self.seed, self.shuffled = images, rows, seed, shuffled
        self.clips = len(rows)
        self._epoch = -1
        self._drawn = rows[:, :2]

    @property
    def ahead(self) -> bool:
        return self.images.ahead

    def views(self, clips: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        drawn = self.drawn(epoch)[clips]  # (B, 2)
        return self.images.take(drawn[:, 0]), self.images.take(drawn[:, 1])

    def drawn(self, epoch: int) -> Tensor:
        """(clips, 2) images of the pairs of an epoch; the last epoch's are kept."""
        if epoch != self._epoch:
            self._epoch, self._drawn = epoch, self._draw(epoch)
        return self._drawn

    def _draw(self, epoch: int) -> Tensor:
        rows = self.rows
        if rows.shape[1] > 2:
            order = generator(self.seed, "views", epoch).random(tuple(rows.shape)).argsort(axis=1, kind="stable")
            rows = rows.gather(1, torch.from_numpy(order))
        first, second = rows[:, 0], rows[:, 1]
        if self.shuffled:
            second = second[another_clip(self.clips, self.seed, epoch)]
        return torch.stack([first, second], dim=1)


def another_clip(clips: int, seed: int, epoch: int) -> Tensor:
    """A permutation of 0..clips-1 that leaves no clip in its place: one random cycle through all of them."""
    cycle = generator(seed, "shuffled pairs", epoch).permutation(clips)
    partner = torch.empty(clips, dtype=torch.int64)
    partner[torch.from_numpy(cycle)] = torch.from_numpy(cycle).roll(1)
    return partner


def view_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Clips and the images of their views: columns `source`, `parent` and `views` (list of positions in `rows`).

    `rows` has the manifest's columns and `source`, the number of its input. Views stand in the order of their number,
    clips in the order in which they first occur. A clip with a single view is left out, and said. Raises
    IncompatibleError when no clip has two.
    """
    views = rows.with_row_index("position").filter(pl.col("role") == VIEW)
    table = (
        views.sort("source", "parent", "number")
        .group_by("source", "parent", maintain_order=True)
        .agg(pl.col("position").cast(pl.Int64).alias("views"), pl.col("position").min().alias("first"))
        .sort("first")
        .drop("first")
    )
    pairs = table.filter(pl.col("views").list.len() >= 2)
    if pairs.is_empty():
        raise IncompatibleError(
            f"{table.height} clips of the input have a view and none has two, which a pair needs; run "
            "`birdssl augment --views 2` and `birdssl render` again"
        )
    if pairs.height < table.height:
        log.warning("%d clips have a single view and are left out", table.height - pairs.height)
    fewest = min(pairs["views"].list.len().to_list())
    return pairs.with_columns(pl.col("views").list.head(fewest))
