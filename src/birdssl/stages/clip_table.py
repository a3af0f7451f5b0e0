"""Clips of one or several input directories as one table, cut into blocks of rows that are units of work."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.artifact import UNITS, Artifact, open_artifact
from birdssl.artifacts.manifest import rebase
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.stages.contract import Unit


def read_clips(artifacts: Sequence[Artifact], out: Path) -> pl.DataFrame:
    """All rows of the inputs, in order, with audio paths relative to `out`.

    Raises NoInputError when there are none, and IncompatibleError when a clip comes twice.
    """
    table = pl.concat([rebase(artifact.manifest(), artifact.path, out) for artifact in artifacts])
    if table.is_empty():
        raise NoInputError(f"{', '.join(str(artifact.path) for artifact in artifacts)}: no clips in it")
    twins = table.filter(pl.col("id").is_duplicated())
    if twins.height:
        row = twins.row(0, named=True)
        raise IncompatibleError(
            f"{twins.height} rows have a clip in common with another, such as {row['recording']} at "
            f"{row['start']:g} s; give each input once"
        )
    return table


def merged_facts(artifacts: Sequence[Artifact]) -> dict[str, Any]:
    """What the inputs pass on: facts that agree, and the union of their class lists.

    Raises IncompatibleError that shows both values where the inputs differ in anything else.
    """
    merged: dict[str, Any] = {}
    for artifact in artifacts:
        for name, value in artifact.facts.items():
            if name not in merged or merged[name] == value:
                merged[name] = value
            elif name == "classes":
                merged[name] = sorted({*merged[name], *value})
            else:
                raise IncompatibleError(
                    f"the inputs don't fit together: {name} is {merged[name]!r} in an earlier one and {value!r} in "
                    f"{artifact.path}; make them with the same settings"
                )
    return merged


def block_units(table: pl.DataFrame, contents: dict[str, str], rows: int, bytes_per_row: int, name: str) -> list[Unit]:
    """Units of up to `rows` rows each, named "<name>-00000" and so on; the payload is the block.

    A clip stays with its copies and views, so a block is longer than `rows` where one clip's alone are. A block's
    identity covers its rows and the `contents` of its recordings, as `recording_contents` gives them, so that an update
    renews only blocks that have changed.
    """
    units = []
    for number, (start, end) in enumerate(_family_blocks(table, rows)):
        block = table.slice(start, end - start)
        identity = _block_digest(block, contents)
        units.append(Unit(f"{name}-{number:05d}", identity, block, bytes_per_row * block.height))
    return units


def _family_blocks(table: pl.DataFrame, rows: int) -> Iterator[tuple[int, int]]:
    """First row and end of each block: runs of rows of one clip, joined as far as they fit."""
    family = table.select(pl.coalesce("parent", "id").rle_id().alias("family"))["family"]
    ends = [*(family.diff().fill_null(0) != 0).arg_true().to_list(), table.height]
    start = end = 0
    for following in ends:
        if following - start > rows and end > start:
            yield start, end
            start = end
        end = following
    if end > start:
        yield start, end


def recording_contents(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """A digest of what is behind each recording's clips: its file, and the settings of the stages it came through.

    Recordings whose history can't be followed, since an earlier directory is gone, share their artifact's digest,
    under the name "".
    """
    contents: dict[str, str] = {"": _digest(*(artifact.digest for artifact in artifacts))}
    for artifact in artifacts:
        contents |= _history(artifact)
    return contents


def remove_strays(folder: Path, wanted: set[Path]) -> None:
    """Remove files below a folder that no row names any more: an update may plan other rows than the run before."""
    for place, _, files in os.walk(folder, topdown=False):
        for path in (Path(place) / name for name in files):
            if path not in wanted:
                path.unlink()
        if not os.listdir(place):
            os.rmdir(place)


def _history(artifact: Artifact) -> dict[str, str]:
    settings = json.dumps(artifact.settings, sort_keys=True)
    if artifact.verb == "segment":
        units = pl.read_parquet(artifact.path / UNITS)
        found = dict(zip(units["key"].to_list(), units["identity"].to_list(), strict=True))
    else:
        found = {}
        for source in artifact.record.inputs:
            found |= _earlier(artifact.path / source["path"]) if source["verb"] is not None else {}
    return {recording: _digest(identity, artifact.verb, settings) for recording, identity in found.items()}


def _earlier(path: Path) -> dict[str, str]:
    try:
        return _history(open_artifact(path))
    except (NoInputError, IncompatibleError):
        return {}


def _block_digest(block: pl.DataFrame, contents: dict[str, str]) -> str:
    recordings = block["recording"].unique().sort().to_list()
    return _digest(block.write_ndjson(), *(contents.get(name) or contents[""] for name in recordings))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
