"""How a setting is declared, and how settings from several places become one checked object."""

import difflib
import os
import tomllib
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from birdssl.errors import UsageError


def setting(
    default: Any,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    short: str | None = None,
    metavar: str | None = None,
    inherited: bool = False,
    key: str | None = None,
    commas: bool = True,
) -> Any:
    """Declare a field of a `Settings` class.

    `default` of `...` makes it required. `inherited` says that None means "as the input's stage.json says".
    `short` is a one-letter flag such as "-r". The limits are inclusive for `ge` and `le`. `key` is the name outside
    of Python where the field's own can't be used; `commas` says whether a list may be typed as one text with commas.
    """
    extra: dict[str, Any] = {"short": short, "metavar": metavar, "inherited": inherited, "key": key, "commas": commas}
    return Field(default, description=help, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra)


class Settings(BaseModel):
    """Base of every verb's settings: immutable, and unknown keys are errors.

    The first paragraph of a subclass's docstring is its verb's help, and `example` a command line that runs. `title`
    heads the fields that a subclass itself declares, in the help of every verb that has them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    example: ClassVar[str] = ""
    title: ClassVar[str] = "Settings"

    @classmethod
    def heading(cls, name: str) -> str:
        """What a field stands under in help: the title of the class nearest the root that declares it."""
        owners = [owner for owner in cls.__mro__ if name in vars(owner).get("__annotations__", {})]
        return str(vars(owners[-1]).get("title", Settings.title)) if owners else Settings.title

    @classmethod
    def flag(cls, name: str) -> str:
        """The long flag of a field: `sample_rate` is `--sample-rate`."""
        return "--" + cls.key(name)

    @classmethod
    def key(cls, name: str) -> str:
        """A field's name in flags and TOML files: `sample_rate` is `sample-rate`."""
        field = cls.model_fields.get(name)
        return (field and extra(field, "key")) or name.replace("_", "-")

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, for stage.json; paths are written as they were given."""
        return self.model_dump(mode="json")


def paragraphs(settings: type[Settings]) -> tuple[str, ...]:
    """The class's docstring, each paragraph on one line."""
    return tuple(" ".join(part.split()) for part in (settings.__doc__ or "").strip().split("\n\n") if part.strip())


def summary(settings: type[Settings]) -> str:
    """First paragraph of the class's docstring, on one line."""
    return next(iter(paragraphs(settings)), "")


def extra(field: FieldInfo, name: str) -> Any:
    """What `setting` attached to a field under a name: short, metavar, inherited, key or commas."""
    return field.json_schema_extra.get(name) if isinstance(field.json_schema_extra, dict) else None


