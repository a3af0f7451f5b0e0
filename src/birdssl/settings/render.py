"""Settings of `birdssl render`."""

from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import Settings, setting

PIXELS = 256  # P1
OF_SOUND = ("sample_rate", "n_fft", "hop", "n_mels", "f_min", "f_max", "top_db", "normalise", "sheet")


class RenderSettings(Settings):
    """Draw clips, copies and views as grey mel spectrograms, or write them as waveforms, for training to read fast.

    Arrays lie in shards of many clips, memory-mapped by what reads them. A contact sheet for each class shows what the
    network will see: look at it before training.

    With --kind image the inputs are folders of PNG and JPEG images instead, IMAGES/CLASS/IMAGE, which become grey
    pictures of one size, labelled by the folder that each lies in, for `birdssl pretrain --objective supervised`.
    """

    example: ClassVar[str] = "birdssl render augmented -o shards --size 128"

    kind: Literal["spectrogram", "waveform", "image"] = setting(
        "spectrogram",
        "What to write of each clip: an 8-bit picture, or its 16-bit samples; image takes images instead, in grey.",
    )
    sample_rate: int | None = setting(
        None, "Sample rate of the clips, in Hz.", ge=1000, le=1_000_000, short="-r", inherited=True
    )
    n_fft: int = setting(2048, "Samples of the window and the Fourier transform.", ge=16, le=1 << 20)
    hop: int = setting(512, "Samples from one spectrum to the next.", ge=1)
    n_mels: int = setting(256, "Mel bands.", ge=1, le=4096)
    f_min: float = setting(0.0, "Lower end of the lowest band, in Hz.", ge=0)
    f_max: float | None = setting(
        None, "Upper end of the highest band, in Hz; half the sample rate if not given.", gt=0
    )
    top_db: float = setting(80.0, "Range shown below a clip's loudest point, in dB.", gt=0, le=200)
    normalise: Literal["clip", "range"] = setting(
        "clip", "What is black: the clip's quietest point, or what lies top-db below its loudest."
    )
    size: int | None = setting(None, "Height and width of a picture, in pixels, in one.", ge=8, le=4096, short="-s")
    height: int | None = setting(None, f"Height of a picture, in pixels; {PIXELS} if not given.", ge=8, le=4096)
    width: int | None = setting(None, f"Width of a picture, in pixels; {PIXELS} if not given.", ge=8, le=4096)
    shard_rows: int = setting(
        512, "Rows in one shard, the unit of work; a clip's copies and views stay with it.", ge=1, le=1_000_000
    )
    png: bool = setting(False, "Write each picture as a PNG file as well, in a folder for each class.")
    sheet: int = setting(12, "Clips of each class on its contact sheet; 0 for no sheets.", ge=0, le=200)

    @property
    def pixels(self) -> tuple[int, int]:
        """Height and width."""
        return self.height or self.size or PIXELS, self.width or self.size or PIXELS

    @model_validator(mode="after")
    def _fits_together(self) -> "RenderSettings":
        if self.size is not None and (self.height is not None or self.width is not None):
            raise ValueError("--size sets height and width in one; give it, or --height and --width")
        of_sound = [name for name in OF_SOUND if name in self.model_fields_set]
        if self.kind == "image" and of_sound:
            raise ValueError(f"{self.flag(of_sound[0])} is for sound; leave it out with --kind image")
        if self.png and self.kind == "waveform":
            raise ValueError("--png draws spectrograms; leave it out with --kind waveform")
        if self.hop > self.n_fft:
            raise ValueError(
                f"--hop {self.hop} is longer than --n-fft {self.n_fft}: sound between windows would be lost"
            )
        return self
