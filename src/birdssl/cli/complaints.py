"""Sentences for what was mistyped: an option, a table in a file, a variable. Each names the nearest that exists."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import typer

from birdssl.cli.tree import Command
from birdssl.errors import UsageError
from birdssl.settings.base import closest, nearest, read_toml

PREFIX = "BIRDSSL_"


def mistyped(error: typer.TyperException, commands: Mapping[str, Command]) -> str:
    """What typer complains of, in our words where it knows only half."""
    context = getattr(error, "ctx", None)
    command = commands.get(context.info_name or "") if context is not None else None
    option = getattr(error, "option_name", None)
    if option is not None and not hasattr(error, "possibilities"):
        return f"{option} needs a value; --help says which"
    if option is None:
        unread = re.fullmatch(r"Got unexpected extra argument\S* \((.*)\)", error.format_message())
        if unread and command:
            return f"`birdssl {command.name}` reads no input; leave out {unread[1]}"
        return f"{_sentence(error.format_message())}; {_see(command)}"
    if command is None:
        found = closest(option, ["--help", "--version"]) if option.startswith("--") else None
        if found:
            return f"birdssl has no option {option}; did you mean {found}?"
        return f"birdssl itself has no option {option}: options follow the verb, as in `birdssl VERB {option}`"
    negative = option.startswith("--no-")  # else a switch's --no- form is nobody's meaning
    forms = [form for flag in command.flags() for form in (flag.forms if negative else flag.offered)]
    words = [form.removeprefix("--") for form in forms if form.startswith("--")]  # dashes make all forms look alike
    found = closest(option.removeprefix("--"), words) if option.startswith("--") else None
    meant = f"did you mean --{found}? " if found else ""
    return f"`birdssl {command.name}` has no option {option}; {meant}{_see(command)}"


def _sentence(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


def _see(command: Command | None) -> str:
    name = f" {command.name}" if command else ""
    return f"`birdssl{name} --help` lists {'all options' if command else 'the verbs'}"


def unknown_tables(path: Path, verbs: Iterable[str]) -> None:
    """Refuse a TOML file with a table that is no verb's, since it would be passed over in silence."""
    known = list(verbs)
    for name, value in read_toml(path).items():
        if isinstance(value, dict) and name not in known:
            raise UsageError(f"--config {path}: [{name}] is no verb; {nearest(name, known)}")


def unknown_variables(environment: Mapping[str, str], known: set[str]) -> Iterator[str]:
    """A sentence for each BIRDSSL_ variable that sets nothing."""
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            found = closest(name, known)
            meant = f"; did you mean {found}?" if found else "; `man birdssl` says how they're named"
            yield f"the variable {name} sets nothing{meant}"
