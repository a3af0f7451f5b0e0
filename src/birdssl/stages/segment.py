"""`birdssl segment`: recordings to clips of one length and sample rate, labelled or not.

OUT/clips/RECORDING/000003.000.flac    16-bit FLAC of the clip that starts at 3 s, `_ch1` after it for one channel
OUT/annotations.parquet                every annotation that was read, with the recording it means, or why it means none
"""

import hashlib
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from birdssl.artifacts.annotations import Annotation, Columns
from birdssl.artifacts.artifact import table_digest
from birdssl.artifacts.atomic import atomic_path, write_table
from birdssl.artifacts.labelling import NOTHING, Labels, label_clips, read_labels
from birdssl.artifacts.manifest import ORIGINAL, clip_id, clips
from birdssl.artifacts.recordings import Listing, Recording, list_recordings
from birdssl.audio.cutting import Cut, count_cuts, cut_blocks
from birdssl.audio.decode import AUDIO_SUFFIXES, SEEKABLE, AudioFile, probe
from birdssl.audio.encode import flac_bytes
from birdssl.audio.recorders import Provenance, provenance
from birdssl.audio.resample import ResampleStream
from birdssl.errors import BadInput
from birdssl.settings.run import RunOptions
from birdssl.settings.segment import TABLES, SegmentSettings
from birdssl.stages.contract import Result, Source, Stage, Unit
from birdssl.stages.recording_inputs import chosen_channels, complaint, recording_sources

log = logging.getLogger(__name__)

CLIPS, ANNOTATIONS = "clips", "annotations.parquet"
FLAC_SHARE = 0.6  # of the bytes of 16-bit samples; field recordings measured 0.45 to 0.7
ROW_BYTES = 200  # of a manifest row
ANNOTATION_SCHEMA: dict[str, Any] = {
    "recording": pl.String,  # null where the annotation means none of the input's
    "label": pl.String,
    "start": pl.Float64,  # s; null is the whole recording
    "end": pl.Float64,
    "low": pl.Float64,  # Hz
    "high": pl.Float64,
    "source": pl.String,  # table:line
    "named": pl.String,  # the file as the table names it
    "unmatched": pl.String,  # why no recording is meant
}


@dataclass(frozen=True)
class Task:
    """All that a worker needs to know of one recording."""

    recording: Recording
    marks: tuple[Annotation, ...] = ()
    annotated: bool = False
    origin: str | None = None
    fold: int | None = None
    site: str | None = None
    problem: str = ""  # why the recording can't be used, where that's known before it's read


@dataclass(frozen=True)
class Piece:
    """A clip before it has labels: which channel, where it starts, and where its samples lie."""

    channel: int | None
    number: int
    padded: float  # s
    path: str
    offset: int


