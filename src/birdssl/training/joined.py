"""Several rendered directories as one table of clips, and the images behind it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import Artifact
from birdssl.artifacts.manifest import CLIP_SCHEMA, rebase
from birdssl.artifacts.shards import Shards
from birdssl.errors import IncompatibleError, UsageError

SOURCE = "source"  # column: number of the input directory; with it, ids are unique
AGREED = ("kind", "sample_rate", "clip_seconds", "array", "frontend")


@dataclass(frozen=True)
class Joined:
    """Rows of all inputs, with the manifest's columns and `source`, and what the inputs have in common."""

    rows: pl.DataFrame
    facts: dict[str, Any]
    shards: list[Shards]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image, pixels."""
        height, width = self.facts["array"]["shape"]
        return int(height), int(width)

    def read(self, rows: pl.DataFrame, positions: np.ndarray) -> np.ndarray:
        """Images (n, height, width) uint8 of the rows at `positions` of a table that holds some of this one's rows."""
        wanted = rows[positions].select(SOURCE, "shard", "row")
        source, shard, row = (wanted[name].to_numpy() for name in wanted.columns)
        images = np.empty((len(wanted), *self.shape), np.uint8)
        for number in np.unique(source):
            here = np.flatnonzero(source == number)
            images[here] = self.shards[number].take(shard[here], row[here])
        return images


def join(artifacts: list[Artifact], target: Path) -> Joined:
    """Join directories made by `birdssl render`; `path` becomes relative to the folder `target`.

    Raises UsageError when one is given twice, IncompatibleError when one holds no spectrograms or they differ in how
    audio became images.
    """
    known: dict[Path, Path] = {}
    for artifact in artifacts:
        if artifact.path.resolve() in known:
            raise UsageError(f"{artifact.path} is given twice; give each directory once")
        known[artifact.path.resolve()] = artifact.path
    facts = agreed_facts(artifacts)
    if facts["kind"] != "spectrogram":
        raise IncompatibleError(
            f"{artifacts[0].path} holds clips of kind {facts['kind']!r}, and these encoders take spectrograms; "
            "run `birdssl render` without --kind"
        )
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
        difference = differing(first.facts, artifact.facts, AGREED)
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
