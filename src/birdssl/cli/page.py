"""Help as it's printed: for 80 columns and more, from the command tree."""

import re
import shutil
import textwrap

from birdssl.cli.tree import Command, Flag

WIDEST = 100  # columns; longer lines are hard to read
LEFT = 30  # columns for an option and its value
TAGLINE = "From a folder of unlabelled field recordings to a species classifier."
USAGE = "birdssl VERB INPUT... -o OUT [OPTIONS]"
START = "Start with `birdssl demo`. `birdssl VERB --help` shows a verb's options; `man birdssl` has the whole."


def width() -> int:
    """Columns to use: the terminal's, or 80 where there is none."""
    return max(40, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def command_help(command: Command, columns: int) -> str:
    """Help of one command."""
    parts = [f"Usage: {command.usage}", *(_wrap(text, columns) for text in command.paragraphs)]
    if command.example:
        parts.append(f"Example:\n{_example(command.example)}")
    if command.inputs:
        parts.append(f"Input:\n{_entry('  ' + command.inputs, command.about_inputs, columns)}")
    for section in command.sections:
        entries = [_entry(_left(flag), _right(flag), columns) for flag in section.flags]
        parts.append("\n".join([f"{section.title}:", *entries]))
    parts.append(_wrap(_closing(command), columns))
    return "\n\n".join(parts)


def root_help(commands: dict[str, Command], columns: int) -> str:
    """Help of `birdssl` itself."""
    parts = [f"Usage: {USAGE}", _wrap(TAGLINE, columns)]
    groups = (("Verbs, each from directories to a directory", True), ("Other commands", False))
    for title, is_stage in groups:
        members = [command for command in commands.values() if command.is_stage is is_stage]
        left = 2 + max([len(name) for name in commands], default=0) + 2
        entries = [_entry(f"  {command.name}", command.summary, columns, left) for command in members]
        if entries:
            parts.append("\n".join([f"{title}:", *entries]))
    parts.append("Options:\n  -h, --help     Show this, or a verb's help.\n      --version  Print the version.")
    parts.append(_wrap(START, columns))
    return "\n\n".join(parts)


def with_headings(text: str) -> str:
    """Help for a terminal, its headings bold; typer takes the codes out again where it prints to a file or pipe."""
    return re.sub(r"(?m)^((?:Usage|\S[^:\n]*:$)(?::)?)", "\x1b[1m\\1\x1b[0m", text)


def _closing(command: Command) -> str:
    text = f"`man birdssl-{command.name}` has more."
    if command.is_stage:
        prefix = f"BIRDSSL_{command.name}_".upper().replace("-", "_")
        text = f"Each option can also be set as a variable, such as {prefix}... or BIRDSSL_JOBS, or in --config. {text}"
    return text


def _example(text: str) -> str:
    return "\n".join(f"  {line.strip()}" for line in text.strip().splitlines())


def _left(flag: Flag) -> str:
    short = f"{flag.short}, " if flag.short else "    "
    long = f"--[no-]{flag.long[2:]}" if flag.negatable and flag.default == "on" else flag.long
    return f"  {short}{long}{' ' + flag.metavar if flag.metavar else ''}"


def _right(flag: Flag) -> str:
    return f"{flag.help} [{flag.notes}]" if flag.notes else flag.help


def _wrap(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)


def _entry(left: str, right: str, columns: int, indent: int = LEFT) -> str:
    """A term and its explanation beside it, or below it when the term is long."""
    lines = textwrap.wrap(right, columns - indent, break_long_words=False, break_on_hyphens=False) or [""]
    if len(left) > indent - 2:
        return "\n".join([left, *(" " * indent + line for line in lines)])
    return "\n".join([left.ljust(indent) + lines[0], *(" " * indent + line for line in lines[1:])])
