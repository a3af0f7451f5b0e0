"""`birdssl demo`: the recipe demo.toml, run and told as a story."""

import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from birdssl.settings.demo import DemoSettings
from birdssl.settings.recipe import RECIPES, RecipeSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.cells import Expansion, Step, Verb
from birdssl.stages.recipe import read_recipe
from birdssl.stages.recipe_run import run_recipe, run_steps

log = logging.getLogger(__name__)

RECIPE = RECIPES / "demo.toml"
OUT = Path("birdssl-demo")
MOST_JOBS = 8

START, PRETRAINED, BASELINE = "random start", ("Barlow Twins", "VICReg"), "mel statistics"


def demo(
    settings: DemoSettings, *, out: Path | None, options: RunOptions, verbs: Mapping[str, Verb], recipe: Path = RECIPE
) -> int:
    """Run the demo and tell what it found; returns the exit code. All cores are used unless --jobs says otherwise."""
    out = out or OUT
    if "jobs" not in options.model_fields_set:
        options = options.model_copy(update={"jobs": min(os.cpu_count() or 1, MOST_JOBS)})
    if options.dry_run:
        return run_recipe(RecipeSettings(), inputs=[recipe], out=out, options=options, verbs=verbs)
    started = time.monotonic()
    log.info("Many hours of sound, few labels: every command below can be typed by hand.")
    expansion = Expansion(read_recipe(recipe, verbs), verbs, out)
    steps = expansion.steps(expansion.recipe.cells())
    code, summaries = run_steps(expansion, steps, options)
    score = next(step for step in steps if step.verb == "evaluate")
    results = json.loads((score.out / "metrics.json").read_text(encoding="utf-8"))
    report = next(step for step in steps if step.verb == "report").out / "report.html"
    if options.json_summary:
        print(json.dumps({"out": str(out), "exit_code": code, "report": str(report), "finding": finding(results),
                          "scores": summaries[score.key]}, ensure_ascii=False))  # fmt: skip
    else:
        counts = [next(summaries[step.key]["training_clips"] for step in steps if step.verb == verb)
                  for verb in ("pretrain", "finetune")]  # fmt: skip
        print("\n".join(story(results, counts, steps, report, time.monotonic() - started)))
    return code


def story(results: dict[str, Any], counts: list[int], steps: list[Step], report: Path, seconds: float) -> list[str]:
    """The closing words: what was done, the table, what it shows, and where to look.

    `counts` are the clips that pretraining and fine-tuning learnt from.
    """
    detections = next(step.out for step in steps if step.verb == "detect")
    data = results["data"]
    return [
        "",
        f"Pretraining heard {counts[0]} clips without their labels; fine-tuning learnt from {counts[1]} labelled ones.",
        f"Balanced accuracy on {data['clips']} labelled clips of {data['origins']} recordings that no training saw:",
        "",
        *("  " + line for line in table(results)),
        "",
        *finding(results),
        *results["notes"],
        "",
        f"What the classifier heard in whole recordings: {detections / 'detections.csv'}",
        f"That took {seconds / 60:.1f} minutes. Open the report:  {report}",
    ]


def table(results: dict[str, Any]) -> list[str]:
    """Chance and every system with its interval, aligned."""
    level = results["settings"]["level"] * 100
    lines = [("", "score", f"{level:g} % interval"), ("chance", _percent(results["chance"]["balanced_accuracy"]), "")]
    for system in results["systems"]:
        score = system["balanced_accuracy"]
        known = score["low"] is not None
        span = f"{_percent(score['low'])} to {_percent(score['high'])}" if known else "too few recordings for one"
        lines.append((system["name"], _percent(score["value"]), span))
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return [f"{name:<{widths[0]}}  {score:>{widths[1]}}  {span:<{widths[2]}}".rstrip() for name, score, span in lines]


def finding(results: dict[str, Any]) -> list[str]:
    """What the intervals of the differences allow to say, in plain words."""
    gaps = {name: gap_between(results, name, START) for name in PRETRAINED}
    words = [f"{name}: {_in_words(gap, 'a random start')}." for name, gap in gaps.items()]
    best = max((item for item in results["systems"] if item["name"] in PRETRAINED),
               key=lambda item: item["balanced_accuracy"]["value"])["name"]  # fmt: skip
    plain = gap_between(results, best, BASELINE)
    words.append(f"{best}, the better of the two: {_in_words(plain, f'{BASELINE} with logistic regression')}.")
    sure = [name for name, gap in gaps.items() if gap and gap["low"] is not None and gap["low"] > 0]
    if sure:
        words.append(f"So here, pretraining on clips without labels helped ({' and '.join(sure)}).")
    elif any(gap and gap["high"] is not None and gap["high"] < 0 for gap in gaps.values()):
        words.append("So here, pretraining on clips without labels did not help, and in part it harmed.")
    else:
        words.append("So this run shows no difference between pretraining and a random start.")
    words.append("It's one small run on invented species: a check of the chain. Another seed may say otherwise.")
    return words


def gap_between(results: dict[str, Any], first: str, second: str) -> dict[str, Any] | None:
    """Score of the first less that of the second, with its interval; None where they weren't compared."""
    for pair in results["comparisons"]:
        gap = pair["difference"]
        if gap and (pair["first"], pair["second"]) == (first, second):
            return dict(gap)
        if gap and (pair["first"], pair["second"]) == (second, first):
            low, high = gap["high"], gap["low"]
            return {
                "value": -gap["value"],
                "low": None if low is None else -low,
                "high": None if high is None else -high,
            }
    return None


def _in_words(gap: dict[str, Any] | None, other: str) -> str:
    if gap is None or gap["low"] is None:
        return f"too little to tell it from {other}"
    span = f"({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f})"
    if gap["low"] > 0:
        return f"{100 * gap['value']:.1f} points above {other} {span}"
    if gap["high"] < 0:
        return f"{-100 * gap['value']:.1f} points below {other} {span}"
    return f"no difference from {other} shown, {100 * gap['value']:+.1f} points {span}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
