"""The report page and the pictures of an evaluation that tells each class by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from birdssl.evaluation import figures
from birdssl.evaluation.album import FOLDER, slug
from birdssl.evaluation.each_answers import each_in_words
from birdssl.evaluation.each_summary import unlabelled_clips
from birdssl.evaluation.figures import Bar
from birdssl.evaluation.page import render_page

MACRO = "macro_average_precision"


def draw_each(results: dict[str, Any], told: Sequence[Any]) -> dict[str, bytes]:
    """All pictures by their paths; tells `results` of these, of thresholds, and of how answers came about."""
    chance = results["chance"]
    bars = [_bar(system["name"], system[MACRO], "baseline" if system["baseline"] else "", system["baseline"],
                 tuple(value for value in system["folds"][MACRO] if value is not None))
            for system in results["systems"]]  # fmt: skip
    pictures = figures.precision(bars, chance[MACRO]).files(f"{FOLDER}/comparison")
    results["figures"] = {"comparison": f"{FOLDER}/comparison.png"}
    for number, system in enumerate(results["systems"], 1):
        models = [model for item in told if item["system"] == system["name"] for model in item["models"]]
        for row in system["classes"]:
            row["thresholds"] = [round(model["thresholds"][row["class"]], 6) for model in models]
        system["how"] = each_in_words(told, system["name"])
        drawn = figures.precision([
            _bar(row["class"], row["average_precision"], f"{row['clips']} clips, {row['origins']} origins",
                 system["baseline"]) for row in system["classes"]
        ])  # fmt: skip
        stem = f"{FOLDER}/{slug(system['name'], number)}-classes"
        system["figures"] = {"classes": f"{stem}.png"}
        pictures |= drawn.files(stem)
    return pictures


def render_each_page(results: Mapping[str, Any], pictures: Mapping[str, bytes], repeat: Mapping[str, Any]) -> str:
    """Lay results out as a page; arguments as `render_page` takes them."""
    unlabelled = unlabelled_clips(results)
    return render_page(results, pictures, repeat, "each.html.j2", unlabelled=unlabelled, thresholds=_thresholds)


def _bar(name: str, value: Mapping[str, Any], note: str, quiet: bool, points: tuple[float, ...] = ()) -> Bar:
    shown = float("nan") if value["value"] is None else value["value"]
    return Bar(name, shown, value["low"], value["high"], note, points, quiet)


def _thresholds(values: Sequence[float]) -> str:
    """One threshold, or the range of several models'."""
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
