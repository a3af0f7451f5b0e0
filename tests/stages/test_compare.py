"""Few-shot runs side by side: parts join, controls merge, and what can't be set side by side is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from waves import QUIET, few_shot, rendered_waves

from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.base import check
from birdssl.settings.compare import CompareSettings
from birdssl.stages.compare import Compare
from birdssl.stages.runner import run

PROBES = ["linear", "centroid"]


def compared(out: Path, *runs: Path, **settings: Any) -> Compare:
    return Compare(check(CompareSettings, settings), runs, out, QUIET)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods; the first in two parts as well."""
    folder = tmp_path_factory.mktemp("runs")
    waves = rendered_waves(folder / "waves", 8)
    for name, changed in {
        "whole": {"name": "one"},
        "first": {"name": "one", "only_draws": [0]},
        "second": {"name": "one", "only_draws": [1]},
        "clar": {"name": "two", "objective": "barlow-twins", "encoder": "acoustic-ssm"},
        "cnn": {"name": "three", "encoder": "adapted-cnn", "ssm_layers": ..., "ssm_state": ...},
        "other": {"name": "four", "seed": 7, "start": "none"},
        "own": {"name": "five", "start": "none", "protocol": "own", "shots": ..., "draws": ...},
    }.items():
        run(few_shot(folder / name, waves, classifiers=PROBES, epochs=1, **changed))
    run(few_shot(folder / "larger", rendered_waves(folder / "more", 9), classifiers=PROBES, name="six", start="none"))
    return folder


def table(found: Compare) -> dict[str, Any]:
    return json.loads((found.out / "results.json").read_text())


def test_parts_of_a_run_are_the_run(runs: Path, tmp_path: Path):
    one, two = compared(tmp_path / "one", runs / "whole"), compared(tmp_path / "two", runs / "second", runs / "first")
    run(one), run(two)
    assert table(one)["systems"] == table(two)["systems"]
    own = json.loads((runs / "whole" / "results.json").read_text())
    shown = {row["name"]: row["average"] for row in table(one)["systems"]}
    for row in own["systems"]:
        name = "one, chosen on the support set" if row["classifier"] == "chosen" else row["name"]
        assert shown[name] == row["average"]
    assert {item["verdict"].replace("one, chosen", "chosen") for item in table(one)["differences"]} == {
        item["verdict"] for item in own["differences"]
    }


def test_methods_stand_side_by_side_with_controls_once(runs: Path, tmp_path: Path):
    made = compared(tmp_path / "out", *(runs / name for name in ("whole", "clar", "cnn")), expected=["HuBERT", "one"],
                    baseline="one")  # fmt: skip
    outcome = run(made)
    names = [row["name"] for row in table(made)["systems"]]
    assert len(set(names)) == len(names)
    assert [name for name in names if name.startswith("mel")] == ["mel statistics, linear",
                                                                   "mel statistics, nearest centroid"]  # fmt: skip
    # the same network starts from the same weights, whatever it is to learn
    assert "random start of acoustic-ssm, linear" in names
    assert "random start of adapted-cnn, linear" in names
    assert "chosen on the support set" in names
    assert "two, chosen on the support set" in names
    assert "HuBERT" in outcome.text
    assert "weights not at hand" in (made.out / "table.md").read_text()
    sides = {(item["first"], item["second"]) for item in table(made)["differences"]}
    assert ("two, linear", "one, linear") in sides
    assert ("three, linear", "random start of adapted-cnn, linear") in sides
    assert ("two, linear", "random start of acoustic-ssm, linear") in sides


def test_rows_may_be_narrowed_and_the_choice_is_still_among_all(runs: Path, tmp_path: Path):
    made = compared(tmp_path / "out", runs / "whole", runs / "clar", classifiers=["centroid"])
    run(made)
    assert {row["classifier"] for row in table(made)["systems"]} == {"centroid", "chosen"}
    whole = compared(tmp_path / "whole", runs / "whole", runs / "clar")
    run(whole)
    chosen = [[row for row in table(found)["systems"] if row["classifier"] == "chosen"] for found in (made, whole)]
    assert chosen[0] == chosen[1]


def test_own_sets_are_compared_inside_the_support(runs: Path, tmp_path: Path):
    made = compared(tmp_path / "out", runs / "own")
    assert "The best for this set, by folds inside the labelled clips" in run(made).text


