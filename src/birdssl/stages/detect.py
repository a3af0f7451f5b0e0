"""`birdssl detect`: a classifier over whole recordings.

OUT/manifest.parquet     one row a detection
OUT/detections.csv       the same for spreadsheets and R
OUT/raven/<recording>.Table.1.selections.txt    for Raven, also where nothing was found
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from birdssl.artifacts.atomic import atomic_path, write_text
from birdssl.artifacts.detections import Detection, merge, raven_table, window_starts
from birdssl.artifacts.recordings import Listing, Recording, Refused, list_recordings
from birdssl.audio.decode import AUDIO_SUFFIXES, AudioFile, ClipReader, probe
from birdssl.audio.recorders import Provenance, provenance
from birdssl.errors import BadInput, IncompatibleError, UsageError
from birdssl.evaluation.thresholds import DEFAULT_THRESHOLD
from birdssl.settings.detect import DetectSettings
from birdssl.stages.contract import Result, Source, Stage, Unit
from birdssl.stages.frontends import band
from birdssl.stages.inference import Network, model_source, open_network
from birdssl.stages.recording_inputs import chosen_channels, complaint, recording_sources
from birdssl.training.devices import choose_device

log = logging.getLogger(__name__)

CSV, RAVEN = "detections.csv", "raven"
TABLE_BYTES = 4096  # about what a recording's tables take, for --dry-run

DETECTION_SCHEMA: dict[str, Any] = {
    "recording": pl.String,  # <input folder>/<path in it>
    "channel": pl.Int16,  # 0-based; null is the mean of all channels
    "start": pl.Float64,  # s from the start of the recording
    "end": pl.Float64,
    "time": pl.Datetime("ms"),  # local clock at the start of the detection
    "utc_offset": pl.Int16,  # minutes east of UTC; null is unknown
    "label": pl.String,
    "score": pl.Float32,  # highest score of its windows
    "windows": pl.Int32,  # how many windows it joins
    "site": pl.String,
    "recorder": pl.String,
}


class Detect(Stage[DetectSettings]):
    """A unit is a recording. Windows are read and scored a batch at a time, so memory doesn't grow with its length."""

    verb: ClassVar[str] = "detect"
    owns: ClassVar[tuple[str, ...]] = (CSV, RAVEN)
    _device: str
    _digest: str
    _listing: Listing = Listing([], [])

    def __getstate__(self) -> dict[str, Any]:
        """Workers get their recording with the unit; the list of all recordings stays here."""
        return {**self.__dict__, "_listing": Listing([], [])}

    @property
    def schema(self) -> dict[str, Any]:
        """A row a detection."""
        return DETECTION_SCHEMA

    def sources(self) -> list[Source]:
        """The input folders, the folder that all files given by name lie in, and the model."""
        return [*recording_sources(self.inputs, self._listing), model_source(self.settings.model)]

    def plan(self) -> list[Unit]:
        """The recordings by name, files that can't be recordings among them: these are rejected."""
        self._device = str(choose_device(self.options.device))
        self._digest = model_source(self.settings.model).digest
        network = self._network()
        if not network.classes:
            raise IncompatibleError(
                f"{self.settings.model} has no head, so it names no classes; run `birdssl finetune` with it on "
                "labelled clips first"
            )
        self._check(network)
        self._listing = listing = list_recordings(self.inputs, AUDIO_SUFFIXES)
        units = [Unit(item.name, f"{item.identity} {self._digest}", item, TABLE_BYTES) for item in listing.recordings]
        units += [Unit(item.name, "refused", item) for item in listing.refused]
        return sorted(units, key=lambda unit: unit.key)

    def _warn_of_low_rates(self, rate: int) -> None:
        """Say which recordings lack the upper part of what the model knows; a file that can't be read is a reject.

        At the end, since it opens every file: a run that finds its work done needn't.
        """
        rates: Counter[int] = Counter()
        for item in self._listing.recordings:
            with contextlib.suppress(BadInput, OSError):
                rates[probe(item.path).rate] += 1
        for found, count in sorted(rates.items()):
            if found < rate:
                log.warning(
                    "%d of %d recordings have %d Hz and the model was trained at %d Hz: they hold nothing above %d Hz, "
                    "so what it says of them is doubtful",
                    count, len(self._listing.recordings), found, rate, found // 2,
                )  # fmt: skip

    def _network(self) -> Network:
        return open_network(self.settings.model, self._digest, self._device)

    def _check(self, network: Network) -> None:
        """Settings against the model: the hop must leave no gaps, and ignored classes should exist."""
        hop, length = self.settings.hop_seconds, network.frontend.clip_seconds
        if hop is not None and hop > length:
            raise UsageError(
                f"--hop-seconds {hop:g} is longer than the model's clips of {length:g} s: "
                "what lies between would be missed"
            )
        unknown = [label for label in self.settings.ignore if label not in (*network.classes, "none")]
        if unknown:
            raise UsageError(f"--ignore {unknown[0]!r}: the model's classes are {', '.join(network.classes)}")

    def facts(self) -> dict[str, Any]:
        """Classes, thresholds and windows."""
        network = self._network()
        return {
            "kind": "detections",
            "classes": list(network.classes),
            "thresholds": self._thresholds(network),
            "clip_seconds": network.frontend.clip_seconds,
            "hop_seconds": self.settings.hop_seconds or network.frontend.clip_seconds,
        }

    def work(self, unit: Unit) -> Result:
        """Score one recording and write its Raven table."""
        path = self.out / RAVEN / f"{unit.payload.name}.Table.1.selections.txt"
        path.unlink(missing_ok=True)  # an update may find the recording broken by now
        if isinstance(unit.payload, Refused):
            raise BadInput(unit.payload.reason)
        recording: Recording = unit.payload
        try:
            found = self._found(recording)
            rows = _rows(recording, found)
        except BadInput as error:
            raise BadInput(complaint(error, recording)) from None
        write_text(path, raven_table(found, *band(self._network().frontend)))
        return Result(rows)

    def _found(self, recording: Recording) -> list[Detection]:
        """Detections in all channels that are listened to, in order of time."""
        channels = chosen_channels(self.settings.channel, probe(recording.path).channels, recording)
        return sorted(
            (item for channel in channels for item in self._heard(self._network(), recording, channel)),
            key=lambda item: (item.start, item.label, -1 if item.channel is None else item.channel),
        )

    def _heard(self, network: Network, recording: Recording, channel: int | None) -> list[Detection]:
        """Detections in one channel, joined unless told otherwise."""
        seconds = _exact_seconds(recording.path)
        length = network.frontend.clip_seconds
        starts = window_starts(seconds, length, self.settings.hop_seconds or length)
        limits = self._thresholds(network)
        hits: list[Detection] = []
        for begins, scores in self._scored(network, recording.path, channel, seconds, starts):
            for start, row in zip(begins, scores, strict=True):
                end = min(start + length, seconds)
                hits += [
                    Detection(start, end, label, float(score), 1, channel)
                    for label, score in zip(network.classes, row, strict=True)
                    if label in limits and score >= limits[label]
                ]
        return merge(hits, self.settings.merge_gap) if self.settings.merge else hits

    def _scored(
        self, network: Network, path: Path, channel: int | None, seconds: float, starts: list[float]
    ) -> Iterator[tuple[list[float], np.ndarray]]:
        """Starts of windows and their scores (windows, classes), a batch at a time."""
        front, length, batch = network.frontend, network.frontend.clip_seconds, self.settings.batch
        rate = probe(path).rate
        with ClipReader(front.sample_rate) as reader:
            for first in range(0, len(starts), batch):
                begins = starts[first : first + batch]
                clips = [
                    reader.read(path, round(start * rate), length, channel, padded=max(0.0, start + length - seconds))
                    for start in begins
                ]
                scores = network.run(network.stored(np.stack(clips)), "encoder", batch).scores
                assert scores is not None, "plan refuses models without a head"
                yield begins, scores

    def _thresholds(self, network: Network) -> dict[str, float]:
        """The score from which each class counts; ignored classes are left out."""
        own = network.model.spec.thresholds or {}
        given = self.settings.threshold
        return {
            label: own.get(label, DEFAULT_THRESHOLD) if given is None else given
            for label in network.classes
            if label not in self.settings.ignore
        }

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Write detections.csv and count detections by class."""
        self._warn_of_low_rates(self._network().frontend.sample_rate)
        times = pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%S%.3f")
        with atomic_path(self.out / CSV) as part:
            manifest.with_columns(times, offset_text(), pl.col("score").round(4)).collect().write_csv(part)
        counts = manifest.group_by("label").len().sort("len", "label", descending=[True, False]).collect()
        return {"detections": dict(counts.iter_rows())}

    def report(self, summary: dict[str, Any]) -> str:
        """How many of each class, and where the tables are."""
        counts = summary["detections"]
        listed = "\n".join(f"{count:8d}  {label}" for label, count in counts.items()) or "       0  detections"
        return f"{listed}\n{self.out / CSV}; a Raven table for each recording in {self.out / RAVEN}"


def _exact_seconds(path: Path) -> float:
    """Length of what can be decoded. An MP3's header may count up to a second more, so MP3 is decoded once for it."""
    with AudioFile(path) as audio:
        info = audio.info
        frames = sum(len(block) for block in audio.blocks()) if info.format == "MP3" else info.frames
    return frames / info.rate


