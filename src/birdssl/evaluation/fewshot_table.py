"""Few-shot results as one table: a row for each system and chance, a column for each group and their average.

The same rows as JSON values, as Markdown, as two CSV files (one value a line; or a line a system, ready for LaTeX), as
text for the terminal, and as bars of a picture. Scores are shares in JSON and in the long CSV, and per cent elsewhere.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from birdssl.evaluation.fewshot import (
    CHOSEN,
    FINETUNE,
    MEL,
    NOBODY,
    PRETRAINED,
    RANDOM,
    SAME,
    SYSTEM,
    Shares,
    Spread,
    System,
    gaps,
    independent_groups,
    of_system,
    over_groups,
    systems,
)
from birdssl.evaluation.figures import Bar, Drawing, comparison
from birdssl.evaluation.intervals import Interval, verdict
from birdssl.evaluation.score_table import escaped
from birdssl.evaluation.scoring import interval

AVERAGE = "average"
NOT_AT_HAND = "weights not at hand"
DIGITS = 6
PLUS_MINUS = r" \pm "  # in LaTeX


@dataclass(frozen=True)
class OverGroups:
    """How intervals are made: their level, what the groups are worth (`independent_groups`), and how many there are."""

    level: float
    independent: int
    groups: int


def tabulate(
    found: pl.DataFrame,
    groups: Mapping[str, Sequence[str]],
    pairs: Sequence[tuple[System, System]],
    level: float,
    column: str = "accuracy",
    absent: Sequence[str] = (),
    apart: Sequence[str] = (),
) -> dict[str, Any]:
    """All rows and differences as JSON values.

    `found` are cells (`birdssl.evaluation.fewshot.cells`), `groups` the classes of each group, `absent` names systems
    without weights: they get a row that says so. `column` may be `folds_accuracy`, where there are no queries. Groups
    in `apart` count neither in averages nor in differences.
    """
    counted = {name: classes for name, classes in groups.items() if name not in apart}
    doubt = OverGroups(level, independent_groups(counted), len(counted))
    rows = [_row(system, of_system(found, system), doubt, column, apart) for system in systems(found)]
    chance = {name: 1 / len(classes) for name, classes in groups.items()}
    found = found.filter(pl.col("group").is_in(list(counted)))
    return {
        "level": level,
        "score": column,
        "groups": list(groups),
        "independent_groups": doubt.independent,
        "apart": list(apart),
        "chance": {AVERAGE: round(sum(chance[name] for name in counted) / len(counted), DIGITS), **chance},
        "systems": [row for row in rows if row is not None],
        "absent": [{"name": name, "why": NOT_AT_HAND} for name in absent],
        "differences": [_difference(found, first, second, doubt) for first, second in pairs],
    }


def own_pairs(known: Sequence[System], shares: Shares = NOBODY) -> list[tuple[System, System]]:
    """What a table always compares: each pretrained system with the random start and with mel statistics.

    By the same classifier; fine-tuning, which mel statistics can't have, and the choice meet the linear probe on them.
    """
    controls = [system for system in known if system.control]
    pairs = list[tuple[System, System]]()
    for system in known:
        if system.control:
            continue
        plain = "linear" if system.classifier in (FINETUNE, CHOSEN) else system.classifier
        wanted = (
            [] if system.classifier == CHOSEN else [(system.features.replace(PRETRAINED, RANDOM), system.classifier)]
        )
        for kind in [*wanted, (MEL, plain)]:
            mine = [other for other in controls if other.beside(system.method, shares)]
            pairs += [(system, other) for other in mine if (other.features, other.classifier) == kind]
    return pairs


def method_pairs(known: Sequence[System], baseline: str) -> list[tuple[System, System]]:
    """Every system against a baseline: a row by its words, or a method, which is met by its own kind of row.

    None where nothing has that name.
    """
    named = [system for system in known if system.words() == baseline]
    if named:
        return [(system, named[0]) for system in known if system != named[0]]
    return [
        (system, System(baseline, system.features, system.classifier))
        for system in known
        if system.method not in ("", baseline) and System(baseline, system.features, system.classifier) in known
    ]


def _row(
    system: System, mine: pl.DataFrame, doubt: OverGroups, column: str, apart: Sequence[str]
) -> dict[str, Any] | None:
    mine = mine.drop_nulls(column)
    if mine.is_empty():
        return None
    counted = mine.filter(~pl.col("group").is_in(list(apart)))
    average = Spread(math.nan, None, 0, "no group that counts")
    if not counted.is_empty():
        average = over_groups(counted, column, doubt.independent)[0]
    each = over_groups(mine, column)[1]
    has = counted["group"].n_unique()
    inside = mine["folds_accuracy"].mean()
    row = {
        "name": system.words(),
        **vars(system),
        "control": system.control,
        "cells": mine.height,
        AVERAGE: _share(average, doubt.level) | ({} if has == doubt.groups else {"of_groups": [has, doubt.groups]}),
        "groups": {group: _share(spread, doubt.level) for group, spread in each.items()},
        "inside_support": None if inside is None else round(float(inside), DIGITS),  # type: ignore[arg-type]
    }
    if system.classifier == CHOSEN:
        counts = mine["choice"].value_counts(sort=True).sort(["count", "choice"], descending=[True, False])
        row["chose"] = dict(counts.iter_rows())
    return row


def _share(spread: Spread, level: float) -> dict[str, Any]:
    """An accuracy with its interval, of which what lies outside of 0 to 1 is cut off, as no accuracy lies there.

    `half` is half of the interval's width before that: what a table writes behind ±.
    """
    found = spread.interval(level)
    if found.low is None or found.high is None:
        return interval(found)
    half = round((found.high - found.low) / 2, DIGITS)
    return {**interval(Interval(found.estimate, max(found.low, 0.0), min(found.high, 1.0))), "half": half}


def _difference(found: pl.DataFrame, first: System, second: System, doubt: OverGroups) -> dict[str, Any]:
    base = {"first": first.words(), "second": second.words(), "features": first.features}
    cells = gaps(of_system(found, first), of_system(found, second))
    if cells.is_empty():
        return {**base, "cells": 0, "difference": None,
                "verdict": f"{first.words()} and {second.words()} share no cell"}  # fmt: skip
    gap = over_groups(cells, "gap", doubt.independent)[0].interval(doubt.level)
    return {**base, "cells": cells.height, "difference": interval(gap), "verdict": _in_words(base, gap)}


def _in_words(base: dict[str, str], gap: Interval) -> str:
    if gap.low is None and gap.reason == SAME:
        way = "above" if gap.estimate > 0 else "below"
        if round(gap.estimate, DIGITS):
            return f"{base['first']} {way} {base['second']} by {abs(gap.estimate) * 100:.1f} points in every cell"
        return f"no difference shown between {base['first']} and {base['second']}: the same score in every cell"
    if gap.low is None:
        return f"too little to tell {base['first']} from {base['second']}: {gap.reason}"
    return verdict(base["first"], base["second"], gap)


def long_csv(results: Mapping[str, Any]) -> str:
    """One value a line: name, method, features, classifier, group, value, low, high; chance and absent rows too."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["name", "method", "features", "classifier", "group", "value", "low", "high", "note"])
    for group, value in results["chance"].items():
        out.writerow(["chance", "", "", "", group, value, "", "", ""])
    for row in results["systems"]:
        for group, found in _columns(row):
            note = f"{found.get('why_no_interval', '')}{_part(found)}".strip()
            out.writerow([row["name"], row["method"], row["features"], row["classifier"], group, found["value"],
                          found["low"], found["high"], note])  # fmt: skip
    for row in results["absent"]:
        out.writerow([row["name"], row["name"], "", "", AVERAGE, "", "", "", row["why"]])
    return text.getvalue()


