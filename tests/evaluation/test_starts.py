"""Did pretraining help: the right controls, what is missing, and the answer."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from birdssl.artifacts.artifact import StageRecord, open_artifact
from birdssl.evaluation.lineage import start_of
from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.scoring import Doubt, Systems
from birdssl.evaluation.starts import did_it_help, starts_of

CLASSES = ClassList(("frog", "wren"))


def start(
    way: str, encoder: str | None = "simplecnn", tuned: bool = True, by: str = "head", **more: Any
) -> dict[str, Any]:
    learned = {"objective": "vicreg", "pretraining": "1a2b"} if way == "pretrained" else {}
    return {"way": way, "encoder": encoder, "tuned": tuned, "by": by, "labels": 1.0, **learned, **more}


def frozen(way: str, by: str, **more: Any) -> dict[str, Any]:
    return start(way, None if way == "plain" else "simplecnn", False, by, **more)


def answers(shares: dict[str, float]) -> pl.DataFrame:
    """60 recordings of two clips: a system is right in its share of them, the worse only where the better are too."""
    rows = []
    for system, share in shares.items():
        for number in range(60):
            truth, other = ("frog", "wren") if number % 2 else ("wren", "frog")
            answer = truth if number // 2 < share * 30 else other
            rows += [(system, None, f"{number}-{clip}", f"r{number}", truth, answer) for clip in range(2)]
    names = ["system", "model_fold", "id", "origin", "truth", "predicted"]
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides={"model_fold": pl.Int16})


def encoders(shares: dict[str, float], starts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return did_it_help(Systems(answers(shares), CLASSES, Doubt(seed=0, draws=500)), starts)


def asked(shares: dict[str, float], starts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each use of any encoder, by its system."""
    return {use["system"]: use for row in encoders(shares, starts) for use in row["uses"]}


@pytest.mark.parametrize(
    ("random", "plain", "answer"),
    [
        (0.5, 0.5, "yes, beside a random start, and beside plain features"),
        (0.5, 0.78, "yes, beside a random start; not shown beside plain features"),
        (0.5, 0.99, "yes, beside a random start; yet plain features do better"),
        (0.78, 0.5, "not shown"),
        (0.99, 0.5, "no: it did harm, beside a random start"),
    ],
)
def test_the_answer(random: float, plain: float, answer: str):
    starts = {"ours": start("pretrained"), "none": start("random"), "mel": start("plain", None, False)}
    (row,) = asked({"ours": 0.8, "none": random, "mel": plain}, starts).values()
    assert row["answer"] == answer
    assert [item["against"] for item in row["comparisons"]] == ["random", "plain"]
    assert row["words"][0].startswith("Beside a random start: ")


def test_only_the_random_start_of_the_same_network_used_in_the_same_way_counts():
    starts = {"ours": start("pretrained"), "other": start("random", "resnet50"), "frozen": start("random", tuned=False)}
    (row,) = asked({"ours": 0.8, "other": 0.5, "frozen": 0.5}, starts).values()
    assert row["answer"] == "not known: no random start of its network stands beside it"
    assert row["missing"] == ["random", "plain"]
    assert "add `birdssl finetune` without --start" in row["words"][0]
    starts["frozen too"] = start("pretrained", tuned=False)
    both = asked({"ours": 0.8, "other": 0.5, "frozen": 0.5, "frozen too": 0.9}, starts)
    assert both["frozen too"]["answer"] == "yes, beside a random start"
    assert "missing" in both["ours"]


def test_a_random_start_that_had_other_labels_is_no_control():
    few = {"labels": 0.2}
    starts = {"ours": start("pretrained", **few), "all": start("random"), "few": start("random", **few)}
    (row,) = asked({"ours": 0.8, "all": 0.99, "few": 0.5}, starts).values()
    assert row["answer"] == "yes, beside a random start"
    assert [item["second"] for item in row["comparisons"]] == ["few"]


