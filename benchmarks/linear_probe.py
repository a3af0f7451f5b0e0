"""Choose and fit a linear probe, over the span of its training rows and over all features: processor time in turns.

    python benchmarks/linear_probe.py [--clips 300] [--classes 8] [--rounds 3]

The embeddings are an untrained SimpleCNN's of invented clips, 27,360 values each. Takes a minute on two cores.
"""

import argparse
import statistics
import time
from functools import partial
from unittest import mock

import numpy as np
import torch

from birdssl.evaluation import baseline
from birdssl.evaluation.standard import Standard
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder

SIDE, BATCH = 256, 50


def embeddings(clips: int, classes: int) -> tuple[np.ndarray, list[str]]:
    """(clips, features) float32 of pictures with a few tones in noise, and each clip's class."""
    random = np.random.default_rng(1030)
    codes = np.arange(clips) % classes
    tones = random.integers(20, SIDE - 20, (classes, 3))
    pictures = random.normal(0.3, 0.1, (clips, 1, SIDE, SIDE)).astype(np.float32)
    for picture, code in zip(pictures, codes, strict=True):
        begin = random.integers(0, SIDE // 2)
        for tone in tones[code] + random.integers(-8, 9, 3):
            picture[0, tone : tone + 3, begin : begin + SIDE // 2] += random.uniform(0.05, 0.3)
    with seeded_weights(1030):
        encoder = build_encoder("simplecnn", height=SIDE, width=SIDE).eval()
    with torch.inference_mode():
        parts = [encoder(torch.from_numpy(pictures[start : start + BATCH])) for start in range(0, clips, BATCH)]
    return torch.cat(parts).numpy(), [f"class {code}" for code in codes]


def over_all_features(vectors: np.ndarray, *, spanned: bool = False) -> Standard:
    """As it was before: `spanned` is not listened to."""
    return Standard(vectors)


def main() -> None:
    """Take turns, and print both medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("clips", 300), ("classes", 8), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    vectors, labels = embeddings(asked.clips, asked.classes)
    fit = partial(baseline.fit_probe, "linear", vectors, labels, [str(clip) for clip in range(len(labels))], 1030)
    seconds: dict[str, list[float]] = {"over the span": [], "over all features": []}
    for _ in range(asked.rounds):
        for (way, taken), standard in zip(seconds.items(), (Standard, over_all_features), strict=True):
            with mock.patch.object(baseline, "Standard", standard):
                begin = time.process_time()
                facts = fit().facts
                taken.append(time.process_time() - begin)
            print(f"{way}: {taken[-1]:.1f} s, strength {facts['strength']:g}")
    span, every = (statistics.median(taken) for taken in seconds.values())
    print(f"{len(labels)} clips of {vectors.shape[1]} features, {asked.classes} classes: {every / span:.1f} times")


if __name__ == "__main__":
    main()
