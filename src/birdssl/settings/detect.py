"""Settings of `birdssl detect`."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import model_validator

from birdssl.settings.base import Settings, setting


class DetectSettings(Settings):
    """Find a classifier's species in whole recordings, with times.

    Listens in windows of the model's clip length. Writes `detections.csv` for all recordings and `raven/`, a Raven
    selection table for each. A detection's score is the highest of its windows. A classifier that tells each class by
    itself (`finetune --several-labels each`) may find several in one window. Times are the recorder's local clock, with
    its UTC offset where that is known.
    """

    example: ClassVar[str] = "birdssl detect card1/ --model finetuned -o detections"

    model: Path = setting(
        ..., "Classifier to run: OUT of finetune, or OUT/classifier of fewshot.", short="-m", metavar="DIR"
    )
    hop_seconds: float | None = setting(
        None, "Seconds from one window's start to the next; the model's clip length where not given.", gt=0
    )
    threshold: float | None = setting(
        None, "Score from which a class is detected; default: the model's own for each class, or 0.5.", ge=0, le=1
    )
    merge: bool = setting(True, "Join windows of the same class that overlap or touch into one detection.")
    merge_gap: float = setting(0.0, "Join windows of the same class across a gap of up to this many seconds.", ge=0)
    ignore: list[str] = setting(["none"], "Classes that are no detections.", metavar="LABEL")
    channel: str = setting("mix", "Channel: mix (mean of all), its number from 0, or each.", metavar="mix|N|each")
    batch: int = setting(32, "Windows in one pass. Another number changes the last digits.", ge=1, le=4096)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.channel not in ("mix", "each") and not self.channel.isdecimal():
            raise ValueError(f"--channel {self.channel!r}: must be mix, each, or a channel's number from 0")
        if self.merge_gap and not self.merge:
            raise ValueError("--merge-gap is for joining windows; leave it out with --no-merge")
        return self