def test_mel_statistics_that_had_other_labels_are_no_control():
    few = {"labels": 0.2}
    starts = {"ours": start("pretrained", **few), "none": start("random", **few), "mel": frozen("plain", "linear"),
              "mel (20%)": frozen("plain", "linear", **few)}  # fmt: skip
    (row,) = asked({"ours": 0.8, "none": 0.5, "mel": 0.99, "mel (20%)": 0.5}, starts).values()
    assert row["answer"] == "yes, beside a random start, and beside plain features"
    assert [item["second"] for item in row["comparisons"]] == ["none", "mel (20%)"]
    del starts["mel (20%)"]
    assert asked({"ours": 0.8, "none": 0.5, "mel": 0.99}, starts)["ours"]["missing"] == ["plain"]


def test_of_mel_statistics_those_that_held_out_the_same_folds_count():
    """They learned from as many labels; where there are none such, those of all folds do."""
    starts = {"ours": start("pretrained"), "none": start("random"), "mel": frozen("plain", "linear"),
              "mel of folds": frozen("plain", "linear")}  # fmt: skip
    table = answers({"ours": 0.8, "none": 0.5, "mel": 0.99, "mel of folds": 0.5})
    table = table.with_columns(model_fold=pl.when(pl.col("system") != "mel").then(pl.lit(0, pl.Int16)))

    def told(table: pl.DataFrame, names: list[str]) -> tuple[list[str], bool]:
        chosen = {name: starts[name] for name in names}
        (row,) = did_it_help(Systems(table, CLASSES, Doubt(seed=0, draws=500)), chosen)
        use = row["uses"][0]
        warned = any(line.startswith("mel held out other folds") for line in use["words"])
        return [item["second"] for item in use["comparisons"]], warned

    assert told(table, list(starts)) == (["none", "mel of folds"], False)
    assert told(table, ["ours", "none", "mel"]) == (["none", "mel"], True)


def test_frozen_encoders_stand_beside_controls_of_the_same_classifier():
    starts = {f"{way}-{by}": frozen(way, by) for way in ("pretrained", "random", "plain") for by in ("linear", "knn")}
    found = asked({"pretrained-linear": 0.8, "random-linear": 0.99, "plain-linear": 0.5, "pretrained-knn": 0.7,
                   "random-knn": 0.5, "plain-knn": 0.99}, starts)  # fmt: skip
    assert {name: [item["second"] for item in row["comparisons"]] for name, row in found.items()} == {
        "pretrained-linear": ["random-linear", "plain-linear"],
        "pretrained-knn": ["random-knn", "plain-knn"],
    }
    assert found["pretrained-knn"]["answer"] == "yes, beside a random start; yet plain features do better"
    (alone,) = asked({"ours": 0.8}, {"ours": frozen("pretrained", "knn")}).values()
    assert "`birdssl pretrain --epochs 0` where it is frozen, scored by --probe knn" in alone["words"][0]


def test_beside_a_fine_tuned_network_the_best_classifier_on_plain_features_decides():
    starts = {"ours": start("pretrained"), "none": start("random"), "mel (linear)": frozen("plain", "linear"),
              "mel (k-NN)": frozen("plain", "knn")}  # fmt: skip
    (row,) = asked({"ours": 0.8, "none": 0.5, "mel (linear)": 0.5, "mel (k-NN)": 0.99}, starts).values()
    assert row["answer"] == "yes, beside a random start; yet plain features do better"
    assert [item["second"] for item in row["comparisons"]] == ["none", "mel (linear)", "mel (k-NN)"]
    assert [item["second"] for item in row["comparisons"] if item["decides"]] == ["none", "mel (k-NN)"]
    assert not any("mel (linear)" in line for line in row["words"])


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.5, "ours above ImageNet by 30.0 points"), (0.99, "ours below ImageNet by"), (0.8, "no difference shown")],
)
def test_a_reference_encoder_is_told_of_and_changes_no_answer(share: float, words: str):
    starts = {"ours": start("pretrained"), "none": start("random"), "ImageNet": start("imagenet", "resnet50"),
              "frozen": frozen("published", "knn")}  # fmt: skip
    (row,) = asked({"ours": 0.8, "none": 0.5, "ImageNet": share, "frozen": 0.2}, starts).values()
    assert row["answer"] == "yes, beside a random start"
    assert row["missing"] == ["plain"]
    told = [line for line in row["words"] if "reference" in line]
    assert len(told) == 1
    assert told[0].startswith(f"Beside a reference encoder (ImageNet weights): {words}")
    assert [item["against"] for item in row["comparisons"]] == ["random", "reference"]


