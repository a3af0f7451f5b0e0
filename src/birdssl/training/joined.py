"""Several rendered directories as one table of clips, and the clips behind it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from birdssl.artifacts.artifact import Artifact
from birdssl.artifacts.manifest import CLIP_SCHEMA, rebase
from birdssl.artifacts.shards import Shards
from birdssl.errors import IncompatibleError, UsageError
from birdssl.training.held import Held, hold

SOURCE = "source"  # column: number of the input directory; with it, ids are unique
AGREED = ("kind", "sample_rate", "clip_seconds", "array", "frontend")


@dataclass(frozen=True)
class Joined:
    """Rows of all inputs, with the manifest's columns and `source`, and what the inputs have in common."""

    rows: pl.DataFrame
    facts: dict[str, Any]
    shards: list[Shards]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one clip: height and width of a picture in pixels, or samples of a waveform."""
        return tuple(int(size) for size in self.facts["array"]["shape"])

    def hold(self, rows: pl.DataFrame, device: torch.device, budget: float) -> Held:
        """The clips of a table that holds some of this one's rows, numbered by it, on the device where they fit."""
        dtype = torch.from_numpy(np.empty(0, self.facts["array"]["dtype"])).dtype
        return hold(lambda places: self.read(rows, places), rows.height, self.shape, dtype, device, budget)

    def read(self, rows: pl.DataFrame, positions: np.ndarray) -> np.ndarray:
        """Stored clips (n, *shape) of the rows at `positions` of a table that holds some of this one's rows."""
        wanted = rows[positions].select(SOURCE, "shard", "row")
        source, shard, row = (wanted[name].to_numpy() for name in wanted.columns)
        clips = np.empty((len(wanted), *self.shape), self.facts["array"]["dtype"])
        for number in np.unique(source):
            here = np.flatnonzero(source == number)
            clips[here] = self.shards[number].take(shard[here], row[here])
        return clips


def join(artifacts: list[Artifact], target: Path) -> Joined:
    """Join directories made by `birdssl render`; `path` becomes relative to the folder `target`.

    Raises UsageError when one is given twice, IncompatibleError when one isn't rendered or they differ in how audio
    became what they hold.
    """
    known: dict[Path, Path] = {}
    for artifact in artifacts:
        if artifact.path.resolve() in known:
            raise UsageError(f"{artifact.path} is given twice; give each directory once")
        known[artifact.path.resolve()] = artifact.path
    facts = agreed_facts(artifacts)
    tables = [
        rebase(artifact.manifest().select(list(CLIP_SCHEMA)), artifact.path, target).with_columns(
            pl.lit(number, dtype=pl.Int16).alias(SOURCE)
        )
        for number, artifact in enumerate(artifacts)
    ]
    return Joined(pl.concat(tables), facts, [Shards.of(artifact) for artifact in artifacts])


def agreed_facts(artifacts: list[Artifact]) -> dict[str, Any]:
    """What the inputs must have in common; raises IncompatibleError with the values that differ."""
    first = artifacts[0]
    for artifact in artifacts:
        if "array" not in artifact.facts:
            Shards.of(artifact)  # says that it wasn't rendered
        kinds = first.facts.get("kind"), artifact.facts.get("kind")
        difference = differing(first.facts, artifact.facts, AGREED if kinds[0] == kinds[1] else ("kind",))
        if difference:
            raise IncompatibleError(
                f"{first.path} and {artifact.path} were made in different ways: {difference}; "
                "run `birdssl render` with the same settings for both"
            )
    return {name: first.facts.get(name) for name in AGREED}


def differing(one: dict[str, Any], other: dict[str, Any], names: tuple[str, ...]) -> str:
    """Values that differ between two sets of facts, in words; nested values are named by their own keys."""
    parts: list[str] = []
    for name in names:
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            inner = differing(a, b, tuple(dict.fromkeys([*a, *b])))
            parts += [inner] if inner else []
        elif a != b:
            parts.append(f"{name} is {a!r} and {b!r}")
    return ", ".join(parts)
