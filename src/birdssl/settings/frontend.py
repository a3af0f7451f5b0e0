"""Settings of how waveforms become an encoder's input, on the device that trains."""

from typing import ClassVar, Literal

from birdssl.settings.base import Settings, setting
from birdssl.settings.names import PresetName


class FrontendSettings(Settings):
    """How crops of waveforms become an encoder's input; for pictures `birdssl render` has decided it already."""

    title: ClassVar[str] = "Sound as input, of `birdssl render --kind waveform`"

    preset: PresetName | None = setting(
        None,
        "Spectra as in a paper; default p2 (AcousticSSM), or the encoder's own (mtslvr, byol-a, speech). "
        "quick is our small one.",
    )
    channels: list[Literal["mel", "magnitude", "phase"]] | None = setting(
        None, "Channels of the spectra: mel, magnitude, phase.", metavar="CHANNEL"
    )
    n_mels: int | None = setting(None, "Mel bands; default the preset's.", ge=8, le=1024)
    hop: int | None = setting(None, "Samples between spectra; default the preset's.", ge=1)
    f_max: float | None = setting(None, "Upper end of the highest band, in Hz.", gt=0)
    crop_seconds: float | None = setting(None, "Length of what the encoder sees of a clip; default the preset's.", gt=0)
    crops: int = setting(10, "Evenly spaced crops that a clip's embedding is the mean of.", ge=1, le=100)
    gain: float = setting(
        6.0, "Training crops get a random gain of up to this many dB up or down; 0 for none.", ge=0, le=60
    )