def test_references_leave_the_tests_over_folds_as_they_are():
    """They are judged apart, so that one more reference weakens no answer."""
    starts = {"ours": start("pretrained"), "none": start("random"), "ImageNet": start("imagenet")}
    rows = [answers({"ours": share, "none": share - 0.1 * (fold + 2), "ImageNet": 0.4 + 0.1 * fold}).with_columns(
                model_fold=pl.lit(fold, pl.Int16)) for fold, share in enumerate((0.8, 0.7, 0.9))]  # fmt: skip
    tests = []
    for names in (["ours", "none"], list(starts)):
        systems = Systems(pl.concat(rows), CLASSES, Doubt(0, 200))
        (row,) = did_it_help(systems, {name: starts[name] for name in names})
        tests.append(row["uses"][0]["comparisons"][0]["folds"])
    assert tests[0]["p_adjusted"] == tests[0]["p_corrected"]
    assert tests[0] == tests[1]


def test_the_uses_of_an_encoder_are_one_answer():
    starts = {"tuned": start("pretrained"), "none": start("random")}
    starts |= {f"{way}-{by}": frozen(way, by) for way in ("pretrained", "random") for by in ("linear", "knn")}
    starts |= {"pretrained-centroid": frozen("pretrained", "centroid"), "mel": frozen("plain", "knn")}
    (row,) = encoders({"tuned": 0.8, "none": 0.5, "pretrained-linear": 0.8, "random-linear": 0.78, "mel": 0.99,
                       "pretrained-knn": 0.8, "random-knn": 0.5, "pretrained-centroid": 0.3}, starts)  # fmt: skip
    assert row["name"] == "simplecnn (vicreg)"
    assert row["answer"] == (
        "yes when fine-tuned and by k-NN; not shown by a linear probe; not known for want of a random start "
        "by nearest centroid; yet plain features do better when fine-tuned and by k-NN"
    )
    assert [use["use"] for use in row["uses"]] == ["fine-tuned", "linear probe", "k-NN", "nearest centroid"]
    assert [use["score"] for use in row["uses"]] == [0.8, 0.8, 0.8, 0.3]
    assert (row["caution"], row["not_looked_at"]) == ("", [])


def test_harm_is_named_among_the_uses():
    starts = {"a": start("pretrained"), "b": start("random"), "c": frozen("pretrained", "knn"),
              "d": frozen("random", "knn"), "mel": frozen("plain", "linear")}  # fmt: skip
    (row,) = encoders({"a": 0.8, "b": 0.5, "c": 0.5, "d": 0.9, "mel": 0.8}, starts)
    assert row["answer"] == (
        "yes when fine-tuned; no, it did harm by k-NN; no difference from plain features shown when fine-tuned"
    )
    assert row["not_looked_at"] == ["linear probe", "nearest centroid"]
    assert row["caution"] == "Not looked at by a linear probe or by nearest centroid."


def test_one_use_alone_says_which_were_not_looked_at():
    (row,) = encoders({"ours": 0.8, "none": 0.5}, {"ours": frozen("pretrained", "linear"),
                                                   "none": frozen("random", "linear")})  # fmt: skip
    assert row["name"] == "ours"
    assert row["answer"] == "yes, beside a random start"
    assert row["caution"] == (
        "Looked at by a linear probe only, which may mislead: not when fine-tuned, by k-NN or by nearest centroid."
    )


