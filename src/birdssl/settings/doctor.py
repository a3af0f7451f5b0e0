"""Settings of `birdssl doctor`."""

from typing import ClassVar

from birdssl.settings.base import Settings, setting


class DoctorSettings(Settings):
    """Check whether this machine and its packages are fit for the work, and name the cure for what isn't.

    It looks at Python, the packages and whether they import, torch with torchaudio and torchvision, devices, audio
    formats, memory and disk. The exit code is 0 when all is well and 1 when something needs a cure.
    """

    example: ClassVar[str] = "birdssl doctor"

    json_summary: bool = setting(False, "Print one JSON object on stdout instead of text.", key="json")
