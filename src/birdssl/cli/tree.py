"""The command tree as plain data. Help, the parser, man pages and completions are all written from it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from birdssl.cli.verbs import TOOLS, VERBS, Tool, Verb
from birdssl.settings.base import (
    Settings,
    choices,
    environment_name,
    extra,
    limits,
    number,
    paragraphs,
    plain_type,
)
from birdssl.settings.run import RunOptions

PLACEHOLDERS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}
WORDS_WIDTH = 24  # choices that need more room than this are listed in the help text instead

OUTPUT, RUN = "Input and output", "How it runs"


@dataclass(frozen=True)
class Flag:
    """An option of a command; `name` is the keyword it's handed over under."""

    name: str
    long: str  # --sample-rate
    short: str | None = None  # -r
    metavar: str | None = None  # None for a switch
    help: str = ""
    allowed: str = ""  # range or choices in words
    default: str | None = None
    variable: str | None = None  # BIRDSSL_SEGMENT_SAMPLE_RATE
    words: tuple[str, ...] = ()  # what completion offers
    path: str = ""  # "file" or "directory" when it takes one
    many: bool = False  # it may be repeated
    negatable: bool = False  # a switch that also has a --no- form

    @property
    def forms(self) -> list[str]:
        """What may be typed, the short form first."""
        negative = [f"--no-{self.long[2:]}"] if self.negatable else []
        return ([self.short] if self.short else []) + [self.long] + negative

    @property
    def offered(self) -> list[str]:
        """The forms worth showing: --no- only where the switch is on by default."""
        return [form for form in self.forms if self.default == "on" or not form.startswith("--no-")]

    @property
    def notes(self) -> str:
        """Range, choices and default in words."""
        default = self.default and (self.default if " " in self.default else f"default {self.default}")
        return "; ".join(part for part in (self.allowed, default) if part)


@dataclass(frozen=True)
class Section:
    """Options that belong together in help."""

    title: str
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Command:
    """One verb or tool."""

    name: str
    paragraphs: tuple[str, ...]  # what it does; the first one is the summary
    example: str
    inputs: str  # metavar of the positional arguments; empty for none
    about_inputs: str
    inputs_are: str  # "file" or "directory", for completion
    names: tuple[str, ...]  # what completion offers for the first of them beside paths
    out: str  # help of -o; empty for none
    sections: tuple[Section, ...]
    is_stage: bool

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        first = self.paragraphs[0] if self.paragraphs else ""
        return first.split(". ")[0].rstrip(".") + "."

    @property
    def shape(self) -> str:
        """Its inputs as usage shows them: stages take any number, a tool says itself what it takes."""
        return f"{self.inputs}..." if self.is_stage else self.inputs

    @property
    def usage(self) -> str:
        """The shape of its command line."""
        inputs = f" {self.shape}" if self.inputs else ""
        return f"birdssl {self.name}{inputs}{' -o OUT' if self.is_stage else ''} [OPTIONS]"

    def flags(self) -> Iterator[Flag]:
        """All options in the order of help."""
        for section in self.sections:
            yield from section.flags


def commands() -> dict[str, Command]:
    """Every command by its name, stages first, in the order of the work."""
    stages = {name: stage_command(name, verb) for name, verb in VERBS.items()}
    return stages | {name: tool_command(name, tool) for name, tool in TOOLS.items()}


def stage_command(name: str, verb: Verb) -> Command:
    """A stage verb as data."""
    output = [out_flag("Directory to write.")]
    if verb.lists:
        output.append(Flag("files_from", "--files-from", None, "FILE|-", "Read more inputs from a file, one a line, "
                           "or from stdin with -.", path="file"))  # fmt: skip
        output.append(Flag("null", "--null", "-0", None, "Names in --files-from end with NUL, as from find -print0."))
    output.append(Flag("config", "--config", None, "FILE", "TOML file of settings.", path="file"))
    about = "Audio files, or folders that are walked." if verb.lists else "Directories that earlier stages made."
    return Command(
        name=name,
        paragraphs=paragraphs(verb.settings),
        example=verb.settings.example,
        inputs=verb.inputs,
        about_inputs=verb.about or about,
        inputs_are="file" if verb.lists else "directory",
        names=(),
        out="Directory to write.",
        sections=_sections(verb.settings, name, output, True),
        is_stage=True,
    )


