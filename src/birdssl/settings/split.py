"""Settings of `birdssl split`."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import Settings, setting


class SplitSettings(Settings):
    """Hold out a test part and divide the rest into folds, by origin, so that no source of sound is on two sides.

    Classes are spread evenly over the parts. Official folds come from the input's table (`--official`) or another one
    (`--folds-from`). For sets with few origins, `--repeats 20 --repeat 1` to `--repeat 20` are independent hold-outs,
    each its own OUT.
    """

    example: ClassVar[str] = "birdssl split clips -o split --folds 5"

    test_fraction: float = setting(
        0.1, "Share of the clips in the test part; each class with two origins gets at least one there.", ge=0, lt=1
    )
    folds: int = setting(5, "Folds in the training part, numbered from 0; 0 for none.", ge=0, le=1000)
    group: Literal["origin", "site", "day", "none"] = setting(
        "origin", "What stays on one side: all clips of an origin (a recording or its source), of a site, or of a day."
    )
    official: bool = setting(False, "Take the folds that `segment` read from a table, instead of drawing.")
    folds_from: Path | None = setting(None, "Take the folds of recordings from this CSV table, instead of drawing.")
    file_column: str | None = setting(None, "Column of that table that names the recordings.")
    fold_column: str | None = setting(None, "Column of that table that holds the folds; default: fold.")
    test_fold: list[int] = setting([], "Official folds that are the test part; none: each fold is held out in turn.")
    repeats: int | None = setting(None, "Number of independent hold-outs in the whole design.", ge=2, le=10000)
    repeat: int | None = setting(None, "Which of them this is, from 1.", ge=1)
    seed: int = setting(1030, "Seed of the draw; P1 used 1030.", ge=0)

    @property
    def drawn(self) -> bool:
        """Whether parts are drawn, not official."""
        return not self.official and self.folds_from is None

    @model_validator(mode="after")
    def _fits_together(self) -> "SplitSettings":
        if self.folds == 1:
            raise ValueError("--folds 1: one fold leaves nothing to train on; use 0 for none, or at least 2")
        if self.official and self.folds_from is not None:
            raise ValueError("--official and --folds-from exclude each other; give one of them")
        if self.drawn and self.test_fold:
            raise ValueError("--test-fold needs official folds: --official or --folds-from")
        if self.folds_from is None and (self.file_column or self.fold_column):
            raise ValueError("--file-column and --fold-column need --folds-from")
        if not self.drawn:
            for name in ("test_fraction", "folds", "group", "repeats", "repeat"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{self.flag(name)} is for drawn parts; official folds are taken as they are")
        if (self.repeats is None) != (self.repeat is None):
            raise ValueError("--repeats and --repeat belong together: --repeats 20 --repeat 3 is the third of twenty")
        if self.repeat is not None and self.repeats is not None and self.repeat > self.repeats:
            raise ValueError(f"--repeat {self.repeat}: must be at most --repeats {self.repeats}")
        if self.drawn and self.test_fraction == 0 and self.folds == 0:
            raise ValueError("--test-fraction 0 and --folds 0 leave nothing to split; give one of them")
        return self
