"""Settings of `birdssl embed`."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from birdssl.settings.base import Settings, setting

ROLES = ("original", "copy", "view")


class EmbedSettings(Settings):
    """Turn clips into vectors: one row a clip, with its labels, split, site and time.

    Reads clips (of segment, split or augment, drawn as the model's own frontend draws them) or shards (of render). The
    manifest of OUT has a column `embedding` (32-bit floats, one length for all) and, where the model has a head,
    `scores`: softmax over its classes, which `stage.json` lists in order under facts.
    """

    example: ClassVar[str] = "birdssl embed clips --model finetuned -o embedded"

    model: Path | None = setting(None, "Model to run: OUT of pretrain or finetune.", short="-m", metavar="DIR")
    features: Literal["mel-statistics"] | None = setting(
        None, "Plain features instead of a model: mean and deviation over time of each row of the spectrogram."
    )
    layer: Literal["penultimate", "encoder"] | None = setting(
        None, "What is written of a model: by default the penultimate layer, or the encoder where there is no head."
    )
    roles: list[str] = setting(["original"], "Rows to embed: original, copy, view.", metavar="ROLE")
    batch: int = setting(32, "Clips in one pass. Another number changes the last digits.", ge=1, le=4096)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.model is None) == (self.features is None):
            raise ValueError("give either --model DIR or --features mel-statistics")
        if self.layer is not None and self.model is None:
            raise ValueError("--layer is for --model; leave it out with --features")
        unknown = [role for role in self.roles if role not in ROLES]
        if unknown or not self.roles:
            raise ValueError(f"--roles {', '.join(unknown)!r}: choose one or several of {', '.join(ROLES)}")
        return self
