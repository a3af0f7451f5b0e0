"""Blocks of rows: a clip stays with its copies and views, and nothing is lost or doubled."""

from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from birdssl.artifacts.manifest import clips
from birdssl.stages.clip_table import block_units, recording_contents, remove_strays

CONTENTS = recording_contents([])


def families(sizes: list[int]) -> pl.DataFrame:
    rows = []
    for number, size in enumerate(sizes):
        rows.append({"id": f"{number}", "role": "original", "recording": f"r{number}"})
        rows += [{"id": f"{number}-{i}", "role": "copy", "parent": f"{number}", "recording": f"r{number}"}
                 for i in range(1, size)]  # fmt: skip
    return clips(rows)


def test_blocks_by_hand() -> None:
    units = block_units(families([1, 3, 2, 2, 9, 1, 1]), CONTENTS, 4, 10, "shard")
    assert [unit.payload["id"].to_list()[0] for unit in units] == ["0", "2", "4", "5"]
    assert [unit.payload.height for unit in units] == [4, 4, 9, 2]
    assert [unit.key for unit in units] == [f"shard-0000{i}" for i in range(4)]
    assert [unit.size for unit in units] == [40, 40, 90, 20]


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20), rows=st.integers(1, 8))
def test_blocks_join_to_the_table_and_split_no_family(sizes: list[int], rows: int) -> None:
    table = families(sizes)
    blocks = [unit.payload for unit in block_units(table, CONTENTS, rows, 1, "block")]
    assert pl.concat(blocks).equals(table)
    seen = [set(block.select(pl.coalesce("parent", "id"))["parent"]) for block in blocks]
    assert sum(len(found) for found in seen) == len(sizes)
    assert all(block.height <= rows or len(found) == 1 for block, found in zip(blocks, seen, strict=True))


def test_an_identity_follows_the_rows() -> None:
    before, after = (block_units(families(sizes), CONTENTS, 2, 1, "block") for sizes in ([2, 1, 1], [2, 1, 2]))
    assert before[0].identity == after[0].identity
    assert before[1].identity != after[1].identity


def test_strays_go_and_wanted_files_stay(tmp_path: Path) -> None:
    for name in ("a/one.png", "a/two.png", "b/three.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_strays(tmp_path, {tmp_path / "a/two.png"})
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == ["a", "a/two.png"]
    remove_strays(tmp_path / "absent", set())
