"""Settings of `birdssl pretrain`."""

from pathlib import Path
from typing import ClassVar

from birdssl.settings.base import setting
from birdssl.settings.frontend import FrontendSettings
from birdssl.settings.network import NetworkSettings
from birdssl.settings.objective import ObjectiveSettings
from birdssl.settings.training import Kept, TrainingSettings


class PretrainSettings(TrainingSettings, FrontendSettings, NetworkSettings, ObjectiveSettings):
    """Train an encoder on unlabelled clips, by any of eleven self-supervised objectives.

    Inputs are directories made by `birdssl render`, labelled or not; several are joined. Of pictures, clips need stored
    views (`birdssl augment --views 2`); of waveforms (`birdssl render --kind waveform`), views are drawn anew each
    epoch, on the device. Clips of the test part are never used. OUT is a model for `birdssl finetune --start` and
    `birdssl embed`. The epoch with the lowest validation loss is kept.
    """

    example: ClassVar[str] = "birdssl pretrain shards -o encoder --objective vicreg --encoder simplecnn --epochs 50"

    weights: Path | None = setting(
        None, "Begin with the encoder's published checkpoint, a file, instead of random weights.", metavar="FILE"
    )

    @property
    def kept_epoch(self) -> Kept:
        # BYOL's target moves, so that a lower loss in another epoch says nothing
        return self.keep or ("last" if self.objective == "byol-a" else "best")
