"""Settings of `birdssl pretrain`."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.frontend import FrontendSettings
from birdssl.settings.names import SUPERVISED
from birdssl.settings.network import NetworkSettings
from birdssl.settings.objective import ObjectiveSettings
from birdssl.settings.training import LabelSettings, Selected, TrainingSettings


class PretrainSettings(TrainingSettings, FrontendSettings, NetworkSettings, ObjectiveSettings, LabelSettings):
    """Train an encoder on unlabelled clips, by any of eleven self-supervised objectives, or on labelled ones.

    Inputs are directories made by `birdssl render`, labelled or not; several are joined. Of pictures, clips need stored
    views (`birdssl augment --views 2`); of waveforms (`birdssl render --kind waveform`), views are drawn anew each
    epoch, on the device. Clips of the test part are never used. OUT is a model for `birdssl finetune --start` and
    `birdssl embed`. The epoch with the lowest validation loss is kept, unless --select says otherwise.

    With --objective supervised the labels of clips are learnt, or those of images that lie in a folder for each class:
    `birdssl render IMAGES --kind image -o images`, `birdssl pretrain images -o encoder --objective supervised
    --batch-size 256`, `birdssl finetune shards --start encoder`, all of one --size. So the first paper started its
    SimpleCNN from photographs.
    """

    example: ClassVar[str] = "birdssl pretrain shards -o encoder --objective vicreg --encoder simplecnn --epochs 50"

    weights: Path | None = setting(
        None, "Begin with the encoder's published checkpoint, a file, instead of random weights.", metavar="FILE"
    )

    select: Literal["loss", "health", "last"] | None = setting(
        None,
        "Which epoch's weights are kept: that of the lowest validation loss (default), the one whose encoder finds the "
        "most held-out clips by their other view (health), or the last (default for byol-a, whose loss means something "
        "else in every epoch).",
    )

    @property
    def selected(self) -> Selected:
        # BYOL's target moves, so that a lower loss in another epoch says nothing
        chosen = self.select or ("last" if self.objective == "byol-a" else "loss")
        return "score" if chosen == "loss" else chosen

    @model_validator(mode="after")
    def _health_needs_views(self) -> "PretrainSettings":
        if self.objective == SUPERVISED and self.select == "health":
            raise ValueError(
                "--select health looks for a clip's other view, and supervised has none; give loss, or last"
            )
        return self

    @model_validator(mode="after")
    def _labels_are_for_supervised(self) -> "PretrainSettings":
        if self.objective != SUPERVISED and "several_labels" in self.model_fields_set:
            raise ValueError(
                f"--several-labels is for --objective supervised, and {self.objective} learns no labels; leave it out"
            )
        return self
