"""Man pages, and the command that writes them and the completions: `python -m birdssl.cli.manual [FOLDER]`.

Nothing in them depends on the time or the version, so that they are stale only when the command tree has changed.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from birdssl.cli.completion import bash, fish, zsh
from birdssl.cli.page import TAGLINE
from birdssl.cli.tree import Command, Flag, commands

EXIT_CODES = (
    ("0", "done"),
    ("1", "it failed; the message says why"),
    ("2", "the command line or a setting is wrong"),
    ("3", "done, but more was left out than --max-rejects allows"),
    ("4", "nothing in the input matched"),
    ("5", "an input of the wrong kind or version, or a setting that contradicts it"),
    ("130", "interrupted; the state is saved and the same command goes on"),
)
FILES = (
    ("stage.json", "what made the directory, with which settings, from which inputs; its state says complete last"),
    ("manifest.parquet", "the rows; `birdssl ls` prints them"),
    ("rejects.parquet", "what was left out, where and why; `birdssl ls --rejects` prints it"),
    ("units.parquet", "the units of work and digests of what they were made from"),
    ("run.log", "times, environment and messages of each run"),
)
CHAIN = (
    "Each verb reads directories and writes one, so verbs chain in a shell, resume after a crash, and can be looked "
    "into after every step with `birdssl ls`. Data goes to stdout, messages to stderr; nothing is ever asked."
)
RESUMING = (
    "The same command again finishes what is missing, and does nothing on a finished directory. With --update it adds "
    "what has appeared in the input since. Other settings on an existing OUT are refused, unless --overwrite is given."
)
SOURCES = (
    "A setting is taken from its option, else from its variable, else from the file of --config, else it has its "
    "default. In the file a key is the option's name without the dashes in front; keys stand at the top or in a table "
    "with the verb's name. A variable is named BIRDSSL_, the verb, and the option in capitals, with _ for -; options "
    "of how a verb runs have no verb in theirs. A switch that a file or variable turns on is turned off by its --no- "
    "form."
)


def pages(tree: Mapping[str, Command]) -> dict[str, str]:
    """Every generated file by its path in the repository."""
    made = {f"man/birdssl-{command.name}.1": command_page(command, tree) for command in tree.values()}
    return made | {
        "man/birdssl.1": root_page(tree),
        "completions/birdssl.bash": bash(tree),
        "completions/_birdssl": zsh(tree),
        "completions/birdssl.fish": fish(tree),
    }


def command_page(command: Command, tree: Mapping[str, Command]) -> str:
    """The man page of one command, in troff's man macros."""
    parts = [_title(f"birdssl-{command.name}", command.summary), _synopsis(command)]
    parts.append(".SH DESCRIPTION\n" + "\n.PP\n".join(map(text, command.paragraphs)))
    if command.inputs:
        parts.append(f".TP\n{italic(command.inputs)}\n{text(command.about_inputs)}")
    parts.append(".SH OPTIONS")
    for section in command.sections:
        parts.append("\n".join([f".SS {text(section.title)}", *map(_option, section.flags)]))
    parts.append(".SS Help\n.TP\n" + bold("-h") + ", " + bold("--help") + "\nShow the options.")
    if command.is_stage:
        parts.append(".SH SETTINGS\n" + text(SOURCES))
        parts.append(".SH RESUMING\n" + text(RESUMING))
        parts.append(_terms("FILES", [(f"OUT/{name}", about) for name, about in FILES]))
        parts.append(_terms("EXIT STATUS", EXIT_CODES))
    if command.example:
        parts.append(".SH EXAMPLE\n.nf\n" + text(command.example.strip()) + "\n.fi")
    others = [f"{bold('birdssl')}(1)", *(f"{bold('birdssl-' + name)}(1)" for name in tree if name != command.name)]
    parts.append(".SH SEE ALSO\n" + ",\n".join(others))
    return "\n".join(parts) + "\n"


def root_page(tree: Mapping[str, Command]) -> str:
    """The man page of `birdssl` itself."""
    parts = [_title("birdssl", TAGLINE)]
    synopsis = [bold("birdssl"), italic("VERB"), f"[{italic('INPUT')} ...]", bold("-o"), italic("OUT")]
    parts.append(".SH SYNOPSIS\n" + " ".join([*synopsis, f"[{italic('OPTIONS')}]"]))
    parts.append(".SH DESCRIPTION\n" + text(CHAIN))
    parts.append(_terms("VERBS", [(c.name, c.summary) for c in tree.values() if c.is_stage]))
    parts.append(_terms("OTHER COMMANDS", [(c.name, c.summary) for c in tree.values() if not c.is_stage]))
    parts.append(_terms("OPTIONS", [("-h, --help", "Show help."), ("--version", "Print the version.")]))
    parts.append(".SH SETTINGS\n" + text(SOURCES))
    parts.append(".SH RESUMING\n" + text(RESUMING))
    parts.append(_terms("FILES", [(f"OUT/{name}", about) for name, about in FILES]))
    parts.append(_terms("EXIT STATUS", EXIT_CODES))
    parts.append(".SH SEE ALSO\n" + ",\n".join(f"{bold('birdssl-' + name)}(1)" for name in tree))
    return "\n".join(parts) + "\n"


def _title(name: str, summary: str) -> str:
    head = f'.TH {name.upper()} 1 "" birdssl "birdssl manual"'
    return f"{head}\n.nh\n.ad l\n.SH NAME\n{text(name)} \\- {text(summary[:1].lower() + summary[1:].rstrip('.'))}"


def _synopsis(command: Command) -> str:
    parts = [bold(f"birdssl {command.name}")]
    if command.inputs:
        parts.append(italic(command.shape))
    if command.is_stage:
        parts.append(f"{bold('-o')} {italic('OUT')}")
    return ".SH SYNOPSIS\n" + " ".join([*parts, f"[{italic('OPTIONS')}]"])


def _option(flag: Flag) -> str:
    value = f" {italic(flag.metavar)}" if flag.metavar else ""
    lines = [".TP", ", ".join(bold(form) for form in flag.offered) + value]
    lines.append(text(flag.help))
    notes = [part for part in (flag.allowed, flag.default and f"default: {flag.default}") if part]
    notes += ["may be repeated"] * flag.many + [f"variable: {flag.variable}"] * bool(flag.variable)
    if notes:
        lines.append(text(f"[{'; '.join(notes)}]"))
    return "\n".join(lines)


def _terms(title: str, terms: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return "\n".join([f".SH {title}", *(f".TP\n{bold(term)}\n{text(about)}" for term, about in terms)])


def text(plain: str) -> str:
    """Plain text for troff: signs that it would read are escaped, and what stands in backticks is bold."""
    escaped = plain.replace("\\", "\\e").replace("-", "\\-")
    escaped = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", escaped)
    return re.sub(r"(?m)^([.'])", r"\\&\1", escaped)


def bold(plain: str) -> str:
    """Text that is typed as it stands."""
    return f"\\fB{text(plain)}\\fR"


def italic(plain: str) -> str:
    """Text that stands for something else."""
    return f"\\fI{text(plain)}\\fR"


def write(folder: Path) -> list[Path]:
    """Write all generated files below a folder, and remove pages of commands that are gone."""
    made = {folder / name: content for name, content in pages(commands()).items()}
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    for path in (folder / "man").glob("birdssl*.1"):
        if path not in made:
            path.unlink()
    return list(made)


if __name__ == "__main__":
    print("\n".join(str(path) for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))))
