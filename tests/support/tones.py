"""A model that tells low tones from high ones, trained in seconds, and recordings of such tones."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import soundfile
import torch

from birdssl.artifacts.artifact import COMPLETE, MANIFEST, REJECTS, UNITS, StageRecord
from birdssl.artifacts.manifest import clip_id, clips
from birdssl.audio.spectrogram import Frontend
from birdssl.models.encoder import Encoder
from birdssl.models.heads import Head, build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.seeds import generator
from birdssl.training.precision import fixed_numerics
from birdssl.training.saved_model import ModelSpec, prepare, save_model

RATE = 16_000
FRONT = Frontend(RATE, 1.0, n_fft=512, hop=250, n_mels=100, height=100, width=64)
CLASSES = ("high", "low", "none")
SEVERAL = ("high", "low")  # of a model that tells each by itself
HERTZ = {"low": 1000.0, "high": 4000.0}


def sound(seconds: float, tones: list[tuple[str, float, float]], seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Faint noise with tones in it: (class, start, end) in seconds."""
    samples = 0.003 * generator(seed, "noise").standard_normal(round(seconds * rate))
    time = np.arange(len(samples)) / rate
    for label, start, end in tones:
        samples += 0.3 * np.sin(2 * np.pi * HERTZ[label] * time) * ((time >= start) & (time < end))
    return samples.astype(np.float32)


@lru_cache(maxsize=1)
def networks() -> tuple[Encoder, Head]:
    """SimpleCNN and its head, trained on clips that a tone fills at least a third of."""
    draw = generator(1, "clips")
    waveforms, labels = [], []
    for number in range(24):
        label = CLASSES[number % 3]
        start = draw.uniform(-0.6, 0.6)
        tones = [] if label == "none" else [(label, start, start + 1)]
        waveforms.append(sound(1.0, tones, seed=number))
        labels.append(CLASSES.index(label))
    images = prepare(torch.from_numpy(FRONT(np.stack(waveforms))), ModelSpec({}).normalisation)
    with seeded_weights(2):
        encoder = build_encoder("simplecnn", height=FRONT.height, width=FRONT.width)
        head = build_head("simplecnn", encoder.features, len(CLASSES)).eval()
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=2e-3)
    with fixed_numerics(1):  # threads wait for each other where processes share the cores
        for _ in range(30):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(head(encoder(images)), torch.tensor(labels), label_smoothing=0.1)
            loss.backward()
            optimiser.step()
    return encoder.eval(), head


@lru_cache(maxsize=1)
def networks_of_several() -> tuple[Encoder, Head]:
    """The same with a sigmoid head over high and low, from clips that hold one tone, both at once, or neither."""
    draw = generator(3, "clips of several")
    waveforms, labels = [], []
    for number in range(32):
        held = [label for place, label in enumerate(SEVERAL) if number >> place & 1]
        starts = [draw.uniform(-0.6, 0.6) for _ in held]
        waveforms.append(
            sound(1.0, [(label, at, at + 1) for label, at in zip(held, starts, strict=True)], seed=50 + number)
        )
        labels.append([0.95 if label in held else 0.05 for label in SEVERAL])  # smoothed, so that scores stay below 1
    images = prepare(torch.from_numpy(FRONT(np.stack(waveforms))), ModelSpec({}).normalisation)
    with seeded_weights(2):
        encoder = build_encoder("simplecnn", height=FRONT.height, width=FRONT.width)
        head = build_head("simplecnn", encoder.features, len(SEVERAL)).eval()
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=2e-3)
    with fixed_numerics(1):
        for _ in range(60):
            optimiser.zero_grad()
            logits = head(encoder(images))
            torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(labels)).backward()
            optimiser.step()
    return encoder.eval(), head


def save_several_model(folder: Path, thresholds: dict[str, float] | None = None) -> Path:
    encoder, classifier = networks_of_several()
    spec = ModelSpec(FRONT.to_dict(), SEVERAL, thresholds=thresholds, activation="sigmoid")
    save_model(folder, encoder, classifier, spec)
    return folder


def save_tones_model(folder: Path, *, head: bool = True, thresholds: dict[str, float] | None = None) -> Path:
    encoder, classifier = networks()
    spec = ModelSpec(FRONT.to_dict(), CLASSES if head else (), thresholds=thresholds)
    save_model(folder, encoder, classifier if head else None, spec)
    return folder


def write_sound(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def write_artifact(folder: Path, verb: str, manifest: pl.DataFrame, facts: dict[str, Any]) -> Path:
    """A finished stage directory with these rows, as a stage would leave it."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest.write_parquet(folder / MANIFEST)
    pl.DataFrame(schema={"name": pl.String, "where": pl.String, "reason": pl.String}).write_parquet(folder / REJECTS)
    pl.DataFrame({"key": manifest["recording"].unique(), "identity": "contents"}).write_parquet(folder / UNITS)
    counts = {"units": 1, "rows": manifest.height, "rejects": 0}
    record = StageRecord(verb, "0", COMPLETE, {}, [], "plan", facts, counts, {}, f"digest of {folder.name} {verb}")
    record.write(folder)
    return folder


def tone_clips(folder: Path, count: int = 6, card: str = "card") -> Path:
    """Clips of one second, low and high by turns, as `segment` would leave them."""
    rows = []
    for number in range(count):
        label = ("low", "high")[number % 2]
        path = f"clips/{card}/{label}{number}.wav/0000000.000.flac"
        write_sound(folder / path, sound(1.0, [(label, 0.2, 0.9)], seed=100 + number))
        recording = f"{card}/{label}{number}.wav"
        rows.append(
            {
                "id": clip_id(recording, 0.0, 1.0, None),
                "role": "original",
                "recording": recording,
                "origin": recording,
                "start": 0.0,
                "seconds": 1.0,
                "padded": 0.0,
                "path": path,
                "offset": 0,
                "labels": [label],
                "site": "pond",
            }
        )
    return write_artifact(
        folder, "segment", clips(rows), {"sample_rate": RATE, "clip_seconds": 1.0, "classes": ["high", "low"]}
    )
