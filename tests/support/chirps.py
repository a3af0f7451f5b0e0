"""Clips of invented calls, drawn as spectrograms directly: ridges over noise, and views as P1's operations change them.

A view is the clip shifted in frequency (pitch), stretched in time about its middle, or under more noise.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, REJECTS, UNITS, StageRecord
from birdssl.artifacts.manifest import child_id, clip_id, clips
from birdssl.artifacts.shards import write_shard
from birdssl.audio.spectrogram import Frontend
from birdssl.seeds import generator

HEIGHT, WIDTH = 104, 48  # pixels; SimpleCNN needs 100 x 32
FRONT = Frontend(16000, 1.0, n_fft=512, hop=256, n_mels=64, height=HEIGHT, width=WIDTH)
SHIFTS = (-0.16, -0.12, -0.08, 0.08, 0.12, 0.16)  # of the height
STRETCHES = (0.7, 0.8, 1.2, 1.3)
Calls = list[tuple[float, float, float, float]]


def calls_of(clip: int, label: int | None = None) -> Calls:
    """Onset, length, centre frequency and slope of each call; the two labels are rising and falling ones."""
    rng = generator(7, "calls", clip)
    slopes = rng.uniform(-1, 1, 5) if label is None else np.full(5, (1.5, -1.5)[label])
    return [
        (rng.uniform(0, 0.8), rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.85), slope)
        for slope in slopes[: rng.integers(2, 6)]
    ]


def picture(calls: Calls, rng: np.random.Generator, shift: float = 0, stretch: float = 1, noise: float = 0.3) -> Any:
    """(HEIGHT, WIDTH) uint8."""
    time = np.arange(WIDTH) / WIDTH
    height = np.arange(HEIGHT)[::-1, None] / HEIGHT
    found = noise * rng.random((HEIGHT, WIDTH))
    for onset, length, centre, slope in calls:
        way = (time - 0.5 - (onset - 0.5) * stretch) / (length * stretch)
        loud = np.sqrt(np.clip(np.sin(np.pi * np.clip(way, 0, 1)), 0, 1))
        found += loud * np.exp(-(((height - centre - shift - slope * length * (way - 0.5)) / 0.015) ** 2))
    found -= found.min()
    return np.rint(found / found.max() * 255).astype(np.uint8)


def view_pictures(clip: int) -> list[Any]:
    """Two views of a clip, of two different kinds."""
    found = []
    for number, kind in enumerate(generator(7, "kinds", clip).permutation(3)[:2]):
        rng = generator(7, "view", clip, number)
        change = (
            {"shift": rng.choice(SHIFTS)},
            {"stretch": rng.choice(STRETCHES)},
            {"noise": rng.uniform(0.6, 1.2)},
        )[kind]
        found.append(picture(calls_of(clip), rng, **change))
    return found


def write_rendered(folder: Path, rows: list[dict[str, Any]], pictures: list[Any], **facts: Any) -> Path:
    """A finished directory as `birdssl render` leaves it: two shards, and these rows in order."""
    half = len(rows) // 2
    for shard, part in enumerate((pictures[:half], pictures[half:])):
        write_shard(folder, shard, np.array(part, np.uint8).reshape(-1, HEIGHT, WIDTH))
    for place, row in enumerate(rows):
        row |= {"shard": int(place >= half), "row": place - half * (place >= half)}
    table = clips(rows)
    table.write_parquet(folder / MANIFEST)
    pl.DataFrame(schema={"name": pl.String, "where": pl.String, "reason": pl.String}).write_parquet(folder / REJECTS)
    pl.DataFrame({"key": ["shard"], "identity": ["x"]}).write_parquet(folder / UNITS)
    known = {
        "kind": "spectrogram",
        "sample_rate": FRONT.sample_rate,
        "clip_seconds": FRONT.clip_seconds,
        "array": {"shape": [HEIGHT, WIDTH], "dtype": "uint8"},
        "frontend": FRONT.to_dict(),
        **facts,
    }
    counts = {"units": 1, "rows": len(rows), "rejects": 0}
    digest = f"{folder.name} {len(rows)}"
    StageRecord("render", "0", COMPLETE, {}, [], "plan", known, counts, {}, digest).write(folder)
    return folder


def clip_row(name: str, clip: int, *, per_origin: int = 2, folds: int = 0, test: bool = False) -> dict[str, Any]:
    """An original's row; `per_origin` clips in a recording, and whole recordings in a fold."""
    recording = f"{name}/{clip // per_origin:03d}.wav"
    start = float(clip % per_origin)
    return {
        "id": clip_id(recording, start, 1.0, None),
        "role": "original",
        "recording": recording,
        "origin": recording,
        "start": start,
        "seconds": 1.0,
        "padded": 0.0,
        "path": recording,
        "offset": 0,
        "test": test,
        "fold": (clip // per_origin) % folds if folds and not test else None,
    }


def child_row(parent: dict[str, Any], role: str, number: int) -> dict[str, Any]:
    return {
        **parent,
        "id": child_id(parent["id"], role, number, 1),
        "role": role,
        "parent": parent["id"],
        "number": number,
        "seed": number,
    }


def rendered_views(folder: Path, count: int, *, name: str = "card", folds: int = 0, tests: int = 0) -> Path:
    """`count` clips with two views each; the last `tests` of them are in the test part."""
    rows, pictures = [], []
    for clip in range(count):
        parent = clip_row(name, clip, folds=folds, test=clip >= count - tests)
        rows += [child_row(parent, "view", number) for number in (1, 2)]
        pictures += view_pictures(clip)
    return write_rendered(folder, rows, pictures, views=2)


def rendered_labels(
    folder: Path, count: int, *, name: str = "card", folds: int = 0, tests: int = 0, copies: int = 0, **facts: Any
) -> Path:
    """`count` clips labelled rise and fall by origins in turn, a third of the first; each with `copies` copies."""
    rows, pictures = [], []
    for clip in range(count):
        label = int((clip // 2) % 3 > 0)
        row = clip_row(name, clip, folds=folds, test=clip >= count - tests) | {"labels": [("fall", "rise")[label]]}
        made = [row] + [child_row(row, "copy", number) for number in range(1, copies + 1)]
        rows += made
        pictures += [picture(calls_of(clip, label), generator(8, clip, place)) for place in range(len(made))]
    return write_rendered(folder, rows, pictures, classes=["fall", "rise"], **facts)


def rendered_several(folder: Path, count: int, *, folds: int = 0, tests: int = 0, unlabelled: int = 0) -> Path:
    """`count` clips in turn with falling calls, rising ones, both, and neither ("none"); then clips nobody listened to.

    Two clips of a recording differ in what they hold, as they do where calls overlap.
    """
    rows, pictures = [], []
    for clip in range(count + unlabelled):
        held = [label for place, label in enumerate(("fall", "rise")) if (clip + clip // 4) >> place & 1]
        row = clip_row("card", clip, folds=folds, test=count - tests <= clip < count)
        rows.append(row | {"labels": [] if clip >= count else held or ["none"]})
        calls = [call for label in held for call in calls_of(clip, ("fall", "rise").index(label))]
        pictures.append(picture(calls, generator(9, clip)))
    return write_rendered(folder, rows, pictures, classes=["fall", "rise"])
