"""Settings of how waveforms become an encoder's input, on the device that trains."""

from typing import Literal

from birdssl.settings.base import Settings, setting
from birdssl.settings.names import PresetName


class FrontendSettings(Settings):
    """How crops of waveforms become an encoder's input; for pictures `birdssl render` has decided it already."""

    preset: PresetName | None = setting(
        None,
        "Waveforms: spectra as in a paper; default p2 (AcousticSSM), or the encoder's own (mtslvr, byol-a, speech). "
        "quick is our small one.",
    )
    channels: list[Literal["mel", "magnitude", "phase"]] | None = setting(
        None, "Waveforms: channels of the spectra: mel, magnitude, phase.", metavar="CHANNEL"
    )
    n_mels: int | None = setting(None, "Waveforms: mel bands; default the preset's.", ge=8, le=1024)
    hop: int | None = setting(None, "Waveforms: samples between spectra; default the preset's.", ge=1)
    f_max: float | None = setting(None, "Waveforms: upper end of the highest band, in Hz.", gt=0)
    crop_seconds: float | None = setting(
        None, "Waveforms: length of what the encoder sees of a clip; default the preset's.", gt=0
    )
    crops: int = setting(10, "Waveforms: evenly spaced crops that a clip's embedding is the mean of.", ge=1, le=100)
    gain: float = setting(
        6.0, "Waveforms: training crops get a random gain of up to this many dB up or down; 0 for none.", ge=0, le=60
    )
