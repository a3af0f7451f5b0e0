"""What a stage is: the units of work it plans, what a unit returns, and what later stages inherit from it.

A stage says what there is to do and does one unit at a time. Everything else that docs/architecture.md promises of
every stage (resuming, updating, rejects, workers, signals, exit codes) is done once, in `birdssl.stages.runner`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.artifacts.manifest import CLIP_SCHEMA
from birdssl.errors import IncompatibleError
from birdssl.settings.base import Settings, plain_type
from birdssl.settings.run import RunOptions

S = TypeVar("S", bound=Settings)

WORK = ".work"


@dataclass(frozen=True)
class Unit:
    """One piece of work that is done whole or not at all.

    `key` names it within the stage (a recording, "shard-00012"). `identity` is a digest of all that its output depends
    on besides the settings: the same identity under the same settings gives the same bytes. `payload` is what `work`
    needs; `size` is about how many bytes it will write.
    """

    key: str
    identity: str
    payload: Any = None
    size: int = 0


@dataclass(frozen=True)
class Reject:
    """Something that was left out: its name, where in it the fault lies, and why."""

    name: str
    where: str
    reason: str


@dataclass
class Result:
    """What a unit adds to the manifest and to the rejects."""

    rows: pl.DataFrame | None = None
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """An input as stage.json records it. `verb` is None for folders that no stage made."""

    path: Path
    verb: str | None
    digest: str


class Stage(ABC, Generic[S]):
    """Base of every verb. A subclass must pickle, since its units run in worker processes."""

    verb: ClassVar[str]
    owns: ClassVar[tuple[str, ...]] = ()  # names of the files and folders that it creates in OUT
    parallel: ClassVar[bool] = True  # False: units run in this process, one after the other
    accepts: ClassVar[tuple[str, ...] | None] = None  # verbs whose directories it reads; None for any

    def __init__(self, settings: S, inputs: Sequence[Path], out: Path, options: RunOptions | None = None) -> None:
        self.settings = settings
        self.inputs = [Path(path) for path in inputs]
        self.out = Path(out)
        self.options = options or RunOptions()

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of the manifest, known once `plan` has run."""
        return CLIP_SCHEMA

    @property
    def scratch(self) -> Path:
        """A folder that survives an interruption and is removed when the stage is complete."""
        return self.out / WORK / "scratch"

    def artifacts(self) -> list[Artifact]:
        """The inputs, opened as directories of the verbs in `accepts`."""
        return [open_artifact(path, self.accepts) for path in self.inputs]

    def sources(self) -> list[Source]:
        """The inputs for stage.json."""
        return [Source(artifact.path, artifact.verb, artifact.digest) for artifact in self.artifacts()]

    @abstractmethod
    def plan(self) -> list[Unit]:
        """List the units in a fixed order, without writing. Raises NoInputError when there are none."""

    @abstractmethod
    def work(self, unit: Unit) -> Result:
        """Do one unit: write its payload under `out`, atomically. BadInput rejects the unit as a whole."""

    def recorded_settings(self) -> dict[str, Any]:
        """The settings for stage.json; paths are written relative to OUT, so that they mean the same from anywhere."""
        values = self.settings.record()
        for name, field_ in type(self.settings).model_fields.items():
            kind, is_list, _ = plain_type(field_)
            value = getattr(self.settings, name)
            if kind is Path and value is not None:
                values[name] = [relative(path, self.out) for path in value] if is_list else relative(value, self.out)
        return values

    def facts(self) -> dict[str, Any]:
        """Values that later stages inherit; called after `plan`."""
        return {}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Write what is made from the whole, and return the summary that stage.json and --json carry."""
        return {}

    def report(self, summary: dict[str, Any]) -> str:
        """Text for stdout at the end, for a person; empty for none."""
        return ""


def inherit(value: Any, inputs: Sequence[Artifact], name: str, default: Any = None) -> Any:
    """A setting's value, taken from the inputs' facts where it isn't given.

    Raises IncompatibleError when the inputs differ from each other, or a given value from theirs; both are shown.
    """
    known = {str(artifact.path): artifact.facts[name] for artifact in inputs if artifact.facts.get(name) is not None}
    flag = Settings.flag(name)
    first = next(iter(known.items()), None)
    for path, found in known.items():
        if first is not None and found != first[1]:
            raise IncompatibleError(
                f"the inputs don't fit together: {name} is {first[1]!r} in {first[0]} and {found!r} in {path}; "
                f"make them with the same {flag}"
            )
    if first is None:
        return default if value is None else value
    if value is not None and value != first[1]:
        raise IncompatibleError(
            f"{flag} {value!r} contradicts {first[0]}, which has {first[1]!r}; leave {flag} out to inherit it, "
            f"or make the input anew with {flag} {value}"
        )
    return first[1]


def relative(path: Path, folder: Path) -> str:
    """A path as it's written inside `folder`, so that a tree of stages can be moved as a whole."""
    return os.path.relpath(path.resolve(), folder.resolve())
