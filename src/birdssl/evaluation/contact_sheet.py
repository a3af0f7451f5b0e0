"""A page of a class's clips as the network sees them, with axes, for a person to check."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from birdssl.audio.spectrogram import Frontend, hertz_to_mel

TICKS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000)
LEAST_PIXELS = 192  # a tile's shorter side; small pictures are enlarged by a whole factor
LEFT, BELOW, GAP, TOP = 40, 46, 10, 30  # pixels: frequency labels, time labels and caption, between tiles, title
CLOSEST = 0.06  # of the height: labels nearer than this would overlap
INK, PAPER, FAINT = 20, 255, 120
FONT_SIZE = 11


@dataclass(frozen=True)
class Tile:
    """One picture, (height, width) uint8, and two lines of text below it."""

    picture: np.ndarray
    name: str
    detail: str


def draw_sheet(title: str, tiles: Sequence[Tile | None], front: Frontend, columns: int) -> Image.Image:
    """Draw tiles in rows of `columns`, with kHz and seconds; None leaves a place empty."""
    factor = max(1, -(-LEAST_PIXELS // min(front.height, front.width)))
    width, height = front.width * factor, front.height * factor
    across, down = LEFT + width + GAP, height + BELOW
    rows = -(-len(tiles) // columns)
    sheet = Image.new("L", (columns * across + GAP, TOP + rows * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, 8), title, fill=INK, font=ImageFont.load_default(FONT_SIZE + 3))
    for place, tile in enumerate(tiles):
        if tile is not None:
            corner = (place % columns * across + LEFT, TOP + place // columns * down)
            picture = Image.fromarray(tile.picture).resize((width, height), Image.Resampling.NEAREST)
            sheet.paste(picture, corner)
            _label(draw, tile, corner, (width, height), front)
    return sheet


def _label(
    draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], size: tuple[int, int], front: Frontend
) -> None:
    """Axes and caption of one tile."""
    font = ImageFont.load_default(FONT_SIZE)
    left, top = corner
    for frequency, place in frequency_ticks(front):
        y = top + place * size[1]
        draw.line([(left - 4, y), (left - 1, y)], fill=FAINT)
        text = f"{frequency / 1000:g}k" if frequency >= 1000 else f"{frequency}"
        draw.text((left - 6, y), text, fill=FAINT, font=font, anchor="rm")
    for second, place in time_ticks(front):
        x = left + place * size[0]
        draw.line([(x, top + size[1]), (x, top + size[1] + 3)], fill=FAINT)
        draw.text((x, top + size[1] + 4), f"{second:g} s", fill=FAINT, font=font, anchor="mt" if second else "lt")
    room = size[0] + LEFT - GAP
    draw.text((left - LEFT + GAP, top + size[1] + 17), fit_text(tile.name, room, font), fill=INK, font=font)
    draw.text((left - LEFT + GAP, top + size[1] + 30), fit_text(tile.detail, room, font), fill=INK, font=font)


def frequency_ticks(front: Frontend) -> list[tuple[int, float]]:
    """Frequencies in Hz and their places, from 0 at the top of a picture to 1 at the bottom."""
    low, high = float(hertz_to_mel(front.f_min)), float(hertz_to_mel(front.top_frequency))
    ticks: list[tuple[int, float]] = []
    for frequency in TICKS_HZ:
        band = (float(hertz_to_mel(frequency)) - low) / (high - low) * (front.n_mels + 1) - 1  # its centre is whole
        place = 1 - (band + 0.5) / front.n_mels
        if 0 < place < 1 and (not ticks or ticks[-1][1] - place > CLOSEST):
            ticks.append((frequency, place))
    return ticks


def time_ticks(front: Frontend) -> list[tuple[float, float]]:
    """Seconds and their places, from 0 at the left of a picture to 1 at the right."""
    step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300) if front.clip_seconds / step <= 6), 600)
    seconds = np.arange(0, front.clip_seconds - step / 4, step)
    places = (seconds * front.sample_rate / front.hop + 0.5) / front.frames
    return [(float(round(second, 6)), float(place)) for second, place in zip(seconds, places, strict=True)]


def fit_text(text: str, room: float, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """Shorten a text from its left until it fits: the end of a file's name tells files apart."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"...{text}") > room:
        text = text[1:]
    return f"...{text}"
