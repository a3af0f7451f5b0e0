"""Rendered clips on disk: arrays of many clips each, as plain `.npy` files that are memory-mapped for reading.

A shard holds (n, height, width) uint8 pictures or (n, samples) int16 waveforms. Which shard and row a clip lies in
stands in its manifest; what one clip's array looks like stands in the facts (`array`), so that a shard that doesn't fit
is noticed when it's opened.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np

from birdssl.artifacts.artifact import Artifact
from birdssl.artifacts.atomic import atomic_path
from birdssl.errors import IncompatibleError

FOLDER = "shards"


def shard_path(directory: Path, shard: int) -> Path:
    """Where a shard lies in a stage's directory."""
    return directory / FOLDER / f"{shard:05d}.npy"


def write_shard(directory: Path, shard: int, array: np.ndarray) -> None:
    """Write a shard, whole or not at all."""
    with atomic_path(shard_path(directory, shard)) as part, part.open("wb") as handle:
        array = np.ascontiguousarray(array)
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(array))
        handle.write(array.data)  # not np.save: on a full disk its error says neither what failed nor where


class Shards:
    """All shards of a rendered directory, opened when first asked for."""

    def __init__(self, directory: Path, shape: tuple[int, ...], dtype: str | np.dtype) -> None:
        """`shape` and `dtype` are those of one clip."""
        self.directory, self.shape, self.dtype = directory, tuple(shape), np.dtype(dtype)
        self._open: dict[int, np.ndarray] = {}

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """The shards of a directory made by `birdssl render`; raises IncompatibleError when it has none."""
        array: dict[str, Any] | None = artifact.facts.get("array")
        if array is None:
            raise IncompatibleError(
                f"{artifact.path} has no rendered clips; run `birdssl render {artifact.path}` first"
            )
        return cls(artifact.path, tuple(array["shape"]), array["dtype"])

    def take(self, shards: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Clips by their manifest's `shard` and `row`, (n,) each: (n, *shape), in the order asked for.

        Raises IncompatibleError for a shard that is missing, damaged, of another shape, or too short.
        """
        shards, rows = np.asarray(shards), np.asarray(rows)
        found = np.empty((len(shards), *self.shape), self.dtype)
        for shard in np.unique(shards):
            wanted = np.flatnonzero(shards == shard)
            array = self.shard(int(shard))
            if rows[wanted].max() >= len(array) or rows[wanted].min() < 0:
                raise IncompatibleError(
                    f"{shard_path(self.directory, int(shard))} has {len(array)} rows, but the manifest names row "
                    f"{rows[wanted].max()}; render the directory anew (--overwrite)"
                )
            found[wanted] = array[rows[wanted]]
        return found

    def shard(self, shard: int) -> np.ndarray:
        """One shard, (n, *shape), read-only and memory-mapped."""
        if shard not in self._open:
            self._open[shard] = self._map(shard_path(self.directory, shard))
        return self._open[shard]

    def _map(self, path: Path) -> np.ndarray:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise IncompatibleError(f"{path} is missing; render the directory anew (--overwrite)") from None
        except (ValueError, EOFError, OSError) as error:
            raise IncompatibleError(f"{path} is damaged ({error}); render the directory anew (--overwrite)") from None
        if array.shape[1:] != self.shape or array.dtype != self.dtype:
            raise IncompatibleError(
                f"{path} holds {array.dtype} of shape {array.shape[1:]} for each clip; its stage.json says "
                f"{self.dtype} of shape {self.shape}: render the directory anew (--overwrite)"
            )
        return array
