"""`birdssl run`: the steps of a recipe, one after the other, and the table of their results.

OUT/recipe.json           says that the folder holds runs of recipes
OUT/VERB-KEY/             a stage's directory, as if its command had been typed
OUT/STAGE-CELL-so-far/    what a stage that gathers cells makes of those that there are, while some are missing
OUT/RECIPE.results.csv    a row for each run of the recipe's result stage, finished or not
"""

import csv
import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from birdssl.artifacts.artifact import read_record
from birdssl.artifacts.atomic import write_json, write_text
from birdssl.errors import UnavailableError, UsageError
from birdssl.settings.base import nearest
from birdssl.settings.recipe import RecipeSettings, own_recipes
from birdssl.settings.run import RunOptions
from birdssl.stages.cells import REFERENCE, Expansion, Step, Verb, so_far_name
from birdssl.stages.recipe import GIVEN, Recipe, read_recipe, select
from birdssl.stages.runner import DONE, remove_artifact, run

log = logging.getLogger(__name__)

MARKER = "recipe.json"
SCHEMA_VERSION = 1


def run_recipe(
    settings: RecipeSettings, *, inputs: list[Path], out: Path | None, options: RunOptions, verbs: Mapping[str, Verb]
) -> int:
    """What `birdssl run RECIPE [INPUT] -o OUT` does; returns the exit code."""
    if not 1 <= len(inputs) <= 2:
        raise UsageError(f"give one recipe and at most one input, as in\n  {RecipeSettings.example}")
    if out is None:
        raise UsageError(f"-o OUT is missing: the folder that holds the runs, as in\n  {RecipeSettings.example}")
    recipe = read_recipe(find_recipe(inputs[0]), verbs)
    given = inputs[1] if len(inputs) == 2 else None
    names = input_names(recipe)
    if given is not None and "" not in names:
        reads = f"--input {', '.join(sorted(names))}" if names else "nothing"
        raise UsageError(f"{recipe.path} reads {reads} from the command line; leave {given} out")
    expansion = Expansion(recipe, verbs, out, given, _named(settings.input, names - {""}))
    steps = expansion.steps(select(recipe, settings.only))
    for why, what in expansion.left_out.items():
        log.info("left out, as %s: %s", why, ", ".join(what))
    if not steps:
        raise UsageError(f"{recipe.path}: nothing is left to run; give one of --input {', '.join(sorted(names))}")
    if options.dry_run:
        here = {step.key for step in steps}
        lines = [step.command(chosen) for step, chosen in _ready(expansion, steps, options, here)]
        as_json = json.dumps({"out": str(out), "dry_run": True, "commands": lines}, ensure_ascii=False)
        print(as_json if options.json_summary else "\n".join(lines))
        return DONE
    log.info("%s: %d steps", recipe.title, len(steps))
    code, _ = run_steps(expansion, steps, options)
    if options.json_summary:
        print(json.dumps({"out": str(out), "exit_code": code, "results": result_rows(expansion)}, ensure_ascii=False))
    elif recipe.result_stage:
        print(table_text(result_rows(expansion)))
    return code


def find_recipe(path: Path) -> Path:
    """A recipe's file: the path itself, or, for a bare name such as `dias2022`, that recipe in the package."""
    shipped = own_recipes()
    if path.exists() or path.suffix or len(path.parts) != 1:
        return path
    if path.name not in shipped:
        raise UsageError(f"{path}: no such recipe; give a TOML file, or one of birdssl's own: {', '.join(shipped)}")
    return shipped[path.name]


def input_names(recipe: Recipe) -> set[str]:
    """Names of what the stages read from the command line; "" is the input without a name."""
    overlays = [stages for values in recipe.variants.values() for stages in values.values()]
    tables = [entry.settings for entry in recipe.stages.values()] + [
        settings for stages in overlays for settings in stages.values()
    ]
    texts = [text for entry in recipe.stages.values() for text in entry.inputs]
    texts += [value[1:] for table in tables for value in table.values()
              if isinstance(value, str) and value.startswith(REFERENCE)]  # fmt: skip
    places = [text.partition("/")[0].partition(":") for text in texts]
    return {name for place, _, name in places if place == GIVEN}


def _named(texts: list[str], known: set[str]) -> dict[str, Path]:
    """--input NAME=PATH by name."""
    found = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise UsageError(f"--input {text!r}: write NAME=PATH")
        if name not in known:
            raise UsageError(f"--input {text!r}: the recipe reads no input of that name; {nearest(name, known)}")
        found[name] = Path(path)
    return found


