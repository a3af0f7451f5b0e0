"""The files that a table of results is written to, in every form."""

from pathlib import Path
from typing import Any

from birdssl import __version__
from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.evaluation.figures import Drawing

RESULTS = "results.json"
TABLES = (RESULTS, "table.md", "table.csv", "latex.csv", "systems.png", "systems.svg")
ON_TERMINAL = 16  # verdicts; the rest is in table.md


def save_tables(out: Path, results: dict[str, Any], *, page: str, long: str, latex: str, picture: Drawing) -> None:
    """Write results, their Markdown, both CSV forms, and their picture."""
    write_json(out / RESULTS, {"schema": 1, "birdssl": __version__, **results})
    write_text(out / "table.md", page)
    write_text(out / "table.csv", long)
    write_text(out / "latex.csv", latex)
    for name, data in picture.files("systems").items():
        with atomic_path(out / name) as part:
            part.write_bytes(data)
