"""Completions for bash, zsh and fish, written from the command tree. They run without starting Python."""

import textwrap
from collections.abc import Iterable, Mapping

from birdssl.cli.tree import Command, Flag

HEADER = "# Written by `python -m birdssl.cli.manual` from the command tree; edits are lost."
LONGEST = 70  # characters of a description beside an option
ROOT_OPTIONS = ("-h", "--help", "--version")

BASH = """\
{header}

_birdssl_words() {{ COMPREPLY+=($(compgen -W "$1" -- "$cur")); }}

_birdssl_paths() {{
    local IFS=$'\\n'
    COMPREPLY+=($(compgen "$1" -- "$cur"))
    compopt -o filenames 2>/dev/null
}}

_birdssl() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} verb=${{COMP_WORDS[1]}}
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        _birdssl_words "{verbs}"
        return
    fi
    if [[ $cur == "=" ]]; then  # readline splits --option=value at the sign
        cur=""
    elif [[ $prev == "=" ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case "$verb $prev" in
{values}
    esac
    if [[ $cur == -* ]]; then
        case "$verb" in
{options}
        esac
        return
    fi
    case "$verb" in
{inputs}
    esac
}}

complete -F _birdssl birdssl
"""

ZSH = """\
#compdef birdssl
{header}

_birdssl() {{
  local curcontext="$curcontext" state line
  local -a verbs
  verbs=(
{verbs}
  )
  _arguments -C '(- *)'{{-h,--help}}'[show help]' '(- *)--version[print the version]' '1:verb:->verb' '*::input:->rest'
  case $state in
    verb) _describe -t verbs verb verbs ;;
    rest)
      case $words[1] in
{options}
      esac
      ;;
  esac
}}

_birdssl "$@"
"""

FISH = """\
{header}

function __birdssl_verb
    set -l words (commandline -opc)
    test (count $words) -gt 1; and test "$words[2]" = "$argv[1]"
end

function __birdssl_no_verb
    test (count (commandline -opc)) -eq 1
end

complete -c birdssl -f
complete -c birdssl -n __birdssl_no_verb -s h -l help -d 'show help'
complete -c birdssl -n __birdssl_no_verb -l version -d 'print the version'
{lines}
"""


def bash(commands: Mapping[str, Command]) -> str:
    """A script for bash 3.2 and newer."""
    values, options, inputs = [], [], []
    for command in commands.values():
        options.append(f'            {command.name}) _birdssl_words "{" ".join(_all_forms(command))}" ;;')
        if command.inputs:
            names = f'_birdssl_words "{" ".join(command.names)}"; ' if command.names else ""
            inputs.append(f"        {command.name}) {names}_birdssl_paths {_compgen(command.inputs_are)} ;;")
        for flag in _valued(command):
            pattern = " | ".join(f'"{command.name} {form}"' for form in flag.forms)
            values.append(f"        {pattern}) {_bash_value(flag)}; return ;;")
    return BASH.format(
        header=HEADER,
        verbs=" ".join([*commands, *ROOT_OPTIONS]),
        values="\n".join(values),
        options="\n".join(options),
        inputs="\n".join(inputs) or "        *) ;;",
    )


def zsh(commands: Mapping[str, Command]) -> str:
    """A function for zsh's completion system."""
    verbs = [f"    {_quoted(f'{command.name}:{_zsh_text(_brief(command.summary))}')}" for command in commands.values()]
    options = []
    for command in commands.values():
        specs = ["'(- *)'{-h,--help}'[show help]'", *(spec for flag in command.flags() for spec in _zsh_specs(flag))]
        if command.inputs:
            specs += _zsh_inputs(command)
        joined = " \\\n            ".join(specs)
        options.append(f"        {command.name})\n          _arguments -s \\\n            {joined}\n          ;;")
    return ZSH.format(header=HEADER, verbs="\n".join(verbs), options="\n".join(options))


