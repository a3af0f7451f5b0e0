"""`birdssl split`: the clips of earlier stages with a test part and folds; audio stays where it is.

OUT/classes.csv    the class table (P1's Table 1): clips, origins and parts of each class
"""

import csv
import hashlib
import io
import logging
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.annotations import Columns, read_csv
from birdssl.artifacts.artifact import MANIFEST, Artifact, table_digest
from birdssl.artifacts.atomic import write_text
from birdssl.artifacts.folds import Design, assign, class_table, complaints, draw_groups, official, straddlers
from birdssl.artifacts.labelling import match_files
from birdssl.artifacts.manifest import rebase
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.settings.split import SplitSettings
from birdssl.stages.contract import Result, Source, Stage, Unit, inherit

log = logging.getLogger(__name__)

CLASSES = "classes.csv"


class Split(Stage[SplitSettings]):
    """One unit: parts are balanced over all clips at once."""

    verb: ClassVar[str] = "split"
    owns: ClassVar[tuple[str, ...]] = (CLASSES,)
    accepts: ClassVar[tuple[str, ...] | None] = ("segment", "split")
    parallel: ClassVar[bool] = False

    @property
    def _design(self) -> Design | None:
        settings = self.settings
        if not settings.drawn:
            return None
        return Design(settings.test_fraction, settings.folds, settings.group, settings.seed, (settings.repeat or 1) - 1)

    def plan(self) -> list[Unit]:
        """The whole input as one unit. Raises NoInputError when it holds no clips."""
        artifacts = self.artifacts()
        if not sum(artifact.counts["rows"] for artifact in artifacts):
            raise NoInputError(f"no clips in {', '.join(str(path) for path in self.inputs)}; nothing to split")
        digest = hashlib.blake2b(digest_size=16)
        for source in self.sources():
            digest.update(source.digest.encode())
        self._check()
        return [Unit("split", digest.hexdigest(), size=200 * sum(artifact.counts["rows"] for artifact in artifacts))]

    def _check(self) -> None:
        """Refuse what can't be split before anything is written."""
        if self._design is not None:
            draw_groups(self._clips(), self._design)
        else:
            self._official()

    def _official(self) -> pl.DataFrame:
        clips = self._clips()
        if self.settings.folds_from is not None:
            clips = _with_folds(clips, self.settings)
        return official(clips, self.settings.test_fold)

    def sources(self) -> list[Source]:
        """The inputs, and the table of folds."""
        table = self.settings.folds_from
        return super().sources() + ([Source(table, None, _digest(self.settings))] if table is not None else [])

    def work(self, unit: Unit) -> Result:
        """Give every clip its part."""
        design = self._design
        return Result(self._official() if design is None else assign(self._clips(), design))

    def _clips(self) -> pl.DataFrame:
        artifacts = self.artifacts()
        tables = [rebase(artifact.manifest(), artifact.path, self.out) for artifact in artifacts]
        clips = pl.concat(tables)
        if clips["id"].n_unique() < clips.height:
            twin = clips.filter(clips["id"].is_duplicated())["recording"][0]
            raise IncompatibleError(
                f"clips of {twin} are in more than one input; give each clip once: leave one of the inputs out"
            )
        return clips

    def facts(self) -> dict[str, Any]:
        """What the clips are like, the classes of all inputs, and the folds."""
        artifacts = self.artifacts()
        names = ("sample_rate", "clip_seconds", "hop_seconds")
        facts = {name: inherit(None, artifacts, name) for name in names if _has(artifacts, name)}
        manifest = pl.scan_parquet(self.out / MANIFEST)
        folds = manifest.select("fold").drop_nulls().unique().collect()["fold"].to_list()
        facts["classes"] = sorted({label for artifact in artifacts for label in artifact.facts.get("classes", [])})
        facts["folds"] = sorted(folds)
        facts["group"] = self.settings.group if self.settings.drawn else "official"
        if self.settings.repeats is not None:
            facts |= {"repeat": self.settings.repeat, "repeats": self.settings.repeats}
        return facts

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Write the class table and say what spoils a score."""
        clips = manifest.select("labels", "origin", "site", "test", "fold").collect()
        table = class_table(clips)
        write_text(self.out / CLASSES, _as_csv(table))
        said = complaints(clips, self._design)
        for line in said:
            log.warning("%s", line)
        sites = straddlers(clips, "site")
        if sites and self.settings.drawn and self.settings.group != "none":
            log.info(
                "%d of %d sites are in several parts, so scores are for known places; --group site would test new ones",
                len(sites), clips["site"].drop_nulls().n_unique(),
            )  # fmt: skip
        return {"classes": table, "warnings": said}

    def report(self, summary: dict[str, Any]) -> str:
        """The class table, aligned."""
        return _aligned(summary["classes"]) if summary else ""


def _digest(settings: SplitSettings) -> str:
    table = settings.folds_from
    if table is None or not table.is_file():
        raise NoInputError(f"--folds-from {table}: no such file")
    return table_digest(table)


def _has(artifacts: list[Artifact], name: str) -> bool:
    return any(artifact.facts.get(name) is not None for artifact in artifacts)


def _with_folds(clips: pl.DataFrame, settings: SplitSettings) -> pl.DataFrame:
    """Replace the folds by those that a table gives to recordings."""
    assert settings.folds_from is not None, "the caller has looked"
    columns = Columns(file_column=settings.file_column, fold_column=settings.fold_column)
    rows = match_files(read_csv(settings.folds_from, columns), clips["recording"].unique(maintain_order=True).to_list())
    folds = {name: row.fold for name, row in rows.items()}
    return clips.with_columns(
        pl.col("recording").replace_strict(folds, default=None, return_dtype=pl.Int16).alias("fold")
    )


def _as_csv(table: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _aligned(table: list[dict[str, Any]]) -> str:
    """A table for a terminal: names to the left, counts to the right."""
    heads = [name.replace("_", " ") for name in table[0]]
    rows = [heads, *([str(value) for value in row.values()] for row in table)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                  for index, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    )  # fmt: skip
