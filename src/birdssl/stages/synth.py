"""`birdssl synth`: recordings of invented species with the truth beside them.

OUT/recordings/SITE/FILE.wav                        named as the recorder names them
OUT/recordings/SITE/FILE.Table.1.selections.txt     Raven selection table of that recording
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from birdssl.artifacts.atomic import atomic_path, write_text
from birdssl.audio.synthesis import recorders, scene, wav
from birdssl.audio.synthesis.survey import Slot, make_survey, scene_of, schedule
from birdssl.errors import UsageError
from birdssl.settings.run import RunOptions
from birdssl.settings.synth import SynthSettings
from birdssl.stages.contract import Result, Stage, Unit

RECORDINGS = "recordings"
GENERATOR = "1"  # raised whenever the same seed comes to sound different

RECORDING_SCHEMA: dict[str, Any] = {
    "recording": pl.String,  # site folder and file name
    "path": pl.String,  # relative to the folder that holds this manifest
    "site": pl.String,
    "recorder": pl.String,  # as the files' metadata name it
    "time": pl.Datetime("ms"),  # local clock, which is UTC
    "seconds": pl.Float64,
    "sample_rate": pl.Int32,
    "calls": pl.Int32,  # in the selection table
    "faint_calls": pl.Int32,  # that sound, but stay out of the table
    "species": pl.List(pl.String),  # in the selection table
    "wind": pl.Float32,  # dB SPL
    "rain": pl.Float32,  # dB SPL; null for dry
}

COLUMNS = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Species",
    "Individual", "Distance (m)", "SNR (dB)",
)  # fmt: skip


class Synth(Stage[SynthSettings]):
    """A unit is a recording; it depends on the seed and its own name only."""

    verb: ClassVar[str] = "synth"
    owns: ClassVar[tuple[str, ...]] = (RECORDINGS,)

    def __init__(
        self, settings: SynthSettings, inputs: Sequence[Path], out: Path, options: RunOptions | None = None
    ) -> None:
        if inputs:
            raise UsageError(f"`birdssl synth` reads nothing; leave {inputs[0]} out")
        super().__init__(settings, inputs, out, options)
        self.survey = make_survey(
            settings.seed,
            species=settings.species,
            sites=settings.sites,
            recorders=settings.recorders,
            rate=settings.sample_rate,
            seconds=60 * settings.recording_minutes,
            calls_per_minute=settings.calls_per_minute,
        )

    @property
    def schema(self) -> dict[str, Any]:
        """A row a recording."""
        return RECORDING_SCHEMA

    def plan(self) -> list[Unit]:
        """The schedule, by name."""
        count = math.ceil(self.settings.hours * 60 / self.settings.recording_minutes - 1e-9)
        size = 2 * round(self.survey.seconds * self.survey.rate)
        units = [Unit(slot.path, _identity(slot), slot, size) for slot in schedule(self.survey, count)]
        return sorted(units, key=lambda unit: unit.key)

    def work(self, unit: Unit) -> Result:
        """Make one recording and its table."""
        slot: Slot = unit.payload
        plan = scene_of(self.survey, slot)
        path = self.out / RECORDINGS / slot.path
        heard = [call for call in plan.calls if call.snr >= self.settings.min_snr]
        write_text(path.with_name(f"{path.stem}.Table.1.selections.txt"), selection_table(heard))
        comment = recorders.comment(plan.recorder, plan.time, plan.celsius)
        guano = recorders.guano(plan.recorder, plan.site.name, plan.time, plan.celsius, plan.seconds, plan.rate)
        with atomic_path(path) as part, part.open("wb") as file:
            wav.write_wav(file, scene.blocks(plan), plan.frames, plan.rate, comment=comment, guano=guano)
        return Result(pl.DataFrame([_row(plan, slot, heard)], schema=RECORDING_SCHEMA))

    def facts(self) -> dict[str, Any]:
        """The species and the rate of the files."""
        return {"species": [kind.name for kind in self.survey.species], "recorded_rate": self.survey.rate}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Totals."""
        totals = manifest.select(
            pl.len().alias("recordings"), pl.col("seconds").sum() / 3600, pl.col("calls").sum()
        ).collect()  # fmt: skip
        recordings, hours, calls = totals.row(0)
        return {"recordings": recordings, "hours": hours, "calls": int(calls)}

    def report(self, summary: dict[str, Any]) -> str:
        """What was made, and what to do with it."""
        folder = self.out / RECORDINGS
        return (
            f"{summary['recordings']} recordings, {summary['hours']:.2f} hours, {summary['calls']} annotated calls of "
            f"{len(self.survey.species)} species in {folder}"
        )


def selection_table(calls: Sequence[scene.Call]) -> str:
    """Calls as a Raven selection table, tab-separated, in the order of their beginning."""
    lines = ["\t".join(COLUMNS)]
    for number, call in enumerate(calls, start=1):
        individual = call.individual
        lines.append(
            f"{number}\tSpectrogram 1\t1\t{call.start:.6f}\t{call.start + call.seconds:.6f}\t{call.low:.1f}\t"
            f"{call.high:.1f}\t{individual.species.name}\t{individual.name}\t{call.metres:.1f}\t{call.snr:.1f}"
        )
    return "\n".join(lines) + "\n"


def _identity(slot: Slot) -> str:
    return hashlib.blake2b(f"{GENERATOR} {slot.path} {slot.recorder}".encode(), digest_size=8).hexdigest()


def _row(plan: scene.Scene, slot: Slot, heard: Sequence[scene.Call]) -> dict[str, Any]:
    background = plan.background
    return {
        "recording": slot.path,
        "path": f"{RECORDINGS}/{slot.path}",
        "site": plan.site.name,
        "recorder": plan.recorder.name,
        "time": plan.time,
        "seconds": plan.frames / plan.rate,
        "sample_rate": plan.rate,
        "calls": len(heard),
        "faint_calls": len(plan.calls) - len(heard),
        "species": sorted({call.individual.species.name for call in heard}),
        "wind": background.wind,
        "rain": background.rain if math.isfinite(background.rain) else None,
    }
