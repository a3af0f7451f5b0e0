"""Balance by copies: P1's counts come out exactly, and nothing of a held-out clip is in training."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birdssl.artifacts.balance import class_counts, draw_training_rows, plan_copies, training_part
from birdssl.artifacts.folds import Design, assign
from birdssl.artifacts.manifest import CLIP_SCHEMA, COPY, child_id, clips
from birdssl.errors import IncompatibleError

# Clips of P1's size: 5,000 of which 500 are the test part; each class divides by five. The paper's own table is
# known to us only in part: the largest class has 580 clips in a fold's training part, 3,600 in all.
TRAINING = (725, 680, 515, 440, 380, 330, 290, 250, 210, 180, 155, 120, 100, 75, 50)
TEST = (80, 76, 57, 49, 42, 37, 32, 28, 23, 20, 17, 13, 11, 9, 6)


def table(counts: dict[str, int], test: int = 0, folds: int = 5) -> pl.DataFrame:
    rows = []
    for label, count in counts.items():
        for i in range(count + test):
            held_out = i >= count
            rows.append({"id": f"{label}-{i}", "role": "original", "labels": [label], "test": held_out,
                         "fold": None if held_out else i % folds})  # fmt: skip
    return clips(rows)


def with_copies(originals: pl.DataFrame, planned: pl.DataFrame) -> pl.DataFrame:
    parents = {row["id"]: row for row in originals.iter_rows(named=True)}
    rows = [{**parents[parent], "id": child_id(parent, COPY, number, seed), "role": COPY, "parent": parent,
             "number": number, "seed": seed} for parent, number, seed in planned.iter_rows()]  # fmt: skip
    return pl.concat([originals, clips(rows)])


def paper_table() -> pl.DataFrame:
    names = [f"class-{i:02d}" for i in range(15)]
    parts = [table({name: n}, test) for name, n, test in zip(names, TRAINING, TEST, strict=True)]
    return pl.concat(parts)


def test_the_paper_s_counts_come_out() -> None:
    originals = paper_table()
    assert (originals.height, originals["test"].sum()) == (5000, 500)
    everything = with_copies(originals, plan_copies(originals, 580, 1030))
    for fold in range(5):
        assert training_part(originals, fold).height == 3600
        rows = draw_training_rows(everything, fold, 580)
        assert rows.height == 8700
        assert set(class_counts(rows).values()) == {580}
        assert rows["id"].n_unique() == 8700
        assert set(training_part(originals, fold)["id"]) <= set(rows["id"])  # all originals stay


def test_the_paper_s_counts_come_out_of_drawn_folds_whatever_the_sizes_of_classes() -> None:
    sizes = (805, 757, 571, 493, 421, 367, 321, 279, 233, 199, 173, 131, 113, 83, 54)
    everything = pl.concat([table({f"class-{place:02d}": size}) for place, size in enumerate(sizes)])
    originals = assign(everything, Design(0.1, 5, "none", 1030))
    assert originals["test"].sum() == 500
    planned = with_copies(originals, plan_copies(originals, 580, 1030))
    for fold in range(5):
        assert training_part(originals, fold).height == 3600
        assert set(class_counts(draw_training_rows(planned, fold, 580)).values()) == {580}  # 15 x 580 = 8,700


def test_nothing_of_a_held_out_or_test_clip_is_drawn() -> None:
    originals = paper_table()
    everything = with_copies(originals, plan_copies(originals, 580, 1030))
    tested = set(originals.filter(pl.col("test"))["id"])
    assert not tested & set(everything["parent"])
    for fold in range(5):
        rows = draw_training_rows(everything, fold, 580)
        held_out = set(originals.filter(pl.col("fold") == fold)["id"])
        assert not (tested | held_out) & (set(rows["id"]) | set(rows["parent"]))


def test_clips_of_no_fold_are_trained_on_whatever_is_held_out() -> None:
    """As `part_by_fold` has it: copies must suffice for them as well."""
    loose = table({"a": 4, "b": 2}).with_columns(pl.format("loose {}", "id").alias("id"), fold=pl.lit(None, pl.Int16))
    originals = pl.concat([table({"a": 6, "b": 6}, folds=2), loose])
    everything = with_copies(originals, plan_copies(originals, "max", 1))
    for fold in (0, 1):
        assert class_counts(training_part(originals, fold)) == {"a": 7, "b": 5}
        assert class_counts(draw_training_rows(everything, fold, "max")) == {"a": 7, "b": 7}


def test_copies_go_round_robin_and_stop() -> None:
    originals = table({"a": 10, "b": 4}, folds=2)  # 5 and 2 in each training part
    planned = plan_copies(originals, 5, 1)
    drawn = draw_training_rows(with_copies(originals, planned), 0, 5)
    copies = drawn.filter(pl.col("role") == COPY)
    assert class_counts(drawn) == {"a": 5, "b": 5}
    assert sorted(copies["parent"].value_counts()["count"]) == [1, 2]
    assert planned["number"].max() == 2
    assert planned.height <= 2 * 4


def test_max_is_the_largest_class_of_each_part() -> None:
    originals = table({"a": 10, "b": 4}, folds=2)
    everything = with_copies(originals, plan_copies(originals, "max", 1))
    assert class_counts(draw_training_rows(everything, 0, "max")) == {"a": 5, "b": 5}
    assert class_counts(draw_training_rows(everything, None, "max")) == {"a": 10, "b": 10}


def test_a_class_above_the_target_stays_as_it_is() -> None:
    originals = table({"a": 20, "b": 5})
    everything = with_copies(originals, plan_copies(originals, 10, 1))
    assert class_counts(draw_training_rows(everything, 2, 10)) == {"a": 16, "b": 10}
    assert class_counts(draw_training_rows(everything, 2, None)) == {"a": 16, "b": 4}


def test_clips_of_several_labels_or_none_are_neither_counted_nor_copied() -> None:
    both = [{"id": f"ab-{i}", "role": "original", "labels": ["a", "b"], "fold": i % 5} for i in range(5)]
    blank = [{"id": f"u-{i}", "role": "original", "fold": i % 5} for i in range(5)]
    originals = pl.concat([table({"a": 5}), clips(both), clips(blank)])
    planned = plan_copies(originals, 12, 1)
    assert {parent[:2] for parent in planned["parent"]} == {"a-"}
    rows = draw_training_rows(with_copies(originals, planned), 0, 12)
    assert class_counts(rows) == {"a": 12}
    assert rows.filter(pl.col("labels").list.len() == 2).height == 4
    assert rows.filter(pl.col("labels").list.len() == 0).height == 4


def test_too_few_planned_copies_are_an_error_that_says_what_to_run() -> None:
    originals = table({"a": 10, "b": 5})
    everything = with_copies(originals, plan_copies(originals, 8, 1))
    with pytest.raises(IncompatibleError, match=r"class 'a' needs 12 copies.*augment --balance 20"):
        draw_training_rows(everything, 0, 20)


def test_a_label_fraction_is_balanced_from_its_own_copies() -> None:
    originals = table({"a": 50, "b": 10})
    everything = with_copies(originals, plan_copies(originals, 40, 1))
    few = [f"a-{i}" for i in range(10, 30)] + [f"b-{i}" for i in (1, 2, 3)]
    rows = draw_training_rows(everything, 0, 16, clips=few)
    assert class_counts(rows) == {"a": 16, "b": 16}
    assert set(rows["parent"].drop_nulls()) <= set(few)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    folds=st.integers(1, 5),
    balance=st.one_of(st.integers(0, 60), st.just("max")),
    seed=st.integers(0, 3),
)
def test_every_part_of_every_table_is_balanced(counts: list[int], folds: int, balance: object, seed: int) -> None:
    originals = table({f"c{i}": count for i, count in enumerate(counts)}, test=2, folds=folds)
    planned = plan_copies(originals, balance, seed)
    assert planned.equals(plan_copies(originals.reverse(), balance, seed))
    everything = with_copies(originals, planned)
    for fold in [*range(folds), None]:
        before = class_counts(training_part(originals, fold))
        target = max(before.values(), default=0) if balance == "max" else balance
        after = class_counts(draw_training_rows(everything, fold, balance))
        assert after == {label: max(count, target) for label, count in before.items()}
    assert everything.schema == pl.Schema(CLIP_SCHEMA)