def tool_command(name: str, tool: Tool) -> Command:
    """A command that isn't a stage as data."""
    return Command(
        name=name,
        paragraphs=paragraphs(tool.settings),
        example=tool.settings.example,
        inputs=tool.inputs,
        about_inputs=tool.about,
        inputs_are=tool.inputs_are,
        names=tuple(tool.names()),
        out=tool.out,
        sections=_sections(tool.settings, name, [out_flag(tool.out)] if tool.out else [], tool.options),
        is_stage=False,
    )


def out_flag(about: str) -> Flag:
    """-o, which every stage and some tools have."""
    return Flag("out", "--out", "-o", "OUT", about, path="directory")


def _sections(settings: type[Settings], verb: str, output: list[Flag], options: bool) -> tuple[Section, ...]:
    found = [*_setting_sections(settings, verb), Section(OUTPUT, tuple(output))]
    if options:
        found.append(Section(RUN, flags_of(RunOptions, "")))
    return tuple(section for section in found if section.flags)


def _setting_sections(settings: type[Settings], verb: str) -> list[Section]:
    """A verb's own settings first, then those that it shares with others, by their headings."""
    groups: dict[str, list[Flag]] = {Settings.title: []}
    for flag in flags_of(settings, verb):
        groups.setdefault(settings.heading(flag.name), []).append(flag)
    return [Section(title, tuple(flags)) for title, flags in groups.items()]


def flags_of(settings: type[Settings], verb: str) -> tuple[Flag, ...]:
    """The fields of a settings class as options."""
    return tuple(_flag(settings, verb, name, field) for name, field in settings.model_fields.items())


def _flag(settings: type[Settings], verb: str, name: str, field: FieldInfo) -> Flag:
    kind, is_list, _ = plain_type(field)
    words = tuple(choices(field))
    metavar = extra(field, "metavar")
    narrow = len("|".join(words)) <= WORDS_WIDTH
    if not metavar:
        metavar = ("|".join(words) if narrow else "NAME") if words else PLACEHOLDERS.get(kind, "VALUE")
    listed = f"one of {', '.join(words)}" if words and (not narrow or extra(field, "metavar")) else ""
    if not words and "|" in metavar:
        words = tuple(word for word in metavar.split("|") if word.islower())
    return Flag(
        name=name,
        long=settings.flag(name),
        short=extra(field, "short"),
        metavar=None if kind is bool else metavar,
        help=str(field.description),
        allowed=listed or re.sub(r"^at least (\S+) and at most ", r"\1 to ", limits(field)),
        default=default_text(field),
        variable=environment_name(verb, settings.key(name)),
        words=() if kind is bool else words,
        path=("directory" if metavar in ("DIR", "FOLDER", "OUT", "RUN", "MODEL") else "file") if kind is Path else "",
        many=is_list,
        negatable=kind is bool,
    )


def default_text(field: FieldInfo) -> str | None:
    """A field's default in words, or None when there is nothing to say."""
    if field.default is PydanticUndefined:
        return "must be given"
    if extra(field, "inherited"):
        return "as the input says"
    if field.default is None or field.default is False or field.default in ([], ""):
        return None
    if isinstance(field.default, list):
        return ",".join(_value(item) for item in field.default)
    return "on" if field.default is True else _value(field.default)


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def variables() -> set[str]:
    """Every environment variable that sets something."""
    return {flag.variable for command in commands().values() for flag in command.flags() if flag.variable}
