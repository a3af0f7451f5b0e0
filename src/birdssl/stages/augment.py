"""`birdssl augment`: the input's clips, and beside each the copies and views that are to be made from it.

OUT/audio/RECORDING/000003.000-copy-1-<id>.flac    with --audio: one file a copy or view
"""

import json
import logging
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.atomic import atomic_path
from birdssl.artifacts.balance import class_counts, needs, plan_copies, training_part
from birdssl.artifacts.manifest import COPY, ORIGINAL, VIEW, child_id, clips
from birdssl.audio.augment import Menu, apply
from birdssl.audio.encode import flac_bytes
from birdssl.errors import BadInput, IncompatibleError
from birdssl.seeds import derive, generator
from birdssl.settings.augment import AugmentSettings
from birdssl.stages.clip_sound import ClipSound, Row, clip_rejects
from birdssl.stages.clip_table import block_units, merged_facts, read_clips, recording_contents, remove_strays
from birdssl.stages.contract import Result, Stage, Unit, inherit

log = logging.getLogger(__name__)

AUDIO = "audio"
PLAN_ROWS, AUDIO_ROWS = 8192, 256  # rows of a unit; writing audio takes far longer than planning
MANY_COPIES = 20  # of one clip: the class then mostly consists of one sound
ROW_BYTES = 120  # of a manifest row, compressed
FLAC_BYTES = 1.2  # of a sample, compressed from two


