"""The command line by what it prints: every sentence that a person can meet when something is mistyped."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from birdssl.cli import app
from birdssl.cli.tree import commands
from birdssl.cli.verbs import TOOLS, VERBS

ROOT = Path(__file__).resolve().parents[2]
SEE = "`birdssl double --help` lists all options"
NEEDS = "`birdssl double` needs"
ABOUT = "FOLDER (Directories that earlier stages made)"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("duoble", "no verb 'duoble'; did you mean 'double'?"),
        ("double --factr 3", f"`birdssl double` has no option --factr; did you mean --factor? {SEE}"),
        ("double --no-quite", f"`birdssl double` has no option --no-quite; did you mean --no-quiet? {SEE}"),
        ("double --dry", f"`birdssl double` has no option --dry; did you mean --dry-run? {SEE}"),
        ("double --init x", f"`birdssl double` has no option --init; {SEE}"),
        ("double -x", f"`birdssl double` has no option -x; {SEE}"),
        ("-j 2 double", "birdssl itself has no option -j: options follow the verb, as in `birdssl VERB -j`"),
        ("--verison", "birdssl has no option --verison; did you mean --version?"),
        ("double numbers -o", "-o needs a value; --help says which"),
        ("double", f"{NEEDS} {ABOUT} and -o OUT (the directory to write), as in\n  birdssl double numbers -o doubled"),
        ("double -o out", f"{NEEDS} {ABOUT}, as in\n  birdssl double numbers -o doubled"),
        ("double x", f"{NEEDS} -o OUT (the directory to write), as in\n  birdssl double numbers -o doubled"),
        ("double x -o out --factor 0", "--factor '0': must be a whole number, at least 1"),
        ("double x -o out --factor two", "--factor 'two': must be a whole number, at least 1"),
        ("double x -o out --pause=-1", "--pause '-1': must be a number, at least 0"),
        ("double x -o out -j 0", "--jobs '0': must be a whole number, at least 1"),
        ("double x -o out --device gpu", "--device 'gpu': must be auto, cpu, cuda, cuda:N (such as cuda:0) or mps"),
        (
            "double x -o out --max-rejects few",
            "--max-rejects 'few': must be a count such as 10, or a share such as 5%",
        ),
        ("double x -o out --config c.toml", "--config c.toml: no such file; give a TOML file of settings"),
        (
            "segment x -o out -0",
            "-0 goes with --files-from, which is missing; give --files-from - to read names from stdin",
        ),
        (
            "segment -o out --files-from gone",
            "--files-from gone: No such file or directory; give a file with one path a line, or -",
        ),
        ("doctor now", "`birdssl doctor` reads no input; leave out now"),
        ("ls --format cvs", "--format 'cvs': did you mean 'csv'? choices: table, tsv, csv, jsonl"),
        ("ls --format xml", "--format 'xml': choices: table, tsv, csv, jsonl"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(birdssl, line: str, sentence: str):
    assert birdssl(line) == (2, "", f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("factr = 3", "unknown setting 'factr'; did you mean 'factor'?"),
        ("[doubel]\nfactor = 3", "[doubel] is no verb; did you mean 'double'?"),
        ("[double]\njbos = 3", "unknown setting 'jbos'; did you mean 'jobs'?"),
    ],
)
def test_a_mistake_in_a_file_names_the_file(birdssl, text: str, sentence: str):
    Path("c.toml").write_text(text)
    assert birdssl("double x -o out --config c.toml") == (2, "", f"error: --config c.toml: {sentence}\n")


def test_a_value_out_of_range_names_its_source(birdssl, monkeypatch):
    Path("c.toml").write_text("factor = 0\n")
    printed = birdssl("double x -o out --config c.toml")
    assert printed.err == "error: --factor (from c.toml) 0: must be a whole number, at least 1\n"
    monkeypatch.setenv("BIRDSSL_DOUBLE_FACTOR", "none")
    printed = birdssl("double x -o out --config c.toml")
    assert printed.err == "error: --factor (from BIRDSSL_DOUBLE_FACTOR) 'none': must be a whole number, at least 1\n"


def test_flag_beats_variable_beats_file_for_settings_and_for_how_it_runs(birdssl, numbers, monkeypatch):
    Path("c.toml").write_text("[double]\nfactor = 3\njson = true\n")
    printed = birdssl("double numbers -o three --config c.toml")
    assert json.loads(printed.out)["total"] == 9
    monkeypatch.setenv("BIRDSSL_DOUBLE_FACTOR", "4")
    monkeypatch.setenv("BIRDSSL_JSON", "0")
    assert birdssl("double numbers -o four --config c.toml").out == "total 12\n"
    assert birdssl("double numbers -o five --config c.toml --factor 5").out == "total 15\n"
    assert json.loads(birdssl("double numbers -o six --config c.toml --factor 6 --json").out)["total"] == 18


def test_a_switch_that_a_file_turns_on_is_turned_off_by_its_no_form(birdssl, numbers):
    Path("c.toml").write_text("json = true\n")
    assert birdssl("double numbers -o out --config c.toml --no-json").out == "total 6\n"


def test_a_variable_that_sets_nothing_is_named(birdssl, numbers, monkeypatch):
    monkeypatch.setenv("BIRDSSL_DOUBLE_FACTR", "3")
    printed = birdssl("double numbers -o out -q")
    warning = "the variable BIRDSSL_DOUBLE_FACTR sets nothing; did you mean BIRDSSL_DOUBLE_FACTOR?"
    assert printed == (0, "total 6\n", f"warning: {warning}\n")


def test_data_goes_to_stdout_and_messages_to_stderr(birdssl, numbers):
    printed = birdssl("double numbers -o out")
    assert printed == (0, "total 6\n", "double -> out: 3 rows from 3 units\n")
    again = birdssl("double numbers -o out")
    assert again == (0, "total 6\n", "double -> out: 3 rows from 3 units; already complete; nothing to do\n")


def test_exit_codes_of_the_contract(birdssl, numbers):
    assert birdssl("double nothing -o out").code == 4
    (numbers / "bad.txt").write_text("x")
    printed = birdssl("double numbers -o out")
    assert printed.code == 3
    assert "1 left out (see `birdssl ls out --rejects`)" in printed.err
    assert birdssl("double numbers -o out --max-rejects 1").code == 0
    assert birdssl("double numbers -o out --factor 3").code == 2


def test_what_the_system_refuses_is_a_sentence(birdssl, numbers, monkeypatch):
    def full(stage, options):
        raise OSError(28, "No space left on device", "out/x")

    monkeypatch.setattr("birdssl.stages.runner.run", full)
    cure = "make room, then the same command goes on"
    assert birdssl("double numbers -o out") == (1, "", f"error: out/x: No space left on device; {cure}\n")


def test_lists_of_inputs_are_read_by_line_and_by_nul(tmp_path: Path):
    (tmp_path / "lines").write_bytes(b"a b.wav\r\n\nsub/c.wav\n")
    (tmp_path / "nuls").write_bytes(b"a\nb.wav\0c.wav\0")
    assert app.read_list(str(tmp_path / "lines"), null=False) == [Path("a b.wav"), Path("sub/c.wav")]
    assert app.read_list(str(tmp_path / "nuls"), null=True) == [Path("a\nb.wav"), Path("c.wav")]


def test_an_empty_list_is_no_input(birdssl, tmp_path: Path):
    (tmp_path / "list").write_text("\n")
    printed = birdssl("segment -o out --files-from list")
    assert printed == (4, "", "error: --files-from list lists nothing; give one path a line\n")


def test_no_arguments_show_the_help_and_are_an_error(birdssl):
    printed = birdssl("")
    assert (printed.code, printed.out) == (2, "")
    assert printed.err.startswith("Usage: birdssl VERB INPUT... -o OUT [OPTIONS]\n")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the verbs and tools that would have run."""
    ran: list[str] = []
    monkeypatch.setattr(app, "run_stage", lambda stage, options: ran.append(stage) or 0)
    for name in VERBS:
        monkeypatch.setitem(VERBS, name, _with(VERBS[name], stage=lambda name=name: lambda *_: name))
    for name in TOOLS:
        monkeypatch.setitem(
            TOOLS, name, _with(TOOLS[name], main=lambda name=name: lambda *_, **__: ran.append(name) or 0)
        )
    return ran