class Segment(Stage[SegmentSettings]):
    """A unit is a recording."""

    verb: ClassVar[str] = "segment"
    owns: ClassVar[tuple[str, ...]] = (CLIPS, ANNOTATIONS)

    def __init__(
        self, settings: SegmentSettings, inputs: Sequence[Path], out: Path, options: RunOptions | None = None
    ) -> None:
        super().__init__(settings, inputs, out, options)
        self.cut = Cut(
            settings.sample_rate, settings.clip_seconds, settings.hop, settings.last == "pad", settings.shortest
        )
        self._listing = Listing([], [])
        self._labels = Labels()
        self._classes: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Workers get their recording with the unit; the lists of all recordings and labels stay here."""
        return {**self.__dict__, "_listing": Listing([], []), "_labels": Labels()}

    def plan(self) -> list[Unit]:
        """One unit a recording, sorted by name; reads names, headers and annotation tables."""
        self._listing = list_recordings(self.inputs, AUDIO_SUFFIXES)
        self._labels = self._read_labels()
        _warn_of_leftovers(self._labels, self._listing.recordings)
        tasks = [self._task(recording) for recording in self._listing.recordings]
        if self.settings.label_from == "folder":
            self._classes = sorted({mark.label for task in tasks for mark in task.marks} - {NOTHING})
        else:
            self._classes = self._labels.classes
        units = self._units(tasks)
        units += [
            Unit(item.name, "refused", Task(Recording(item.name, item.path, 0, ""), problem=item.reason))
            for item in self._listing.refused
        ]
        return sorted(units, key=lambda unit: unit.key)

    def _read_labels(self) -> Labels:
        settings = self.settings
        if settings.label_from not in TABLES:
            return Labels()
        columns = Columns(settings.label_column, settings.file_column, settings.origin_column, settings.fold_column,
                          settings.site_column, settings.label)  # fmt: skip
        return read_labels(settings.label_from, settings.labels, self._listing.recordings, columns)

    def _task(self, recording: Recording) -> Task:
        labels, name = self._labels, recording.name
        if self.settings.label_from == "folder":
            return Task(recording, (Annotation(None, recording.folders[-1], None, None, None, None, "folder"),))
        row = labels.files.get(name)
        marks = tuple(labels.marks[name]) if name in labels.marks else ()
        problem = complaint(labels.unusable[name], recording) if name in labels.unusable else ""
        task = Task(recording, marks, name in labels.annotated, problem=problem)
        return replace(task, origin=row.origin, fold=row.fold, site=row.site) if row else task

    def _units(self, tasks: list[Task]) -> list[Unit]:
        """Units with the bytes they'll write, from the files' headers; says which rates are upsampled, once each."""
        rates: Counter[int] = Counter()
        beyond: list[Annotation] = []
        units = []
        for task in tasks:
            size = 0
            if not task.problem:
                try:
                    info = probe(task.recording.path)
                except BadInput as error:
                    task = Task(task.recording, problem=complaint(error, task.recording))
                else:
                    rates[info.rate] += 1
                    beyond += [mark for mark in task.marks if mark.start is not None and mark.start >= info.seconds]
                    size = self._bytes(info.seconds, info.channels)
            units.append(Unit(task.recording.name, _identity(task), task, size))
        if beyond:
            log.warning(
                "%d annotations begin after their recording has ended, so they label nothing (first: %s, at %g s); are "
                "their times those of this recording?", len(beyond), beyond[0].source, beyond[0].start,
            )  # fmt: skip
        for rate, count in sorted(rates.items()):
            if rate < self.settings.sample_rate:
                log.warning(
                    "%d of %d recordings are upsampled from %d Hz to %d Hz: they hold nothing above %d Hz; "
                    "--sample-rate %d would keep all they have",
                    count, len(tasks), rate, self.settings.sample_rate, rate // 2, rate,
                )  # fmt: skip
        return units

    def _bytes(self, seconds: float, channels: int) -> int:
        count = seconds / self.settings.hop * (channels if self.settings.channel == "each" else 1)
        clip = 0.0 if self.settings.reference else self.cut.length * 2 * FLAC_SHARE
        return round(count * (clip + ROW_BYTES))

    def sources(self) -> list[Source]:
        """The input folders, the folder that all files given by name lie in, and the table of labels."""
        found = recording_sources(self.inputs, self._listing)
        table = self.settings.labels
        if table is not None:
            found.append(Source(table, None, table_digest(table) if table.is_file() else ""))
        return found

    def facts(self) -> dict[str, Any]:
        """What the clips are like."""
        return {
            "sample_rate": self.settings.sample_rate,
            "clip_seconds": self.settings.clip_seconds,
            "hop_seconds": self.settings.hop,
            "classes": self._classes,
        }

    def work(self, unit: Unit) -> Result:
        """Cut one recording. Nothing of it is left when it proves to be broken, even at its end."""
        task: Task = unit.payload
        if task.problem:
            raise BadInput(task.problem)
        folder = self.out / CLIPS / task.recording.name
        shutil.rmtree(folder, ignore_errors=True)
        try:
            made = provenance(task.recording.path, task.recording.folders[:-1] if self._by_folder else
                              task.recording.folders, self.settings.site_from)  # fmt: skip
            pieces = list(self._refer(task) if self.settings.reference else self._write(task))
        except (BadInput, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError) and error.filename != os.fspath(task.recording.path):
                raise  # the disk that is written to, not the recording
            raise BadInput(complaint(error, task.recording)) from None
        if not pieces:
            raise BadInput(
                f"{task.recording.name}: is too short: the shortest clip is {self.settings.shortest:g} s of sound"
            )
        return Result(clips(self._rows(task, pieces, made)))

    @property
    def _by_folder(self) -> bool:
        return self.settings.label_from == "folder"

    def _write(self, task: Task) -> Iterator[Piece]:
        """Write the clips of a recording as FLAC files, one block of it in memory at a time."""
        rate = self.settings.sample_rate
        with AudioFile(task.recording.path) as audio:
            for channel in chosen_channels(self.settings.channel, audio.info.channels, task.recording):
                blocks = _resampled(audio, channel, rate)
                for number, samples, padded in cut_blocks(blocks, self.cut):
                    path = f"{CLIPS}/{task.recording.name}/{self._file(number, channel)}"
                    with atomic_path(self.out / path) as part:
                        part.write_bytes(flac_bytes(samples, rate))
                    yield Piece(channel, number, padded / rate, path, 0)

    def _file(self, number: int, channel: int | None) -> str:
        suffix = "" if self.settings.channel != "each" else f"_ch{channel}"
        return f"{number * self.settings.hop:010.3f}{suffix}.flac"

    def _refer(self, task: Task) -> Iterator[Piece]:
        """List the clips of a recording; only a format whose header can't be trusted is decoded to know its length."""
        path = os.path.relpath(task.recording.path.resolve(), self.out.resolve())
        with AudioFile(task.recording.path) as audio:
            info = audio.info
            frames = info.frames if info.format in SEEKABLE else sum(len(block) for block in audio.blocks())
            cut = Cut(info.rate, self.cut.seconds, self.cut.hop, self.cut.pad, self.cut.min_last)
            for channel in chosen_channels(self.settings.channel, info.channels, task.recording):
                for number, padded in count_cuts(frames, cut):
                    yield Piece(channel, number, padded / info.rate, path, cut.start(number))

    def _rows(self, task: Task, pieces: list[Piece], made: Provenance) -> list[dict[str, Any]]:
        settings, name = self.settings, task.recording.name
        starts = [round(piece.number * settings.hop, 6) for piece in pieces]
        sounding = {start: start + settings.clip_seconds - piece.padded
                    for start, piece in zip(starts, pieces, strict=True)}  # fmt: skip
        spans = sorted(sounding.items())  # each once, whatever the number of channels
        found, touched = label_clips(spans, task.marks, settings.min_overlap, settings.min_overlap_fraction)
        if settings.mark_none and task.annotated:
            found = [labels or ([] if met else [NOTHING]) for labels, met in zip(found, touched, strict=True)]
        labels = {start: clip_labels for (start, _), clip_labels in zip(spans, found, strict=True)}
        return [
            {
                "id": clip_id(name, start, settings.clip_seconds, piece.channel),
                "role": ORIGINAL,
                "recording": name,
                "origin": task.origin or name,
                "channel": piece.channel,
                "start": start,
                "seconds": settings.clip_seconds,
                "padded": round(piece.padded, 6),
                "path": piece.path,
                "offset": piece.offset,
                "labels": labels[start],
                "site": task.site or made.site,
                "recorder": made.recorder,
                "time": _later(made, start),
                "utc_offset": made.utc_offset,
                "fold": task.fold,
            }
            for start, piece in zip(starts, pieces, strict=True)
        ]

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Write the annotations as they were understood, and count the clips of each label."""
        if self.settings.label_from in TABLES:
            write_table(self.out / ANNOTATIONS, _annotation_table(self._labels))
        table = manifest.select("recording", "labels", "seconds", "padded").collect()
        counts = table["labels"].explode(empty_as_null=False).value_counts().sort("labels")
        return {
            "recordings": table["recording"].n_unique(),
            "clips": table.height,
            "hours": round(float((table["seconds"] - table["padded"]).sum()) / 3600, 6),
            "unlabelled": int((table["labels"].list.len() == 0).sum()),
            "labels": dict(counts.iter_rows()),
            "annotations": self._labels.count,
            "annotations_without_recording": len(self._labels.unmatched),
        }

    def report(self, summary: dict[str, Any]) -> str:
        """Clips of each label, for a person."""
        if not summary:
            return ""
        lines = [f"{summary['clips']} clips of {summary['recordings']} recordings, {summary['hours']:.2f} h of sound"]
        width = max((len(label) for label in summary["labels"]), default=0)
        lines += [f"  {label:<{width}}  {count:6}" for label, count in summary["labels"].items()]
        if summary["labels"] and summary["unlabelled"]:
            lines.append(f"  {summary['unlabelled']} clips without a label")
        return "\n".join(lines)


def _resampled(audio: AudioFile, channel: int | None, rate: int) -> Iterator[np.ndarray]:
    stream = ResampleStream(audio.info.rate, rate)
    for block in audio.blocks(channel=channel):
        yield stream.push(block)
    yield stream.finish()


def _later(made: Provenance, start: float) -> Any:
    """Local clock at the start of a clip, to the millisecond."""
    if made.time is None:
        return None
    return made.time + np.timedelta64(round(start * 1000), "ms").item()


def _identity(task: Task) -> str:
    """Digest of what a unit's rows depend on; where in its table an annotation stands is not part of it."""
    marks = [(mark.label, mark.start, mark.end) for mark in task.marks]
    values = (task.recording.identity, marks, task.annotated, task.origin, task.fold, task.site, task.problem)
    return hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()


