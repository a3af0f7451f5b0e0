"""Few-shot accuracies, choices, intervals and tables: hand-worked values, scipy, and simulated coverage."""

import csv
import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from birdssl.evaluation.fewshot import (
    ANSWERS,
    FOLDS,
    QUERY,
    Spread,
    System,
    cells,
    choose,
    crossed,
    gaps,
    independent_groups,
    merge_controls,
    of_group,
    of_system,
    over_groups,
    systems,
)
from birdssl.evaluation.fewshot_table import (
    latex_csv,
    long_csv,
    markdown,
    method_pairs,
    own_pairs,
    picture,
    tabulate,
    terminal,
)


def answers(
    right: str,
    truth: str = "aab",
    *,
    group: str = "G",
    draw: int = 0,
    seed: int = 0,
    part: str = QUERY,
    features: str = "pretrained",
    classifier: str = "linear",
    certainty: float = 0.5,
    names: str = "",
) -> pl.DataFrame:
    """A clip for each letter of `truth`, answered rightly where `right` has a 1."""
    rows = [(group, draw, seed, part, features, classifier, f"{names}{place}", "r", "o", label,
             label if good == "1" else "?", certainty)
            for place, (label, good) in enumerate(zip(truth, right, strict=True))]  # fmt: skip
    return pl.DataFrame(rows, schema=ANSWERS, orient="row")


def values(table: list[list[float]], **names: str) -> pl.DataFrame:
    """Cells of one system: rows are draws, columns seeds."""
    system = {"method": "M", "features": "pretrained", "classifier": "linear", "group": "G", **names}
    rows = [{**system, "draw": draw, "seed": seed, "accuracy": value, "queries": 3, "asked": 7,
             "folds_accuracy": None, "folds_certainty": None}
            for draw, line in enumerate(table) for seed, value in enumerate(line)]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"folds_accuracy": pl.Float64, "folds_certainty": pl.Float64})


