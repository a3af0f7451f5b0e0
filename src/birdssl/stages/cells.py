"""From a recipe to the commands that it stands for: each with a directory that is named by what goes into it.

A step's key is a digest of its verb, its settings and its inputs' keys. So steps that cells, or recipes, have in common
are one directory and run once.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Protocol

from birdssl.artifacts.artifact import COMPLETE, read_record
from birdssl.errors import NoInputError, UsageError
from birdssl.settings.base import Settings, check, extra, field_name, nearest, plain_type
from birdssl.settings.run import RunOptions
from birdssl.stages.recipe import GIVEN, Cell, Recipe, StageEntry, choose, fill

REFERENCE = "@"  # begins a setting that stands for the directory of a stage
SHOWN_OPTIONS = ("jobs", "device", "update", "overwrite", "max_rejects")
DIGITS = 8  # hex digits of a key in a directory's name
SO_FAR = "-so-far"  # ends the name of what is made of the cells that there are


class MissingInput(UsageError):
    """A named input that a step reads isn't given: the step is left out, with all that needs it."""


class Verb(Protocol):
    """What is needed of a verb of the command line."""

    @property
    def settings(self) -> type[Settings]:
        """Its settings."""
        ...

    def stage(self) -> type[Any]:
        """Import and return its Stage class."""
        ...


@dataclass(frozen=True, eq=False)
class Step:
    """One run of one stage: what is typed, where it writes, and what must be there before. One object a key."""

    name: str
    verb: str
    key: str
    out: Path
    inputs: tuple[Path, ...]
    settings: Settings
    needs: tuple["Step", ...]
    cell: Cell

    def complete(self) -> bool:
        """Whether its directory is finished."""
        record = read_record(self.out)
        return record is not None and record.state == COMPLETE

    def command(self, options: RunOptions | None = None) -> str:
        """Its command line, quoted for a shell: the settings that the recipe gives, and options that aren't usual."""
        options = options or RunOptions()
        words = ["birdssl", self.verb, *map(str, self.inputs), "-o", str(self.out)]
        for name in type(self.settings).model_fields:
            if name in self.settings.model_fields_set:
                words += flag_words(self.settings, name)
        for name in SHOWN_OPTIONS:
            if getattr(options, name) != getattr(RunOptions(), name):
                words += flag_words(options, name)
        return shlex.join(words)


def so_far_name(step: Step) -> str:
    """The directory for what a step makes of a part of its cells."""
    words = [step.name, *(str(value) for value in step.cell.values())]
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in "-".join(words)) + SO_FAR


def flag_words(settings: Settings, name: str) -> list[str]:
    """A setting as words of a command line, as the flag's own reader takes them."""
    flag, value = type(settings).flag(name), getattr(settings, name)
    if value == []:
        return []
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    items = [f"{item:g}" if isinstance(item, float) else str(item)
             for item in (value if isinstance(value, list) else [value])]  # fmt: skip
    if (
        len(items) != 1
        and not any("," in item for item in items)
        and extra(type(settings).model_fields[name], "commas")
    ):
        items = [",".join(items)]
    return [word for item in items for word in ([f"{flag}={item}"] if item.startswith("-") else [flag, item])]


