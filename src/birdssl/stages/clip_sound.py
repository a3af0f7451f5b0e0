"""The sound behind a manifest's rows, and rejects for clips whose sound can't be had."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import polars as pl

from birdssl.artifacts.manifest import ORIGINAL
from birdssl.audio.decode import ClipReader
from birdssl.errors import BadInput
from birdssl.stages.contract import Reject

Row = dict[str, Any]


class ClipSound:
    """Reads rows' sounds before any operation. The last one is kept, since copies and views follow their clip."""

    def __init__(self, folder: Path, sample_rate: int, seconds: float) -> None:
        """`folder` holds the manifest; all clips have `seconds`, and come out at `sample_rate` Hz."""
        self.folder, self.seconds = folder, seconds
        self._reader = ClipReader(sample_rate)
        self._place: tuple[Any, ...] = ()
        self._wave = np.zeros(0, np.float32)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.close()

    def read(self, row: Row) -> np.ndarray:
        """(samples,) float32; raises BadInput for a clip that can't be read, or is of another length than the rest.

        The complaint names the file as the manifest does, so that it's the same wherever the folder lies.
        """
        place = row["path"], row["offset"], row["channel"]
        if place != self._place:
            self._place = ()
            if row["seconds"] != self.seconds:
                raise BadInput(f"is {row['seconds']:g} s long; the others are {self.seconds:g} s")
            path = self.folder / row["path"]
            try:
                self._wave = self._reader.read(
                    path, row["offset"] or 0, row["seconds"], row["channel"], row["padded"] or 0.0
                )
            except BadInput as error:
                raise BadInput(str(error).replace(str(path), row["path"])) from None
            self._place = place
        return self._wave


def clip_rejects(rows: pl.DataFrame, failed: dict[int, str]) -> list[Reject]:
    """One reject for each clip, however many of its copies and views go with it.

    `failed` says why for positions in `rows`.
    """
    found: dict[str, tuple[Row, str, int]] = {}
    for place in sorted(failed):
        row = rows.row(place, named=True)
        clip = row["parent"] or row["id"]
        first, reason, count = found.get(clip, (row, failed[place], 0))
        found[clip] = first, reason, count + (row["role"] != ORIGINAL)
    return [
        Reject(
            row["recording"], f"{row['start']:g} s", reason + (f" ({count} copies and views with it)" if count else "")
        )
        for row, reason, count in found.values()
    ]