@pytest.mark.parametrize("name", [*VERBS, *TOOLS])
def test_every_example_is_a_command_line_that_parses(name: str, parsed: list[str], capsys):
    line = shlex.split(commands()[name].example)
    assert line[:2] == ["birdssl", name]
    assert app.main(line[1:]) == 0, capsys.readouterr().err
    assert parsed == [name]


def command_lines() -> list[str]:
    """What the pages tell a person to type: the lines of their blocks that begin with `birdssl`."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    blocks = [block for page in pages for block in page.read_text(encoding="utf-8").split("```")[1::2]]
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("birdssl ")]


@pytest.mark.parametrize("line", command_lines())
def test_what_the_pages_tell_a_person_to_type_parses(line: str, parsed: list[str], capsys):
    words = shlex.split(line, comments=True)
    assert app.main(words[1:]) == 0, capsys.readouterr().err
    assert parsed == words[1:2]


def _with(entry: object, **changes: object) -> object:
    from dataclasses import replace

    return replace(entry, **changes)  # type: ignore[type-var]


def birdssl_process(*line: str, **options) -> subprocess.Popen:
    script = "import sys; from birdssl.cli.app import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", script, *line], stderr=subprocess.PIPE, text=True, **options)


def test_an_empty_text_is_not_the_current_folder(birdssl, numbers):
    """`birdssl segment "$CARD" -o clips` with CARD unset read whatever lay in the current folder."""
    printed = birdssl("double -o out", "")
    assert printed == (2, "", "error: one of the inputs is an empty text; give a path, or . for the current folder\n")
    assert "needs -o OUT (the directory to write)" in birdssl("double numbers -o", "").err


def test_a_closed_stdout_is_no_error(birdssl, numbers):
    """`birdssl ls OUT >&-` ended in a traceback, since Python then has no stdout at all."""
    birdssl("double numbers -o out")
    process = birdssl_process("ls", "out", preexec_fn=lambda: os.close(1))
    assert (process.communicate()[1], process.returncode) == ("", 0)


def test_a_reader_that_leaves_early_is_no_error(birdssl, numbers):
    birdssl("double numbers -o out")
    for number in range(100):
        (numbers / f"{number}.txt").write_text(str(number))
    birdssl("double numbers -o many")
    read, write = os.pipe()
    process = birdssl_process("ls", "many", "-f", "csv", stdout=write)
    os.close(write)
    os.close(read)
    assert process.communicate()[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_with_130_and_a_sentence(tmp_path: Path, kind):
    process = birdssl_process("synth", "-o", "out", "--hours", "10")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("recordings/*/*.[wW]*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(kind)
    assert process.communicate()[1].endswith("warning: interrupted; the same command goes on from here\n")
    assert process.returncode == 130
