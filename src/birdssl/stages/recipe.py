"""What a recipe says: a TOML file of stages, their settings and a matrix, read and checked.

title = "..."

[matrix]                                # each combination of the axes' values is a cell
fold = [0, 1]
[matrix.start.random]                   # a value may bring settings for stages
finetune = { epochs = 30 }
[matrix.start.vicreg]
finetune = { model = "@pretrain" }

[stages.segment]                        # the verb is the name, unless `verb` says otherwise
input = "input"                         # what was given on the command line; or a stage, or ./a/path
                                        # "input:frogs" is --input frogs=DIR; what reads one not given is left out
sample_rate = 22050

[stages.pretrain]
input = "render"
objective = "{start}"                   # {axis} stands for the cell's value
when = { start = ["vicreg"] }           # cells that have this stage

[stages.evaluate]
input = "embed"
over = ["start"]                        # one for all values of these axes, not one a cell
partial = true                          # made of what there is while cells are missing, in OUT/evaluate-...-so-far

base = "other.toml"                     # at the top: a recipe beside it, of which this one changes what it says anew
without = [{ fold = 1, start = "vicreg" }]  # at the top: cells that there are not

[results]                               # a row for each run of that stage
stage = "evaluate"
columns = { accuracy = "systems.0.balanced_accuracy.value" }
"""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from birdssl.errors import UsageError
from birdssl.settings.base import nearest

Cell = dict[str, Any]  # axis -> value

KEYS = ("base", "title", "without", "matrix", "stages", "results")
STAGE_KEYS = ("verb", "input", "when", "over", "partial", "jobs")
GIVEN = "input"  # what stands for the command line's INPUT


@dataclass(frozen=True)
class StageEntry:
    """One `[stages.NAME]` table; `settings` still hold {axis} and @stage."""

    name: str
    verb: str
    inputs: tuple[str, ...]
    settings: dict[str, Any]
    when: dict[str, tuple[Any, ...]]
    over: tuple[str, ...]
    jobs: int | None = None  # most workers; no part of the key, since it doesn't change what comes out
    partial: bool = False  # gathers what there is while cells are missing

    def belongs(self, cell: Cell) -> bool:
        """Whether a cell has this stage; axes that `cell` lacks don't matter."""
        return all(cell[axis] in values for axis, values in self.when.items() if axis in cell)


@dataclass(frozen=True)
class Recipe:
    """A recipe, checked as far as it can be without its inputs."""

    path: Path
    title: str
    matrix: dict[str, tuple[Any, ...]]
    variants: dict[str, dict[Any, dict[str, dict[str, Any]]]]  # axis -> value -> stage -> settings
    stages: dict[str, StageEntry]
    result_stage: str | None = None
    result_columns: dict[str, str] = field(default_factory=dict)
    without: tuple[Cell, ...] = ()

    def cells(self) -> list[Cell]:
        """Every combination of the axes' values that there is, the last axis fastest."""
        every = [dict(zip(self.matrix, values, strict=True)) for values in product(*self.matrix.values())]
        return [cell for cell in every if self.has(cell)]

    def has(self, cell: Cell) -> bool:
        """Whether a cell, or a part of its axes, is one that there is."""
        return not any(each.items() <= cell.items() for each in self.without)


