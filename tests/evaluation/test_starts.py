"""Did pretraining help: the right controls, what is missing, and the answer."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from birdssl.artifacts.artifact import StageRecord, open_artifact
from birdssl.evaluation.lineage import start_of
from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.scoring import Doubt
from birdssl.evaluation.starts import did_it_help, starts_of

CLASSES = ClassList(("frog", "wren"))


def start(way: str, encoder: str | None = "simplecnn", tuned: bool = True) -> dict[str, Any]:
    return {"way": way, "encoder": encoder, "tuned": tuned}


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


def asked(shares: dict[str, float], starts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["system"]: row for row in did_it_help(answers(shares), starts, CLASSES, Doubt(seed=0, draws=500))}


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
    starts = {"ours": start("pretrained") | few, "all": start("random"), "few": start("random") | few}
    (row,) = asked({"ours": 0.8, "all": 0.99, "few": 0.5}, starts).values()
    assert row["answer"] == "yes, beside a random start"
    assert [item["second"] for item in row["comparisons"]] == ["few"]


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
    stage(tmp_path / "pre", "pretrain", {"epochs": 10, "objective": "supervised"})
    stage(tmp_path / "none", "pretrain", {"epochs": 0})
    for name, begun in {"random": "random", "imagenet": "imagenet", "ours": "../pre", "untrained": "../none"}.items():
        stage(tmp_path / name, "finetune", {"start": begun}, *[begun[3:]] * begun.startswith("../"))
    stage(tmp_path / "frozen", "finetune", {"start": "../pre", "freeze": True}, "pre")
    for name, way, tuned in (
        ("random", "random", True), ("imagenet", "imagenet", True), ("ours", "pretrained", True),
        ("untrained", "random", True), ("frozen", "pretrained", False), ("pre", "pretrained", False),
        ("none", "random", False), ("gone", "unknown", None),
    ):  # fmt: skip
        made = stage(tmp_path / f"embed-{name}", "embed", {}, name, encoder="simplecnn", model="x")
        taught = {"objective": "supervised"} if way == "pretrained" else {}
        assert start_of(open_artifact(made)) == {"way": way, "encoder": "simplecnn", "tuned": tuned, **taught}, name
    stage(tmp_path / "fifth", "finetune", {"start": "random", "train_fraction": 0.2})
    made = stage(tmp_path / "embed-fifth", "embed", {}, "fifth", encoder="simplecnn", model="x")
    assert start_of(open_artifact(made)) == {"way": "random", "encoder": "simplecnn", "tuned": True, "labels": 0.2}
    plain = stage(tmp_path / "embed-mel", "embed", {}, model=None)
    assert start_of(open_artifact(plain)) == {"way": "plain", "encoder": None, "tuned": False}
