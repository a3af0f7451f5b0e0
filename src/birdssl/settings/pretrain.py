"""Settings of `birdssl pretrain`."""

from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.names import EncoderName, ObjectiveName
from birdssl.settings.training import TrainingSettings

WEIGHTS: dict[str, tuple[str, ...]] = {
    "barlow-twins": ("redundancy",),
    "vicreg": ("invariance", "variance", "covariance"),
    "vicreg-algorithm1": ("invariance", "variance", "covariance"),
    "vicreg-equation": ("invariance", "variance", "covariance"),
}


class PretrainSettings(TrainingSettings):
    """Train an encoder on pairs of views of unlabelled clips, by Barlow Twins or VICReg.

    Inputs are directories made by `birdssl render` from clips with views (`birdssl augment --views 2`); several are
    joined, labelled or not. Clips of the test part are never used. OUT is a model for `birdssl finetune --start` and
    `birdssl embed`. The epoch with the lowest validation loss is kept.
    """

    example: ClassVar[str] = "birdssl pretrain shards -o encoder --objective vicreg --encoder simplecnn --epochs 50"

    objective: ObjectiveName = setting("vicreg", "Loss on the two views.", short="-O")
    encoder: EncoderName = setting("simplecnn", "Network to train.", short="-E")
    pool: Literal["flatten", "gap"] | None = setting(
        None, "End of simplecnn: flatten (default, P1), or gap for the mean of each of its 48 maps."
    )
    double_rescale: bool = setting(
        False, "mobilenetv3-large: rescale images a second time, as Keras' network did to P1's; an ablation."
    )
    projector_width: int = setting(512, "Outputs of each layer of the projector.", ge=2)
    projector_layers: int = setting(3, "Layers of the projector.", ge=1, le=10)
    projector_bias: bool = setting(False, "Biases in the projector's hidden layers, as VICReg's official code has.")
    redundancy: float | None = setting(None, "barlow-twins: weight of the off-diagonal term; default 0.005.", ge=0)
    invariance: float | None = setting(None, "vicreg: weight of the distance between views; default 25.", ge=0)
    variance: float | None = setting(None, "vicreg: weight of the variance term; default 25.", ge=0)
    covariance: float | None = setting(None, "vicreg: weight of the covariance term; default 1.", ge=0)
    shuffle_pairs: bool = setting(
        False, "Negative control: pair each training clip with a view of another, so that nothing can be learnt."
    )

    @model_validator(mode="after")
    def _weights_fit_objective(self) -> "PretrainSettings":
        for objective, names in WEIGHTS.items():
            for name in names:
                if getattr(self, name) is not None and name not in WEIGHTS[self.objective]:
                    own = ", ".join(self.flag(own) for own in WEIGHTS[self.objective])
                    raise ValueError(
                        f"{self.flag(name)} is a weight of {objective}; --objective {self.objective} has {own}"
                    )
        return self
