"""A stage's directory as its successors see it: what made it, what it passes on, and its manifest."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.atomic import write_json
from birdssl.errors import IncompatibleError, NoInputError

RECORD = "stage.json"
MANIFEST = "manifest.parquet"
REJECTS = "rejects.parquet"
UNITS = "units.parquet"
LOG = "run.log"
SCHEMA_VERSION = 1

RUNNING, INTERRUPTED, COMPLETE = "running", "interrupted", "complete"


@dataclass
class StageRecord:
    """Contents of stage.json. Holds no time, so that the same work gives the same bytes."""

    verb: str
    version: str  # of birdssl
    state: str  # running, interrupted or complete
    settings: dict[str, Any]
    inputs: list[dict[str, Any]]  # path (relative to the directory), verb and digest of each
    plan: str  # digest of the units' keys and identities
    facts: dict[str, Any] = field(default_factory=dict)  # what later stages inherit
    counts: dict[str, int] = field(default_factory=dict)  # units, rows, rejects
    summary: dict[str, Any] = field(default_factory=dict)  # what the stage says of the whole
    digest: str | None = None  # of the manifest and the facts, once complete
    schema: int = SCHEMA_VERSION

    def write(self, folder: Path) -> None:
        """Write stage.json atomically, the schema version first."""
        values = {"schema": self.schema, **{key: value for key, value in vars(self).items() if key != "schema"}}
        write_json(folder / RECORD, values)


def read_record(folder: Path) -> StageRecord | None:
    """The stage.json of a folder, or None where it has none. Raises IncompatibleError for one that isn't ours."""
    path = folder / RECORD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IncompatibleError(f"{path} isn't readable as JSON ({error}); restore it, or make {folder} anew") from None
    found = values.get("schema") if isinstance(values, dict) else None
    if found != SCHEMA_VERSION:
        raise IncompatibleError(
            f"{path} has schema {found!r}; this birdssl reads {SCHEMA_VERSION}: make {folder} anew with this version"
        )
    missing = {"verb", "state", "settings", "inputs", "plan"} - values.keys()
    unknown = values.keys() - StageRecord.__dataclass_fields__.keys()
    if missing or unknown:
        raise IncompatibleError(
            f"{path} lacks {sorted(missing)} and has unknown {sorted(unknown)}: it isn't a birdssl stage record"
        )
    return StageRecord(**values)


class Artifact:
    """A finished stage directory, opened for reading."""

    def __init__(self, path: Path, record: StageRecord) -> None:
        self.path, self.record = path, record
        self.verb, self.settings, self.facts = record.verb, record.settings, record.facts
        self.counts, self.digest = record.counts, str(record.digest)

    def scan(self) -> pl.LazyFrame:
        """The manifest, read lazily."""
        return pl.scan_parquet(self.path / MANIFEST)

    def manifest(self) -> pl.DataFrame:
        """The manifest, read whole."""
        return self._manifest

    @cached_property
    def _manifest(self) -> pl.DataFrame:
        return pl.read_parquet(self.path / MANIFEST)

    def rejects(self) -> pl.DataFrame:
        """What was left out: name, where, reason."""
        return pl.read_parquet(self.path / REJECTS)


def open_artifact(path: Path, verbs: tuple[str, ...] | None = None) -> Artifact:
    """Open a finished stage directory, made by one of `verbs` where these are given.

    Raises NoInputError when there is nothing at `path`, and IncompatibleError when it isn't a stage directory, isn't
    finished, or was made by another verb.
    """
    if not path.exists():
        raise NoInputError(f"{path}: no such directory; give the OUT of an earlier `birdssl` stage")
    record = read_record(path)
    wanted = " or ".join(f"`birdssl {verb}`" for verb in verbs) if verbs else "a birdssl stage"
    if record is None:
        raise IncompatibleError(f"{path} holds no {RECORD}: expected a directory made by {wanted}")
    if verbs and record.verb not in verbs:
        raise IncompatibleError(f"{path} was made by `birdssl {record.verb}`; expected a directory made by {wanted}")
    if record.state != COMPLETE:
        raise IncompatibleError(
            f"{path} isn't finished (state: {record.state}); run its `birdssl {record.verb}` command again to finish it"
        )
    return Artifact(path, record)


def table_digest(path: Path) -> str:
    """32 hex digits of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
