"""Clips to be looked at and listened to in a page: a spectrogram as WebP, and the sound as MP3."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from birdssl.artifacts.artifact import Artifact
from birdssl.audio.encode import MP3_RATES, mp3_bytes, mp3_rate
from birdssl.audio.resample import resample
from birdssl.audio.spectrogram import Frontend
from birdssl.errors import BadInput
from birdssl.evaluation.contact_sheet import frequency_ticks, time_ticks
from birdssl.stages.clip_sound import ClipSound
from birdssl.stages.portraits import columns_of

PLACE = ("recording", "path", "offset", "channel", "start", "seconds", "padded")
LOUDEST = 0.9  # of full scale, to which every clip is raised or lowered: field recordings are often too quiet to hear
STILL = 1e-4  # below this peak a clip is silence, and stays it
SLOWED = 10  # times slower that sound is played whose rate MP3 doesn't have (bats), as a time-expansion detector does
PICTURE_QUALITY = 70  # of WebP's 100: 2.7 kB for 128 x 256 pixels


@dataclass(frozen=True)
class Media:
    """Pictures and sounds of clips, by id.

    Attributes:
        pictures: WebP bytes.
        sounds: MP3 bytes.
        missing: why a clip has neither.
        slowed: how many times slower sounds play than they were.
        ceiling: frequency in Hz above which nothing is left of the sounds; None where all of it is there.
        axes: marks of the pictures' axes, all alike: `hertz` and `seconds`, each with its place from 0 to 1, from the
            top and from the left.
    """

    pictures: dict[str, bytes] = field(default_factory=dict)
    sounds: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    slowed: int = 1
    ceiling: int | None = None
    axes: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def clip_media(artifact: Artifact, ids: Sequence[str]) -> Media:
    """Media of some clips of a directory whose rows lead to sound, such as OUT of embed.

    Pictures are drawn as its model takes them, or as `birdssl render` would where it takes sound.
    """
    rate, seconds = int(artifact.facts["sample_rate"]), float(artifact.facts["clip_seconds"])
    known = artifact.facts.get("frontend") or {}
    front = Frontend.from_dict(known) if "height" in known else Frontend(sample_rate=rate, clip_seconds=seconds)
    slowed = SLOWED if rate > 2 * MP3_RATES[-1] else 1
    top = mp3_rate(rate // slowed) * slowed
    axes = {"hertz": [(float(hertz), place) for hertz, place in frequency_ticks(front)], "seconds": time_ticks(front)}
    found = Media(slowed=slowed, ceiling=top // 2 if top < rate else None, axes=axes)
    rows = columns_of(artifact, ids, *PLACE).sort("path", "offset", nulls_last=True)
    with ClipSound(artifact.path, rate, seconds) as sound:
        for row in rows.to_dicts():
            if row["path"] is None:
                found.missing[row["id"]] = "its rows don't say where the sound lies"
                continue
            try:
                wave = sound.read(row)
            except BadInput as error:
                found.missing[row["id"]] = str(error)
                continue
            found.pictures[row["id"]] = _webp(front(wave[None])[0])
            found.sounds[row["id"]] = _mp3(wave, rate // slowed)
    return found


def _webp(picture: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "WEBP", quality=PICTURE_QUALITY, method=4)
    return encoded.getvalue()


def _mp3(wave: np.ndarray, rate: int) -> bytes:
    target = mp3_rate(rate)
    played = resample(wave, rate, target)
    peak = float(np.abs(played).max(initial=0))
    return mp3_bytes(played * (LOUDEST / peak) if peak > STILL else played, target)