def test_accuracy_is_the_mean_of_the_classes_recalls():
    found = cells(pl.concat([answers("101"), answers("110", part=FOLDS, certainty=0.25)]), "M")
    assert found.height == 1
    row = found.row(0, named=True)
    assert row["accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert row["folds_accuracy"] == pytest.approx((1 + 0) / 2)
    assert row["folds_certainty"] == 0.25
    assert row["queries"] == 3
    assert row["method"] == "M"
    assert cells(answers("101", features="mel"), "M")["method"][0] == ""
    assert cells(answers("101", features="random"), "M", "M")["method"][0] == "M"


def test_the_same_queries_are_known_and_others_are_refused():
    first, second = cells(answers("101"), "M"), cells(answers("001", features="mel"), "M")
    assert gaps(first, second)["gap"].to_list() == [pytest.approx(0.25)]
    other = cells(answers("001", features="mel", names="x"), "M")
    with pytest.raises(ValueError, match="same queries"):
        gaps(first, other)


def test_the_choice_is_made_inside_the_support_and_never_by_queries():
    """The system that is best inside the support answers, though another does better on the queries."""
    table = pl.concat([
        answers("100", classifier="linear"), answers("111", classifier="linear", part=FOLDS),
        answers("111", classifier="knn"), answers("110", classifier="knn", part=FOLDS),
        answers("111", features="random", classifier="linear"),
        answers("111", features="random", classifier="linear", part=FOLDS, certainty=0.9),
        answers("111", features="mel", classifier="centroid"),
    ])  # fmt: skip
    chosen = choose(cells(table, "M"), "M")
    assert chosen.height == 1
    assert chosen["choice"].to_list() == ["M, linear"]
    assert chosen["accuracy"].to_list() == [pytest.approx(0.25)]
    assert chosen["classifier"].to_list() == ["chosen"]


@given(st.lists(st.sampled_from(["000", "100", "110", "111"]), min_size=6, max_size=6))
def test_whatever_the_queries_say_the_choice_stays(on_queries: list[str]):
    kinds = [
        (features, classifier) for features in ("pretrained", "mel") for classifier in ("linear", "knn", "centroid")
    ]
    inside = ["110", "111", "010", "111", "000", "101"]
    parts = [
        answers(right, features=features, classifier=classifier, part=part, certainty=0.1 * place)
        for part, column in ((QUERY, on_queries), (FOLDS, inside))
        for place, ((features, classifier), right) in enumerate(zip(kinds, column, strict=True))
    ]
    chosen = choose(cells(pl.concat(parts), "M"), "M")
    assert chosen["choice"].to_list() == ["mel statistics, linear"]  # a tie with M, k-NN; surer of the truth


def test_methods_may_be_chosen_among_by_name():
    one = cells(pl.concat([answers("111"), answers("110", part=FOLDS)]), "one")
    two = cells(pl.concat([answers("100"), answers("111", part=FOLDS)]), "two")
    both = pl.concat([one, two])
    assert choose(both, "best")["choice"].to_list() == ["two, linear"]
    assert choose(both, "best", ["one"])["choice"].to_list() == ["one, linear"]
    assert choose(cells(answers("111"), "one"), "best").is_empty()  # none was tried inside the support


def test_controls_that_methods_have_alike_are_one_row():
    low, high = ([[0.2], [0.3]], [[0.5], [0.4]])
    table = pl.concat(
        [values(low, method=name, features="mel") for name in ("one", "two", "three")]
        + [values(low, method=name, features="random") for name in ("one", "two")]
        + [values(high, method="three", features="random")]
        + [values(high, method="one")]
    )
    merged, shares = merge_controls(table)
    assert merged.height == 2 * 4
    names = {(system.method, system.features) for system in systems(merged)}
    assert names == {("", "mel"), ("one and two", "random"), ("three", "random"), ("one", "pretrained")}
    assert System("one and two", "random", "knn").words() == "random start of one and two, k-NN"
    pairs = own_pairs(systems(merged), shares)
    assert [(second.method, second.features) for _, second in pairs] == [("one and two", "random"), ("", "mel")]


def test_controls_that_met_in_no_cell_stay_apart():
    one, two = values([[0.2]], method="one", features="random"), values([[0.2]], method="two", features="random")
    merged, shares = merge_controls(pl.concat([one, two.with_columns(pl.lit("H").alias("group"))]))
    assert {system.method for system in systems(merged)} == {"one", "two"}
    assert shares == {"one": ["one"], "two": ["two"]}


def test_controls_are_named_by_what_tells_them_apart():
    """Named after all their methods, seven made a name of four lines."""
    table = pl.concat([values([[level]], method=name, features=features)
                       for features, levels in (("random", (0.2, 0.2, 0.3)), ("mel", (0.5, 0.6, 0.6)))
                       for name, level in zip("ABC", levels, strict=True)])  # fmt: skip
    labels = {"random": {"A": "ssm", "B": "ssm", "C": "cnn"}, "mel": {"A": "20 kHz", "B": "16 kHz", "C": "16 kHz"}}
    merged, shares = merge_controls(table, labels)
    words = [system.words() for system in systems(merged)]
    assert words == ["random start of cnn, linear", "random start of ssm, linear", "mel statistics of 16 kHz, linear",
                     "mel statistics of 20 kHz, linear"]  # fmt: skip
    assert shares == {"ssm": ["A", "B"], "cnn": ["C"], "20 kHz": ["A"], "16 kHz": ["B", "C"]}
    assert System("16 kHz", "mel", "linear").beside("B", shares)
    assert not System("16 kHz", "mel", "linear").beside("A", shares)
    labels["random"] = dict.fromkeys("ABC", "ssm")  # one encoder in two sizes
    assert set(merge_controls(table, labels)[1]) == {"A and B", "C", "20 kHz", "16 kHz"}


def test_one_seed_is_students_interval_over_draws():
    found = crossed(np.array([[0.7], [0.74], [0.69], [0.71], [0.76]]))
    low, high = stats.t.interval(0.95, 4, loc=0.72, scale=stats.sem([0.7, 0.74, 0.69, 0.71, 0.76]))
    interval = found.interval()
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((0.72, low, high))


def test_draws_and_seeds_together_by_hand():
    """Draw means 2, 4, 6 and seed means 3, 5 without a rest: M_draws = 8, M_seeds = 6; Var = (8 + 6 - 0) / 6."""
    found = crossed(np.array([[1.0, 3], [3, 5], [5, 7]]))
    assert found.mean == 4
    assert found.variance == pytest.approx(14 / 6)
    # Satterthwaite: 14^2 / (8^2 / 2 + 6^2 / 1)
    assert found.freedom == pytest.approx(14**2 / (64 / 2 + 36))


def test_no_variance_is_less_than_that_of_draws_alone():
    """Values that differ by the rest alone would give less than nothing: 1, -1 and -1, 1."""
    found = crossed(np.array([[1.0, -1], [-1, 1]]))
    assert found.variance == 0
    assert found.interval().reason == "the same value in every cell"
    assert crossed(np.array([[0.5]])).interval().reason == "one draw and one seed"


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=6))
def test_two_way_variance_is_never_below_either_part(table: list[list[float]]):
    found = crossed(np.array(table))
    draws, seeds = np.array(table).mean(1), np.array(table).mean(0)
    assert found.variance >= draws.var(ddof=1) / len(draws) - 1e-12
    assert found.variance >= seeds.var(ddof=1) / len(seeds) - 1e-12
    assert found.freedom >= min(len(draws), len(seeds)) - 1 - 1e-9


