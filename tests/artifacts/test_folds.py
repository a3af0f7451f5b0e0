"""No origin on two sides, every row in one part, classes spread: on tables of all shapes."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from birdssl.artifacts.folds import (
    Design,
    assign,
    class_table,
    complaints,
    deal,
    group_rows,
    hold_out,
    official,
    rarest_labels,
    straddlers,
    stratify,
)
from birdssl.artifacts.manifest import clips
from birdssl.errors import IncompatibleError
from birdssl.seeds import generator

# P1, Table 1: the clips of its fifteen classes.
P1_CLASSES = (725, 700, 650, 600, 500, 400, 300, 250, 225, 175, 150, 125, 100, 60, 40)


def manifest(rows: list[tuple[str, list[str], str]]) -> pl.DataFrame:
    """Rows of (origin, labels, site)."""
    return clips(
        {"id": f"{number:016x}", "recording": origin, "origin": origin, "labels": labels, "site": site}
        for number, (origin, labels, site) in enumerate(rows)
    )


def grouped(origins: dict[str, tuple[str, int]]) -> pl.DataFrame:
    """Origins with their class and number of clips."""
    return manifest([(name, [label], "s") for name, (label, count) in origins.items() for _ in range(count)])


@st.composite
def tables(draw: st.DrawFn) -> pl.DataFrame:
    labels = st.lists(st.sampled_from("abcde"), max_size=2, unique=True)
    row = st.tuples(st.integers(0, 14).map(str), labels, st.sampled_from(["pond", "hill", "wood", "bog"]))
    found = draw(st.lists(row, min_size=12, max_size=80))
    return manifest(found + [(str(number), ["a"], "pond") for number in range(20, 27)])


@settings(max_examples=80, deadline=None)
@given(tables(), st.sampled_from(["origin", "site", "none"]), st.integers(0, 3), st.sampled_from([0.0, 0.1, 0.3]))
def test_no_origin_straddles_and_every_row_has_one_part(
    table: pl.DataFrame, group: str, draw: int, fraction: float
) -> None:
    design = Design(fraction, 3, group, 1030, draw)
    if int(group_rows(table.sort("id"), group).max()) + 1 < 4:
        return
    parts = assign(table, design)
    assert parts["id"].to_list() == table["id"].to_list()
    assert parts["test"].null_count() == 0
    assert (parts["test"] == parts["fold"].is_null()).all()
    assert set(parts["fold"].drop_nulls().to_list()) <= {0, 1, 2}
    if group != "none":
        assert straddlers(parts, "origin") == []
    if group == "site":
        assert straddlers(parts, "site") == []
    assert parts.equals(assign(table, design))
    shuffled = assign(table.sample(fraction=1, shuffle=True, seed=1), design)
    assert shuffled.sort("id").equals(parts.sort("id"))


@settings(max_examples=60, deadline=None)
@given(tables(), st.floats(0.02, 0.5), st.integers(0, 5))
def test_every_class_with_two_origins_can_be_learned_and_most_are_tested(
    table: pl.DataFrame, fraction: float, seed: int
) -> None:
    groups, strata = group_rows(table, "origin"), stratify(table["labels"])
    held = hold_out(strata, groups, fraction, generator(seed))
    for index in np.unique(strata):
        assert (~held[strata == index]).any()


def test_a_clip_counts_for_its_rarest_label() -> None:
    labels = pl.Series([["a", "b"], ["a"], ["b", "c"], [], ["a", "c"]])
    assert rarest_labels(labels) == ["b", "a", "b", "(unlabelled)", "c"]  # a in 3, b and c in 2 of them


def test_one_origin_of_each_class_is_tested_however_small_the_share() -> None:
    origins = {f"{label}{number}": (label, 10) for label in "abcdef" for number in range(2)}
    parts = assign(grouped(origins), Design(0.1, 0, "origin", 1))
    assert [row["test_origins"] for row in class_table(parts)] == [1] * 6 + [6]


def test_a_class_with_one_origin_stays_in_the_training_part() -> None:
    origins = {"only": ("rare", 5)} | {f"{number}": ("common", 5) for number in range(9)}
    for seed in range(20):
        parts = assign(grouped(origins), Design(0.5, 0, "origin", seed))
        assert parts.filter(pl.col("origin") == "only")["test"].to_list() == [False] * 5


def test_p1_gives_500_test_clips_and_five_folds_of_900() -> None:
    table = manifest(
        [(str(number), [f"c{index}"], "s") for index, size in enumerate(P1_CLASSES) for number in range(size)]
    )
    parts = assign(table, Design(0.1, 5, "none", 1030))
    rows = class_table(parts)
    assert rows[-1]["test"] == 500
    assert [rows[-1][f"fold_{fold}"] for fold in range(5)] == [900] * 5
    for row, size in zip(rows[:-1], sorted(P1_CLASSES, key=lambda size: f"c{P1_CLASSES.index(size)}"), strict=True):
        assert abs(row["test"] - size / 10) < 1
        assert max(row[f"fold_{fold}"] for fold in range(5)) - min(row[f"fold_{fold}"] for fold in range(5)) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_spread_as_well_as_scikit_learns(seed: int) -> None:
    """Measured by the mean deviation of class counts in folds from an even share."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(60), rng.integers(1, 30, 60))
    strata = np.repeat(rng.integers(0, 6, 60), np.bincount(groups))

    def unevenness(fold: np.ndarray) -> float:
        counts = np.array([np.bincount(strata[fold == number], minlength=6) for number in range(5)])
        return float(np.abs(counts / counts.sum(0) - 0.2).mean())

    theirs = np.zeros(len(groups), int)
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    for number, (_, held) in enumerate(splitter.split(strata, strata, groups)):
        theirs[held] = number
    assert unevenness(deal(strata, groups, 5, generator(seed))) <= 1.1 * unevenness(theirs)


