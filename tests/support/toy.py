"""A stage small enough to see through: it doubles the number in each text file of a folder."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.atomic import write_text
from birdssl.errors import BadInput, NoInputError
from birdssl.settings.base import Settings, setting
from birdssl.stages.contract import Result, Source, Stage, Unit


class DoubleSettings(Settings):
    """Double numbers."""

    factor: int = setting(2, "What to multiply by.", ge=1)
    pause: float = setting(0.0, "Seconds to take over each file.", ge=0)


class Double(Stage[DoubleSettings]):
    """Each file is a unit; a file that holds no number is a reject."""

    verb = "double"
    owns: ClassVar[tuple[str, ...]] = ("doubled", "total.txt")

    @property
    def schema(self) -> dict[str, Any]:
        return {"name": pl.String, "value": pl.Int64}

    def sources(self) -> list[Source]:
        return [Source(path, None, "folder") for path in self.inputs]

    def plan(self) -> list[Unit]:
        files = sorted(path for folder in self.inputs for path in folder.glob("*.txt"))
        if not files:
            raise NoInputError("no .txt files")
        return [Unit(path.name, hashlib.blake2b(path.read_bytes()).hexdigest(), path, 2) for path in files]

    def work(self, unit: Unit) -> Result:
        text = unit.payload.read_text()
        time.sleep(self.settings.pause)
        if text == "die":
            os._exit(9)
        if not text.strip().isdigit():
            raise BadInput(f"{unit.payload}: {text!r} is not a number")
        value = int(text) * self.settings.factor
        write_text(self.out / "doubled" / unit.key, str(value))
        return Result(pl.DataFrame({"name": [unit.key], "value": [value]}))

    def facts(self) -> dict[str, Any]:
        return {"factor": self.settings.factor}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        total = int(manifest.select(pl.col("value").sum()).collect().item() or 0)
        write_text(self.out / "total.txt", str(total))
        return {"total": total}

    def report(self, summary: dict[str, Any]) -> str:
        return f"total {summary['total']}"


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Every file that the same-bytes promise covers."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.log"
    }