def run_steps(expansion: Expansion, steps: list[Step], options: RunOptions) -> tuple[int, dict[str, Any]]:
    """Run steps in order, each as its own stage; returns the worst exit code and each step's summary by key.

    A step that gathers cells which this run leaves out waits until those are complete.
    """
    claim(expansion.out)
    code, summaries, here = DONE, {}, {step.key for step in steps}
    for number, (step, chosen) in enumerate(_ready(expansion, steps, options, here), start=1):
        log.info("\n[%d/%d] $ %s", number, len(steps), step.command(chosen))
        stage = expansion.verbs[step.verb].stage()(step.settings, list(step.inputs), step.out, chosen)
        try:
            # cells that run in several processes share steps: one makes them while the others wait
            outcome = run(stage, wait=True)
        except UnavailableError as error:
            log.warning("%s and what needs it are left out: %s", step.out, error)
            here.discard(step.key)
            continue
        summaries[step.key] = outcome.summary
        code = max(code, outcome.exit_code)
        if outcome.text and not options.json_summary:
            log.info("%s", outcome.text)
        earlier = expansion.out / so_far_name(step)
        if step.out != earlier and read_record(earlier) is not None:
            remove_artifact(earlier, stage.owns)  # the whole is there now
            if not any(earlier.iterdir()):
                earlier.rmdir()
        if step.name == expansion.recipe.result_stage:
            write_results(expansion)
    return code, summaries


def _ready(
    expansion: Expansion, steps: list[Step], options: RunOptions, here: set[str]
) -> Iterator[tuple[Step, RunOptions]]:
    """Steps in order with their options; what gathers cells that aren't `here` waits, or takes what there is."""
    for step in steps:
        chosen = options_of(step, expansion, options)
        missing = [need for need in step.needs if need.key not in here and not need.complete()]
        if not missing:
            yield step, chosen
            continue
        here.discard(step.key)
        part = expansion.so_far(step, here) if expansion.recipe.stages[step.name].partial else None
        if part is None:
            log.warning("%s waits for %s, which this run leaves out", step.name, missing[0].out)
        else:
            log.warning("%s lacks %d of %d runs (first: %s)", step.name, len(missing), len(step.needs), missing[0].out)
            yield part, chosen.model_copy(update={"overwrite": True})


def options_of(step: Step, expansion: Expansion, options: RunOptions) -> RunOptions:
    """How a step is run: --jobs only where it has a meaning, and no more of them than the recipe allows."""
    most = expansion.recipe.stages[step.name].jobs or options.jobs
    jobs = min(options.jobs, most) if expansion.verbs[step.verb].stage().parallel else 1
    return options.model_copy(update={"jobs": jobs, "json_summary": False, "dry_run": False})


def claim(out: Path) -> None:
    """Make OUT a folder of runs. Raises UsageError when it's something else."""
    marker = out / MARKER
    if marker.exists():
        return
    if out.exists() and (not out.is_dir() or any(path.name != ".DS_Store" for path in out.iterdir())):
        raise UsageError(f"-o {out} holds something that `birdssl run` didn't write; give an empty or a new directory")
    write_json(marker, {"schema": SCHEMA_VERSION, "holds": "runs of birdssl recipes"})


def write_results(expansion: Expansion) -> Path:
    """Write the result table of the whole recipe, from what is on disk, whichever machine made it."""
    rows = result_rows(expansion)
    path = expansion.out / f"{expansion.recipe.path.stem}.results.csv"
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def result_rows(expansion: Expansion) -> list[dict[str, Any]]:
    """A row for each run of the result stage: its cell, its state, the wanted columns, and its directory."""
    recipe = expansion.recipe
    name = recipe.result_stage
    if name is None:
        return []
    found = [expansion.present(name, cell) for cell in recipe.cells() if recipe.stages[name].belongs(cell)]
    steps = {step.key: step for step in found if step is not None}
    rows = []
    for step in steps.values():
        record = read_record(step.out)
        made_of_some = record is None and recipe.stages[name].partial
        record = read_record(expansion.out / so_far_name(step)) if made_of_some else record
        summary = record.summary if record else {}
        row = {axis: step.cell.get(axis, "all") for axis in recipe.matrix}
        state = record.state if record else "missing"
        row["state"] = "so far" if made_of_some and record else state
        row |= {column: place_in(summary, place) for column, place in recipe.result_columns.items()}
        row["directory"] = step.out.name
        rows.append(row)
    return rows


def place_in(value: Any, place: str) -> Any:
    """Follow a dotted path such as `systems.0.balanced_accuracy.value`; None where it leads nowhere."""
    for part in place.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def table_text(rows: list[dict[str, Any]]) -> str:
    """Rows as a table with aligned columns."""
    if not rows:
        return ""
    cells = [list(rows[0]), *([_shown(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
                     for line in cells)  # fmt: skip


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
