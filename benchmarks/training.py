"""Training speed: each encoder, precision and memory layout, forward, backward and step, images already in memory.

Run:    python benchmarks/training.py [--encoders simplecnn,resnet50] [--size 256] [--batch 16] [--threads 2]
        python benchmarks/training.py --size 128 --encoders simplecnn --batch 50      (the demo's case, about 20 s)
Prints: images (views) a second and the ratio to plain fp32, medians over rounds that take turns, since machines are
noisy. `kept memory` is with `birdssl.training.precision.keep_freed_memory`, which can't be undone within a process, so
it's measured in a process of its own. A run also shows the whole loop, data and validation included, beside the bare
arithmetic.
"""

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `birdssl` does, before torch is loaded
import torch

from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.registry import OBJECTIVES
from birdssl.settings.names import ENCODER_NAMES
from birdssl.training.inputs import Pictures
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import build_optimiser, plan_optimiser
from birdssl.training.pairs import StoredViews
from birdssl.training.precision import fixed_numerics, keep_freed_memory
from birdssl.training.pretraining import PairNetwork, Pretraining

STEPS = 2  # in a round
WAYS = [
    (precision, layout)
    for precision in ("fp32", "bf16")
    for layout in (torch.contiguous_format, torch.channels_last)
]  # fmt: skip
NAMES = {torch.contiguous_format: "contiguous", torch.channels_last: "channels-last"}


class Bench:
    """One way of training one encoder by VICReg, ready to take steps."""

    def __init__(self, name: str, size: int, batch: int, precision: str, layout: torch.memory_format) -> None:
        torch.manual_seed(0)
        encoder = build_encoder(name, height=size, width=size)
        self.network = PairNetwork(encoder, Projector(encoder.features, 512), OBJECTIVES["vicreg"]())
        self.network.to(memory_format=layout)  # type: ignore[call-overload]
        optimiser = build_optimiser(plan_optimiser(name, batch), self.network)
        self.fabric = make_fabric(torch.device("cpu"), precision)
        self.forward, self.stepper = self.fabric.setup(self.network, optimiser)
        self.views = torch.rand(2, batch, 1, size, size)

    def step(self) -> None:
        loss, _ = self.network.objective(*self.forward(*self.views))
        self.fabric.backward(loss)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)


def bare(name: str, size: int, batch: int, rounds: int) -> None:
    """Print the speed of every way, in turns."""
    ways = {(precision, NAMES[layout]): Bench(name, size, batch, precision, layout) for precision, layout in WAYS}
    times: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, bench in ways.items():
            began = time.perf_counter()
            for _ in range(STEPS):
                bench.step()
            if turn:  # the first warms up
                times[way].append(time.perf_counter() - began)
    speeds = {way: 2 * batch * STEPS / statistics.median(found) for way, found in times.items()}
    plain = speeds["fp32", "contiguous"]
    for (precision, layout), speed in speeds.items():
        print(
            f"{name:18} {size} px, batch {batch}: {precision} {layout:14} {speed:7.1f} images/s {speed / plain:6.2f} x"
        )


def whole(name: str, size: int, batch: int, precision: str) -> None:
    """Print the speed of the loop itself: ten batches an epoch, one batch of validation, checkpoints."""
    torch.manual_seed(0)
    images = Pictures.of(torch.randint(0, 256, (22 * batch, size, size), dtype=torch.uint8))
    rows = torch.arange(images.count).view(-1, 2)
    encoder = build_encoder(name, height=size, width=size)
    network = PairNetwork(encoder, Projector(encoder.features, 512), OBJECTIVES["vicreg"]())
    task = Pretraining(
        network, StoredViews(images, rows[: 10 * batch], 0), StoredViews(images, rows[10 * batch :], 0), batch
    )
    plan = TrainingPlan(2, batch, 0, plan_optimiser(name, batch), drop_last=True)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        train(task, plan, make_fabric(torch.device("cpu"), precision), Path(folder))
        seconds = time.perf_counter() - began
    trained = 2 * 2 * 10 * batch
    print(
        f"{name:18} {size} px, batch {batch}: {precision} whole loop     {trained / seconds:7.1f} images/s trained on"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=",".join(ENCODER_NAMES))
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kept-memory", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.kept_memory:
        keep_freed_memory()
    print("kept memory" if options.kept_memory else "the system's allocator", flush=True)
    with fixed_numerics(options.threads):
        for name in options.encoders.split(","):
            bare(name, options.size, options.batch, options.rounds)
            for precision in ("fp32", "bf16"):
                whole(name, options.size, options.batch, precision)
    if not options.kept_memory:
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--kept-memory"], check=True)


if __name__ == "__main__":
    main()
