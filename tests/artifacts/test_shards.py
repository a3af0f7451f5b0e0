"""Shards: what is written is read back in any order, and what doesn't fit is named."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from birdssl.artifacts.artifact import COMPLETE, StageRecord, open_artifact
from birdssl.artifacts.shards import Shards, shard_path, write_shard
from birdssl.errors import IncompatibleError

PICTURES = np.random.default_rng(0).integers(0, 256, (7, 4, 5), dtype=np.uint8)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_shard(tmp_path, 0, PICTURES[:4])
    write_shard(tmp_path, 1, PICTURES[4:])
    facts = {"array": {"shape": [4, 5], "dtype": "uint8"}}
    StageRecord("render", "0", COMPLETE, {}, [], "", facts=facts, digest="d").write(tmp_path)
    return tmp_path


def test_any_order_repeats_included(directory: Path) -> None:
    shards = Shards.of(open_artifact(directory))
    order = np.array([6, 0, 3, 4, 4, 1])
    np.testing.assert_array_equal(shards.take(order // 4, order % 4), PICTURES[order])
    assert shards.take(np.array([], int), np.array([], int)).shape == (0, 4, 5)


def test_nothing_is_loaded_before_it_is_asked_for(directory: Path) -> None:
    shard_path(directory, 1).unlink()
    shards = Shards.of(open_artifact(directory))
    assert isinstance(shards.shard(0), np.memmap)
    with pytest.raises(IncompatibleError, match=r"00001\.npy is missing"):
        shards.shard(1)


def test_damage_is_named(directory: Path) -> None:
    path = shard_path(directory, 0)
    whole = path.read_bytes()
    for damaged in (whole[:-10], whole[:40], b"", b"no numpy" * 30, pickle.dumps(PICTURES)):
        path.write_bytes(damaged)
        with pytest.raises(IncompatibleError, match=r"00000\.npy is damaged.*--overwrite"):
            Shards.of(open_artifact(directory)).shard(0)


def test_another_shape_type_or_length_is_named(directory: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"says uint8 of shape .4, 6."):
        Shards(directory, (4, 6), "uint8").shard(0)
    with pytest.raises(IncompatibleError, match="holds uint8"):
        Shards(directory, (4, 5), "int16").shard(0)
    with pytest.raises(IncompatibleError, match="has 3 rows, but the manifest names row 3"):
        Shards.of(open_artifact(directory)).take(np.array([1]), np.array([3]))


def test_a_directory_without_shards_says_what_to_run(tmp_path: Path) -> None:
    StageRecord("split", "0", COMPLETE, {}, [], "", digest="d").write(tmp_path)
    with pytest.raises(IncompatibleError, match="run `birdssl render"):
        Shards.of(open_artifact(tmp_path))
