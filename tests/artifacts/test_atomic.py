"""Whole or not at all."""

from pathlib import Path

import pytest

from birdssl.artifacts.atomic import atomic_path, write_json


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    final = tmp_path / "a" / "b.txt"
    with atomic_path(final) as part:
        part.write_text("old")
        assert not final.exists()
        assert part.suffix == ".txt"

    def write_half() -> None:
        with atomic_path(final) as part:
            part.write_text("ha")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_half()
    assert final.read_text() == "old"
    assert [path.name for path in final.parent.iterdir()] == ["b.txt"]


def test_json_has_no_nan(tmp_path: Path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
