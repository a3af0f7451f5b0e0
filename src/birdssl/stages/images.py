"""Images in a folder for each class, as rows of a manifest and as grey pictures of one size (`render --kind image`).

The first paper pretrained its SimpleCNN on photographs, grey and of the spectrograms' size.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image, UnidentifiedImageError

from birdssl.artifacts.manifest import ORIGINAL, clip_id, clips
from birdssl.artifacts.recordings import Recording
from birdssl.errors import BadInput

IMAGES = "image"  # kind of shards
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
# what PIL raises on damaged files of these formats; its own errors are kinds of OSError and SyntaxError
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
DEEP = ("I", "F")  # first letters of PIL's modes of more than 8 bits a channel, which it cuts off instead of scaling


def image_rows(images: list[Recording], out: Path) -> pl.DataFrame:
    """A row an image, labelled by the folder that it lies in; it is an origin of its own and has no length."""
    return clips(_row(image, out) for image in images)


def _row(image: Recording, out: Path) -> dict[str, Any]:
    return {
        "id": clip_id(image.name, 0, 0, None),
        "role": ORIGINAL,
        "recording": image.name,
        "origin": image.name,
        "start": 0.0,
        "path": os.path.relpath(image.path.resolve(), out.resolve()),
        "labels": [image.folders[-1]],
    }


def grey_picture(path: Path, height: int, width: int) -> np.ndarray:
    """An image as (height, width) uint8: grey by ITU-R 601's luma, then resized bilinearly, its shape not kept.

    So does P1's square input, and bilinear is how spectrograms are resized. Transparency is dropped. Raises BadInput
    for what isn't an image, is damaged, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.mode.startswith(DEEP):
                raise BadInput(f"has more than 8 bits a channel (PIL's mode {image.mode}); save it with 8")
            grey = image.convert("L").resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(grey)
    except UnidentifiedImageError:
        raise BadInput("is no PNG or JPEG image, whatever its name says; convert it, or remove it") from None
    except DAMAGE as error:
        reason = str(error).replace(str(path), path.name) or type(error).__name__
        raise BadInput(f"can't be read ({reason}); copy it anew, or remove it") from None
