"""`birdssl render`: clips, copies and views, or images, as arrays in shards, and pictures for a person.

OUT/shards/00012.npy             (n, height, width) uint8, or (n, samples) int16; the manifest says shard and row
OUT/contact-sheets/CLASS.png     some clips of each class, with axes; copies and views beside their clips
OUT/png/CLASS/NAME.png           with --png: every picture
"""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from PIL import Image

from birdssl.artifacts.atomic import atomic_path
from birdssl.artifacts.manifest import ORIGINAL
from birdssl.artifacts.recordings import Listing, list_recordings
from birdssl.artifacts.shards import FOLDER, Shards, shard_path, write_shard
from birdssl.audio.augment import apply
from birdssl.audio.encode import FULL_SCALE, as_int16
from birdssl.audio.spectrogram import Frontend
from birdssl.errors import BadInput, IncompatibleError
from birdssl.evaluation.contact_sheet import Tile, draw_sheet
from birdssl.settings.render import RenderSettings
from birdssl.stages.clip_sound import ClipSound, Row, clip_rejects
from birdssl.stages.clip_table import block_units, merged_facts, read_clips, recording_contents, remove_strays
from birdssl.stages.contract import Reject, Result, Source, Stage, Unit, inherit
from birdssl.stages.images import IMAGE_SUFFIXES, IMAGES, grey_picture, image_rows
from birdssl.stages.recording_inputs import recording_sources

log = logging.getLogger(__name__)

SHEETS, PNG = "contact-sheets", "png"
UNLABELLED = "unlabelled"
READ_AHEAD = 32  # waveforms held before they are drawn
BESIDE = 2  # copies or views shown beside a clip on its sheet
COLUMNS = 6  # of a sheet
PNG_SHARE = 0.8  # of a picture's bytes, measured on field recordings


