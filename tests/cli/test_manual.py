"""Man pages and completions: up to date, well formed, and of use in the shells themselves."""

import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from birdssl.cli import manual
from birdssl.cli.tree import commands
from birdssl.cli.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def real_verbs_only(monkeypatch: pytest.MonkeyPatch, toy: None) -> None:
    """The committed files know no toy."""
    monkeypatch.delitem(VERBS, "double")


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} isn't installed")


def test_committed_pages_and_completions_are_up_to_date():
    made = manual.pages(commands())
    stale = [name for name, text in made.items() if not (ROOT / name).exists() or (ROOT / name).read_text() != text]
    assert not stale, "run `python -m birdssl.cli.manual` in the repository and commit what it writes"
    assert {f"man/{path.name}" for path in (ROOT / "man").iterdir()} == {name for name in made if name[:4] == "man/"}


def test_the_wheel_takes_every_page_and_completion_to_where_systems_look():
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    taken = build["targets"]["wheel"]["shared-data"]
    places = {name: taken.get(name) or f"{taken[name.split('/')[0]]}/{name.split('/')[1]}"
              for name in manual.pages(commands())}  # fmt: skip
    assert places.pop("completions/birdssl.bash") == "share/bash-completion/completions/birdssl"
    assert places.pop("completions/_birdssl") == "share/zsh/site-functions/_birdssl"
    assert places.pop("completions/birdssl.fish") == "share/fish/vendor_completions.d/birdssl.fish"
    assert places == {name: f"share/man/man1/{Path(name).name}" for name in places}


def test_writing_removes_the_page_of_a_verb_that_is_gone(tmp_path: Path):
    (tmp_path / "man").mkdir()
    (tmp_path / "man" / "birdssl-gone.1").write_text("")
    written = manual.write(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(written)


@pytest.mark.parametrize(
    ("plain", "troff"),
    [
        (".hidden", "\\&.hidden"),
        ("'quoted'", "\\&'quoted'"),
        ("a\\b --flag", "a\\eb \\-\\-flag"),
        ("type `birdssl ls -n 3`.", "type \\fBbirdssl ls \\-n 3\\fR."),
    ],
)
def test_text_is_escaped_for_troff(plain: str, troff: str):
    assert manual.text(plain) == troff


@needs("groff")
@pytest.mark.parametrize("page", [name for name in manual.pages(commands()) if name.endswith(".1")])
def test_pages_format_without_a_warning(page: str):
    run = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(ROOT / page)], capture_output=True, text=True
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "NAME" in run.stdout


def bash(*words: str) -> list[str]:
    """What bash offers for the last of the words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _birdssl; printf "%s\\n" "${COMPREPLY[@]}"'
    run = subprocess.run(["bash", "-c", script, "bash", str(ROOT / "completions/birdssl.bash"), *words],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert run.stderr == ""
    return run.stdout.split("\n")[:-1] if run.stdout.strip() else []


def fish(*words: str) -> list[str]:
    """What fish offers, without the descriptions."""
    line = " ".join(words)
    run = subprocess.run(
        ["fish", "--no-config", "-c", f'source {ROOT}/completions/birdssl.fish; complete -C "{line}"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return [offer.split("\t")[0].rstrip("/") for offer in run.stdout.splitlines()]


@pytest.fixture(params=[pytest.param(bash, marks=needs("bash")), pytest.param(fish, marks=needs("fish"))])
def complete(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    return request.param


def test_verbs_options_and_choices_are_offered(complete):
    assert complete("birdssl", "sy") == ["synth"]
    assert complete("birdssl", "doc") == ["doctor"]
    assert sorted(complete("birdssl", "synth", "--rec")) == ["--recorders", "--recording-minutes"]
    assert sorted(complete("birdssl", "ls", "--format", "")) == ["csv", "jsonl", "table", "tsv"]
    assert "cuda" in complete("birdssl", "synth", "--device", "cu")


def test_folders_are_offered_where_a_directory_is_wanted(complete, tmp_path: Path):
    (tmp_path / "clips of may").mkdir()
    (tmp_path / "clips.txt").touch()
    assert complete("birdssl", "synth", "-o", "cli") in (["clips of may"], ["clips\\ of\\ may"])
    assert complete("birdssl", "ls", "cli") in (["clips of may"], ["clips\\ of\\ may"])
    assert sorted(complete("birdssl", "synth", "--config", "clips.")) == ["clips.txt"]


def test_own_recipes_are_offered_beside_files(complete, tmp_path: Path):
    assert sorted(complete("birdssl", "run", "liang")) == ["liang2024", "liang2024-quick"]
    (tmp_path / "lianas.toml").touch()
    assert sorted(complete("birdssl", "run", "lia")) == ["lianas.toml", "liang2024", "liang2024-quick"]


def test_a_number_has_no_offers(complete, tmp_path: Path):
    (tmp_path / "file").touch()
    assert complete("birdssl", "synth", "--hours", "") == []


@needs("bash")
def test_bash_completes_after_an_equals_sign():
    assert bash("birdssl", "ls", "--format", "=", "j") == ["jsonl"]
    assert "tsv" in bash("birdssl", "ls", "--format", "=")


@needs("zsh")
def test_the_zsh_function_parses():
    run = subprocess.run(["zsh", "-n", str(ROOT / "completions/_birdssl")], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


@needs("zsh")
def test_zsh_accepts_every_option_specification(tmp_path: Path):
    """`_arguments` compiles its specifications when it's called; comparguments names those it can't read."""
    function = (ROOT / "completions/_birdssl").read_text()
    for name in commands():
        body = function.split(f"        {name})\n", 1)[1].split("          ;;", 1)[0]
        script = body.replace("_arguments -s", "specs=(", 1).rstrip() + "\n)\nprint -l -- $specs\n"
        run = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True)
        forms = {form for flag in commands()[name].flags() for form in flag.offered}
        assert all(any(form in spec for spec in run.stdout.splitlines()) for form in forms)