def read_recipe(path: Path, verbs: Iterable[str]) -> Recipe:
    """Read a recipe. Raises UsageError with the file, the place and the nearest known word."""
    table = _read(path, ())
    if not _table(path, "stages", table.get("stages", {})):
        raise UsageError(f"{path}: no [stages]; a recipe needs at least one, such as [stages.segment]")
    names = list(table["stages"])
    matrix, variants = _matrix(path, _table(path, "matrix", table.get("matrix", {})), names)
    stages = {name: _stage(path, name, _table(path, f"stages.{name}", entry), matrix, list(verbs))
              for name, entry in table["stages"].items()}  # fmt: skip
    stage, columns = _results(path, _table(path, "results", table.get("results", {})), names)
    without = _without(path, table.get("without", []), matrix)
    return Recipe(path, str(table.get("title", path.stem)), matrix, variants, stages, stage, columns, without)


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """A recipe's table over that of its base, tables merged and all else replaced; `above` are those it is base of."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such recipe; give a TOML file") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; give the recipe's TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    _known(path, "", table, KEYS)
    if "base" not in table:
        return table
    base = path.parent / str(table.pop("base"))
    if base in (*above, path):
        raise UsageError(f"{path}: recipes are each other's base in a circle: {base}")
    return _merged(_read(base, (*above, path)), table)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {**below, **above}
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            both[name] = _merged(below[name], value)
    return both


def select(recipe: Recipe, only: Iterable[str]) -> list[Cell]:
    """The cells that match every AXIS=VALUE; several values of one axis are alternatives.

    Raises UsageError for an unknown axis or value.
    """
    return choose(recipe, recipe.cells(), ",".join(only), "--only")


def choose(recipe: Recipe, cells: Iterable[Cell], texts: str, where: str) -> list[Cell]:
    """Those of `cells` that match `axis=value,axis=value`; an empty text takes all."""
    wanted: dict[str, list[Any]] = {}
    for text in filter(None, texts.split(",")):
        axis, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{where}: {text!r}: write AXIS=VALUE")
        if axis not in recipe.matrix:
            raise UsageError(f"{where}: {text!r}: {recipe.path} has no axis {axis!r}; {_nearest(axis, recipe.matrix)}")
        known = {str(item): item for item in recipe.matrix[axis]}
        if value not in known:
            raise UsageError(f"{where}: {text!r}: axis {axis!r} has no such value; {_nearest(value, known)}")
        wanted.setdefault(axis, []).append(known[value])
    chosen: dict[tuple[Any, ...], Cell] = {}
    for cell in cells:
        narrowed = {**cell, **{axis: values[0] for axis, values in wanted.items() if axis not in cell}}
        if all(narrowed[axis] in values for axis, values in wanted.items()):
            chosen[tuple(narrowed.items())] = narrowed
    return list(chosen.values())


def fill(value: Any, cell: Mapping[str, Any], where: str) -> Any:
    """Replace {axis} in texts by the cell's value; a text that is nothing but {axis} takes the value itself."""
    if isinstance(value, list):
        return [fill(item, cell, where) for item in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    if value.startswith("{") and value.endswith("}") and value[1:-1] in cell:
        return cell[value[1:-1]]
    try:
        return value.format_map(cell)
    except (KeyError, ValueError, IndexError):
        raise UsageError(f"{where}: {value!r} names no axis of this cell; axes: {_listed(cell)}") from None


def _matrix(
    path: Path, table: dict[str, Any], stages: list[str]
) -> tuple[dict[str, tuple[Any, ...]], dict[str, dict[Any, dict[str, dict[str, Any]]]]]:
    """Axes with their values, and the settings that values bring."""
    axes: dict[str, tuple[Any, ...]] = {}
    variants: dict[str, dict[Any, dict[str, dict[str, Any]]]] = {}
    for axis, values in table.items():
        where = f"matrix.{axis}"
        if isinstance(values, dict) and values:
            axes[axis] = tuple(values)
            for value, overlay in values.items():
                _known(path, f"{where}.{value}", _table(path, f"{where}.{value}", overlay), stages)
                for stage, settings in overlay.items():
                    _table(path, f"{where}.{value}.{stage}", settings)
            variants[axis] = values
        elif isinstance(values, list) and values and len(set(map(str, values))) == len(values):
            axes[axis] = tuple(values)
        else:
            raise UsageError(f"{path}: {where} must be a list of different values, or tables of settings")
    return axes, variants


def _stage(path: Path, name: str, table: dict[str, Any], matrix: Mapping[str, Any], verbs: list[str]) -> StageEntry:
    where = f"stages.{name}"
    verb = table.get("verb", name)
    if verb not in verbs:
        raise UsageError(f"{path}: [{where}]: no such verb {verb!r}; {_nearest(str(verb), verbs)}")
    inputs = table.get("input", [])
    inputs = [inputs] if isinstance(inputs, str) else inputs
    when = _table(path, f"{where}.when", table.get("when", {}))
    over = table.get("over", [])
    if not isinstance(inputs, list) or not all(isinstance(item, str) for item in inputs):
        raise UsageError(f"{path}: [{where}]: input must be a text or a list of texts")
    if not isinstance(over, list):
        raise UsageError(f"{path}: [{where}]: over must be a list of axes")
    _known(path, f"{where}.when", when, matrix)
    _known(path, f"{where}.over", over, matrix)
    for axis, values in when.items():
        for value in values if isinstance(values, list) else [values]:
            if value not in matrix[axis]:
                known = [str(item) for item in matrix[axis]]
                raise UsageError(
                    f"{path}: [{where}.when]: {axis} has no value {value!r}; {_nearest(str(value), known)}"
                )
    jobs = table.get("jobs")
    if jobs is not None and (not isinstance(jobs, int) or jobs < 1):
        raise UsageError(f"{path}: [{where}]: jobs is {jobs!r}; expected a whole number, at least 1")
    partial = table.get("partial", False)
    if not isinstance(partial, bool) or (partial and not over):
        raise UsageError(f"{path}: [{where}]: partial is {partial!r}; expected true or false, for a stage with over")
    settings = {key: value for key, value in table.items() if key not in STAGE_KEYS}
    alternatives = {axis: tuple(values) if isinstance(values, list) else (values,) for axis, values in when.items()}
    return StageEntry(name, verb, tuple(inputs), settings, alternatives, tuple(over), jobs, partial)


def _without(path: Path, rows: Any, matrix: Mapping[str, Sequence[Any]]) -> tuple[Cell, ...]:
    """Cells that there are not. A value that another recipe's axis has lost means nothing here."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row for row in rows):
        raise UsageError(f'{path}: without must be a list of tables, such as [{{ fold = 1, start = "vicreg" }}]')
    for row in rows:
        for axis in row:
            if axis not in matrix:
                raise UsageError(f"{path}: without: there is no axis {axis!r}; {_nearest(axis, matrix)}")
    return tuple(rows)


def _results(path: Path, table: dict[str, Any], stages: list[str]) -> tuple[str | None, dict[str, str]]:
    _known(path, "results", table, ("stage", "columns"))
    if not table:
        return None, {}
    stage, columns = table.get("stage"), _table(path, "results.columns", table.get("columns", {}))
    if stage not in stages:
        raise UsageError(f"{path}: [results]: stage {stage!r} isn't in the recipe; {_nearest(str(stage), stages)}")
    return stage, {name: str(place) for name, place in columns.items()}


def _table(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {where} is {value!r}; expected a table of keys and values")
    return value


def _known(path: Path, where: str, keys: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in keys:
        if key not in known:
            place = f" in [{where}]" if where else ""
            raise UsageError(f"{path}: unknown key {key!r}{place}; {_nearest(key, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    known = [str(item) for item in known]
    return nearest(word, known) if known else "there are none"


def _listed(cell: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis}={value}" for axis, value in cell.items()) or "none"
