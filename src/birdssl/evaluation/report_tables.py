"""All numbers of a report as tables, each to be written as CSV and JSON."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from birdssl.evaluation.starts import OVER, deciding


def report_tables(results: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Tables by name: study, scores, folds, differences, pretraining, recall, confusion, reliability, circumstances,
    health. Scores are shares; a table without a row is left out. `results` are a report's.
    """
    systems = results["systems"]
    tables = {
        "study": results["study"]["rows"],
        "scores": [_scores(system) for system in systems],
        "folds": [{"system": system["name"], "fold": fold, "balanced_accuracy": value} for system in systems
                  for fold, value in zip(system["folds"]["fold"], system["folds"]["balanced_accuracy"], strict=True)],
        "differences": [_difference(pair) for pair in results["comparisons"]],
        "pretraining": [_use(row, use) for row in results["pretraining"] for use in row["uses"]],
        "recall": [{"system": system["name"], **_value(row, ("class", "clips", "origins"))} for system in systems
                   for row in system["recall"]],
        "confusion": [row for system in systems for row in _confusion(system)],
        "reliability": [row for system in systems for row in _reliability(system)],
        "circumstances": [{"system": system["name"], **_value(row, ("name", "clips", "origins", "classes", "chance"))}
                          for system in systems for row in system["circumstances"]],
        "health": results["health"],
    }  # fmt: skip
    return {name: frame for name, rows in tables.items() if not (frame := _frame(rows)).is_empty()}


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


def _scores(system: Mapping[str, Any]) -> dict[str, Any]:
    folds = system["folds"]
    return {
        "system": system["name"],
        **_value({**system, **system["balanced_accuracy"]}, ("clips", "origins")),
        "folds": len(folds["fold"]),
        "mean": folds["mean"],
        "deviation": folds["deviation"],
        "silhouette": system["silhouette"]["value"],
        "calibration_error": system["reliability"]["error"],
    }


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
