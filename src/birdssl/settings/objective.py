"""Settings of what pretraining learns: the objective, its own weights, and the views that it is shown."""

from typing import Any, ClassVar

from pydantic import model_validator

from birdssl.settings.base import Settings, setting
from birdssl.settings.names import (
    OBJECTIVE_ENCODER,
    OBJECTIVE_VIEWS,
    SUPERVISED,
    EncoderName,
    ObjectiveName,
    ViewsName,
)

PROJECTOR = ("projector_width", "projector_layers", "projector_bias")
VICREG = (*PROJECTOR, "invariance", "variance", "covariance")
# the settings that each objective has of its own
OWN: dict[str, tuple[str, ...]] = {
    "barlow-twins": (*PROJECTOR, "redundancy"),
    "vicreg": VICREG,
    "vicreg-algorithm1": VICREG,
    "vicreg-equation": VICREG,
    "cola": ("projector_width", "bilinear_init"),
    "clar": ("projector_width", "bilinear_init"),
    "simclr": ("projector_width", "temperature"),
    "mt-slvr": ("projector_width", "temperature", "prediction"),
    "byol-a": ("projector_width", "ema"),
    "mockingjay": ("mask_share", "mask_span"),
    "tera": ("mask_share", "mask_span", "mask_bands", "mask_noise"),
    SUPERVISED: (),
}
ALL_OWN = tuple(dict.fromkeys(name for names in OWN.values() for name in names))


class ObjectiveSettings(Settings):
    """An objective, the encoder that it trains, and the views that it is shown."""

    title: ClassVar[str] = "What is learnt"

    objective: ObjectiveName = setting(
        "vicreg",
        "What is learnt from clips without labels; or, by supervised, the labels of those that have one.",
        short="-O",
    )
    encoder: EncoderName | None = setting(
        None, "Network to train; default the objective's own, and simplecnn for P1's.", short="-E"
    )
    views: ViewsName | None = setting(
        None,
        "Views of a clip: stored pictures; two crops (COLA); one crop augmented twice (clar), as MT-SLVR or BYOL-A do "
        "it, or left as it is (one). Default the objective's own.",
    )
    projector_width: int | None = setting(
        None, "Outputs of the projector; default 512, 128 for cola and clar, 256 for simclr, mt-slvr and byol-a.", ge=2
    )
    projector_layers: int | None = setting(
        None, "barlow-twins, vicreg: layers of the projector; default 3.", ge=1, le=10
    )
    projector_bias: bool | None = setting(
        None, "barlow-twins, vicreg: biases in the projector's hidden layers, as VICReg's official code has."
    )
    redundancy: float | None = setting(None, "barlow-twins: weight of the off-diagonal term; default 0.005.", ge=0)
    invariance: float | None = setting(None, "vicreg: weight of the distance between views; default 25.", ge=0)
    variance: float | None = setting(None, "vicreg: weight of the variance term; default 25.", ge=0)
    covariance: float | None = setting(None, "vicreg: weight of the covariance term; default 1.", ge=0)
    bilinear_init: str | None = setting(
        None, "cola, clar: start of the bilinear weights: identity (default), or normal:SD as Google's normal:0.05."
    )
    temperature: float | None = setting(None, "simclr: default 0.5; mt-slvr: 0.07.", gt=0)
    prediction: float | None = setting(
        None, "mt-slvr: weight of telling which augmentations were applied; default 1.", ge=0
    )
    ema: float | None = setting(
        None, "byol-a: share of itself that the target keeps in a step; default 0.99.", ge=0, lt=1
    )
    mask_share: float | None = setting(
        None, "mockingjay, tera: share of frames that are masked; default 0.15.", gt=0, lt=1
    )
    mask_span: int | None = setting(None, "mockingjay, tera: frames masked in a run; default 7.", ge=1)
    mask_bands: float | None = setting(None, "tera: largest share of bands that is masked; default 0.2.", ge=0, le=1)
    mask_noise: float | None = setting(
        None, "tera: probability that noise is laid over the magnitudes; default 0.15.", ge=0, le=1
    )
    shuffle_pairs: bool = setting(
        False, "Negative control: pair each training clip with a view of another, so that nothing can be learnt."
    )

    @model_validator(mode="after")
    def _weights_fit_objective(self) -> "ObjectiveSettings":
        own = OWN[self.objective]
        for name in ALL_OWN:
            if getattr(self, name) is not None and name not in own:
                others = ", ".join(objective for objective in OWN if name in OWN[objective])
                raise ValueError(
                    f"{self.flag(name)} belongs to {others}; --objective {self.objective} has "
                    f"{', '.join(self.flag(name) for name in own) or 'no weights of its own'}"
                )
        for name in ("views", "shuffle_pairs"):
            if self.objective == SUPERVISED and name in self.model_fields_set:
                raise ValueError(f"{self.flag(name)}: supervised learns from clips themselves, not views; leave it out")
        return self

    @property
    def trained_encoder(self) -> EncoderName:
        """The encoder that is named, or the objective's own."""
        return self.encoder or OBJECTIVE_ENCODER[self.objective]

    @property
    def shown_views(self) -> ViewsName:
        """The views that are named, or the objective's own of waveforms."""
        return self.views or OBJECTIVE_VIEWS[self.objective]

    def own(self) -> dict[str, Any]:
        """The objective's own settings that are given, by name."""
        return {name: getattr(self, name) for name in OWN[self.objective] if getattr(self, name) is not None}