def _warn_of_leftovers(labels: Labels, recordings: Sequence[Recording]) -> None:
    """Say aloud, with counts, what the tables hold that no clip will show."""
    if labels.chosen:
        log.info("columns of the tables: %s", ", ".join(sorted(labels.chosen)))
    if labels.unmatched:
        row, reason = labels.unmatched[0]
        log.warning("%d annotations mean no recording of the input (first: %s, %s, which %s); %s lists them",
                    len(labels.unmatched), row.source, row.recording or "no file", reason, ANNOTATIONS)  # fmt: skip
    if labels.orphans:
        log.warning("%d tables are named after no recording of the input (first: %s)", len(labels.orphans),
                    labels.orphans[0])  # fmt: skip
    if labels.unlabelled:
        known = any(text.startswith("label from ") for text in labels.chosen)
        cure = "" if known else "; no column of labels is known: name it with --label-column, or give --label TEXT"
        log.warning("%d rows of the tables have no label; they were left out%s", labels.unlabelled, cure)
    if labels.by_name_only:
        log.info("%d files in the tables were found by name: their folder or ending differs", labels.by_name_only)
    if labels.tables and (bare := len(recordings) - len(labels.annotated)):
        log.warning("%d of %d recordings have no annotation; their clips are unlabelled", bare, len(recordings))


def _annotation_table(labels: Labels) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = [
        (name, mark.label, mark.start, mark.end, mark.low, mark.high, mark.source, mark.recording, None)
        for name, marks in sorted(labels.marks.items())
        for mark in marks
    ]
    for row, reason in labels.unmatched:
        what = (row.label, row.start, row.end, row.low, row.high) if isinstance(row, Annotation) else (None,) * 5
        rows.append((None, *what, row.source, row.recording, reason))
    return pl.DataFrame(rows, schema=ANNOTATION_SCHEMA, orient="row")