def plain_type(field: FieldInfo) -> tuple[Any, bool, bool]:
    """Strip a field's annotation to (element type, is a list, may be None)."""
    annotation, optional = field.annotation, False
    if get_origin(annotation) in (Union, types.UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        optional = len(arms) < len(get_args(annotation))
        annotation = arms[0] if len(arms) == 1 else str
    if get_origin(annotation) is list:
        return get_args(annotation)[0], True, optional
    return annotation, False, optional


def choices(field: FieldInfo) -> list[str]:
    """Allowed words of a Literal field, or an empty list."""
    kind, _, _ = plain_type(field)
    return [str(word) for word in get_args(kind)] if get_origin(kind) is Literal else []


def nearest(word: str, words: Iterable[str]) -> str:
    """A sentence fragment that names the closest known word, or lists them all when none is close."""
    known = sorted(set(words))
    found = closest(word, known)
    return f"did you mean {found!r}?" if found else f"known: {', '.join(known)}"


def closest(word: str, words: Iterable[str]) -> str | None:
    """The known word that a mistyped one most resembles, capitals aside, or that alone begins with it; else None."""
    known = {item.lower(): item for item in sorted(set(words))}
    word = word.lower()
    begun = [item for item in known if len(word) > 2 and item.startswith(word)]
    close = begun if len(begun) == 1 else difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return known[close[0]] if close else None


def limits(field: FieldInfo) -> str:
    """The allowed range of a field in words, such as "at least 1 and at most 8", or an empty string."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [f"{words[key]} {number(value)}" for rule in field.metadata for key in words
             if (value := getattr(rule, key, None)) is not None]  # fmt: skip
    return " and ".join(found)


def number(value: float) -> str:
    """A limit or default as a person writes it: 44100, 0.05, 1000000."""
    return f"{value:.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:g}"


def resolve(
    cls: type[Settings],
    verb: str,
    flags: Mapping[str, Any],
    config: Path | None = None,
    beside: type[Settings] | None = None,
    table: str | None = None,
) -> tuple[Any, dict]:
    """Merge flags over BIRDSSL_<VERB>_<FIELD> variables over a TOML file over defaults, and check the result.

    In the file the values stand in the table named `table`, by default the verb's, or at its top; it may hold settings
    of `beside` too, which are left to it. Returns the settings and, for every field that
    was given, where it came from ("flag", a variable's name or a file). Raises UsageError for unknown keys, words
    outside the choices and values out of range.
    """
    given: dict[str, Any] = {}
    source: dict[str, str] = {}
    for name, value in (read_config(config, table or verb, cls, beside) if config else {}).items():
        given[name], source[name] = value, str(config)
    for name in cls.model_fields:
        variable = environment_name(verb, cls.key(name))
        if os.environ.get(variable):
            given[name], source[name] = os.environ[variable], variable
    for name, value in flags.items():
        if value is not None:
            given[name], source[name] = value, "flag"
    return check(cls, given, source), source


def environment_name(verb: str, key: str) -> str:
    """The variable that sets a field of a verb; options common to all verbs have no verb in their name."""
    return "_".join(part for part in ("BIRDSSL", verb, key) if part).upper().replace("-", "_")


def read_config(path: Path, verb: str, cls: type[Settings], beside: type[Settings] | None = None) -> dict[str, Any]:
    """Read the settings of `cls` from a verb's table, or from the top of a TOML file that has no such table."""
    table, known = config_table(path, verb), _keys(cls) | (_keys(beside) if beside else {})
    found = {}
    for key, value in table.items():
        if key.replace("_", "-") not in known:
            raise UsageError(f"--config {path}: unknown setting {key!r}; {nearest(key.replace('_', '-'), known)}")
        if key.replace("_", "-") in _keys(cls):
            found[known[key.replace("_", "-")]] = value
    return found


def config_table(path: Path, verb: str = "") -> dict[str, Any]:
    """A TOML file's `[verb]` table, or, where it has none, its values outside of all tables."""
    table = read_toml(path)
    if isinstance(table.get(verb), dict):
        return dict(table[verb])
    return {key: value for key, value in table.items() if not isinstance(value, dict)}


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's values; raises UsageError when it can't be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"--config {path}: no such file; give a TOML file of settings") from None
    except OSError as error:
        raise UsageError(f"--config {path}: {error.strerror}; give a TOML file of settings") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is not TOML: {error}") from None


def _keys(cls: type[Settings]) -> dict[str, str]:
    """Field names by their names in flags and TOML files."""
    return {cls.key(name): name for name in cls.model_fields}


def field_name(cls: type[Settings], key: str) -> str:
    """The field of a TOML key, a flag's name or a field's own; raises UsageError with the nearest known name."""
    known = _keys(cls)
    if key in cls.model_fields:
        return key
    if key.replace("_", "-") not in known:
        raise UsageError(f"unknown setting {key!r}; {nearest(key.replace('_', '-'), known)}")
    return known[key.replace("_", "-")]


def check(cls: type[Settings], given: Mapping[str, Any], source: Mapping[str, str] | None = None) -> Any:
    """Build `cls` from raw values, texts included; every complaint becomes one UsageError sentence."""
    source = source or {}
    values = {name: _numbers_as_text(field, _split_list(field, value)) for key, value in given.items()
              for name in [field_name(cls, key)] for field in [cls.model_fields[name]]}  # fmt: skip
    try:
        return cls(**values)
    except ValidationError as error:
        raise UsageError("\n".join(_complaint(cls, item, source) for item in error.errors())) from None


def _numbers_as_text(field: FieldInfo, value: Any) -> Any:
    """Numbers as texts where texts are wanted: `balance = 580` in a file says what `--balance 580` does."""
    if plain_type(field)[0] is not str:
        return value
    if isinstance(value, list):
        return [_numbers_as_text(field, item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _split_list(field: FieldInfo, value: Any) -> Any:
    """Lists may be one value, or one comma-separated text; a repeated flag gives several texts."""
    if not plain_type(field)[1] or value is None:
        return value
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    if extra(field, "commas") is False:
        return items
    parts = [part for item in items for part in (item.split(",") if isinstance(item, str) else [item])]
    return [part.strip() if isinstance(part, str) else part for part in parts if part != ""]


def _complaint(cls: type[Settings], item: Any, source: Mapping[str, str]) -> str:
    """One of pydantic's errors as a sentence: what was found, what is allowed, and where it came from."""
    if not item["loc"]:
        return str(item["msg"]).removeprefix("Value error, ")
    name = str(item["loc"][0])
    field = cls.model_fields[name]
    origin = source.get(name, "flag")
    where = cls.flag(name) if origin == "flag" else f"{cls.flag(name)} (from {origin})"
    if item["type"] == "missing":
        return f"{where} is missing: {field.description}"
    if item["type"] == "value_error":
        return f"{where} {item['input']!r}: {str(item['msg']).removeprefix('Value error, ')}"
    if words := choices(field):
        found = closest(str(item["input"]), words)
        meant = f"did you mean {found!r}? " if found else ""
        return f"{where} {item['input']!r}: {meant}choices: {', '.join(words)}"
    allowed = limits(field)
    return f"{where} {item['input']!r}: must be {_kind(field)}{', ' if allowed else ''}{allowed}"


def _kind(field: FieldInfo) -> str:
    kind = plain_type(field)[0]
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
    return names.get(kind, "one of its choices")
