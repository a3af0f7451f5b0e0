"""Speed of the device's frontends and augmentations, beside the Fourier transforms alone; quality of pitch shifts.

Run:    python benchmarks/device_frontend.py [--clips 64] [--threads 1] [--device cpu] [--rounds 5]     (about 30 s)
Prints: clips of 1.51 s at 20 kHz (P2's) a second, the best of rounds that take turns, since machines are noisy, and how
many times as long it took as the transforms that it can't do without. With one thread of a CPU it's the processor's own
time that counts, as on a machine with nothing else to do. Then, for known sounds shifted by several intervals, the
distance of magnitude spectrograms to the true result (0 is perfect), beside Signalsmith and librosa.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `birdssl` does, before torch is loaded
import librosa
import numpy as np
import torch
from torch import Tensor

from birdssl.audio import augment
from birdssl.audio.device import byola, clar
from birdssl.audio.device.crops import bounds, random_starts, take_crops
from birdssl.audio.device.spectra import PRESETS, preset
from birdssl.audio.device.vocoder import pitch_shift
from birdssl.seeds import generator
from birdssl.training.precision import keep_freed_memory

RATE, SAMPLES, CLIP = 20000, 30225, 100000
BATCH = 2  # of the bare transforms: the fastest seen
INTERVALS = (-12, -5, -3, 4, 7, 12)
Way = Callable[[], object]


def transforms(waves: Tensor, n_fft: int, hop: int, passes: int = 1) -> Way:
    """The bare transforms of all frames, in small batches, neither windowed nor used."""

    def way() -> None:
        for part in waves.split(BATCH if waves.device.type == "cpu" else len(waves)):
            for _ in range(passes):
                torch.fft.rfft(part.unfold(1, n_fft, hop))

    return way


def timed(ways: dict[str, tuple[Way, str]], clips: int, rounds: int, device: torch.device) -> None:
    """Print the speed of each way, and how it compares with the limit that it names."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, (way, _) in ways.items():
            began = clock()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:  # the first only warms up
                times[name].append(clock() - began)
    best = {name: min(seconds) for name, seconds in times.items()}
    for name, (_, limit) in ways.items():
        beside = f"{best[name] / best[limit]:6.1f} x {limit}" if limit else ""
        print(f"{name:28} {clips / best[name]:8.0f} clips/s {beside}")


def speed(clips: int, rounds: int, device: torch.device) -> None:
    waves = (0.1 * torch.randn(clips, SAMPLES, generator=torch.Generator().manual_seed(0))).to(device)
    stored = (3000 * torch.randn(clips, CLIP, generator=torch.Generator().manual_seed(1))).to(torch.int16).to(device)
    limits = bounds(stored)
    ways: dict[str, tuple[Way, str]] = {}
    for name in PRESETS:
        front = preset(name, RATE, 5.0).fitted(waves[:4])
        ways[f"transforms of {name}"] = (transforms(waves, front.n_fft, front.hop), "")
        ways[f"frontend {name}"] = (lambda front=front: front.inputs(waves), f"transforms of {name}")
    uniform = torch.rand(clips, dtype=torch.float64)
    ways["random crops"] = (lambda: take_crops(stored, random_starts(limits, SAMPLES, uniform), SAMPLES), "")
    plan, _ = clar.clar_views(generator(1, "benchmark"), clips)
    mixed, _ = clar.mt_slvr_views(generator(1, "benchmark"), clips)
    ways["transforms of pitch"] = (transforms(waves, 864, 288, passes=3), "")
    for operation in clar.OPERATIONS:
        limit = "transforms of pitch" if operation in ("pitch", "stretch") else ""
        order = torch.full((clips, 1), clar.OPERATIONS.index(operation))
        single = clar.draw(generator(2, "benchmark"), order, clar.CLAR)
        ways[operation] = (lambda single=single: clar.apply(waves, single, RATE), limit)
    ways["a view of clar"] = (lambda: clar.apply(waves, plan, RATE), "transforms of pitch")
    ways["a view of mt-slvr"] = (lambda: clar.apply(waves, mixed, RATE), "transforms of pitch")
    spectra = torch.randn(clips, 1, 64, 96, device=device)
    byol = byola.draw(generator(3, "benchmark"), clips)
    partners = spectra[byol.partner.to(device)]
    ways["a view of byol-a"] = (lambda: byola.apply(spectra, partners, byol), "")
    timed(ways, clips, rounds, device)


def sounds() -> dict[str, tuple[Callable[[float], np.ndarray], float]]:
    """Known sounds as functions of a frequency, which a pitch shift multiplies, and the frequency to begin from."""
    when = np.arange(SAMPLES) / RATE

    def tone(f: float) -> np.ndarray:
        return 0.3 * np.sin(2 * np.pi * f * when)

    def vibrato(f: float) -> np.ndarray:
        phase = 2 * np.pi * f * when + 0.02 * f / 5 * np.sin(2 * np.pi * 5 * when)
        return 0.2 * sum(np.sin(k * phase) / k for k in range(1, 9) if 1.05 * k * f < RATE / 2)

    def trill(f: float) -> np.ndarray:
        place = (when % 0.07) / 0.03
        return np.where(place < 1, np.sin(np.pi * place) ** 2, 0) * np.sin(2 * np.pi * f * when)

    def knocks(f: float) -> np.ndarray:
        since = when % 0.21
        return 0.5 * np.exp(-since / 0.004) * np.sin(2 * np.pi * f * since)

    def chirps(f: float) -> np.ndarray:
        since = when % 0.3
        return 0.4 * np.sin(2 * np.pi * f * (since + since**2 / 1.2)) * np.sqrt(np.sin(np.pi * since / 0.3))

    def chord(f: float) -> np.ndarray:
        return sum(0.15 * np.sin(2 * np.pi * f * ratio * when + ratio) for ratio in (0.613, 1.0, 1.37))

    return {
        "tone": (tone, 1000), "vibrato": (vibrato, 500), "trill": (trill, 1500), "knocks": (knocks, 1500),
        "chirps": (chirps, 1000), "chord": (chord, 1100),
    }  # fmt: skip


def spectral_error(found: np.ndarray, expected: np.ndarray) -> float:
    a, b = (np.abs(librosa.stft(np.ascontiguousarray(wave), n_fft=1024)) for wave in (found, expected))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def quality() -> None:
    ways: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
        "ours": lambda wave, by: pitch_shift(torch.from_numpy(wave)[None], torch.tensor([by]), RATE)[0].numpy(),
        "Signalsmith": lambda wave, by: augment.pitch_shift(wave, RATE, by),
        "librosa": lambda wave, by: librosa.effects.pitch_shift(wave, sr=RATE, n_steps=by),
    }
    print(f"\nspectral error, mean over shifts by {', '.join(f'{by:+}' for by in INTERVALS)} semitones")
    for name, (sound, frequency) in sounds().items():
        errors = []
        for way in ways.values():
            shifts = [
                spectral_error(way(sound(frequency).astype(np.float32), by), sound(frequency * 2 ** (by / 12)))
                for by in INTERVALS
            ]
            errors.append(statistics.mean(shifts))
        print(f"{name:10}" + "   ".join(f"{way} {error:.2f}" for way, error in zip(ways, errors, strict=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    speed(options.clips, options.rounds, torch.device(options.device))
    quality()
