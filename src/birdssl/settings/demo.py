"""Settings of `birdssl demo`."""

from typing import ClassVar

from birdssl.settings.base import Settings


class DemoSettings(Settings):
    """Run the whole chain on recordings that birdssl makes itself, down to a report.

    Many clips without labels, few with: it makes annotated recordings, runs every stage on them while printing its
    command line, and ends with a table of a random start, Barlow Twins and VICReg on recordings that no training saw,
    beside chance and a plain baseline. Nothing is downloaded. Four minutes on two processor cores; the same command
    again goes on from where it was stopped.
    """

    example: ClassVar[str] = "birdssl demo -o birdssl-demo"