def test_without_any_random_start_there_is_no_answer_to_doubt():
    (row,) = encoders({"a": 0.8, "b": 0.8}, {"a": start("pretrained"), "b": frozen("pretrained", "knn")})
    assert row["answer"] == "not known: no random start of its network stands beside it"
    assert (row["caution"], row["not_looked_at"]) == ("", ["linear probe", "nearest centroid"])


def test_other_pretraining_or_other_labels_are_another_encoder():
    starts = {"vicreg": start("pretrained"), "frozen": frozen("pretrained", "knn"),
              "wide": start("pretrained", pretraining="3c4d"),
              "wide frozen": frozen("pretrained", "knn", pretraining="3c4d"),
              "few": start("pretrained", labels=0.2), "few frozen": frozen("pretrained", "knn", labels=0.2),
              "cola": start("pretrained", objective="cola")}  # fmt: skip
    rows = encoders(dict.fromkeys(starts, 0.5), starts)
    assert [(row["name"], [use["system"] for use in row["uses"]]) for row in rows] == [
        ("vicreg", ["vicreg", "frozen"]),  # two encoders would be called simplecnn (vicreg), so after a system each
        ("wide", ["wide", "wide frozen"]),
        ("simplecnn (vicreg, 20 % of the labels)", ["few", "few frozen"]),
        ("cola", ["cola"]),
    ]


def test_two_systems_of_one_use_are_told_apart_in_the_answer():
    starts = {"seed 1": start("pretrained"), "seed 2": start("pretrained"), "none": start("random")}
    (row,) = encoders({"seed 1": 0.8, "seed 2": 0.5, "none": 0.5}, starts)
    assert row["answer"] == "yes when fine-tuned (seed 1); not shown when fine-tuned (seed 2)"


@pytest.mark.parametrize("order", [("weak", "strong"), ("strong", "weak")])
@pytest.mark.parametrize(
    ("strong", "answer"),
    [(0.78, "not shown"), (0.99, "no: it did harm, beside a random start"), (0.5, "yes, beside a random start")],
)
def test_of_several_controls_the_strongest_decides(order: tuple[str, str], strong: float, answer: str):
    starts = {"ours": start("pretrained")} | {name: start("random") for name in order}
    (row,) = asked({"ours": 0.8, "weak": 0.4, "strong": strong}, starts).values()
    assert row["answer"] == answer


def test_a_random_start_or_plain_features_alone_ask_nothing():
    assert asked({"none": 0.5, "mel": 0.5}, {"none": start("random"), "mel": start("plain", None, False)}) == {}


def test_folds_of_one_start_are_one_and_mixed_ones_are_left_out():
    told = [{"system": "a", "start": start("random")}, {"system": "a", "start": start("random")},
            {"system": "b", "start": start("random")}, {"system": "b", "start": start("pretrained")}]  # fmt: skip
    assert starts_of(told) == {"a": start("random")}


def test_what_answers_and_what_labels_it_had_are_read_from_its_models():
    network = {"way": "random", "encoder": "simplecnn", "tuned": False}
    tuned = {"way": "random", "encoder": "simplecnn", "tuned": True, "labels": 0.2, "layer": "penultimate"}
    few = {"kind": "knn", "by": "probe", "labels": 0.2}
    told = [{"system": "frozen", "start": network, "models": [few, few]},
            {"system": "tuned", "start": tuned, "models": [{"by": "head"}]},
            {"system": "both", "start": tuned, "models": [{"by": "probe", "kind": "linear"}]},
            {"system": "mixed", "start": network, "models": [few, {"by": "probe", "kind": "knn"}]}]  # fmt: skip
    assert starts_of(told) == {
        "frozen": network | {"by": "knn", "labels": 0.2},
        "tuned": network | {"tuned": True, "by": "head", "labels": 0.2},
        "both": tuned | {"by": "linear", "taught": 1.0},
    }


