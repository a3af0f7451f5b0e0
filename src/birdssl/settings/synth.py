"""Settings of `birdssl synth`."""

from typing import ClassVar

from birdssl.settings.base import Settings, setting


class SynthSettings(Settings):
    """Make annotated field recordings: invented birds and frogs at several sites, with the truth in Raven tables.

    Nothing is downloaded and nothing is recorded: voices, distance, weather, insects and recorders are computed from
    the seed. Each recording is made in blocks, so hours don't cost memory.
    """

    example: ClassVar[str] = "birdssl synth -o recordings --hours 1 --species 8"

    hours: float = setting(1.0, "Hours of sound in all; rounded up to whole recordings.", gt=0, le=1e6)
    recording_minutes: float = setting(1.0, "Minutes in each recording.", ge=0.05, le=360, short="-m")
    sites: int = setting(4, "Places, each with its residents, trees, insects and hum.", ge=1, le=500)
    recorders: int = setting(4, "Recorder units of three makes; they share the sites or take turns.", ge=1, le=500)
    species: int = setting(10, "Species that call; neighbours in the list are hard to tell apart.", ge=1, le=24)
    sample_rate: int = setting(48000, "Samples a second of the recordings.", ge=22050, le=96000, metavar="HZ")
    calls_per_minute: float = setting(8.0, "Mean number of calls in a minute of recording.", ge=0, le=200)
    min_snr: float = setting(
        -6.0, "Calls fainter than this against the background in their band stay out of the tables.", metavar="DB"
    )
    seed: int = setting(1030, "Seed of everything that is drawn.", ge=0)