@pytest.mark.parametrize(
    ("inputs", "settings", "kind", "words"),
    [
        (("whole", "larger"), {}, IncompatibleError, "asked other queries in group all classes, draw 0"),
        (("whole", "other"), {}, IncompatibleError, "with --seed 1030 and .* with 7: their draws"),
        (("whole", "first"), {}, IncompatibleError, "one has group all classes, draw 0, seed 0 in two inputs"),
        (("whole", "own"), {}, IncompatibleError, "compare runs of one protocol"),
        (("whole", "clar"), {"name": ["x"]}, UsageError, "1 names for 2 inputs"),
        (("whole",), {"baseline": "on"}, UsageError, "--baseline 'on' is no method and no row; did you mean 'one'"),
        (("waves",), {}, IncompatibleError, "was made by `birdssl render`"),
    ],
)  # fmt: skip
def test_what_cannot_be_set_side_by_side_is_refused(
    runs: Path, tmp_path: Path, inputs: tuple[str, ...], settings: dict[str, Any], kind: type[Exception], words: str
):
    with pytest.raises(kind, match=words):
        run(compared(tmp_path / "out", *(runs / name for name in inputs), **settings))


def test_a_group_may_stand_apart_from_the_average(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    waves = rendered_waves(tmp_path / "waves", 5)
    made = few_shot(tmp_path / "run", waves, start="none", classifiers=["centroid"], draws=2,
                    group=["low=bass,tenor", "high=alto,soprano", "wide=bass,soprano"])  # fmt: skip
    run(made)
    out = compared(tmp_path / "out", made.out, apart=["wide"])
    run(out)
    for row in table(out)["systems"]:
        values = {name: found["value"] for name, found in row["groups"].items()}
        assert set(values) == {"low", "high", "wide"}
        assert row["average"]["value"] == pytest.approx((values["low"] + values["high"]) / 2, abs=1e-6)
    compared(tmp_path / "no", made.out, apart=["narrow"]).plan()
    assert "--apart narrow: there is no such group; there are low, high, wide" in caplog.text


def test_a_table_of_nothing_but_groups_apart_averages_them(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """P2's second table alone, the frogs' own, once ended in an error when all cells had been trained."""
    made = few_shot(tmp_path / "run", rendered_waves(tmp_path / "waves", 5), start="none", classifiers=["centroid"],
                    group=["frogs=bass,tenor"], draws=2)  # fmt: skip
    run(made)
    out = compared(tmp_path / "out", made.out, apart=["frogs"])
    run(out)
    assert "--apart names every group there is (frogs), so they are averaged" in caplog.text
    for row in table(out)["systems"]:
        assert row["average"]["value"] == row["groups"]["frogs"]["value"]


def test_a_method_has_no_choice_in_groups_that_it_never_ran(tmp_path: Path):
    waves, groups = rendered_waves(tmp_path / "waves", 5), ["low=bass,tenor", "high=alto,soprano"]
    for name, only in (("A", ["low"]), ("B", [])):
        run(few_shot(tmp_path / name, waves, name=name, classifiers=PROBES, epochs=1, group=groups, only_groups=only,
                     batch_size=4))  # fmt: skip
    made = compared(tmp_path / "out", tmp_path / "A", tmp_path / "B")
    run(made)
    rows = {row["name"]: row for row in table(made)["systems"]}
    assert list(rows["A, chosen on the support set"]["groups"]) == ["low"]
    assert rows["A, linear"]["average"]["of_groups"] == [1, 2]
    assert set(rows["B, chosen on the support set"]["groups"]) == {"low", "high"}
    notes = table(made)["notes"]
    assert any(note.startswith("A, chosen on the support set: ") for note in notes)
    assert any("over draws of the support" in note for note in notes)


def test_own_sets_that_differ_are_not_compared(runs: Path, tmp_path: Path):
    other = few_shot(tmp_path / "run", rendered_waves(tmp_path / "waves", 5), classifiers=PROBES, name="seven",
                     start="none", protocol="own", shots=..., draws=...)  # fmt: skip
    run(other)
    with pytest.raises(IncompatibleError, match="asked other queries"):
        run(compared(tmp_path / "out", runs / "own", other.out))


def test_a_baseline_that_no_row_has_in_the_end_is_said(runs: Path, tmp_path: Path):
    """Random starts of two encoders are named after them, so that the plain name stands for neither."""
    made = compared(tmp_path / "out", runs / "whole", runs / "cnn", baseline="random start, linear")
    run(made)
    (note,) = [note for note in table(made)["notes"] if "no row has that name" in note]
    assert "random start of acoustic-ssm, linear" in note
