"""Turns the command tree into typer's commands, which parse; help and complaints are ours."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from birdssl.cli.page import command_help, root_help, width, with_headings
from birdssl.cli.tree import Command, Flag
from birdssl.errors import UsageError
from birdssl.settings.base import nearest


def parser_class(command: Command) -> type[TyperCommand]:
    """A parser that prints our help."""

    class Parser(TyperCommand):
        def get_help(self, ctx: Any) -> str:
            return with_headings(command_help(command, width()))

    return Parser


def group_class(commands: dict[str, Command]) -> type[TyperGroup]:
    """The parser of `birdssl` itself: it finds the verb, or names the nearest."""

    class Root(TyperGroup):
        def get_help(self, ctx: Any) -> str:
            return with_headings(root_help(commands, width()))

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            found = super().get_command(ctx, cmd_name)
            if found is None:
                raise UsageError(f"no verb {cmd_name!r}; {nearest(cmd_name, commands)}")
            return found

    return Root


def parameter(flag: Flag) -> inspect.Parameter:
    """An option as typer reads it. Values stay texts here: `settings.base.check` reads and checks them all."""
    long = f"{flag.long}/--no-{flag.long[2:]}" if flag.negatable else flag.long
    declared = [long, *([flag.short] if flag.short else [])]
    option = typer.Option(*declared, help=flag.help, metavar=flag.metavar, show_default=False)
    value: Any = bool if flag.metavar is None else list[str] if flag.many else str
    return inspect.Parameter(
        flag.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[value | None, option]
    )


def inputs_parameter(command: Command) -> inspect.Parameter:
    """The inputs: any number of paths, checked by the command itself."""
    argument = typer.Argument(metavar=command.inputs, help=command.about_inputs, show_default=False)
    return inspect.Parameter(
        "inputs",
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[list[str] | None, argument],  # not Path: it makes "" the current folder
    )


def with_signature(body: Callable[..., Any], command: Command) -> Callable[..., Any]:
    """Give a function that takes keywords the signature that typer reads."""

    def called(**given: Any) -> Any:
        return body(**given)

    made = [inputs_parameter(command)] if command.inputs else []
    made += [parameter(flag) for flag in command.flags()]
    called.__name__ = command.name
    called.__signature__ = inspect.Signature(made)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in made}
    return called