def test_different_draws_hold_out_different_origins_about_equally_often() -> None:
    origins = {f"{label}{number}": (label, 4 + number) for label in "abc" for number in range(5)}
    table, times = grouped(origins), dict.fromkeys(origins, 0)
    for draw in range(100):
        parts = assign(table, Design(0.2, 0, "origin", 1030, draw))
        for origin in parts.filter("test")["origin"].unique():
            times[origin] += 1
    assert min(times.values()) >= 5
    assert max(times.values()) <= 60


def test_days_and_sites_that_share_an_origin_hold_together() -> None:
    rows = [("1", "pond"), ("1", "hill"), ("2", "hill"), ("3", "wood"), ("4", "wood"), ("5", "bog")]
    table = manifest([(origin, ["a"], site) for origin, site in rows])
    assert group_rows(table, "site").tolist() == [1, 1, 1, 2, 2, 0]


def test_days_are_calendar_days() -> None:
    times = ["2019-05-22T23:59:58", "2019-05-23T00:00:01", "2019-05-23T12:00:00"]
    table = manifest([(str(number), ["a"], "s") for number in range(3)])
    table = table.with_columns(pl.Series("time", times).str.to_datetime(time_unit="ms"))
    assert group_rows(table, "day").tolist() == [0, 1, 1]
    with pytest.raises(IncompatibleError, match="--group day: 3 of 3 clips have no time"):
        group_rows(manifest([("1", [], "s")] * 3), "day")


def test_too_few_groups_are_refused_with_the_cure() -> None:
    with pytest.raises(
        IncompatibleError, match=r"2 groups \(--group origin\) can't make 5 folds and a test part; use fewer --folds"
    ):
        assign(grouped({"1": ("a", 9), "2": ("a", 9)}), Design(0.1, 5, "origin", 1))
    with pytest.raises(IncompatibleError, match=r"1 group .* can't make a training part and .*; .* or more recordings"):
        assign(grouped({"1": ("a", 9)}), Design(0.1, 0, "origin", 1))  # it used to say "can't make 0 folds"


def test_official_folds_stay_as_they_are() -> None:
    table = manifest([(str(number), ["a"], "s") for number in range(6)])
    table = table.with_columns(pl.Series("fold", [1, 1, 2, 2, 3, 3], pl.Int16))
    parts = official(table, [3])
    assert parts["fold"].to_list() == [1, 1, 2, 2, None, None]
    assert parts["test"].to_list() == [False] * 4 + [True] * 2
    with pytest.raises(IncompatibleError, match="--test-fold 7: the folds are 1, 2, 3"):
        official(table, [7])
    with pytest.raises(IncompatibleError, match="1 of 6 clips have no official fold"):
        official(table.with_columns(pl.Series("fold", [1, 1, 2, 2, 3, None], pl.Int16)), [])


def test_the_class_table_counts_clips_and_origins() -> None:
    rows = [("1", ["a"], "s"), ("1", ["a", "b"], "s"), ("2", ["b"], "s"), ("3", [], "s")]
    table = manifest(rows).with_columns(
        pl.Series("test", [False, False, True, False]), pl.Series("fold", [0, 0, None, 1], pl.Int16)
    )
    keys = ("class", "clips", "origins", "test", "test_origins", "fold_0", "fold_1")
    assert [tuple(row[key] for key in keys) for row in class_table(table)] == [
        ("(unlabelled)", 1, 1, 0, 0, 0, 1),
        ("a", 2, 1, 0, 0, 2, 0),
        ("b", 2, 2, 1, 1, 1, 0),
        ("all", 4, 3, 1, 1, 2, 1),
    ]


def test_complaints_name_what_spoils_a_score() -> None:
    table = grouped({"1": ("rare", 4)} | {str(number): ("common", 4) for number in range(2, 12)})
    said = "\n".join(complaints(assign(table, Design(0.2, 3, "origin", 1)), Design(0.2, 3, "origin", 1)))
    assert "no clip in the test part, so no score, for 1 classes: rare (1 origin)" in said
    assert "1 classes have all their training clips in one fold" in said
    assert "common" not in said
    design = Design(0.2, 3, "none", 1)
    assert "origins have clips in several parts" in "\n".join(complaints(assign(table, design), design))


def test_a_good_split_gives_no_complaint() -> None:
    design = Design(0.2, 4, "origin", 1)
    table = grouped({f"{label}{number}": (label, 5) for label in "ab" for number in range(10)})
    assert complaints(assign(table, design), design) == []