def fish(commands: Mapping[str, Command]) -> str:
    """Declarations for fish 3 and newer."""
    lines = []
    for command in commands.values():
        lines.append(f"complete -c birdssl -n __birdssl_no_verb -a {command.name} -d {_fish(_brief(command.summary))}")
    for command in commands.values():
        here = f"complete -c birdssl -n '__birdssl_verb {command.name}'"
        if command.inputs:
            lines.append(f"{here} {'-F' if command.inputs_are == 'file' else _FISH_FOLDERS}")
        if command.names:
            lines.append(f"{here} -a {_fish(' '.join(command.names))}")
        lines.append(f"{here} -s h -l help -d 'show help'")
        lines += [f"{here} {_fish_flag(flag)}" for flag in command.flags()]
        lines += [f"{here} -l {form[2:]}" for flag in command.flags() for form in flag.offered if form[:5] == "--no-"]
    return FISH.format(header=HEADER, lines="\n".join(lines))


_FISH_FOLDERS = "-a '(__fish_complete_directories)'"


def _all_forms(command: Command) -> Iterable[str]:
    return [*(form for flag in command.flags() for form in flag.offered), "-h", "--help"]


def _valued(command: Command) -> Iterable[Flag]:
    return (flag for flag in command.flags() if flag.metavar is not None)


def _compgen(kind: str) -> str:
    return "-d" if kind == "directory" else "-f"


def _bash_value(flag: Flag) -> str:
    if flag.words:
        return f'_birdssl_words "{" ".join(flag.words)}"'
    return f"_birdssl_paths {_compgen(flag.path)}" if flag.path else ":"


def _zsh_inputs(command: Command) -> list[str]:
    paths = _zsh_path(command.inputs_are)
    every = f"'*:{command.inputs}:{paths}'"
    if not command.names:
        return [every]
    first = rf'{{_alternative "names\:name\:({" ".join(command.names)})" "paths\:path\:{paths}"}}'
    return [f"'1:{command.inputs}:{first}'", every]


def _zsh_specs(flag: Flag) -> list[str]:
    forms = [form for form in flag.offered if not form.startswith("--no-")]
    off = [form for form in flag.offered if form.startswith("--no-")]
    text = f"[{_zsh_text(_brief(flag.help))}]"
    value = ""
    if flag.metavar is not None:
        action = f"({' '.join(flag.words)})" if flag.words else _zsh_path(flag.path) if flag.path else " "
        value = f":{_zsh_text(flag.metavar)}:{action}"
    several = "*" if flag.many else ""
    excluded = "" if flag.many else f"({' '.join(forms + off)})"
    specs = [_quoted(f"{excluded}{several}{form}{'=' if value and form.startswith('--') else ''}{text}{value}")
             for form in forms]  # fmt: skip
    return specs + [_quoted(f"{excluded}{form}") for form in off]


def _zsh_path(kind: str) -> str:
    return "_files -/" if kind == "directory" else "_files"


def _zsh_text(text: str) -> str:
    for sign in ("\\", "[", "]", ":"):
        text = text.replace(sign, f"\\{sign}")
    return text.replace("`", "")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_flag(flag: Flag) -> str:
    parts = [f"-s {flag.short[1:]}"] if flag.short else []
    parts.append(f"-l {flag.long[2:]}")
    if flag.words:
        parts.append(f"-x -a {_fish(' '.join(flag.words))}")
    elif flag.path:
        parts.append("-r -F" if flag.path == "file" else f"-x {_FISH_FOLDERS}")
    elif flag.metavar is not None:
        parts.append("-x")
    return " ".join([*parts, "-d", _fish(_brief(flag.help))])


def _brief(text: str) -> str:
    """The first clause of a description, short enough to stand beside an option."""
    first = text.replace("`", "").split(". ")[0].split("; ")[0].split(": ")[0].rstrip(".")
    return textwrap.shorten(first, LONGEST, placeholder=" ...")
