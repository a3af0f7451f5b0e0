"""Whole or not at all."""

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.artifacts.shards import write_shard
from birdssl.artifacts.weights import write_weights


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


def test_a_name_as_long_as_the_system_takes_can_be_written(tmp_path: Path):
    name = f"{'a' * 251}.txt"
    write_text(tmp_path / name, "x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.txt", lambda folder: write_text(folder / "a.txt", "a" * 100_000)),
        ("shards/00000.npy", lambda folder: write_shard(folder, 0, np.zeros((9, 200, 200), np.uint8))),
        (
            "a.safetensors",
            lambda folder: write_weights(folder / "a.safetensors", {"a": torch.zeros(100_000)}),
        ),
    ],
)
def test_no_room_is_an_error_of_the_system_that_names_the_file(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    """On a full disk weights ended in a traceback of safetensors, and shards in numpy's "N requested and M written"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            write(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_json_has_no_nan(tmp_path: Path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())
