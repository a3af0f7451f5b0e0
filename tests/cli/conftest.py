"""A command line with a toy verb in it, and a way to run it that gives what was printed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from toy import Double, DoubleSettings

from birdssl.cli.app import main
from birdssl.cli.verbs import VERBS, Verb


class Printed(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class ToySettings(DoubleSettings):
    """Double numbers. It does no more.

    Each file holds one.
    """

    example = "birdssl double numbers -o doubled"


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Adds `double`, stands in an empty folder, and takes the caller's variables away."""
    monkeypatch.setitem(VERBS, "double", Verb(ToySettings, lambda: Double, "FOLDER"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name in os.environ if name.startswith("BIRDSSL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    folder = tmp_path / "numbers"
    folder.mkdir()
    for value in range(3):
        (folder / f"{value}.txt").write_text(str(value))
    return folder


@pytest.fixture
def birdssl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Printed]:
    """Runs a command line in this process."""

    def run(line: str, *more: str) -> Printed:
        code = main([*line.split(), *more])
        return Printed(code, *capsys.readouterr())

    return run
