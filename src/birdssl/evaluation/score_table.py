"""Scores of systems as a table: a row for each with its interval and its folds, and a line for each pair.

The same numbers as Markdown, as two CSV files (one value a line; or a line a system, ready for LaTeX), and as text for
the terminal. `results` are what `birdssl.evaluation.scoring.score` returns, or `EachSystems.results` of
`birdssl.evaluation.each_label`, whose further figures then stand beside the score. Scores are shares in the long CSV,
and per cent elsewhere.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from birdssl.evaluation.each_summary import each_systems, each_table, unlabelled_clips
from birdssl.evaluation.measure import Measure, measure_of
from birdssl.evaluation.ranking import HEADLINES
from birdssl.evaluation.starts import columns, deciding
from birdssl.evaluation.summary import headline_table, in_short

NONE = "–"


def markdown(results: Mapping[str, Any], title: str) -> str:
    """Scores, differences in numbers and in words, and what a reader should know."""
    level, measure = f"{results['level'] * 100:g} %", measure_of(results)
    lines = [
        f"# {title}",
        "",
        f"{measure.words.capitalize()} in per cent, with {level} intervals over recordings (origins), and mean ± "
        "sample deviation over folds.",
        "",
    ]
    lines += _table(
        ("system", measure.head, f"{level} interval", "over folds", *measure.beside.values(), "clips", "origins"),
        [_line(row, measure) for row in _rows(results, measure)],
    )
    if results["comparisons"]:
        heads = ("pair", "difference", f"{level} interval", "over folds", "t (freedom)", "p", "p, overlap",
                 "p, overlap and number", "effect d")  # fmt: skip
        lines += ["", "## Differences", "", *_table(heads, [_pair(item) for item in results["comparisons"]]), ""]
        lines += [f"- {sentence}" for sentence in verdicts(results)]
    for row in results["pretraining"]:
        answer = f"{row['answer'][:1].upper()}{row['answer'][1:]}. {row['caution']}".rstrip()
        lines += ["", f"## Did pretraining help {row['name']}?", "", answer, ""]
        over = columns(row)
        lines += [*_table(("use", "system", measure.head, *(f"over {words}" for words in over.values())),
                          [_use(use, over) for use in row["uses"]]), ""]  # fmt: skip
        lines += [f"- {sentence}." for use in row["uses"] for sentence in use["words"]]
    if results["notes"]:
        lines += ["", "## Notes", "", *(f"- {note}" for note in results["notes"])]
    return "\n".join(lines) + "\n"


def verdicts(results: Mapping[str, Any]) -> list[str]:
    """Each pair in words: over recordings, and over folds where there are some."""
    found = []
    for item in results["comparisons"]:
        found.append(f"Over recordings: {item['verdict']}")
        if item.get("folds"):
            found.append(f"Over folds: {item['folds']['verdict']}")
    return found


def brief(results: Mapping[str, Any]) -> dict[str, Any]:
    """What stage.json and --json carry: all but recalls and confusions."""
    kept = ("name", "baseline", "clips", "origins", "folds")
    systems = [{**{name: row[name] for name in kept}, **row["balanced_accuracy"]} for row in results["systems"]]
    return _in_brief(results) | {"chance": results["chance"]["balanced_accuracy"], "systems": systems}


def brief_each(results: Mapping[str, Any]) -> dict[str, Any]:
    """The same of systems that tell each class by itself: all but the single classes."""
    return _in_brief(results) | {
        "chance": {name: results["chance"][name] for name in HEADLINES},
        "systems": each_systems(results),
        "none": results["data"]["none"],
        "unlabelled": unlabelled_clips(results),
    }


def _in_brief(results: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("on", "level", "comparisons", "absent", "notes")
    return {**{name: results[name] for name in kept}, "pretraining": in_short(results)}


def terminal(summary: Mapping[str, Any]) -> list[str]:
    """The scores of what `brief` or `brief_each` returns as aligned text, chance first."""
    table = each_table(summary) if isinstance(summary["chance"], Mapping) else headline_table(dict(summary))
    return [*table, *(f"{row['name']}  {row['why']}" for row in summary["absent"])]


def long_csv(results: Mapping[str, Any]) -> str:
    """One value a line: system, what ("all", a fold, or a figure beside the score), value, low, high, note."""
    text, measure = io.StringIO(), measure_of(results)
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["system", "of", "value", "low", "high", "note"])
    out.writerow(["chance", "all", results["chance"][measure.key], "", "", ""])
    for row in results["systems"]:
        out.writerow([row["name"], "all", *_cells(row[measure.key])])
        for fold, value in zip(row["folds"]["fold"], row["folds"][measure.key], strict=True):
            if fold is not None:
                out.writerow([row["name"], f"fold {fold}", *_cells(value)])
        for key, head in measure.beside.items():
            out.writerow([row["name"], head, *_cells(row[key])])
    for row in results["absent"]:
        out.writerow([row["name"], "all", "", "", "", row["why"]])
    return text.getvalue()


def _cells(found: Mapping[str, Any] | float | None) -> Sequence[Any]:
    """Value, low, high and note of a share, with its interval or bare."""
    if isinstance(found, Mapping):
        return found["value"], found["low"], found["high"], found.get("why_no_interval", "")
    return found, "", "", ""


def latex_csv(results: Mapping[str, Any]) -> str:
    """A line a system: mean and deviation where there are folds, as in P1's Table 3; and the interval's ends."""
    text, measure = io.StringIO(), measure_of(results)
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["system", measure.head, "low", "high", *measure.beside.values()])
    for row in results["systems"]:
        found, folds = row[measure.key], row["folds"]
        value = f"${found['value'] * 100:.1f}$"
        if folds["deviation"] is not None:
            value = f"${folds['mean'] * 100:.1f} \\pm {folds['deviation'] * 100:.1f}$"
        ends = ["" if found[end] is None else f"${found[end] * 100:.1f}$" for end in ("low", "high")]
        beside = [_share(row, key) for key in measure.beside]
        out.writerow([escaped(row["name"]), value, *ends, *("" if share == NONE else f"${share}$" for share in beside)])
    for row in results["absent"]:
        out.writerow([escaped(row["name"]), row["why"], "", "", *[""] * len(measure.beside)])
    return text.getvalue()


def escaped(name: str) -> str:
    """Text as LaTeX takes it."""
    return "".join(f"\\{letter}" if letter in "&%$#_{}" else letter for letter in name)


def _rows(results: Mapping[str, Any], measure: Measure) -> Iterable[Mapping[str, Any]]:
    chance = {"value": results["chance"][measure.key], "low": None, "high": None}
    yield {"name": "chance", **results["chance"], measure.key: chance, "folds": {"deviation": None}, "clips": "",
           "origins": ""}  # fmt: skip
    yield from results["systems"]
    yield from results["absent"]


def _line(row: Mapping[str, Any], measure: Measure) -> Sequence[str]:
    if "why" in row:
        return row["name"], row["why"], "", "", *[""] * len(measure.beside), "", ""
    found, folds = row[measure.key], row["folds"]
    beside = [_share(row, key) for key in measure.beside]
    over = NONE if folds["deviation"] is None else f"{folds['mean'] * 100:.1f} ± {folds['deviation'] * 100:.1f}"
    span = NONE if found["low"] is None else f"{found['low'] * 100:.1f} to {found['high'] * 100:.1f}"
    return row["name"], f"{found['value'] * 100:.1f}", span, over, *beside, str(row["clips"]), str(row["origins"])


def _share(row: Mapping[str, Any], key: str) -> str:
    """A figure in per cent, with an interval of its own or bare."""
    value = _cells(row.get(key))[0]
    return NONE if value is None else f"{value * 100:.1f}"


def _pair(item: Mapping[str, Any]) -> Sequence[str]:
    gap, test = item["difference"], item.get("folds")
    name = f"{item['first']} − {item['second']}"
    if gap is None:
        return name, *[NONE] * 8
    span = NONE if gap["low"] is None else f"{_points(gap['low'])} to {_points(gap['high'])}"
    if not test:
        return name, _points(gap["value"]), span, *[NONE] * 6
    t = NONE if test["t"] is None else f"{test['t']:.2f} ({test['freedom']})"
    ps = [NONE if test[key] is None else f"{test[key]:.3f}" for key in ("p", "p_corrected", "p_adjusted")]
    effect = NONE if test["effect"] is None else f"{test['effect']:.2f}"
    return name, _points(gap["value"]), span, _points(test["difference"]), t, *ps, effect


def _use(row: Mapping[str, Any], kinds: Iterable[str]) -> Sequence[str]:
    gaps = [_gap(deciding(row, kind)) for kind in kinds]
    return row["use"], row["system"], f"{row['score'] * 100:.1f}", *gaps


def _gap(item: Mapping[str, Any] | None) -> str:
    gap = item and item["difference"]
    if gap is None:
        return NONE
    span = "no interval" if gap["low"] is None else f"{_points(gap['low'])} to {_points(gap['high'])}"
    return f"{_points(gap['value'])} ({span})"


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
