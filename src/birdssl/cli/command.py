"""Turns a Settings class into a command: each field becomes a flag, and its limits, words and default its help."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from birdssl.settings.base import Settings, choices, environment_name, limits, plain_type, summary

PLACEHOLDERS = {int: "INT", float: "NUMBER", str: "TEXT", Path: "PATH"}


def placeholder(field: FieldInfo) -> str:
    """What stands for an option's value in help and manuals: its choices, its own word, or its type."""
    if words := choices(field):
        return "|".join(words)
    return extra(field, "metavar") or PLACEHOLDERS.get(plain_type(field)[0], "VALUE")


def extra(field: FieldInfo, key: str) -> Any:
    """A value that `setting` attached to a field."""
    return (field.json_schema_extra or {}).get(key)  # type: ignore[union-attr]


def default_text(field: FieldInfo) -> str | None:
    """A field's default in words, or None when there is nothing to say."""
    if field.default is PydanticUndefined:
        return "required"
    if extra(field, "inherited"):
        return "as the input says"
    if field.default is None or field.default is False or field.default == []:
        return None
    if isinstance(field.default, list):
        return ",".join(str(item) for item in field.default)
    return "on" if field.default is True else str(field.default)


def help_text(verb: str, name: str, field: FieldInfo) -> str:
    """A field's help with its limits and its environment variable."""
    text = str(field.description)
    if allowed := limits(field):
        text += f" ({allowed})"
    return f"{text} [{environment_name(verb, name)}]"


def parameters(settings: type[Settings], verb: str, panel: str) -> list[inspect.Parameter]:
    """One keyword parameter a field. Values stay texts here: `settings.base.check` reads and checks them all."""
    found = []
    for name, field in settings.model_fields.items():
        kind, is_list, _ = plain_type(field)
        flag = settings.flag(name)
        is_switch = kind is bool
        declared = [f"{flag}/--no-{flag[2:]}" if is_switch and field.default is True else flag]
        if is_switch and field.default is not True:
            declared = [f"{flag}/--no-{flag[2:]}"]
        if extra(field, "short"):
            declared.append(extra(field, "short"))
        option = typer.Option(
            *declared,
            help=help_text(verb, name, field).replace("[", r"\["),
            metavar=None if is_switch else placeholder(field),
            show_default=default_text(field) or False,
            rich_help_panel=panel,
        )
        value = bool if is_switch else list[str] if is_list else str
        found.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[value | None, option]
            )
        )
    return found


def option(
    name: str, kind: Any, *declared: str, help: str, metavar: str | None = None, panel: str
) -> inspect.Parameter:
    """A parameter that belongs to the command line itself and to no settings class."""
    made = typer.Option(*declared, help=help, metavar=metavar, rich_help_panel=panel, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, made]
    )


def argument(name: str, metavar: str, help: str) -> inspect.Parameter:
    """The inputs: any number of paths, checked by the stage itself."""
    made = typer.Argument(metavar=f"[{metavar}]...", help=help, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[list[Path] | None, made]
    )


def with_signature(body: Callable[..., Any], name: str, made: list[inspect.Parameter]) -> Callable[..., Any]:
    """Give a function that takes keywords the signature that typer reads."""

    def command(**given: Any) -> Any:
        return body(**given)

    command.__name__ = name
    command.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in made}
    return command


def verb_help(settings: type[Settings]) -> str:
    """Help of a verb: what it does, then an example to type."""
    text = summary(settings)
    rest = (settings.__doc__ or "").strip().split("\n\n")[1:]
    paragraphs = [text, *(" ".join(part.split()) for part in rest)]
    if settings.example:
        paragraphs.append(f"Example: {settings.example}")
    return "\n\n".join(paragraphs)
