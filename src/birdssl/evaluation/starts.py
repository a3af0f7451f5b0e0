"""Did pretraining help? Each pretrained system beside the random start of its own network, and beside plain features.

A score alone doesn't say: a network that was never trained, or two numbers a mel band, may do as well. What each system
started from is read from the runs that made it (`evaluation.lineage.start_of`), not from its name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from birdssl.evaluation.lineage import PLAIN, PRETRAINED, RANDOM
from birdssl.evaluation.metrics import ClassList
from birdssl.evaluation.scoring import Doubt, compare_all

WORDS = {RANDOM: "a random start", PLAIN: "plain features (mel statistics)"}
WORST_FIRST: tuple[bool | None, ...] = (False, None, True)  # below, not told apart, above
CURES = {RANDOM: "`birdssl finetune` without --start, or `birdssl pretrain --epochs 0` where it is frozen",
         PLAIN: "`birdssl embed --features mel-statistics`"}  # fmt: skip


def starts_of(told: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each system started from; systems whose models started differently are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for item in told:
        found.setdefault(item["system"], []).append(item["start"])
    return {name: starts[0] for name, starts in found.items() if all(start == starts[0] for start in starts)}


def did_it_help(
    answers: pl.DataFrame, starts: Mapping[str, Mapping[str, Any]], classes: ClassList, doubt: Doubt
) -> list[dict[str, Any]]:
    """For each pretrained system: comparisons with its controls, what is missing, and the answer in words.

    Its random start is of the same encoder, fine-tuned or frozen as it is, on as many of the labels. Of several
    controls of a kind the one that does best decides. Tests over folds are judged together.
    """
    asked = [name for name, start in starts.items() if start["way"] == PRETRAINED]
    couples = [(name, way, other) for name in asked for way in (RANDOM, PLAIN)
               for other in _controls(starts, name, way)]  # fmt: skip
    parts = {name: answers.filter(pl.col("system") == name) for name in starts}
    found = compare_all([(parts[name], parts[other]) for name, _, other in couples], classes, doubt)
    rows = []
    for name in asked:
        mine = [(way, item) for (first, way, _), item in zip(couples, found, strict=True) if first == name]
        missing = [way for way in (RANDOM, PLAIN) if way not in dict(mine)]
        words = [f"Beside {WORDS[way]}: {item['verdict']}" for way, item in mine]
        words += [f"Over folds: {item['folds']['verdict']}" for _, item in mine if item["folds"]]
        words += [f"Not beside {WORDS[way]}, which would tell: add {CURES[way]}" for way in missing]
        rows.append({"system": name, "answer": _answer(mine), "words": words,
                     "comparisons": [{"against": way, **item} for way, item in mine], "missing": missing})  # fmt: skip
    return rows


def _controls(starts: Mapping[str, Mapping[str, Any]], name: str, way: str) -> list[str]:
    own = starts[name]
    same = [other for other, start in starts.items() if start["way"] == way]
    if way == PLAIN:
        return same
    alike = ("encoder", "tuned", "labels")
    return [other for other in same if all(starts[other].get(part) == own.get(part) for part in alike)]


def _answer(found: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Yes, no, or why not, in a few words."""
    above: dict[str, bool | None] = {}
    for way, item in found:
        above[way] = min(above.get(way, True), _above(item), key=WORST_FIRST.index)
    if RANDOM not in above:
        return "not known: no random start of its network stands beside it"
    if above[RANDOM] is None:
        return "not shown"
    if not above[RANDOM]:
        return "no: it did harm, beside a random start"
    if PLAIN not in above:
        return "yes, beside a random start"
    beside = {True: ", and beside plain features", None: "; not shown beside plain features",
              False: "; yet plain features do better"}[above[PLAIN]]  # fmt: skip
    return f"yes, beside a random start{beside}"


def _above(item: Mapping[str, Any]) -> bool | None:
    """Whether the first is above the second over recordings; None where no difference is shown."""
    gap = item["difference"]
    if gap is None or gap["low"] is None or gap["low"] <= 0 <= gap["high"]:
        return None
    return bool(gap["low"] > 0)
