"""Settings of an encoder's size."""

from typing import ClassVar, Literal

from birdssl.settings.base import Settings, setting


class NetworkSettings(Settings):
    """An encoder's own options; one that the chosen encoder hasn't is refused."""

    title: ClassVar[str] = "Encoder"

    pool: Literal["flatten", "gap"] | None = setting(
        None, "End of simplecnn: flatten (default, P1), or gap for the mean of each of its 48 maps.", inherited=True
    )
    double_rescale: bool | None = setting(
        None,
        "mobilenetv3-large: rescale images a second time, as Keras' network did to P1's; an ablation.",
        inherited=True,
    )
    size: str | None = setting(
        None,
        "Encoders of waveforms: a named size; full (default) is the paper's, small and quick are for two CPU cores, "
        "wav2vec2 and hubert have others besides.",
    )
    widths: list[int] | None = setting(
        None,
        "acoustic-ssm, adapted-cnn, resnet18-adapters: channels of the four stages; default 64,128,256,512.",
        metavar="N",
    )
    ssm_layers: int | None = setting(None, "acoustic-ssm: S4D layers; default 6.", ge=1, le=64)
    ssm_state: int | None = setting(None, "acoustic-ssm: states of an S4D layer; default 64.", ge=2, le=1024)
    adapters: Literal["parallel", "series", "bn", "none"] | None = setting(
        None, "resnet18-adapters: kind of MT-SLVR's adapters for each task; default parallel."
    )
    layer_mix: Literal["weighted", "last"] | None = setting(
        None, "wav2vec2, hubert: a learnt weighting of all layers (default), or the last layer alone."
    )
