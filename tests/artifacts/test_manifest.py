"""Identities, paths and types of the one table."""

import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdssl.artifacts.manifest import CLIP_SCHEMA, child_id, clip_id, clips, rebase


def test_every_column_is_there_and_labels_are_never_null():
    table = clips([{"id": "a"}, {"id": "b", "labels": ["wren"]}])
    assert dict(table.schema) == {name: pl.Schema({name: kind})[name] for name, kind in CLIP_SCHEMA.items()}
    assert table["labels"].to_list() == [[], ["wren"]]
    assert clips([]).schema == table.schema


def test_a_column_that_the_schema_lacks_is_refused():
    with pytest.raises(KeyError, match="specis"):
        clips([{"id": "a", "specis": "wren"}])


def test_an_identity_tells_recording_time_length_and_channel_apart():
    parts = [("a.wav", 0.0, 3.0, None), ("a.wav", 3.0, 3.0, None), ("a.wav", 0.0, 2.0, None),
             ("a.wav", 0.0, 3.0, 0), ("b.wav", 0.0, 3.0, None)]  # fmt: skip
    assert len({clip_id(*part) for part in parts}) == len(parts)
    assert clip_id("a.wav", 0.1 + 0.2, 3, 0) == clip_id("a.wav", 0.3, 3.0, 0)
    assert len({child_id("x", role, n, s) for role in ("copy", "view") for n in (1, 2) for s in (1, 2)}) == 8


@given(st.lists(st.sampled_from("abc"), max_size=3), st.lists(st.sampled_from("abc"), max_size=3))
def test_a_rebased_path_leads_to_the_same_file(source: list[str], target: list[str]):
    one, other = Path("/root").joinpath(*source), Path("/root").joinpath(*target)
    table = rebase(clips([{"id": "1", "path": "x/y.wav"}, {"id": "2", "path": None}]), one, other)
    moved = os.path.normpath(other / table["path"][0])
    assert Path(moved) == one / "x/y.wav"
    assert table["path"][1] is None
