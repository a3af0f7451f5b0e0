"""All numbers of a report as tables, each to be written as CSV and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from birdssl.evaluation.measure import AVERAGE_PRECISION, Measure, measure_of
from birdssl.evaluation.starts import OVER, deciding

# of a class: what all models answered at their thresholds
ANSWERS = ("answers", "right", "false_alarms", "missed", "precision", "recall", "f1")


def report_tables(results: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Tables by name: study, scores, folds, differences, pretraining, health; recall, confusion, reliability and
    circumstances of one label a clip, or `classes` where each is told by itself. Scores are shares; a table without a
    row is left out. `results` are a report's.
    """
    systems, measure = results["systems"], measure_of(results)
    tables = {
        "study": results["study"]["rows"],
        "scores": [_scores(system, measure) for system in systems],
        "folds": [{"system": system["name"], "fold": fold, measure.key: value} for system in systems
                  for fold, value in zip(system["folds"]["fold"], system["folds"][measure.key], strict=True)],
        "differences": [_difference(pair) for pair in results["comparisons"]],
        "pretraining": [_use(row, use) for row in results["pretraining"] for use in row["uses"]],
        **(_each(systems) if measure is AVERAGE_PRECISION else _single(systems)),
        "health": results["health"],
    }  # fmt: skip
    return {name: frame for name, rows in tables.items() if not (frame := _frame(rows)).is_empty()}


def _each(systems: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Every class of every system: its ranks with their intervals, and its answers at its threshold."""
    rows = []
    for system in systems:
        for row in system["classes"]:
            told = {name: row[name] for name in ("class", "clips", "origins", "chance", *ANSWERS)}
            for name in ("average_precision", "auroc"):
                told |= {name: row[name]["value"], f"{name}_low": row[name]["low"], f"{name}_high": row[name]["high"]}
            rows.append({"system": system["name"], **told})
    return {"classes": rows}


def _single(systems: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        "recall": [{"system": system["name"], **_value(row, ("class", "clips", "origins"))} for system in systems
                   for row in system["recall"]],
        "confusion": [row for system in systems for row in _confusion(system)],
        "reliability": [row for system in systems for row in _reliability(system)],
        "circumstances": [{"system": system["name"], **_value(row, ("name", "clips", "origins", "classes", "chance"))}
                          for system in systems for row in system["circumstances"]],
    }  # fmt: skip


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], infer_schema_length=None)


def _value(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Named parts of a row, then its value, its interval, and why it has none."""
    return {name: row.get(name) for name in (*names, "value", "low", "high")} | {
        "why": row.get("why") or row.get("why_no_interval")
    }


def _use(row: Mapping[str, Any], use: Mapping[str, Any]) -> dict[str, Any]:
    """One use of a pretrained encoder beside the best of each kind of control."""
    found = {"encoder": row["name"], **{name: use[name] for name in ("use", "system", "score", "answer")}}
    for kind in OVER:
        gap = (deciding(use, kind) or {}).get("difference") or {}
        found |= {f"over_{kind}{end}": gap.get(name) for name, end in
                  (("value", ""), ("low", "_low"), ("high", "_high"))}  # fmt: skip
    return found


def _scores(system: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    folds = system["folds"]
    found = {
        "system": system["name"],
        **_value({**system, **system[measure.key]}, ("clips", "origins")),
        "folds": len(folds["fold"]),
        "mean": folds["mean"],
        "deviation": folds["deviation"],
    }
    if measure is AVERAGE_PRECISION:
        beside = {key: system[key] for key in measure.beside}
        return found | {key: value["value"] if isinstance(value, Mapping) else value for key, value in beside.items()}
    return found | {"silhouette": system["silhouette"]["value"], "calibration_error": system["reliability"]["error"]}


def _difference(pair: Mapping[str, Any]) -> dict[str, Any]:
    gap, test = pair["difference"] or {}, pair.get("folds") or {}
    return {
        "first": pair["first"],
        "second": pair["second"],
        "clips": pair["clips"],
        "origins": pair["origins"],
        "difference": gap.get("value"),
        "low": gap.get("low"),
        "high": gap.get("high"),
        "verdict": pair["verdict"],
        "over_folds": test.get("difference"),
        **{name: test.get(name) for name in ("t", "freedom", "p", "p_corrected", "p_adjusted", "effect")},
        "verdict_over_folds": test.get("verdict"),
    }


def _confusion(system: Mapping[str, Any]) -> list[dict[str, Any]]:
    table = system["confusion"]
    return [
        {"system": system["name"], "truth": truth, "answer": answer, "clips": clips}
        for truth, counts in zip(table["rows"], table["counts"], strict=True)
        for answer, clips in zip(table["columns"], counts, strict=True)
    ]


def _reliability(system: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = system["reliability"]
    return [
        {"system": system["name"], "bin": place, "answers": answers, "confidence": confidence, "accuracy": accuracy}
        for place, (answers, confidence, accuracy) in enumerate(
            zip(found["answers"], found["confidence"], found["accuracy"], strict=True)
        )
    ]
