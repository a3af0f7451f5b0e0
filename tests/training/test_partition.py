"""What is trained on and what is held out: nothing on two sides."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdssl.errors import IncompatibleError
from birdssl.training.partition import held_out_origins, part_by_fold, part_by_origin, without_test

SCHEMA = {
    "source": pl.Int16,
    "id": pl.String,
    "parent": pl.String,
    "origin": pl.String,
    "labels": pl.List(pl.String),
    "start": pl.Float64,
    "test": pl.Boolean,
    "fold": pl.Int16,
}


def table(*rows: dict) -> pl.DataFrame:
    given = [{"source": 0, "id": str(place), "labels": [], "start": 0.0, **row} for place, row in enumerate(rows)]
    return pl.DataFrame(given, schema=SCHEMA, orient="row")


def test_the_test_part_of_one_input_is_left_out_of_the_others():
    rows = table(
        {"origin": "a", "test": True},
        {"origin": "b", "test": False},
        {"origin": "a", "source": 1, "test": None},
        {"origin": "c", "source": 1, "test": None},
    )
    assert without_test(rows)["origin"].to_list() == ["b", "c"]
    with pytest.raises(IncompatibleError, match="every clip of the input is in the test part"):
        without_test(rows.head(1))


def test_a_split_by_clip_may_straddle_within_its_own_input():
    """`split --by nothing` puts clips of one recording on two sides; that was the person's choice."""
    rows = table({"origin": "a", "test": True}, {"origin": "a", "test": False, "fold": 0}, {"origin": "a", "fold": 1})
    left = without_test(rows)
    assert left.height == 2
    assert part_by_fold(left, 0)["part"].to_list() == ["validation", "training"]


def test_a_fold_is_held_out_everywhere_and_clips_of_no_fold_are_trained_on():
    rows = table(
        {"origin": "a", "fold": 0},
        {"origin": "b", "fold": 1},
        {"origin": "a", "source": 1},
        {"origin": "d", "source": 1},
    )
    parted = part_by_fold(rows, 0)
    assert list(parted.select("origin", "source", "part").iter_rows()) == [
        ("a", 0, "validation"),
        ("b", 0, "training"),
        ("d", 1, "training"),
    ]
    with pytest.raises(IncompatibleError, match="the folds are 0, 1"):
        part_by_fold(rows, 2)
    with pytest.raises(IncompatibleError, match="holds every clip"):
        part_by_fold(rows.head(1), 0)


@given(
    origins=st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["x", "y", ""])), min_size=2, max_size=40),
    fraction=st.floats(0.05, 0.5),
    seed=st.integers(0, 3),
)
def test_whole_origins_are_held_out_and_every_label_keeps_one_for_training(origins, fraction, seed):
    rows = table(*({"origin": f"{place:02d}", "labels": [label] if label else [], "start": float(clip)}
                   for place, (clips, label) in enumerate(origins) for clip in range(clips)))  # fmt: skip
    by_label = {label: {place for place, (_, own) in enumerate(origins) if own == label} for _, label in origins}
    if all(len(places) == 1 for places in by_label.values()):
        with pytest.raises(IncompatibleError, match="no origin can be held out"):
            part_by_origin(rows, fraction, seed)
        return
    parted = part_by_origin(rows, fraction, seed)
    assert set(parted.group_by("origin").agg(pl.col("part").n_unique())["part"]) == {1}
    for places in by_label.values():
        parts = [set(parted.filter(pl.col("origin") == f"{place:02d}")["part"]).pop() for place in places]
        assert "training" in parts
        assert len(places) == 1 or "validation" in parts


def test_the_share_is_near_what_was_asked_and_a_giant_is_not_taken_for_a_dwarf():
    clips = pl.DataFrame({"origin": ["giant"] * 500 + [f"{n:03d}" for n in range(500)], "label": ["x"] * 1000})
    for seed in range(5):
        held = held_out_origins(clips, 0.1, seed)
        assert "giant" not in held
        assert len(held) == 100


def test_views_follow_their_clips_and_copies_their_originals():
    rows = table(*({"origin": f"{n // 4}", "parent": f"{n // 2}", "id": f"v{n}"} for n in range(24)))
    parted = part_by_origin(rows, 0.3, 1)
    assert set(parted.group_by("parent").agg(pl.col("part").n_unique())["part"]) == {1}
    assert parted["id"].to_list() == rows["id"].to_list()


def test_labels_that_are_told_one_by_one_are_held_out_one_by_one():
    """Each origin has a mixture of its own: as combinations they would all be needed for training."""
    mixtures = [["a"], ["a", "b"], ["a", "c"], ["b", "c"], ["a", "b", "c"], ["c"]]
    rows = table(*({"origin": str(place), "labels": labels} for place, labels in enumerate(mixtures)))
    with pytest.raises(IncompatibleError, match="no origin can be held out"):
        part_by_origin(rows, 0.3, 1)
    parted = part_by_origin(rows, 0.3, 1, each=True)
    for part in ("training", "validation"):
        assert set(parted.filter(pl.col("part") == part)["labels"].explode()) == {"a", "b", "c"}


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["", "a", "b", "c"])), min_size=2, max_size=40))
def test_where_clips_have_one_label_it_is_the_same(clips: list[tuple[int, str]]):
    rows = table(*({"origin": str(origin), "labels": [label] * (label != "")} for origin, label in clips))
    found = []
    for each in (False, True):
        try:
            found.append(part_by_origin(rows, 0.3, 1, each)["part"].to_list())
        except IncompatibleError as error:
            found.append([str(error)])
    assert found[0] == found[1]
