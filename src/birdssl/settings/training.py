"""Settings that stages which train share."""

from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import Settings, setting

OptimiserName = Literal["sgd", "adam", "rmsprop", "lars"]
Selected = Literal["score", "health", "last"]


class OptimisationSettings(Settings):
    """How a network is trained: how long, in what steps, and how it computes."""

    title: ClassVar[str] = "Training"

    epochs: int = setting(100, "Passes over the training clips; 0 saves the start as it is.", ge=0, short="-e")
    batch_size: int | None = setting(
        None,
        "Clips in a batch; default P1's for its encoders (50 or 80, 30 for resnet50); for others 64, 25 to fine-tune.",
        ge=2,
        short="-b",
    )
    optimiser: OptimiserName | None = setting(
        None,
        "Default P1's: sgd (simplecnn, mobilenetv3-large), adam (resnet50), rmsprop (inceptionv3); for others P2's: "
        "adam to pretrain, sgd to fine-tune.",
    )
    learning_rate: float | None = setting(
        None,
        "Default P1's: 0.01 for sgd, 0.0001 for adam, 0.001 for rmsprop; 0.2 * batch / 256 for lars; P2's 0.006 for "
        "sgd on its encoders.",
        gt=0,
    )
    momentum: float | None = setting(None, "Default P1's: 0, but 0.9 for mobilenetv3-large and lars.", ge=0, lt=1)
    weight_decay: float | None = setting(None, "Default 0; 1e-6 for lars.", ge=0)
    schedule: Literal["constant", "cosine"] = setting(
        "constant", "Learning rate over the run: constant (P1), or a linear rise and a cosine fall."
    )
    warmup_epochs: int = setting(10, "Epochs of the rise under --schedule cosine.", ge=0)
    validate_every: int = setting(
        1, "Epochs between looks at the held-out clips, and between checkpoints; the last is always looked at.", ge=1
    )
    precision: Literal["auto", "fp32", "bf16"] = setting(
        "auto", "auto takes bf16 where the processor and the encoder gain by it, else fp32; the choice is recorded."
    )
    threads: int = setting(2, "Threads on a CPU; part of the settings, since sums depend on how they are split.", ge=1)
    memory_budget: float = setting(
        4.0, "GiB of clips to hold in the device's memory; more are read from their files.", ge=0, metavar="GIB"
    )
    seed: int = setting(1030, "Seed of everything that is drawn; 1030 is P1's.", ge=0)

    @model_validator(mode="after")
    def _warmup_needs_cosine(self) -> "OptimisationSettings":
        if self.schedule == "constant" and "warmup_epochs" in self.model_fields_set:
            raise ValueError("--warmup-epochs is for --schedule cosine; give that as well, or leave it out")
        return self

    @property
    def selected(self) -> Selected:
        """What chooses the epoch whose weights are kept. Where no part of the clips is held out it's the last."""
        return "last"


class TrainingSettings(OptimisationSettings):
    """The same, and which part of the clips chooses the epoch."""

    title: ClassVar[str] = "Training"

    fold: int | None = setting(None, "Hold out this fold to choose the epoch by; the others are trained on.", ge=0)
    validation_fraction: float = setting(
        0.1, "Without --fold: share of the clips held out, by whole origins, to choose the epoch by.", gt=0, lt=1
    )


class LabelSettings(Settings):
    """What becomes of clips that can't be learnt as they are labelled."""

    several_labels: Literal["refuse", "leave-out"] = setting(
        "refuse", "What to do with clips of several labels, since one label a clip is learnt, if any."
    )
