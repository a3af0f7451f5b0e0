"""The headline of an evaluation: for stage.json, for --json, and as a table for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any


def headline(results: dict[str, Any]) -> dict[str, Any]:
    """What stage.json and --json carry: the headline numbers; the rest is in metrics.json."""
    systems = [
        {
            "name": system["name"],
            "baseline": system["baseline"],
            "clips": system["clips"],
            "origins": system["origins"],
            **system["balanced_accuracy"],
            "folds": system["folds"],
            "silhouette": system["silhouette"]["value"],
        }
        for system in results["systems"]
    ]
    return {
        "on": results["on"],
        "level": results["settings"]["level"],
        "chance": results["chance"]["balanced_accuracy"],
        "systems": systems,
        "verdicts": [pair["verdict"] for pair in results["comparisons"]],
        "pretraining": in_short(results),
        "notes": results["notes"],
        "left_out": results["left_out"],
    }


def in_short(results: Mapping[str, Any]) -> list[str]:
    """Whether pretraining helped each encoder, a sentence or two each."""
    return [
        f"Did pretraining help {row['name']}? {row['answer'][:1].upper()}{row['answer'][1:]}. {row['caution']}".rstrip()
        for row in results["pretraining"]
    ]


def headline_table(summary: dict[str, Any]) -> list[str]:
    """The scores as aligned text."""
    lines = [("system", "balanced accuracy", f"{summary['level'] * 100:g} % interval", "over folds",
              "clips", "origins"),
             ("chance", f"{summary['chance'] * 100:.1f} %", "", "", "", "")]  # fmt: skip
    for item in summary["systems"]:
        span = f"{item['low'] * 100:.1f} to {item['high'] * 100:.1f} %" if item["low"] is not None else "none"
        folds = item["folds"]
        mean = f"{folds['mean'] * 100:.1f} ± {folds['deviation'] * 100:.1f} %" if folds["deviation"] is not None else ""
        lines.append(
            (item["name"], f"{item['value'] * 100:.1f} %", span, mean, str(item["clips"]), str(item["origins"]))
        )
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    return ["  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]  # fmt: skip


def left_out_in_all(told: Sequence[Any], on: str) -> list[dict[str, Any]]:
    """Clips left out by reason, of the system that left out the most.

    `told` has for each input its system and, for each model, counts by reason. On the test part all models of a system
    see the same clips; on validation each sees its own fold, so their counts add up.
    """
    counts: dict[tuple[str, str], list[int]] = {}
    for item in told:
        for model in item["models"]:
            for why, count in model["left_out"].items():
                counts.setdefault((why, item["system"]), []).append(count)
    most: dict[str, int] = {}
    for (why, _), found in counts.items():
        most[why] = max(most.get(why, 0), sum(found) if on == "validation" else max(found))
    return [{"why": why, "clips": count} for why, count in most.items() if count]


def seen_notes(told: Sequence[Any]) -> list[str]:
    """A sentence for each system whose pretraining saw clips that are scored, though not their labels."""
    return [
        f"The encoder of {name} was pretrained, without labels, on {count} of the held-out clips; on recordings "
        "that it never met it may do less well."
        for name, count in _most(told, "seen_unlabelled").items()
        if count
    ]


def shared_notes(told: Sequence[Any]) -> list[str]:
    """A sentence for each system that is scored on clips whose origins it learned from, as it was told to accept."""
    return [
        f"{name} is scored on {count} clips whose origins it learned from as well; clips of one origin sound alike, so "
        "its score flatters."
        for name, count in _most(told, "shared").items()
        if count
    ]


def unchecked_notes(told: Sequence[Any]) -> list[str]:
    """A sentence for each system of which it isn't known what its models learned from."""
    names = dict.fromkeys(item["system"] for item in told if not all(model["checked"] for model in item["models"]))
    return [
        f"A training run of {name} is no longer where it was, so it was not checked whether it learned from the scored "
        "origins."
        for name in names
    ]


def _most(told: Sequence[Any], key: str) -> dict[str, int]:
    """The largest count among each system's models."""
    found: dict[str, int] = {}
    for item in told:
        found[item["system"]] = max([found.get(item["system"], 0), *(model[key] for model in item["models"])])
    return found
