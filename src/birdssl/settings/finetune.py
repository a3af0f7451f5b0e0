"""Settings of `birdssl finetune`."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.frontend import FrontendSettings
from birdssl.settings.names import EncoderName
from birdssl.settings.network import NetworkSettings
from birdssl.settings.training import Selected, TrainingSettings


class FinetuneSettings(TrainingSettings, FrontendSettings, NetworkSettings):
    """Train a species classifier on labelled clips, from a random, an ImageNet or a pretrained start.

    Inputs are directories made by `birdssl render`. Clips of the test part are never used, and clips without a label
    are left out. With --fold, the originals of the other folds are trained on, with as many copies as `birdssl augment
    --balance` planned for them. OUT is a model for `birdssl embed`, `evaluate` and `detect`. The epoch with the best
    balanced accuracy on the held-out clips is kept.

    --several-labels each is for clips in which several species may call at once: each class is told by itself (sigmoid,
    binary cross-entropy), and no class is called "none", since clips labelled so are the negatives of all. Every
    labelled clip is trained on once, without copies. The epoch with the best macro average precision on the held-out
    clips is kept, and each class gets the threshold with the best F1 on them, which `birdssl detect` then takes.
    """

    example: ClassVar[str] = "birdssl finetune shards -o classifier --start encoder --fold 0"

    start: str = setting(
        "random", "random, imagenet, published, or the OUT of `birdssl pretrain` or `finetune`.", short="-s"
    )
    weights: Path | None = setting(
        None,
        "Weights as a file: torchvision's for --start imagenet (downloaded without it), or for --start published the "
        "encoder's published checkpoint.",
    )
    encoder: EncoderName | None = setting(
        None, "Network; default the start's, and simplecnn for a random start.", short="-E", inherited=True
    )
    imagenet_norm: bool | None = setting(
        None, "Normalise images by ImageNet's mean and deviation (not in P1); no for simplecnn.", inherited=True
    )
    freeze: bool = setting(False, "Train the head alone; the encoder stays as it started.")
    train_fraction: float = setting(
        1.0, "Share of the training clips to use, of each class, drawn before balancing.", gt=0, le=1
    )
    balance: str | None = setting(
        None, "Clips of each class, copies included: a number, or max; 0 for originals alone.", inherited=True
    )
    select: Literal["score", "last"] = setting(
        "score",
        "Which epoch's weights are kept: the best by balanced accuracy on the held-out clips (macro average precision "
        "where each class is told by itself), or the last.",
    )
    several_labels: Literal["refuse", "leave-out", "each"] = setting(
        "refuse",
        "What to do with clips of several labels: refuse or leave them out, since one label a clip is learnt, or learn "
        "to tell each class by itself.",
    )
    allow_overlap: bool = setting(
        False, "Accept a start that was trained on clips held out here (transductive); the number is recorded."
    )

    @property
    def selected(self) -> Selected:
        return self.select

    @model_validator(mode="after")
    def _balance_is_a_number_or_max(self) -> "FinetuneSettings":
        if self.balance is not None and self.balance != "max" and not self.balance.isdecimal():
            raise ValueError(f"--balance {self.balance!r}: must be a number of clips, or max")
        return self

    @model_validator(mode="after")
    def _each_has_no_balance(self) -> "FinetuneSettings":
        if self.several_labels == "each" and self.balance not in (None, "0"):
            raise ValueError(
                "--balance is for one label a clip: a copy would raise all of a clip's classes; leave it out with "
                "--several-labels each"
            )
        return self

    @model_validator(mode="after")
    def _weights_need_their_start(self) -> "FinetuneSettings":
        if self.weights is not None and self.start not in ("imagenet", "published"):
            raise ValueError(
                f"--weights is for --start imagenet or published, and the start is {self.start!r}; leave one out"
            )
        if self.start == "published" and (self.weights is None or self.encoder is None):
            raise ValueError("--start published needs --weights FILE and --encoder")
        return self
