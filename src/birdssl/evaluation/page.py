"""The report page: one HTML file with its pictures inside, that works offline and asks nothing of the network."""

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from birdssl.evaluation.each_summary import unlabelled_clips
from birdssl.evaluation.fold_tests import ALPHA
from birdssl.evaluation.measure import AVERAGE_PRECISION, measure_of
from birdssl.evaluation.scoring import ALL_PAIRS
from birdssl.evaluation.starts import columns, deciding
from birdssl.evaluation.summary import in_short

NONE = "–"
FEW_COMPARISONS = 10  # more than these are folded away; as many as these that show a difference stand apart


def render_page(
    results: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    repeat: Mapping[str, Any],
    template: str | None = None,
    **more: Any,
) -> str:
    """Lay results out as a page.

    Args:
        results: what `birdssl evaluate` writes to metrics.json.
        pictures: PNG bytes by the paths that `results` names.
        repeat: `command`, a command line, and `inputs`, rows of path, verb, version and digest.
        template: another page's, which extends `base`, that of an evaluation; `more` is what it needs besides.

    All text is escaped: class and system names may hold any character.
    """
    environment = Environment(
        loader=FunctionLoader(resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.tests["shown"] = _shown
    systems, measure = results["systems"], measure_of(results)
    base = "each.html.j2" if measure is AVERAGE_PRECISION else "page.html.j2"
    known = {
        "r": results,
        "base": base,
        "measure": measure,
        "repeat": repeat,
        "title": _title(results),
        "lead": _lead(results),
        "scope": _scope(results),
        "level": f"{results['settings']['level'] * 100:g} %",
        "any_folds": any(len(system["folds"]["fold"]) > 1 for system in systems),
        "alpha": ALPHA,
        "few": FEW_COMPARISONS,
        "few_systems": ALL_PAIRS,
        "any_tests": any(pair.get("folds") for pair in results["comparisons"]),
        "inline": lambda path: "data:image/png;base64," + base64.b64encode(pictures[path]).decode(),
        "natural": lambda path: _width(pictures[path]) * 6 // 10,
    }
    return environment.get_template(template or base).render({**WORDS, **known, **more})


def resource(name: str) -> str:
    """The text of a file of this package: a template or a script."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _title(results: Mapping[str, Any]) -> str:
    names = [system["name"] for system in results["systems"]]
    if len(names) == 1:
        return f"How well {names[0]} tells the classes apart"
    return f"{len(names)} systems compared" if len(names) > 3 else " and ".join([", ".join(names[:-1]), names[-1]])


def _lead(results: Mapping[str, Any]) -> str:
    data = results["data"]
    part = "held-out test" if results["on"] == "test" else "validation"
    classes = sum(row["clips"] > 0 for row in data["classes"])
    return (
        f"Scored on {data['clips']} {part} {_many('clip', data['clips'])} from {data['origins']} "
        f"{_many('origin', data['origins'])}, in {classes} {_many('class', classes)}."
    )


def _scope(results: Mapping[str, Any]) -> str:
    checked = "Checked: no clip of these origins was learned from with its label."
    if results["shared"]:
        checked = "Other clips of some of these origins were learned from with their labels, which was accepted."
    elif not results["checked"]:
        checked = (
            "A training run is no longer where it was, so it was not checked whether it learned from these origins."
        )
    if results["on"] == "test":
        return f"The test part, held out from training, balancing and choosing. {checked}"
    return (
        f"Validation: each clip is scored by models that held its fold out. {checked} Epochs may have been chosen on "
        "these clips, so scores here lean to the bright side; the test part decides."
    )


def _many(word: str, count: int) -> str:
    return word if count == 1 else word + ("es" if word.endswith("s") else "s")


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{share * 100:.1f} %"


def _points(share: float | None) -> str:
    return NONE if share is None else f"{share * 100:+.1f}".replace("-", "−")


def _span(value: Mapping[str, Any]) -> str:
    if value["low"] is None:
        return f"none: {value['why_no_interval']}"
    return f"{value['low'] * 100:.1f} to {value['high'] * 100:.1f} %"


def _span_words(value: Mapping[str, Any]) -> str:
    if value["low"] is None:
        return f" (no interval: {value['why_no_interval']})"
    return f" ({value['low'] * 100:.1f} to {value['high'] * 100:.1f} %)"


def _points_span(value: Mapping[str, Any] | None) -> str:
    if value is None or value["low"] is None:
        return NONE
    return f"{_points(value['low'])} to {_points(value['high'])}"


def _folds(folds: Mapping[str, Any]) -> str:
    if folds["deviation"] is None or folds["mean"] is None:
        return NONE
    return f"{folds['mean'] * 100:.1f} ± {folds['deviation'] * 100:.1f} % ({len(folds['fold'])})"


def _p_value(test: Mapping[str, Any] | None, key: str) -> str:
    return NONE if not test or test[key] is None else f"{test[key]:.3f}"


def _t_value(test: Mapping[str, Any] | None) -> str:
    return NONE if not test or test["t"] is None else f"{test['t']:.2f} ({test['freedom']})".replace("-", "−")


def _effect(test: Mapping[str, Any] | None) -> str:
    return NONE if not test or test["effect"] is None else f"{test['effect']:.2f}".replace("-", "−")


def _sentence(text: str) -> str:
    """A verdict as a sentence, with real minus signs; a system's name keeps its first letter."""
    text = re.sub(r"(?<=[ (])-(?=\d)", "−", text)
    begins = text.startswith(("no difference", "too little"))
    return (text[:1].upper() + text[1:] if begins else text) + "."


def _decimal(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _shown(pair: Mapping[str, Any]) -> bool:
    """Whether a pair's interval excludes zero."""
    gap = pair["difference"]
    return gap is not None and gap["low"] is not None and (gap["low"] > 0 or gap["high"] < 0)


def _counted(pairs: Sequence[Mapping[str, Any]]) -> str:
    """How many of several comparisons show a difference, and which way, in a sentence."""
    others = {pair["second"] for pair in pairs}
    beside, than = (f" with {others.pop()}", " it") if len(others) == 1 else ("", " the other")
    above = sum(_shown(pair) and pair["difference"]["low"] > 0 for pair in pairs)
    below = sum(map(_shown, pairs)) - above
    return (
        f"{len(pairs)} comparisons over recordings{beside}: {above} above{than}, {below} below{than}, "
        f"{len(pairs) - above - below} without a difference shown."
    )


def _projected(view: Mapping[str, Any]) -> str:
    part = f"{view['shown']} of {view['of']} clips" if view["shown"] < view["of"] else f"{view['of']} clips"
    return (
        f"t-SNE of {part}, perplexity {view['perplexity']:.3g}{view['model']}. "
        "Near dots are alike; distances far apart and the axes mean nothing."
    )


def _at(share: float | None) -> str:
    """A share as a CSS percentage."""
    return f"{min(max((share or 0) * 100, 0), 100):.2f}"


def _width(png: bytes) -> int:
    """Width of a PNG in pixels, from its header."""
    return int(struct.unpack(">I", png[16:20])[0])


def _thresholds(values: Sequence[float]) -> str:
    """One threshold, or the range of several models'."""
    low, high = min(values), max(values)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"


WORDS = {
    "percent": _percent,
    "points": _points,
    "span": _span,
    "span_words": _span_words,
    "points_span": _points_span,
    "folds": _folds,
    "p_value": _p_value,
    "t_value": _t_value,
    "effect": _effect,
    "sentence": _sentence,
    "decimal": _decimal,
    "shown": _shown,
    "counted": _counted,
    "projected": _projected,
    "at": _at,
    "deciding": deciding,
    "columns": columns,
    "in_short": in_short,
    "thresholds": _thresholds,
    "unlabelled": unlabelled_clips,
}