def offset_text() -> pl.Expr:
    """Minutes east of UTC as ISO 8601 writes them, such as "+01:00"."""
    minutes = pl.col("utc_offset").cast(pl.Int32)
    sign = pl.when(minutes < 0).then(pl.lit("-")).otherwise(pl.lit("+"))
    two = [part.cast(pl.String).str.zfill(2) for part in (minutes.abs() // 60, minutes.abs() % 60)]
    return pl.format("{}{}:{}", sign, *two).alias("utc_offset")


def _rows(recording: Recording, found: list[Detection]) -> pl.DataFrame:
    """Detections with their absolute times."""
    try:
        known = provenance(recording.path, recording.folders)
    except OSError as error:
        raise BadInput(f"{recording.path}: can't be read ({error.strerror})") from None
    return pl.DataFrame([_row(recording, known, item) for item in found], schema=DETECTION_SCHEMA, orient="row")


def _row(recording: Recording, known: Provenance, item: Detection) -> dict[str, Any]:
    return {
        "recording": recording.name,
        "channel": item.channel,
        "start": item.start,
        "end": item.end,
        "time": known.time + timedelta(seconds=item.start) if known.time else None,
        "utc_offset": known.utc_offset,
        "label": item.label,
        "score": item.score,
        "windows": item.windows,
        "site": known.site,
        "recorder": known.recorder,
    }