class Render(Stage[RenderSettings]):
    """A unit is a shard."""

    verb: ClassVar[str] = "render"
    owns: ClassVar[tuple[str, ...]] = (FOLDER, SHEETS, PNG)
    accepts: ClassVar[tuple[str, ...]] = ("segment", "split", "augment")
    front: Frontend  # of sound alone
    inherited: dict[str, Any]
    listing: Listing  # of images alone

    def __getstate__(self) -> dict[str, Any]:
        """Workers get their rows with the unit; the list of all images stays here."""
        return {name: value for name, value in self.__dict__.items() if name != "listing"}

    @property
    def images(self) -> bool:
        """Whether the inputs are folders of images."""
        return self.settings.kind == IMAGES

    def sources(self) -> list[Source]:
        """The clips, or the folders of images."""
        return recording_sources(self.inputs, self.listing) if self.images else super().sources()

    def plan(self) -> list[Unit]:
        """Cut the rows into shards, in their order."""
        return self._plan_images() if self.images else self._plan_sound()

    def _plan_images(self) -> list[Unit]:
        self.listing = list_recordings(self.inputs, IMAGE_SUFFIXES, "images")
        rows = image_rows(self.listing.recordings, self.out)
        height, width = self.settings.pixels
        frontend = {"kind": IMAGES, "height": height, "width": width}
        classes = sorted(rows["labels"].explode(empty_as_null=False).unique().to_list())
        self.inherited = {"classes": classes, "sample_rate": None, "clip_seconds": None, "frontend": frontend}
        contents = {image.name: image.identity for image in self.listing.recordings}
        units = block_units(rows, contents, self.settings.shard_rows, self._row_bytes(), "shard") if len(rows) else []
        return units + [Unit(item.name, "refused", item.reason) for item in self.listing.refused]

    def _plan_sound(self) -> list[Unit]:
        artifacts, settings = self.artifacts(), self.settings
        rate = inherit(settings.sample_rate, artifacts, "sample_rate")
        seconds = inherit(None, artifacts, "clip_seconds")
        if rate is None or seconds is None:
            raise IncompatibleError(f"{self.inputs[0]} doesn't say its sample rate and clip length; make it anew")
        height, width = settings.pixels
        self.front = Frontend(
            rate, seconds, settings.n_fft, settings.hop, settings.n_mels, settings.f_min, settings.f_max,
            settings.top_db, height, width, settings.normalise,
        )  # fmt: skip
        if empty := self.front.empty_filters():
            log.warning(
                "mel bands narrower than the transform's steps, which stay black: %d of %d; lower --n-mels, or raise "
                "--n-fft or --f-min", empty, settings.n_mels,
            )  # fmt: skip
        self.inherited = merged_facts(artifacts)
        contents = recording_contents(artifacts)
        return block_units(read_clips(artifacts, self.out), contents, settings.shard_rows, self._row_bytes(), "shard")

    def _row_bytes(self) -> int:
        """About how much is written for a row."""
        array = self._array()
        size = int(np.prod(array["shape"])) * np.dtype(array["dtype"]).itemsize
        return size + (round(size * PNG_SHARE) if self.settings.png else 0)

    def _array(self) -> dict[str, Any]:
        """Shape and type of one clip."""
        if self.settings.kind == "waveform":
            return {"shape": [self.front.samples], "dtype": "int16"}
        return {"shape": list(self.settings.pixels), "dtype": "uint8"}

    def facts(self) -> dict[str, Any]:
        """The input's facts, what an array holds, and how it was drawn."""
        own: dict[str, Any] = {"kind": self.settings.kind, "array": self._array()}
        if not self.images:
            own["frontend"] = self.front.to_dict() if self.settings.kind == "spectrogram" else None
        return {**self.inherited, **own}

    def work(self, unit: Unit) -> Result:
        """Make one shard; clips that can't be read are left out of it, with their copies and views."""
        if isinstance(unit.payload, str):
            raise BadInput(unit.payload)
        rows: pl.DataFrame = unit.payload
        array = self._array()
        found = np.zeros((rows.height, *array["shape"]), array["dtype"])
        failed: dict[int, str] = {}
        for places, arrays in self._pictures(rows, failed) if self.images else self._sounds(rows, failed):
            found[places] = arrays
        keep = np.setdiff1d(np.arange(rows.height), list(failed))
        if self.images:
            rejects = [Reject(rows["recording"][place], "", failed[place]) for place in sorted(failed)]
        else:
            rejects = clip_rejects(rows, failed)
        shard = int(unit.key.removeprefix("shard-"))
        if not len(keep):
            shard_path(self.out, shard).unlink(missing_ok=True)  # of an earlier run, before an update
            return Result(None, rejects)
        write_shard(self.out, shard, found[keep])
        kept = rows[keep].with_columns(
            pl.lit(shard, pl.Int32).alias("shard"), pl.Series("row", np.arange(len(keep)), pl.Int32)
        )
        if self.settings.png:
            for row, picture in zip(kept.iter_rows(named=True), found[keep], strict=True):
                _write_png(self.out / PNG / png_name(row), Image.fromarray(picture))
        return Result(kept, rejects)

    def _pictures(self, rows: pl.DataFrame, failed: dict[int, str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Places in the block and their images (1, height, width), one at a time."""
        for place, path in enumerate(rows["path"].to_list()):
            try:
                yield [place], grey_picture(self.out / path, *self.settings.pixels)[None]
            except BadInput as error:
                failed[place] = str(error)

    def _sounds(self, rows: pl.DataFrame, failed: dict[int, str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Places in the block and what is stored of their sounds, some at a time."""
        for places, waves in self._waveforms(rows, failed):
            yield places, self.front(waves) if self.settings.kind == "spectrogram" else as_int16(waves)

    def _waveforms(self, rows: pl.DataFrame, failed: dict[int, str]) -> Iterator[tuple[list[int], np.ndarray]]:
        """Places in the block and their waveforms (n, samples), some at a time, read in order of file and offset."""
        places: list[int] = []
        waves: list[np.ndarray] = []
        with ClipSound(self.out, self.front.sample_rate, self.front.clip_seconds) as source:
            order = rows.with_row_index("place").sort("path", "channel", "offset", "place")
            for row in order.iter_rows(named=True):
                try:
                    waves.append(self._sound(source, row))
                    places.append(row["place"])
                except BadInput as error:
                    failed[row["place"]] = str(error)
                if len(waves) == READ_AHEAD:
                    yield places, np.stack(waves)
                    places, waves = [], []
        if waves:
            yield places, np.stack(waves)

    def _sound(self, source: ClipSound, row: Row) -> np.ndarray:
        """A row's sound. A copy or view is made from its parent's, unless it has been written as a file already."""
        wave = source.read(row)
        if row["role"] == ORIGINAL or self.inherited.get("audio"):
            return wave
        return apply(wave, self.front.sample_rate, json.loads(row["operations"]), row["seed"])

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Draw the contact sheets and count."""
        columns = ["id", "role", "parent", "recording", "start", "labels", "operations", "number", "shard", "row"]
        table = manifest.select(columns).collect()
        sheets = self._write_sheets(table) if self.settings.sheet and not self.images else []
        if self.settings.png:
            remove_strays(self.out / PNG, {self.out / PNG / png_name(row) for row in table.iter_rows(named=True)})
        roles = dict(table["role"].value_counts().sort("role").iter_rows())
        return {"roles": roles, "shards": table["shard"].n_unique(), "contact_sheets": sheets}

    def report(self, summary: dict[str, Any]) -> str:
        """What was written, and where to look."""
        roles = ", ".join(f"{count} {role} rows" for role, count in summary["roles"].items())
        what = " x ".join(str(size) for size in self._array()["shape"])
        lines = [f"{roles} in {summary['shards']} shards, {what} {self._array()['dtype']} each"]
        if summary["contact_sheets"]:
            lines.append(f"look at {self.out / SHEETS}: one picture a class, {len(summary['contact_sheets'])} in all")
        return "\n".join(lines)

    def _write_sheets(self, table: pl.DataFrame) -> list[str]:
        originals = table.filter(pl.col("role") == ORIGINAL)
        labels = sorted(originals["labels"].explode(empty_as_null=False).drop_nulls().unique().to_list())
        groups = [(label, originals.filter(pl.col("labels").list.contains(label))) for label in labels]
        groups.append((UNLABELLED, originals.filter(pl.col("labels").list.len() == 0)))
        children = table.filter(pl.col("role") != ORIGINAL).sort("role", "number", "id")
        names = file_names([label for label, rows in groups if rows.height])
        for label, rows in groups:
            if rows.height:
                title, tiles = self._tiles(label, rows, children)
                _write_png(self.out / SHEETS / names[label], draw_sheet(title, tiles, self.front, COLUMNS))
        remove_strays(self.out / SHEETS, {self.out / SHEETS / name for name in names.values()})
        return sorted(names.values())

    def _tiles(self, label: str, rows: pl.DataFrame, children: pl.DataFrame) -> tuple[str, list[Tile | None]]:
        """Title and tiles of a class: clips spread evenly over it, each followed by some of its copies and views."""
        places = np.unique(np.linspace(0, rows.height - 1, min(self.settings.sheet, rows.height)).round().astype(int))
        shown = rows[places]
        beside = children.filter(pl.col("parent").is_in(shown["id"].to_list()))
        chosen = [
            [clip, *beside.filter(pl.col("parent") == clip["id"]).head(BESIDE).to_dicts()]
            for clip in shown.iter_rows(named=True)
        ]
        width = max(len(family) for family in chosen)
        array = self._array()
        shards = Shards(self.out, tuple(array["shape"]), array["dtype"])
        tiles = [self._tile(row, shards) for family in chosen for row in [*family, *[None] * (width - len(family))]]
        front = self.front
        title = (
            f"{label}: {len(places)} of {rows.height} clips, {front.clip_seconds:g} s, "
            f"{front.f_min:g}-{front.top_frequency:g} Hz on a mel scale"
        )
        return title, tiles

    def _tile(self, row: Row | None, shards: Shards) -> Tile | None:
        if row is None:
            return None
        found = shards.take(np.array([row["shard"]]), np.array([row["row"]]))
        if self.settings.kind == "waveform":
            found = self.front(found.astype(np.float32) / FULL_SCALE)
        detail = f"{row['start']:g} s"
        if row["role"] != ORIGINAL:
            detail += f", {row['role']} {row['number']}: {describe(json.loads(row['operations']))}"
        return Tile(found[0], row["recording"], detail)


def describe(operations: list[dict[str, Any]]) -> str:
    """A plan in words, such as "pitch +3 semitones"."""
    words = {"stretch": "stretch {rate:g}", "pitch": "pitch {semitones:+g} semitones", "noise": "noise {snr_db:g} dB"}
    return ", ".join(words[operation["name"]].format(**operation) for operation in operations)


def png_name(row: Row) -> str:
    """Where a row's picture lies under png/: its first label, then recording, second, role and identity."""
    label = row["labels"][0] if row["labels"] else UNLABELLED
    number = "" if row["role"] == ORIGINAL else f"-{row['number']}"
    recording = safe_name(Path(row["recording"]).with_suffix("").as_posix().replace("/", "_"))
    return f"{safe_name(label)}/{recording}_{row['start']:010.3f}_{row['role']}{number}_{row['id']}.png"


def safe_name(text: str) -> str:
    """A text as part of a file's name on any system."""
    return re.sub(r"[^\w.+=-]+", "-", text).strip("-.") or "x"


def file_names(labels: list[str]) -> dict[str, str]:
    """A PNG's name for each label; labels that would share one are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in labels:
        stem, number = safe_name(label), 1
        while (name := f"{stem}.png" if number == 1 else f"{stem}-{number}.png").lower() in taken:
            number += 1
        taken.add(name.lower())
        names[label] = name
    return names


def _write_png(path: Path, picture: Image.Image) -> None:
    with atomic_path(path) as part:
        picture.save(part, format="PNG")
