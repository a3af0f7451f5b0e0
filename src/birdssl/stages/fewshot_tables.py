"""The files that few-shot tables are written to."""

from pathlib import Path
from typing import Any

from birdssl import __version__
from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.evaluation.fewshot import WITH_MEL
from birdssl.evaluation.fewshot_table import latex_csv, long_csv, markdown, picture, terminal

RESULTS = "results.json"
TABLES = (RESULTS, "table.md", "table.csv", "latex.csv", "systems.png")
HEADLINE = ("protocol", "level", "score", "chance", "systems", "absent", "differences", "notes")
ON_TERMINAL = 16  # verdicts; the rest is in table.md


def write_tables(out: Path, results: dict[str, Any], title: str) -> dict[str, Any]:
    """Write results, with `protocol` and `notes` among them, in every form; returns what stage.json carries."""
    write_json(out / RESULTS, {"schema": 1, "birdssl": __version__, **results})
    write_text(out / "table.md", markdown(results, title, results["notes"]))
    write_text(out / "table.csv", long_csv(results))
    write_text(out / "latex.csv", latex_csv(results))
    with atomic_path(out / "systems.png") as part:
        part.write_bytes(picture(results))
    return {name: results[name] for name in HEADLINE}


def told(out: Path, summary: dict[str, Any]) -> str:
    """The averages, the verdicts on single features, and what a reader should know of them, for the terminal."""
    verdicts = [item["verdict"] for item in summary["differences"] if WITH_MEL not in item["features"]]
    more = [f"and {len(verdicts) - ON_TERMINAL} more differences"] if len(verdicts) > ON_TERMINAL else []
    lines = [*terminal(summary), "", *verdicts[:ON_TERMINAL], *more, *summary["notes"], f"tables: {out / 'table.md'}"]
    return "\n".join(lines)
