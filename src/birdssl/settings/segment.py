"""Settings of `birdssl segment`."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import Settings, setting

LabelSource = Literal["none", "folder", "raven", "audacity", "csv"]
TABLES = ("raven", "audacity", "csv")


class SegmentSettings(Settings):
    """Cut recordings into clips of one length and sample rate, labelled from tables or folders, or not at all.

    Recordings are WAV, FLAC, OGG or MP3, of any rate and length; folders are walked. Each clip becomes a FLAC file, or
    only a row that refers to its recording.
    """

    example: ClassVar[str] = "birdssl segment recordings/ -o clips --label-from raven"

    sample_rate: int = setting(44100, "Sample rate of the clips, in Hz.", ge=1000, le=1_000_000, short="-r")
    clip_seconds: float = setting(3.0, "Length of a clip, in seconds.", gt=0, le=3600)
    hop_seconds: float | None = setting(
        None, "Seconds from the start of one clip to the start of the next; the clip's length where not given.", gt=0
    )
    channel: str = setting("mix", "mix (the mean of all), each (clips from every channel), or a number from 0.")
    last: Literal["pad", "drop"] = setting(
        "pad", "The rest at the end of a recording that's shorter than a clip: pad it with silence, or drop it."
    )
    min_last: float | None = setting(
        None, "Shortest rest that is padded, in seconds; a third of the clip where not given.", gt=0
    )
    reference: bool = setting(False, "Write rows that refer to the recordings, and no audio.")
    label_from: LabelSource = setting(
        "none", "Where labels come from: none, the parent folder's name, Raven or Audacity tables, or a CSV table."
    )
    labels: Path | None = setting(
        None, "The table, or a folder of tables named after their recordings; default: beside the recordings."
    )
    label_column: str | None = setting(None, "Column of a table that holds the labels, where its name isn't usual.")
    label: str | None = setting(None, "Label of all rows of tables that have no labels themselves.")
    file_column: str | None = setting(None, "Column of a table that names the recordings.")
    origin_column: str | None = setting(
        None, "Column of a CSV that says which files come from one source; default: origin, or recording."
    )
    fold_column: str | None = setting(None, "Column of a CSV that holds official folds; default: fold.")
    site_column: str | None = setting(None, "Column of a CSV that holds the sites of recordings; default: site.")
    min_overlap: float = setting(0.5, "A clip gets a label that covers at least this many seconds of it.", gt=0)
    min_overlap_fraction: float = setting(
        0.5, "A clip also gets a label when it holds at least this share of the annotation.", gt=0, le=1
    )
    mark_none: bool = setting(
        False, 'Label clips of annotated recordings that no annotation touches "none": looked at, nothing there.'
    )
    site_from: Literal["auto", "name", "folder", "none"] = setting(
        "auto",
        "Site of a recording: its name's part before the time, its folder, none, or auto: the first of these for files "
        "named as recorders name them.",
    )

    @property
    def hop(self) -> float:
        """Seconds from clip to clip."""
        return self.clip_seconds if self.hop_seconds is None else self.hop_seconds

    @property
    def shortest(self) -> float:
        """Seconds of sound in the shortest clip."""
        if self.last == "drop":
            return self.clip_seconds
        return self.clip_seconds / 3 if self.min_last is None else self.min_last

    @model_validator(mode="after")
    def _fits_together(self) -> "SegmentSettings":
        if self.channel not in ("mix", "each") and not self.channel.isdecimal():
            raise ValueError(f"--channel {self.channel!r}: must be mix, each, or a number from 0")
        if self.min_last is not None and self.min_last > self.clip_seconds:
            raise ValueError(f"--min-last {self.min_last:g} is longer than --clip-seconds {self.clip_seconds:g}")
        if self.label_from not in TABLES:
            for name in ("labels", "label", *(name for name in type(self).model_fields if name.endswith("_column"))):
                if getattr(self, name) is not None:
                    flag = self.flag(name)
                    raise ValueError(f"{flag} needs --label-from {', '.join(TABLES[:-1])} or {TABLES[-1]}")
            if self.mark_none:
                raise ValueError("--mark-none needs annotations: --label-from raven, audacity or csv")
        if self.label_from == "csv" and self.labels is None:
            raise ValueError("--label-from csv needs the table: --labels FILE.csv")
        if self.label is not None and self.label_column is not None:
            raise ValueError("--label and --label-column exclude each other; give one of them")
        return self
