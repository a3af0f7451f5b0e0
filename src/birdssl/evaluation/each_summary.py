"""The headline of an evaluation that tells each class by itself: for stage.json, for --json, and for the terminal."""

from collections.abc import Mapping
from typing import Any

from birdssl.evaluation.ranking import HEADLINES
from birdssl.evaluation.summary import in_short

COLUMNS = ("system", "macro AP", "interval", "micro AP", "macro AUROC", "macro F1", "over folds", "clips", "origins")


def unlabelled_clips(results: Mapping[str, Any]) -> int:
    """How many clips of the scored part were left out since nobody labelled them."""
    return sum(int(row["clips"]) for row in results["left_out"] if row["why"] == "unlabelled")


def each_systems(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The headline numbers of every system."""
    kept = ("name", "baseline", "clips", "origins", *HEADLINES, "macro_f1", "folds")
    return [{name: system[name] for name in kept} for system in results["systems"]]


def headline_each(results: Mapping[str, Any]) -> dict[str, Any]:
    """What stage.json and --json carry: the headline numbers; the rest is in metrics.json."""
    return {
        "on": results["on"],
        "level": results["settings"]["level"],
        "chance": {name: results["chance"][name] for name in HEADLINES},
        "systems": each_systems(results),
        "none": results["data"]["none"],
        "unlabelled": unlabelled_clips(results),
        "verdicts": [pair["verdict"] for pair in results["comparisons"]],
        "pretraining": in_short(results),
        "notes": results["notes"],
        "left_out": results["left_out"],
    }


def each_table(summary: Mapping[str, Any]) -> list[str]:
    """The scores as aligned text, and which clips hold no class."""
    chance = [_percent(summary["chance"][name]) for name in HEADLINES]
    lines = [COLUMNS, ("chance", chance[0], "", chance[1], chance[2], "", "", "", "")]
    for item in summary["systems"]:
        macro, micro, auroc = (item[name] for name in HEADLINES)
        span = f"{macro['low'] * 100:.1f} to {macro['high'] * 100:.1f} %" if macro["low"] is not None else "none"
        folds = item["folds"]
        mean = f"{folds['mean'] * 100:.1f} ± {folds['deviation'] * 100:.1f} %" if folds["deviation"] is not None else ""
        lines.append((item["name"], _percent(macro["value"]), span, _percent(micro["value"]), _percent(auroc["value"]),
                      _percent(item["macro_f1"]), mean, str(item["clips"]), str(item["origins"])))  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    rows = ["  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]  # fmt: skip
    return [*rows, f'{summary["none"]} scored clips are labelled "none", negatives of every class; '
                   f"{summary['unlabelled']} unlabelled clips were left out"]  # fmt: skip


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share * 100:.1f} %"
