"""Which frontend an encoder is given, and whether what is stored fits the encoder."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from birdssl.audio.device.spectra import CHANNELS, PRESETS, Spectra, preset
from birdssl.audio.device.waveform import Waveforms
from birdssl.audio.encode import as_int16
from birdssl.audio.spectrogram import Frontend as PictureFrontend
from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.settings.frontend import FrontendSettings
from birdssl.settings.names import ENCODER_INPUT, ENCODER_PRESET
from birdssl.stages.images import IMAGES
from birdssl.training.waveforms import Frontend

log = logging.getLogger(__name__)

PICTURES = "spectrogram"  # kind of shards; the others are "waveform" and IMAGES
AnyFrontend = PictureFrontend | Frontend


def holds_pictures(facts: dict[str, Any]) -> bool:
    """Whether shards of these facts hold pictures, of sound or of anything else, and not waveforms."""
    return facts["kind"] in (PICTURES, IMAGES)


def takes_pictures(made: dict[str, Any]) -> bool:
    """Whether a model with this frontend, as model.json has it, takes pictures: of sound, or of anything else."""
    return made.get("kind") in (None, IMAGES)


def waveform_frontend(settings: FrontendSettings, encoder: str, facts: dict[str, Any]) -> Frontend:
    """The frontend that the settings ask for, for waveforms of `facts`; its statistics aren't fitted yet.

    Where nothing else is said, a preset's crop is as long as the clip at most, its highest band ends by half the sample
    rate, and an encoder of pictures is given the mel channel alone. Raises UsageError for what doesn't fit.
    """
    rate, seconds = int(facts["sample_rate"]), float(facts["clip_seconds"])
    if settings.crop_seconds is not None and settings.crop_seconds > seconds:
        raise UsageError(
            f"--crop-seconds {settings.crop_seconds:g} is longer than the clips, which are {seconds:g} s; "
            "give less, or cut longer clips"
        )
    if ENCODER_INPUT[encoder] == "waveform":
        _refuse_spectra_settings(settings, encoder)
        crop = settings.crop_seconds or min(Waveforms(rate, seconds).crop_seconds, seconds)
        return Waveforms(rate, seconds, crop, settings.crops)
    name = settings.preset or ENCODER_PRESET.get(encoder, "p2")
    usual = PRESETS[name]
    crop = settings.crop_seconds or min(usual.get("crop_seconds", Spectra(rate, seconds).crop_seconds), seconds)
    top = settings.f_max or usual.get("f_max")
    if top is not None and settings.f_max is None and top > rate / 2:
        top = None
    changes: dict[str, Any] = {"crop_seconds": crop, "crops": settings.crops, "f_max": top}
    changes |= {name: value for name in ("n_mels", "hop") if (value := getattr(settings, name)) is not None}
    if settings.channels is not None:
        changes["channels"] = tuple(name for name in CHANNELS if name in settings.channels)
    elif ENCODER_INPUT[encoder] == "picture":
        changes["channels"] = ("mel",)
    made = preset(name, rate, seconds, **changes)
    if empty := made.empty_filters():
        log.warning(
            "mel bands narrower than the transform's steps, which stay silent: %d of %d; lower --n-mels",
            empty,
            made.n_mels,
        )
    return made


def _refuse_spectra_settings(settings: FrontendSettings, encoder: str) -> None:
    for name in ("preset", "channels", "n_mels", "hop", "f_max"):
        if getattr(settings, name) is not None:
            raise UsageError(f"{settings.flag(name)} is for spectra, and {encoder} takes sound itself; leave it out")


def check_length(encoder: Encoder, frontend: Frontend | None, masks: int = 1) -> None:
    """Raises IncompatibleError for crops that are too short for an encoder, or for masks that need some frames."""
    if frontend is None:
        return
    if isinstance(frontend, Waveforms):
        length, unit = round(frontend.crop_seconds * frontend.encoder_rate), "samples"
    else:
        length, unit = frontend.frames, "frames"
    if length < encoder.shortest:
        raise IncompatibleError(
            f"a crop of {frontend.crop_seconds:g} s makes {length} {unit}, and {encoder.name} needs {encoder.shortest}"
            "; give a longer --crop-seconds"
        )
    if length < masks:
        raise IncompatibleError(
            f"a crop of {frontend.crop_seconds:g} s makes {length} {unit}, and masks of {masks - 1} need {masks}; give "
            "a longer --crop-seconds, or a shorter --mask-span"
        )


def started_frontend(settings: FrontendSettings, made: dict[str, Any], start: str) -> Frontend:
    """The frontend of the model that training starts from: it can't be another, but for the number of test crops.

    Raises UsageError for settings that would change it.
    """
    given = [name for name in FrontendSettings.model_fields if name in settings.model_fields_set]
    changing = [name for name in given if name not in ("crops", "gain")]
    if changing:
        raise UsageError(f"{settings.flag(changing[0])}: the start {start} brings its own frontend; leave it out")
    if takes_pictures(made):
        raise IncompatibleError(
            f"{start} takes pictures, and the input holds waveforms; run `birdssl render` without --kind waveform, or "
            "start from another model"
        )
    frontend = read_frontend(made)
    return replace(frontend, crops=settings.crops) if "crops" in given else frontend


def read_frontend(made: dict[str, Any]) -> Frontend:
    """A frontend of waveforms from what model.json says of it."""
    return Waveforms.from_dict(made) if made.get("kind") == Waveforms.kind else Spectra.from_dict(made)


def any_frontend(made: dict[str, Any]) -> AnyFrontend:
    """A frontend from what model.json says of it: of pictures where it names no kind.

    Raises IncompatibleError for a model of images, which has learnt nothing of how sound becomes a picture.
    """
    if made.get("kind") == IMAGES:
        raise IncompatibleError(
            "the model has learnt from images, so it doesn't say how sound becomes a picture; `birdssl finetune SHARDS "
            "--start MODEL` gives it the way of your clips, and with --epochs 0 leaves its encoder as it is"
        )
    return read_frontend(made) if "kind" in made else PictureFrontend.from_dict(made)


def stored(frontend: AnyFrontend, waves: np.ndarray) -> np.ndarray:
    """Waveforms (B, samples) float32 as a model with this frontend takes them: as `birdssl render` stores.

    (B, height, width) uint8 pictures, or (B, samples) int16.
    """
    return frontend(waves) if isinstance(frontend, PictureFrontend) else as_int16(waves)


def stored_shape(frontend: AnyFrontend) -> tuple[tuple[int, ...], str]:
    """Shape and type of one stored clip."""
    if isinstance(frontend, PictureFrontend):
        return (frontend.height, frontend.width), "uint8"
    return (frontend.samples,), "int16"


def band(frontend: AnyFrontend) -> tuple[float, float]:
    """Lowest and highest frequency that a model hears, Hz."""
    if isinstance(frontend, Waveforms):
        return 0.0, min(frontend.sample_rate, frontend.encoder_rate) / 2
    return frontend.f_min, frontend.top_frequency


def refuse_frontend_settings(settings: FrontendSettings, stored: str) -> None:
    """Raises UsageError for settings of waveforms' frontends that are given where pictures are stored."""
    given = [name for name in FrontendSettings.model_fields if name in settings.model_fields_set]
    if given:
        raise UsageError(
            f"{settings.flag(given[0])} is for waveforms, and {stored} holds pictures that are drawn already; leave it "
            "out, or run `birdssl render --kind waveform`"
        )


def input_options(encoder: str, frontend: Frontend | None, shape: tuple[int, ...]) -> dict[str, int]:
    """What an encoder is built with for its input: `frontend` of waveforms, or pictures of `shape`.

    Raises IncompatibleError, which says why, where the encoder takes something else.
    """
    takes = ENCODER_INPUT[encoder]
    if frontend is None:
        if takes != "picture":
            wanted = "waveforms" if takes == "waveform" else "spectra made of waveforms"
            raise IncompatibleError(
                f"{encoder} takes {wanted}, and the input holds pictures; run `birdssl render --kind waveform`"
            )
        height, width = shape
        return {"height": height, "width": width}
    if takes == "waveform" or isinstance(frontend, Waveforms):
        return {}
    if takes == "picture":
        if len(frontend.channels) != 1:
            raise IncompatibleError(
                f"{encoder} takes pictures of one channel, and the frontend gives {', '.join(frontend.channels)}; "
                "give --channels mel"
            )
        return {"height": frontend.n_mels, "width": frontend.frames}
    return frontend.encoder_options