@pytest.mark.parametrize(
    ("draws", "seeds", "by_draw", "by_seed", "rest"),
    [(5, 1, 0.03, 0.0, 0.02), (5, 3, 0.03, 0.02, 0.02), (5, 3, 0.0, 0.03, 0.01), (10, 2, 0.03, 0.0, 0.03),
     (5, 5, 0.0, 0.0, 0.03)],
)  # fmt: skip
def test_intervals_within_a_group_hold_the_truth_as_often_as_they_say(
    draws: int, seeds: int, by_draw: float, by_seed: float, rest: float
):
    random, repeats, held = np.random.default_rng(5), 2000, 0
    for _ in range(repeats):
        table = (0.7 + by_draw * random.standard_normal((draws, 1)) + by_seed * random.standard_normal((1, seeds))
                 + rest * random.standard_normal((draws, seeds)))  # fmt: skip
        found = crossed(table).interval()
        held += found.low <= 0.7 <= found.high
    assert held / repeats > 0.935  # 0.95 - 3 standard errors; the floor makes some wider


def test_intervals_over_groups_hold_the_truth_as_often_as_they_say():
    random, repeats, held = np.random.default_rng(6), 500, 0
    for _ in range(repeats):
        levels = 0.7 + 0.05 * random.standard_normal(4)
        table = pl.concat([values((level + 0.02 * random.standard_normal((3, 1))).tolist(), group=f"G{place}")
                           for place, level in enumerate(levels)])  # fmt: skip
        found = over_groups(table)[0].interval()
        held += found.low <= 0.7 <= found.high
    assert held / repeats == pytest.approx(0.95, abs=0.03)


def test_the_average_is_of_groups_and_a_lone_group_is_its_own():
    one, two = values([[0.5], [0.7]], group="A"), values([[0.8]], group="B")
    average, each = over_groups(pl.concat([one, two]))
    assert average.mean == pytest.approx(0.7)
    assert average.freedom == 1
    assert {name: spread.mean for name, spread in each.items()} == pytest.approx({"A": 0.6, "B": 0.8})
    assert over_groups(one)[0] == each["A"]