class Expansion:
    """Resolves the stages of a recipe in cells; one instance a run, so that shared steps are one object."""

    def __init__(
        self, recipe: Recipe, verbs: Mapping[str, Verb], out: Path, given: Path | None = None,
        named: Mapping[str, Path] | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.verbs, self.out, self.given, self.named = recipe, verbs, out, given, named or {}
        self.left_out: dict[str, dict[str, None]] = {}  # why stages are left out, and what they are
        self.known: dict[str, Step] = {}
        self._resolved: dict[tuple[Any, ...], Step] = {}
        self._open: list[str] = []
        self._digests: dict[Path, str] = {}

    def steps(self, cells: list[Cell]) -> list[Step]:
        """The steps of the cells in an order in which they can run: cell by cell, then what gathers over cells."""
        ordered: dict[str, Step] = {}
        for late in (False, True):
            for cell in cells:
                for name, entry in self.recipe.stages.items():
                    step = self.present(name, cell) if entry.belongs(cell) else None
                    if step is not None and self._late(step) == late:
                        self._append(step, ordered)
        return list(ordered.values())

    def present(self, name: str, cell: Cell) -> Step | None:
        """The step of a stage in a cell; None, and noted, where it needs an input that isn't given."""
        try:
            return self.resolve(name, cell)
        except MissingInput as missing:
            variants = [f"{axis}={cell[axis]}" for axis in self.recipe.variants if axis in cell]
            what = f"{name} ({', '.join(variants)})" if variants else name
            self.left_out.setdefault(str(missing), {})[what] = None
            return None

    def so_far(self, step: Step, made: Collection[str]) -> Step | None:
        """A step that gathers cells, over those that are complete or among the keys `made`; None where there are none.

        Its directory is named after the stage and the cell, since what is in it changes.
        """
        there = {need.out for need in step.needs if need.key in made or need.complete()}
        inputs = tuple(path for path in step.inputs if there & {path, *path.parents})
        return replace(step, out=self.out / so_far_name(step), inputs=inputs) if inputs else None

    def _append(self, step: Step, ordered: dict[str, Step]) -> None:
        for need in step.needs:
            # What is gathered over cells that weren't chosen isn't run for that reason.
            if self._late(need) or not self._late(step):
                self._append(need, ordered)
        ordered.setdefault(step.key, step)

    def _late(self, step: Step) -> bool:
        """Whether a step gathers over cells, or reads one that does."""
        return bool(self.recipe.stages[step.name].over) or any(self._late(need) for need in step.needs)

    def resolve(self, name: str, cell: Cell) -> Step:
        """The step of a stage in a cell. Raises UsageError for circles, unknown references and settings."""
        entry = self.recipe.stages[name]
        cell = {axis: value for axis, value in cell.items() if axis not in entry.over}
        asked = (name, *cell.items())
        if asked not in self._resolved:
            self._resolved[asked] = self._guarded(entry, cell)
        return self._resolved[asked]

    def _guarded(self, entry: StageEntry, cell: Cell) -> Step:
        name = entry.name
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise UsageError(f"{self.recipe.path}: stages read each other in a circle: {circle}")
        self._open.append(name)
        try:
            return self._resolve(entry, cell)
        finally:
            self._open.pop()

    def _resolve(self, entry: StageEntry, cell: Cell) -> Step:
        where = f"{self.recipe.path}: [stages.{entry.name}]"
        cls = self.verbs[entry.verb].settings
        needs: list[Step] = []
        inputs: list[Path] = []
        keys: list[str] = []
        for path, key, step in self._inputs(entry, cell, where):
            inputs.append(path)
            keys.append(key)
            needs += [step] if step else []
        raw, replaced = self._settings(entry, cell, cls, where, needs)
        try:
            settings = check(cls, raw)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        content = {**settings.record(), **replaced}
        key = _digest({"verb": entry.verb, "settings": content, "inputs": keys})
        if key not in self.known:
            out = self.out / f"{entry.verb}-{key[:DIGITS]}"
            self.known[key] = Step(entry.name, entry.verb, key, out, tuple(inputs), settings, tuple(needs), cell)
        return self.known[key]

    def _inputs(self, entry: StageEntry, cell: Cell, where: str) -> list[tuple[Path, str, Step | None]]:
        """Everything that a step reads; what gathers over cells goes on without an input that can't be made."""
        found, missing = [], None
        for text in entry.inputs:
            try:
                found += self._input(fill(text, cell, where), entry, cell, where)
            except MissingInput as error:
                missing = error
                if not entry.over:
                    raise
        if missing is not None and not found:
            raise missing
        return found

    def _settings(
        self, entry: StageEntry, cell: Cell, cls: type[Settings], where: str, needs: list[Step]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Raw settings of a stage in a cell, and what stands for its paths in the key."""
        merged = {key.replace("-", "_"): value for key, value in entry.settings.items()}
        for axis, values in self.recipe.variants.items():
            if axis in cell:
                overlay = values[cell[axis]].get(entry.name, {})
                merged |= {key.replace("-", "_"): value for key, value in overlay.items()}
        raw: dict[str, Any] = {}
        replaced: dict[str, Any] = {}
        for key, value in merged.items():
            try:
                name = field_name(cls, key)
            except UsageError as error:
                raise UsageError(f"{where}: {error}") from None
            raw[name] = fill(value, cell, where)
            kind, is_list, _ = plain_type(cls.model_fields[name])
            if is_list and not isinstance(raw[name], list | str):
                raw[name] = [raw[name]]  # {axis} alone in a setting that takes several
            texts = raw[name] if isinstance(raw[name], list) else [raw[name]]
            if kind is Path or any(isinstance(text, str) and text.startswith(REFERENCE) for text in texts):
                found = [item for text in texts for item in self._paths(str(text), entry, cell, where, needs)]
                if not is_list and len(found) != 1:
                    raise UsageError(f"{where}: {value!r} stands for {len(found)} directories; {key} takes one")
                raw[name] = [str(path) for path, _ in found] if is_list else str(found[0][0])
                replaced[name] = [key for _, key in found]
        return raw, replaced

    def _paths(self, text: str, entry: StageEntry, cell: Cell, where: str, needs: list[Step]) -> list[tuple[Path, str]]:
        """What a text among the settings stands for: @stage and @stage/part, or a path from the recipe's folder."""
        if not text.startswith(REFERENCE):
            path = self._from_recipe(text) if text.startswith((".", "/", "~")) else Path(text)
            return [(path, self._content(path, where))] if path.exists() else [(path, text)]
        found = self._input(text.removeprefix(REFERENCE), entry, cell, where)
        needs += [step for _, _, step in found if step]
        return [(path, key) for path, key, _ in found]

    def _input(self, text: str, entry: StageEntry, cell: Cell, where: str) -> list[tuple[Path, str, Step | None]]:
        """What an input stands for: (path, key, step) of each directory."""
        if text.startswith((".", "/", "~")):
            path = self._from_recipe(text)
            return [(path, self._content(path, where), None)]
        place, _, part = text.partition("/")
        name, _, chosen = place.partition(":")
        if name == GIVEN and GIVEN not in self.recipe.stages:
            path = self._given(chosen, where) / part
            return [(path, self._content(path, where), None)]
        if name not in self.recipe.stages:
            known = [*self.recipe.stages, GIVEN]
            raise UsageError(f"{where}: no stage {name!r}; {nearest(name, known)} (a path begins with ./ or /)")
        cells = choose(self.recipe, self._cells(name, entry, cell), chosen, f"{where}: {text!r}")
        found = [self.present(name, each) if entry.over else self.resolve(name, each) for each in cells]
        steps = list(dict.fromkeys(step for step in found if step is not None))
        if cells and not steps:
            raise MissingInput(f"none of what [{entry.name}] gathers from {name!r} can be made")
        if not steps:
            raise UsageError(f"{where}: its input {name!r} isn't part of {cell}; see its `when`")
        return [(step.out / part if part else step.out, f"{step.key}/{part}", step) for step in steps]

    def _given(self, name: str, where: str) -> Path:
        """What stands on the command line: the one input, or the one of a name."""
        if name:
            if name not in self.named:
                raise MissingInput(f"--input {name}=PATH isn't given")
            return self.named[name]
        if self.given is None:
            raise UsageError(f"{where}: reads what is given on the command line: birdssl run RECIPE INPUT -o OUT")
        return self.given

    def _cells(self, name: str, entry: StageEntry, cell: Cell) -> list[Cell]:
        """The cells in which a stage is read: this one, or all values of the axes that are gathered over."""
        values = [self.recipe.matrix[axis] for axis in entry.over]
        cells = [{**cell, **dict(zip(entry.over, each, strict=True))} for each in product(*values)]
        return [each for each in cells if self.recipe.has(each) and self.recipe.stages[name].belongs(each)]

    def _from_recipe(self, text: str) -> Path:
        """A path in a recipe is meant from the recipe's folder; it's shown from where the command runs."""
        path = (self.recipe.path.parent / Path(text).expanduser()).resolve()
        here = os.path.relpath(path)
        return path if here.startswith("..") else Path(here)

    def _content(self, path: Path, where: str) -> str:
        """Digest of what lies at an outside path: a stage's own digest, a file's bytes, a folder's names and sizes."""
        if path not in self._digests:
            if not path.exists():
                raise NoInputError(f"{where}: {path}: no such file or directory")
            record = read_record(path) if path.is_dir() else None
            if record is not None:
                self._digests[path] = str(record.digest)
            elif path.is_dir():
                files = sorted((str(each.relative_to(path)), each.stat().st_size)
                               for each in path.rglob("*") if each.is_file())  # fmt: skip
                self._digests[path] = _digest(files)
            else:
                with path.open("rb") as file:
                    self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digests[path]


def _digest(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=16).hexdigest()