def test_no_difference_at_all_is_not_shown():
    starts = {"ours": start("pretrained"), "none": start("random")}
    (row,) = asked({"ours": 0.8, "none": 0.8}, starts).values()
    assert row["answer"] == "not shown"
    assert np.isclose(row["comparisons"][0]["difference"]["value"], 0)


def stage(folder: Path, verb: str, settings: dict[str, Any], *inputs: str, **facts: Any) -> Path:
    """A finished directory of a verb, with nothing in it."""
    found = [{"path": f"../{name}", "verb": "x", "digest": "x"} for name in inputs]
    folder.mkdir(parents=True)
    pl.DataFrame({"id": []}).write_parquet(folder / "manifest.parquet")
    StageRecord(verb, "0", "complete", settings, found, "", facts, {}, {}, folder.name).write(folder)
    return folder


def test_what_a_network_started_from_is_read_from_its_runs(tmp_path: Path):
    stage(tmp_path / "pre", "pretrain", {"epochs": 10, "objective": "supervised"}, "clips")
    stage(tmp_path / "none", "pretrain", {"epochs": 0})
    stage(tmp_path / "published", "pretrain", {"epochs": 0, "weights": "../file"})
    for name, begun in {"random": "random", "imagenet": "imagenet", "ours": "../pre", "untrained": "../none"}.items():
        stage(tmp_path / name, "finetune", {"start": begun}, *[begun[3:]] * begun.startswith("../"))
    stage(tmp_path / "frozen", "finetune", {"start": "../pre", "freeze": True}, "pre")
    for name, way, tuned in (
        ("random", "random", True), ("imagenet", "imagenet", True), ("ours", "pretrained", True),
        ("untrained", "random", True), ("frozen", "pretrained", False), ("pre", "pretrained", False),
        ("none", "random", False), ("published", "published", False), ("gone", "unknown", None),
    ):  # fmt: skip
        made = stage(tmp_path / f"embed-{name}", "embed", {}, name, encoder="simplecnn", model="x")
        found = start_of(open_artifact(made))
        assert found.pop("objective", None) == ("supervised" if way == "pretrained" else None), name
        found.pop("pretraining", None)
        assert found == {"way": way, "encoder": "simplecnn", "tuned": tuned}, name
    stage(tmp_path / "fifth", "finetune", {"start": "random", "train_fraction": 0.2})
    made = stage(tmp_path / "embed-fifth", "embed", {}, "fifth", encoder="simplecnn", model="x")
    assert start_of(open_artifact(made)) == {"way": "random", "encoder": "simplecnn", "tuned": True, "labels": 0.2}
    plain = stage(tmp_path / "embed-mel", "embed", {}, model=None)
    assert start_of(open_artifact(plain)) == {"way": "plain", "encoder": None, "tuned": False}


def test_folds_and_seeds_of_a_pretraining_are_one_and_its_settings_and_pools_are_not(tmp_path: Path):
    def pretraining(name: str, settings: dict[str, Any], *inputs: str) -> dict[str, Any]:
        stage(tmp_path / name, "pretrain", {"objective": "vicreg", "epochs": 9, **settings}, *inputs)
        made = stage(tmp_path / f"embed-{name}", "embed", {}, name, encoder="simplecnn", model="x")
        return start_of(open_artifact(made))

    first = pretraining("first", {"fold": 0}, "clips")
    assert pretraining("second", {"fold": 1, "seed": 7}, "other-clips") == first
    assert pretraining("longer", {"fold": 0, "epochs": 10}, "clips") != first
    assert pretraining("more", {"fold": 0}, "clips", "more-clips") != first


def test_a_classifier_of_other_classes_is_an_objective_of_its_own(tmp_path: Path):
    stage(tmp_path / "other", "finetune", {"start": "random"})
    stage(tmp_path / "tuned", "finetune", {"start": "../other"}, "other")
    made = stage(tmp_path / "embedded", "embed", {}, "tuned", encoder="simplecnn", model="x", layer="penultimate")
    found = start_of(open_artifact(made))
    assert (found["way"], found["objective"], found["layer"]) == ("pretrained", "other labels", "penultimate")
