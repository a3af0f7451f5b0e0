"""`birdssl`: builds the commands from the tree and maps every error to a sentence and an exit code."""

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from birdssl.cli.command import group_class, parser_class, with_signature
from birdssl.cli.complaints import mistyped, unknown_tables, unknown_variables
from birdssl.cli.console import discard_stdout, log_to_stderr, open_streams, print_data, say
from birdssl.cli.page import root_help, width
from birdssl.cli.tree import Command, commands, variables
from birdssl.cli.verbs import TOOLS, VERBS, Tool, Verb
from birdssl.errors import BirdsslError, NoInputError, UsageError
from birdssl.settings.base import Settings, resolve
from birdssl.settings.run import RunOptions, reject_limit

USAGE_ERROR, INTERRUPTED = 2, 130


def build() -> typer.Typer:
    """The command line as it's run: every stage and tool of `verbs`."""
    tree = commands()
    app = typer.Typer(
        name="birdssl",
        cls=group_class(tree),
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, command in tree.items():
        body = stage_body(name, VERBS[name], command) if name in VERBS else tool_body(name, TOOLS[name])
        app.command(name, cls=parser_class(command))(with_signature(body, command))
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"birdssl {version('birdssl')}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    pass


def stage_body(name: str, verb: Verb, command: Command) -> Callable[..., Any]:
    """What a stage verb does once its command line is parsed."""

    def body(**given: Any) -> None:
        out, config = given.pop("out"), given.pop("config")
        inputs = paths(given.pop("inputs", None))
        files_from, null = given.pop("files_from", None), given.pop("null", None)
        path = None if config is None else Path(config)
        typed = [flag for flag in RunOptions.model_fields if given.get(flag) is not None]
        options = run_options(given, path, name, verb.settings)
        settings, _ = resolve(verb.settings, name, given, path, RunOptions)
        if verb.stream is not None and settings.stream:
            _refuse_stage_options({"an input": inputs or files_from, "-o": out}, typed)
            raise typer.Exit(verb.stream()(settings, options))
        if not out or (verb.inputs and not inputs and files_from is None):
            raise UsageError(_missing(command, bool(inputs or files_from), bool(out)))
        if null and files_from is None:
            raise UsageError(
                "-0 goes with --files-from, which is missing; give --files-from - to read names from stdin"
            )
        if files_from is not None:
            inputs += read_list(files_from, bool(null))
            if not inputs:
                raise NoInputError(f"--files-from {files_from} lists nothing; give one path a line")
        raise typer.Exit(run_stage(verb.stage()(settings, inputs, Path(out), options), options))

    return body


def _refuse_stage_options(given: dict[str, Any], typed: Sequence[str]) -> None:
    """Nothing of a stage goes with --stream, which reads stdin and writes stdout."""
    stage_only = [RunOptions.flag(name) for name in typed if name not in ("device", "quiet")]
    wrong = [name for name, value in given.items() if value] + stage_only
    if wrong:
        raise UsageError(f"{wrong[0]} doesn't go with --stream, which reads sound on stdin and writes lines on stdout")


def tool_body(name: str, tool: Tool) -> Callable[..., Any]:
    """What a command that isn't a stage does once its command line is parsed."""

    def body(**given: Any) -> None:
        handed: dict[str, Any] = {"inputs": paths(given.pop("inputs", None))} if tool.inputs else {}
        if tool.out:
            out = given.pop("out")
            handed["out"] = Path(out) if out else None
        if tool.options:
            handed["options"] = run_options(given)
        else:
            log_to_stderr(quiet=False)
            warn_of_variables()
        settings, _ = resolve(tool.settings, name, given)
        raise typer.Exit(tool.main()(settings, **handed))

    return body


def paths(texts: Sequence[str] | None) -> list[Path]:
    """Inputs as they were typed; an empty one, as from an unset variable, isn't the current folder."""
    if any(not text for text in texts or []):
        raise UsageError("one of the inputs is an empty text; give a path, or . for the current folder")
    return [Path(text) for text in texts or []]


def run_options(
    given: dict[str, Any], config: Path | None = None, verb: str = "", settings: type[Settings] | None = None
) -> RunOptions:
    """Take the options common to all verbs out of what was given, and set up the messages."""
    flags = {name: given.pop(name) for name in RunOptions.model_fields}
    if config is not None:
        unknown_tables(config, [*VERBS, *TOOLS])
    options: RunOptions = resolve(RunOptions, "", flags, config, settings, table=verb)[0]
    reject_limit(options.max_rejects)
    log_to_stderr(options.quiet)
    warn_of_variables()
    return options


def warn_of_variables(environment: Mapping[str, str] = os.environ) -> None:
    """Name BIRDSSL_ variables that set nothing, since a typing error there would go unseen."""
    for sentence in unknown_variables(environment, variables()):
        say(f"warning: {sentence}")


def _missing(command: Command, has_inputs: bool, has_out: bool) -> str:
    """What to give, all of it at once, with an example."""
    wanted = [] if has_inputs or not command.inputs else [f"{command.inputs} ({command.about_inputs.rstrip('.')})"]
    wanted += [] if has_out else ["-o OUT (the directory to write)"]
    example = f", as in\n  {command.example}" if command.example else f": {command.usage}"
    return f"`birdssl {command.name}` needs {' and '.join(wanted)}{example}"


def read_list(source: str, null: bool) -> list[Path]:
    """Paths from a file, or from stdin for "-", one a line, or separated by NUL."""
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"--files-from {source}: {error.strerror}; give a file with one path a line, or -") from None
    names = data.split(b"\0" if null else b"\n")
    return [Path(os.fsdecode(name if null else name.rstrip(b"\r"))) for name in names if name.strip()]


def run_stage(stage: Any, options: RunOptions) -> int:
    """Run a stage, print what it has to say, and return the exit code."""
    from birdssl.stages.runner import run

    outcome = run(stage, options)
    print_data(outcome.summary, outcome.text, options.json_summary)
    return outcome.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    # Read when torch is loaded. Waiting threads then sleep: beside other busy processes training runs 3 times as fast.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    open_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments:
        say(root_help(commands(), width()))
        return USAGE_ERROR
    if arguments[0] == "help":
        arguments = [*arguments[1:2], "--help"]
    try:
        code = build()(arguments, prog_name="birdssl", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        say(f"error: {mistyped(error, commands())}")
        return error.exit_code
    except BirdsslError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _system_error(error)
    except SystemExit as ended:  # typer's answer to a closed pipe
        discard_stdout()
        return 0 if ended.code == 1 else int(ended.code or 0)
    return int(code or 0)


def _system_error(error: OSError) -> int:
    """What the operating system refused, as a sentence."""
    if error.errno == errno.EPIPE:
        discard_stdout()
        return 0
    cure = {
        errno.ENOSPC: "; make room, then the same command goes on",
        errno.EDQUOT: "; your quota is used up: make room, then the same command goes on",
        errno.EACCES: "; check who may read and write there",
        errno.EROFS: "; give an -o that can be written",
    }.get(error.errno or 0, "")
    where = f"{error.filename}: " if error.filename else ""
    say(f"error: {where}{error.strerror or error}{cure}")
    return 1