def latex_csv(results: Mapping[str, Any]) -> str:
    """A line a system, values as LaTeX has them ($73.1 \\pm 2.7$), for csvsimple, pgfplotstable or pasting."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["system", *map(escaped, results["groups"]), AVERAGE])
    for name, values in _lines(results, lambda found: f"${_plus_minus(found, PLUS_MINUS)}$"):
        out.writerow([escaped(name), *values])
    return text.getvalue()


def markdown(results: Mapping[str, Any], title: str, notes: Iterable[str] = ()) -> str:
    """A table with a row for each system, its differences in words, and what a reader should know of it."""
    groups = results["groups"]
    lines = [
        f"# {title}",
        "",
        f"Accuracy in per cent with {results['level'] * 100:g} % intervals (± half the width, also where that leads "
        "beyond 0 or 100)."
        if results["score"] == "accuracy"
        else "Accuracy in per cent, inside the labelled clips: of each fold by the others.",
        "",
    ]
    heads = [name.replace("|", "/") for name in groups]
    lines += [f"| system | {' | '.join([*heads, AVERAGE])} |", "|---" * (len(groups) + 2) + "|"]
    for name, values in _lines(results, lambda found: _plus_minus(found, " ± ")):
        lines.append(f"| {name.replace('|', '/')} | {' | '.join(values)} |")
    for heading, sentences in (("Differences", [item["verdict"] for item in results["differences"]]),
                               ("Notes", list(notes))):  # fmt: skip
        if sentences:
            lines += ["", f"## {heading}", "", *(f"- {sentence}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def terminal(results: Mapping[str, Any]) -> list[str]:
    """The averages as aligned text, chance first."""
    title = "accuracy" if results["score"] == "accuracy" else "inside the support"
    lines = [("system", title, f"{results['level'] * 100:g} % interval", "cells"),
             ("chance", f"{results['chance'][AVERAGE] * 100:.1f} %", "", "")]  # fmt: skip
    for row in results["systems"]:
        found = row[AVERAGE]
        span = "none" if found["low"] is None else f"{found['low'] * 100:.1f} to {found['high'] * 100:.1f} %"
        value = "" if found["value"] is None else f"{found['value'] * 100:.1f} %{_part(found)}"
        lines.append((row["name"], value, span, str(row["cells"])))
    lines += [(row["name"], row["why"], "", "") for row in results["absent"]]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return ["  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                      for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
            for line in lines]  # fmt: skip


def picture(results: Mapping[str, Any]) -> Drawing:
    """Each system's average with its interval, groups as small dots, controls in grey, chance as a line."""
    bars = []
    for row in results["systems"]:
        average, groups = row[AVERAGE], row["groups"].items()
        if average["value"] is not None:
            points = tuple(found["value"] for group, found in groups if group not in results["apart"])
            span = average["low"], average["high"]
            name, note = System(*(row[part] for part in SYSTEM)).two_lines()
            bars.append(Bar(name, average["value"], *span, note=note, points=points, quiet=row["control"]))
    return comparison(bars, results["chance"][AVERAGE])


def _columns(row: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [*row["groups"].items(), (AVERAGE, row[AVERAGE])]


def _lines(results: Mapping[str, Any], written: Any) -> Iterable[tuple[str, list[str]]]:
    """Name and values of each line of a wide table: groups in their order, then the average."""
    order = [*results["groups"], AVERAGE]
    yield "chance", [f"{results['chance'][group] * 100:.1f}" for group in order]
    for row in results["systems"]:
        found = dict(_columns(row))
        yield row["name"], [written(found[group]) + _part(found[group]) if group in found else "" for group in order]
    for row in results["absent"]:
        yield row["name"], [*[""] * len(results["groups"]), row["why"]]


def _plus_minus(found: Mapping[str, Any], sign: str) -> str:
    if found["value"] is None:
        return ""
    value = f"{found['value'] * 100:.1f}"
    return value if found["low"] is None else f"{value}{sign}{found['half'] * 100:.1f}"


def _part(found: Mapping[str, Any]) -> str:
    """Behind an average that isn't over all groups: over how many."""
    return f" ({found['of_groups'][0]} of {found['of_groups'][1]} groups)" if "of_groups" in found else ""