def test_where_draws_lack_a_seed_there_is_a_mean_of_all_cells_and_no_interval():
    whole = values([[0.5, 0.6], [0.7, 0.8], [0.1, 0.2]])
    broken = whole.filter(~((pl.col("draw") == 2) & (pl.col("seed") == 1)))
    found = of_group(broken)
    assert found.mean == pytest.approx((0.5 + 0.6 + 0.7 + 0.8 + 0.1) / 5)
    assert found.interval().reason == "some draws lack a seed"
    assert of_group(values([[0.5, 0.6]]).filter(pl.col("seed") == 1)) == Spread(0.6, None, 0, "one draw and one seed")


@pytest.fixture
def found() -> pl.DataFrame:
    """Two groups, three draws: pretrained above random by about 0.2 everywhere, and about as good as mel statistics."""
    random = np.random.default_rng(3)
    parts = []
    for group, level in (("A", 0.7), ("B", 0.6), ("C", 0.65)):
        for features, method, shift in (("pretrained", "M", 0.0), ("random", "", -0.2), ("mel", "", 0.0)):
            table = (level + shift + 0.01 * random.standard_normal((3, 1))).tolist()
            parts.append(values(table, group=group, features=features, method=method))
    return pl.concat(parts)


def test_the_table_has_every_row_and_chance(found: pl.DataFrame):
    groups = {"A": "abcde", "B": "fghij", "C": "klmn"}
    pairs = own_pairs(systems(found))
    assert [(one.features, two.features) for one, two in pairs] == [("pretrained", "random"), ("pretrained", "mel")]
    results = tabulate(found, groups, pairs, 0.95, absent=["HuBERT"])
    assert results["chance"]["average"] == pytest.approx(0.65 / 3, abs=1e-6)
    assert [row["name"] for row in results["systems"]] == [
        "M, linear",
        "random start, linear",
        "mel statistics, linear",
    ]
    assert [item["verdict"].split(" by ")[0] for item in results["differences"]] == [
        "M, linear above random start, linear",
        results["differences"][1]["verdict"],
    ]
    assert results["differences"][1]["verdict"].startswith("no difference shown between M, linear and mel statistics")
    rows = list(csv.DictReader(io.StringIO(long_csv(results))))
    assert len(rows) == 4 * 4 + 1
    assert rows[-1]["note"] == "weights not at hand"
    mine = next(row for row in rows if row["name"] == "M, linear" and row["group"] == "A")
    expected = of_group(of_system(found, System("M", "pretrained", "linear")).filter(pl.col("group") == "A")).interval()
    assert float(mine["low"]) == pytest.approx(expected.low, abs=1e-6)
    page = markdown(results, "Table", ["a note"])
    assert "| chance | 20.0 | 20.0 | 25.0 | 21.7 |" in page
    assert "| HuBERT |  |  |  | weights not at hand |" in page
    assert page.endswith("- a note\n")
    assert terminal(results)[1].split() == ["chance", "21.7", "%"]
    assert picture(results).png.startswith(b"\x89PNG")
    assert picture(results) == picture(results)


def test_the_latex_table_escapes_and_sets_plus_minus(found: pl.DataFrame):
    mel = found.filter((pl.col("features") == "mel") & (pl.col("group") == "A"))
    results = tabulate(mel.with_columns(pl.lit("A_1").alias("group")), {"A_1": "abcde"}, [], 0.95)
    lines = list(csv.reader(io.StringIO(latex_csv(results))))
    assert lines[0] == ["system", r"A\_1", "average"]
    assert lines[2][0] == "mel statistics, linear"
    assert lines[2][2].startswith("$6")
    assert r" \pm " in lines[2][2]


def test_a_difference_is_paired_cell_by_cell(found: pl.DataFrame):
    """Cells that differ widely but alike give a narrow difference."""
    low = values([[0.2], [0.5], [0.8]])
    high = low.with_columns(pl.col("accuracy") + pl.Series([0.1, 0.11, 0.09]), pl.lit("N").alias("method"))
    results = tabulate(pl.concat([low, high]), {"G": "abcde"}, method_pairs(systems(pl.concat([low, high])), "M"), 0.95)
    gap = results["differences"][0]["difference"]
    assert (gap["low"], gap["value"], gap["high"]) == pytest.approx(
        (0.1 - 4.3027 * 0.01 / 3**0.5, 0.1, 0.1 + 4.3027 * 0.01 / 3**0.5), abs=1e-4
    )


