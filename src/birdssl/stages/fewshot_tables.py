"""Few-shot results, written and told."""

from pathlib import Path
from typing import Any

from birdssl.evaluation.fewshot import WITH_MEL
from birdssl.evaluation.fewshot_table import latex_csv, long_csv, markdown, picture, terminal
from birdssl.stages.tables import ON_TERMINAL, save_tables

HEADLINE = ("protocol", "level", "score", "chance", "systems", "absent", "differences", "notes")


def write_tables(out: Path, results: dict[str, Any], title: str) -> dict[str, Any]:
    """Write results, with `protocol` and `notes` among them, in every form; returns what stage.json carries."""
    save_tables(out, results, page=markdown(results, title, results["notes"]), long=long_csv(results),
                latex=latex_csv(results), picture=picture(results))  # fmt: skip
    return {name: results[name] for name in HEADLINE}


def told(out: Path, summary: dict[str, Any]) -> str:
    """The averages, the verdicts on single features, and what a reader should know of them, for the terminal."""
    verdicts = [item["verdict"] for item in summary["differences"] if WITH_MEL not in item["features"]]
    more = [f"and {len(verdicts) - ON_TERMINAL} more differences"] if len(verdicts) > ON_TERMINAL else []
    lines = [*terminal(summary), "", *verdicts[:ON_TERMINAL], *more, *summary["notes"], f"tables: {out / 'table.md'}"]
    return "\n".join(lines)
