"""Settings of `birdssl augment`."""

from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import Settings, setting


class AugmentSettings(Settings):
    """Plan copies that balance the classes, and views in pairs for self-supervised training.

    All clips of the input stay; each copy or view is a row with its operations and its seed, and becomes sound when it
    is rendered. Functions and values are those of P1: time stretch, pitch shift and white noise.

    Copies are planned for all folds at once: training with a fold held out takes the other folds' clips and as many of
    their copies as each class needs. Clips with several labels, or none, are
    neither counted nor copied. Clips of the test part get no copies, and no views unless told.
    """

    example: ClassVar[str] = "birdssl augment split -o augmented --balance max --views 2"

    balance: str = setting(
        "0", "Clips of each class in a fold's training part: a number, max (as the largest class), or 0 for no copies."
    )
    views: int = setting(0, "Views of each clip, made by different functions (2 for pairs); 0 for none.", ge=0, le=100)
    test_views: bool = setting(False, "Plan views of the test part's clips as well.")
    stretch: list[float] = setting(
        [0.7, 0.8, 0.9, 1.1, 1.2, 1.3], "Rates to stretch by, above 1 is faster; an empty list leaves it out."
    )
    pitch: list[float] = setting(
        [-12, -6, -3, 3, 6, 12], "Semitones to shift by, 12 to the octave; an empty list leaves it out."
    )
    noise: list[float] = setting(
        [2, 4, 6, 8, 10, 12], "Signal-to-noise ratios in dB to add white noise at; an empty list leaves it out."
    )
    audio: bool = setting(False, "Write each copy and view as a FLAC file, to be heard or used elsewhere.")
    seed: int = setting(1030, "Seed of what is drawn.", ge=0)

    @property
    def target(self) -> int | Literal["max"]:
        """Clips of each class: a number or "max"; 0 for no copies."""
        return "max" if self.balance == "max" else int(self.balance)

    @model_validator(mode="after")
    def _fits_together(self) -> "AugmentSettings":
        if self.balance != "max" and not self.balance.isdecimal():
            raise ValueError(f"--balance {self.balance!r}: must be a number of clips, or max")
        if not self.views and self.target == 0:
            raise ValueError("nothing to plan: give --balance N (or max), --views 2, or both")
        if self.views == 1:
            raise ValueError("--views 1: a pair needs 2; give --views 2, or 0 for none")
        functions = [values for values in (self.stretch, self.pitch, self.noise) if values]
        if self.views and len(functions) < 2:
            raise ValueError(
                "--views needs two different functions: leave two of --stretch, --pitch and --noise filled"
            )
        if not functions:
            raise ValueError("copies need a function: fill --stretch, --pitch or --noise")
        if any(not 0.25 <= rate <= 4 or rate == 1 for rate in self.stretch):
            raise ValueError("--stretch: rates must lie between 0.25 and 4, and 1 would change nothing")
        if any(not -24 <= semitones <= 24 or semitones == 0 for semitones in self.pitch):
            raise ValueError("--pitch: semitones must lie between -24 and 24, and 0 would change nothing")
        if any(not -60 <= level <= 100 for level in self.noise):
            raise ValueError("--noise: ratios must lie between -60 and 100 dB")
        return self
