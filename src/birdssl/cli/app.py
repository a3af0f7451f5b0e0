"""`birdssl`: builds the commands from the tree in `verbs` and maps every error to a sentence and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from birdssl.cli.command import argument, option, parameters, verb_help, with_signature
from birdssl.cli.console import log_to_stderr, print_data, say
from birdssl.cli.verbs import VERBS, Verb
from birdssl.errors import BirdsslError, UsageError
from birdssl.settings.base import Settings, resolve
from birdssl.settings.run import RunOptions

HOW = "How it runs"

app = typer.Typer(
    name="birdssl",
    help="From a folder of unlabelled field recordings to a species classifier.",
    epilog="Start with `birdssl demo`. Each verb reads directories and writes one: `birdssl VERB INPUT... -o OUT`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"birdssl {version('birdssl')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def stage_command(name: str, verb: Verb) -> Callable[..., Any]:
    """The command of one stage verb."""

    def body(**given: Any) -> None:
        out, config = given.pop("out"), given.pop("config")
        inputs = list(given.pop("inputs", None) or [])
        files_from, null = given.pop("files_from", None), given.pop("null", None)
        options = _run_options(given)
        if out is None:
            raise UsageError(f"-o OUT is missing: the directory that `birdssl {name}` writes")
        settings, _ = resolve(verb.settings, name, given, config)
        if files_from is not None:
            inputs += read_list(files_from, bool(null))
        if verb.inputs and not inputs:
            raise UsageError(f"{verb.inputs} missing: give at least one, as in\n  {verb.settings.example}")
        raise typer.Exit(run_stage(verb.stage()(settings, inputs, out, options), options))

    made = [argument("inputs", verb.inputs, _inputs_help(verb))] if verb.inputs else []
    made.append(option("out", Path, "--out", "-o", help="Directory to write.", metavar="OUT", panel=HOW))
    made += parameters(verb.settings, name, "Settings")
    if verb.lists:
        made.append(option("files_from", str, "--files-from", help="Read more inputs from a file, or from stdin with -.",
                           metavar="FILE|-", panel=HOW))  # fmt: skip
        made.append(option("null", bool, "--null", "-0", help="Names in --files-from end with NUL.", panel=HOW))
    made.append(option("config", Path, "--config", help="TOML file with settings.", metavar="FILE", panel=HOW))
    made += parameters(RunOptions, "", HOW)
    return with_signature(body, name, made)


def _inputs_help(verb: Verb) -> str:
    return "Audio files, or folders that are walked." if verb.lists else "Directories that earlier stages made."


def _run_options(given: dict[str, Any]) -> RunOptions:
    """Take the options common to all verbs out of what was given, and set up the messages."""
    flags = {name: given.pop(name) for name in RunOptions.model_fields}
    options: RunOptions = resolve(RunOptions, "", flags)[0]
    log_to_stderr(options.quiet)
    return options


def read_list(source: str, null: bool) -> list[Path]:
    """Paths from a file, or from stdin for "-", one a line, or separated by NUL."""
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {source}: {error.strerror}; give a file with one path a line, or -") from None
    names = data.split(b"\0" if null else b"\n")
    return [Path(os.fsdecode(name.rstrip(b"\r"))) for name in names if name.strip()]


def run_stage(stage: Any, options: RunOptions) -> int:
    """Run a stage, print what it has to say, and return the exit code."""
    from birdssl.stages.runner import run

    outcome = run(stage, options)
    print_data(outcome.summary, outcome.text, options.json_summary)
    return outcome.exit_code


def add_command(name: str, settings: type[Settings], command: Callable[..., Any]) -> None:
    """Hang a command into the tree, with the help of its settings."""
    app.command(name, help=verb_help(settings).replace("[", r"\["))(command)


for _name, _verb in VERBS.items():
    add_command(_name, _verb.settings, stage_command(_name, _verb))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Typer prints its own usage errors and ends with 2."""
    try:
        app(list(sys.argv[1:] if arguments is None else arguments), prog_name="birdssl")
    except SystemExit as ended:
        return int(ended.code or 0)
    except BirdsslError as error:
        say(f"error: {error}")
        return error.exit_code
    return 0
