"""Time from a 3-second clip to a 256 x 256 grey picture: birdssl beside librosa with PIL's PNG.

Run:    python benchmarks/render.py [CLIPS]          (about 20 s with the default of 64 clips)
Prints: clips per second of each way, and the ratio. Rounds alternate and medians are taken, since machines are noisy.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soundfile
from PIL import Image
from threadpoolctl import threadpool_limits

from birdssl.audio.decode import ClipReader
from birdssl.audio.spectrogram import Frontend

RATE, SECONDS, ROUNDS = 44100, 3.0, 5
FRONT = Frontend(RATE, SECONDS)


def write_clips(folder: Path, count: int) -> list[Path]:
    generator = np.random.default_rng(0)
    paths = [folder / f"{i:04d}.wav" for i in range(count)]
    for path in paths:
        soundfile.write(path, 0.1 * generator.standard_normal(FRONT.samples), RATE)
    return paths


def read(paths: list[Path]) -> np.ndarray:
    with ClipReader(RATE) as reader:
        return np.stack([reader.read(path, 0, SECONDS) for path in paths])


def ours_to_shard(paths: list[Path]) -> None:
    np.save(io.BytesIO(), FRONT(read(paths)))


def ours_to_png(paths: list[Path]) -> None:
    for picture in FRONT(read(paths)):
        Image.fromarray(picture).save(io.BytesIO(), format="PNG", compress_level=1)


def librosa_to_png(paths: list[Path]) -> None:
    for path in paths:
        wave, _ = librosa.load(path, sr=RATE)
        level = librosa.power_to_db(librosa.feature.melspectrogram(y=wave, sr=RATE, n_mels=256), ref=np.max)
        scaled = (255 * (level - level.min()) / (level.max() - level.min())).astype(np.uint8)[::-1]
        resized = Image.fromarray(scaled).resize((256, 256), Image.Resampling.BILINEAR)
        resized.save(io.BytesIO(), format="PNG")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        paths = write_clips(Path(name), count)
        waves = read(paths)
        ways: dict[str, Callable[[], object]] = {
            "birdssl, pictures from memory": lambda: FRONT(waves),
            "birdssl, WAV to uint8 shard": lambda: ours_to_shard(paths),
            "birdssl, WAV to PNG": lambda: ours_to_png(paths),
            "librosa + PIL, WAV to PNG": lambda: librosa_to_png(paths),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - began)
    slowest = statistics.median(times["librosa + PIL, WAV to PNG"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{name:32} {count / median:8.0f} clips/s   {slowest / median:5.1f} x librosa")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64)