class Augment(Stage[AugmentSettings]):
    """A unit is a block of rows: originals, each followed by its copies and views."""

    verb: ClassVar[str] = "augment"
    owns: ClassVar[tuple[str, ...]] = (AUDIO,)
    accepts: ClassVar[tuple[str, ...]] = ("segment", "split")
    sample_rate: int
    clip_seconds: float
    inherited: dict[str, Any]

    def plan(self) -> list[Unit]:
        """Plan all rows, which needs every clip at once, and cut them into blocks."""
        artifacts = self.artifacts()
        self.sample_rate = inherit(None, artifacts, "sample_rate")
        self.clip_seconds = inherit(None, artifacts, "clip_seconds")
        self.inherited = merged_facts(artifacts)
        originals = read_clips(artifacts, self.out).filter(pl.col("role") == ORIGINAL)
        self._check(originals)
        audio = self.settings.audio
        rows = AUDIO_ROWS if audio else PLAN_ROWS
        sound = self.clip_seconds * self.sample_rate * FLAC_BYTES if audio else 0
        return block_units(
            self._rows(originals), recording_contents(artifacts), rows, ROW_BYTES + round(sound), "block"
        )

    def _check(self, originals: pl.DataFrame) -> None:
        """Say what balance can't do with these labels."""
        if not self.settings.target:
            return
        if not class_counts(originals):
            raise IncompatibleError(
                f"--balance needs labels, and no clip of {', '.join(map(str, self.inputs))} has just one; "
                "leave --balance out, or label the clips (`birdssl segment --label-from`)"
            )
        several = originals.filter(pl.col("labels").list.len() > 1).height
        if several:
            log.info("%d clips have several labels: they aren't counted for any class, nor copied", several)

    def _rows(self, originals: pl.DataFrame) -> pl.DataFrame:
        """Originals, each followed by its copies and its views."""
        planned = pl.concat([self._copies(originals), self._views(originals)])
        rank = pl.col("role").replace_strict({ORIGINAL: 0, COPY: 1, VIEW: 2}, return_dtype=pl.Int8)
        places = originals.select(pl.col("id").alias("parent")).with_row_index("place")
        planned = planned.join(places, on="parent", how="left", maintain_order="left")
        table = pl.concat([originals.with_row_index("place"), planned.select("place", *originals.columns)])
        return table.sort("place", rank, "number").drop("place")

    def _copies(self, originals: pl.DataFrame) -> pl.DataFrame:
        """Rows of the copies that any fold needs."""
        planned = plan_copies(originals, self.settings.target, self.settings.seed)
        most = planned["number"].max()
        if isinstance(most, int) and most > MANY_COPIES:
            log.warning(
                "some clips get %d copies to reach --balance %s: their classes are small, and will mostly be one sound "
                "in many disguises", most, self.settings.balance,
            )  # fmt: skip
        menu, plans = self._menu(), []
        for seed in planned["seed"]:
            plans.append(json.dumps(menu.draw_one(generator(seed, "plan"))))
        return self._children(originals, planned.with_columns(pl.Series("operations", plans, pl.String)), COPY)

    def _views(self, originals: pl.DataFrame) -> pl.DataFrame:
        """Rows of the views: of every clip, labelled or not, outside the test part or in all."""
        count, menu = self.settings.views, self._menu()
        wanted = originals if self.settings.test_views else originals.filter(~pl.col("test").fill_null(False))
        rows = []
        for parent in wanted["id"] if count else []:
            plans = menu.draw_views(count, generator(self.settings.seed, parent, VIEW))
            for number, plan in enumerate(plans, start=1):
                rows.append((parent, number, derive(self.settings.seed, parent, VIEW, number), json.dumps(plan)))
        schema = {"parent": pl.String, "number": pl.Int16, "seed": pl.Int64, "operations": pl.String}
        return self._children(originals, pl.DataFrame(rows, schema=schema, orient="row"), VIEW)

    def _children(self, originals: pl.DataFrame, planned: pl.DataFrame, role: str) -> pl.DataFrame:
        """Full rows of copies or views: their parents' columns, with an identity and a plan of their own."""
        ids = [child_id(parent, role, number, self.settings.seed)
               for parent, number in planned.select("parent", "number").iter_rows()]  # fmt: skip
        own = planned.with_columns(pl.Series("id", ids, pl.String), pl.lit(role).alias("role"))
        passed_on = originals.drop("role", "parent", "number", "seed", "operations").rename({"id": "parent"})
        return own.join(passed_on, on="parent", how="left", maintain_order="left").select(originals.columns)

    def _menu(self) -> Menu:
        settings = self.settings
        return Menu(tuple(settings.stretch), tuple(settings.pitch), tuple(settings.noise))

    def work(self, unit: Unit) -> Result:
        """Pass the rows on; with --audio, write the copies and views first."""
        rows: pl.DataFrame = unit.payload
        if not self.settings.audio:
            return Result(rows)
        kept: list[Row] = []
        failed: dict[int, str] = {}
        with ClipSound(self.out, self.sample_rate, self.clip_seconds) as source:
            for place, row in enumerate(rows.iter_rows(named=True)):
                try:
                    kept.append(row if row["role"] == ORIGINAL else self._write(source, row))
                except BadInput as error:
                    failed[place] = str(error)
        return Result(clips(kept), clip_rejects(rows, failed))

    def _write(self, source: ClipSound, row: Row) -> Row:
        """Make one copy or view, and return its row, which refers to its own file."""
        made = apply(source.read(row), self.sample_rate, json.loads(row["operations"]), row["seed"])
        path = f"{AUDIO}/{row['recording']}/{row['start']:010.3f}-{row['role']}-{row['number']}-{row['id']}.flac"
        with atomic_path(self.out / path) as part:
            part.write_bytes(flac_bytes(made, self.sample_rate))
        return {**row, "path": path, "offset": 0, "padded": 0.0}

    def facts(self) -> dict[str, Any]:
        """The input's facts; how many clips of a class to train on; and whether operations are carried out already."""
        own = {"balance": self.settings.target or None, "views": self.settings.views, "audio": self.settings.audio}
        return {**self.inherited, **own}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Count rows by role, and each class's clips in every fold's training part before and after balance."""
        table = manifest.select("id", "role", "labels", "test", "fold", "path").collect()
        if self.settings.audio:
            remove_strays(self.out / AUDIO, {self.out / path for path in table["path"]})
        roles = dict(table["role"].value_counts().sort("role").iter_rows())
        parts = {}
        if self.settings.target:
            for fold in table["fold"].unique().drop_nulls().sort().to_list() or [None]:
                part = training_part(table, fold)
                short = needs(part, self.settings.target)
                name = "all" if fold is None else str(fold)
                parts[name] = {"clips": part.height, "balanced": part.height + sum(short.values())}
        return {"roles": {role: roles.get(role, 0) for role in (ORIGINAL, COPY, VIEW)}, "training": parts}

    def report(self, summary: dict[str, Any]) -> str:
        """Rows by role, and what each fold trains on."""
        roles = summary["roles"]
        lines = [f"{roles[ORIGINAL]} clips, {roles[COPY]} copies and {roles[VIEW]} views planned"]
        for fold, part in summary["training"].items():
            lines.append(f"  fold {fold} held out: {part['clips']} clips, {part['balanced']} when balanced")
        return "\n".join(lines)
