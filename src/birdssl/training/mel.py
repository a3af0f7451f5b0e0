"""Encoders of log-mel spectra alone, which some methods need: their operations mean nothing on a phase."""

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder


def mel_bins(encoder: Encoder, method: str) -> int:
    """Frequencies of the one channel that `encoder` takes.

    Raises UsageError when it takes anything but spectra of one channel; `method` names what needs them.
    """
    if encoder.takes != "spectra":
        raise UsageError(
            f"{method} works on log-mel spectra and {encoder.name} takes a {encoder.takes}; choose an encoder of "
            "spectra, such as transformer"
        )
    channels, bins = encoder.expected[:2]
    if channels != 1 or bins is None:
        raise UsageError(
            f"{method} works on the mel channel alone and this {encoder.name} takes {channels} channels; give "
            "--channels mel, or a preset that has no other"
        )
    return bins