def test_a_baseline_is_a_method_or_a_row(found: pl.DataFrame):
    known = systems(found)
    assert [pair[1].features for pair in method_pairs(known, "mel statistics, linear")] == ["mel", "mel"]
    assert method_pairs(known, "M") == []
    assert method_pairs(known, "nobody") == []


def test_an_accuracys_interval_stays_within_0_and_1():
    results = tabulate(values([[0.99], [0.8], [0.97]]), {"G": "abcde"}, [], 0.95)
    average = results["systems"][0]["average"]
    assert average["high"] == 1.0
    assert average["value"] - average["half"] == pytest.approx(average["low"], abs=1e-5)
    assert f"| {average['value'] * 100:.1f} ± {average['half'] * 100:.1f} |" in markdown(results, "Table")


def test_an_average_over_fewer_groups_says_so(found: pl.DataFrame):
    one = found.filter((pl.col("features") != "pretrained") | (pl.col("group") == "A"))
    results = tabulate(one, {"A": "abcde", "B": "fghij", "C": "klmno"}, [], 0.95)
    row = results["systems"][0]
    assert (row["name"], row["average"]["of_groups"]) == ("M, linear", [1, 3])
    assert "(1 of 3 groups)" in markdown(results, "Table").split("| M, linear |")[1].splitlines()[0]
    assert "(1 of 3 groups)" in terminal(results)[2]
    assert all("of_groups" not in row["average"] for row in results["systems"][1:])


def test_groups_that_share_classes_count_as_fewer(found: pl.DataFrame):
    """Two decks of ten classes, five a hand: four groups that are worth two."""
    assert independent_groups({"A": "abcde", "B": "fghij"}) == 2
    assert independent_groups({"A": "abcde", "B": "fghij", "C": "acegi", "D": "bdfhj"}) == 2
    assert independent_groups({"A": "abcde", "B": "abcdf"}) == 1
    means = [values([[level]], group=name) for name, level in zip("ABCD", (0.5, 0.6, 0.7, 0.8), strict=True)]
    spread = over_groups(pl.concat(means), independent=2)[0]
    assert (spread.freedom, spread.variance) == (1, pytest.approx(np.var([0.5, 0.6, 0.7, 0.8], ddof=1) / 2))
    assert over_groups(pl.concat(means), independent=1)[0].interval().reason == "the groups share their classes"


def test_a_difference_that_is_the_same_everywhere_is_told_so():
    low, high = values([[0.2], [0.5]]), values([[0.3], [0.6]], method="N")
    results = tabulate(pl.concat([low, high]), {"G": "abcde"}, method_pairs(systems(pl.concat([low, high])), "M"), 0.95)
    assert results["differences"][0]["verdict"] == "N, linear above M, linear by 10.0 points in every cell"


def test_a_method_chooses_only_where_it_ran():
    """Mel statistics, which stand beside every method, were once its choice in groups that it never met."""
    mine = values([[0.9]], group="A").with_columns(folds_accuracy=pl.lit(0.9), folds_certainty=pl.lit(0.9))
    mel = [values([[0.5]], group=name, features="mel", method="").with_columns(
        folds_accuracy=pl.lit(0.5), folds_certainty=pl.lit(0.5)) for name in "AB"]  # fmt: skip
    table = pl.concat([mine, *mel], how="diagonal_relaxed")
    chosen = choose(table, "M", ["M"], mine.select("group", "draw", "seed"))
    assert chosen.select("group", "accuracy").rows() == [("A", 0.9)]
    assert choose(table, "").height == 2


def test_a_control_stands_beside_a_method_with_and_in_its_name():
    assert System("cola and clar", "random", "linear").beside("cola and clar")
