"""AcousticSSM's training step beside the arithmetic it can't do without, and the choices its layout was made by.

Run:    python benchmarks/acoustic_ssm.py step [--size full] [--bins 128] [--frames 119] [--batch 16] [--threads 2]
        python benchmarks/acoustic_ssm.py step --size quick --bins 64 --frames 60 --batch 64
        python benchmarks/acoustic_ssm.py layouts       (convolution over frequency, six ways; about a minute)
        python benchmarks/acoustic_ssm.py kernels       (S4D's kernel, three ways, with their errors)
        python benchmarks/acoustic_ssm.py transforms    (convolution over time, four ways)
Prints: medians over rounds in which all contestants take turns, since machines are noisy, and the CPU time (all
threads) beside the clock: on a busy machine read that one, with --threads 1. `step` records every matrix product,
convolution and Fourier transform of a real step and does them again alone: convolutions as matrix products of the same
size ("products"), and as the library's own operation ("operations"). Runs on CUDA where there is one (--device).
"""

import argparse
import collections
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `birdssl` does, before torch is loaded
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from birdssl.models.acoustic_ssm import SIZES, acoustic_ssm
from birdssl.models.causal_convolution import causal_convolution, transform_length
from birdssl.models.s4d import S4D, discretised, taps
from birdssl.training.loop import make_fabric
from birdssl.training.precision import fixed_numerics, keep_freed_memory

Work = Callable[[], object]
aten = torch.ops.aten
PEAK = 4096  # rows and columns of the matrix product that the peak is measured with
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def compare(contestants: dict[str, Work], rounds: int, device: torch.device) -> dict[str, tuple[float, float]]:
    """Median milliseconds by the clock and of CPU time, all contestants in turns, after one round to warm up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, work in contestants.items():
            began, used = time.perf_counter(), time.process_time()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:
                seconds[name].append((time.perf_counter() - began, time.process_time() - used))
    return {
        name: (1e3 * statistics.median(a for a, _ in took), 1e3 * statistics.median(b for _, b in took))
        for name, took in seconds.items()
    }


def show(found: dict[str, tuple[float, float]], base: str) -> None:
    for name, (wall, cpu) in found.items():
        more, used = wall / found[base][0], cpu / found[base][1]
        print(f"  {name:44} {wall:9.2f} ms {more:6.2f} x   CPU {cpu:9.2f} ms {used:6.2f} x")


# A training step, and its bare arithmetic


class Trainer:
    """AcousticSSM with Adam as `birdssl pretrain` sets it up, and one batch of inputs."""

    def __init__(self, options: argparse.Namespace, device: torch.device, precision: str) -> None:
        torch.manual_seed(0)
        encoder = acoustic_ssm(channels=3, bins=options.bins, **SIZES[options.size])
        encoder.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fabric = make_fabric(device, precision)
        self.network, self.optimiser = self.fabric.setup(encoder, torch.optim.Adam(encoder.parameters(), 1e-4))
        self.inputs = torch.randn(options.batch, 3, options.bins, options.frames, device=device)
        self.towards = torch.randn(options.batch, encoder.features, device=device)

    def step(self) -> None:
        self.fabric.backward((self.network(self.inputs) * self.towards).mean())
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)


class Recorder(TorchDispatchMode):
    """Every convolution, matrix product and Fourier transform, with its arguments' shapes, strides and types."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, list[Any]]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.overloadpacket in HEAVY:
            self.calls.append((function, [_blank(value) for value in args]))
        return function(*args, **(kwargs or {}))


def _blank(value: Any) -> Any:
    """A tensor of the same kind that holds no graph; anything else as it is."""
    return torch.randn_like(value) if isinstance(value, Tensor) else value


PRODUCTS = (aten.mm, aten.addmm, aten.bmm)
TRANSFORMS = (aten._fft_r2c, aten._fft_c2r)
HEAVY = (aten.convolution, aten.convolution_backward, *PRODUCTS, *TRANSFORMS)


def operations(calls: list[tuple[Any, list[Any]]], kinds: tuple[Any, ...]) -> Work:
    """The recorded calls of these kinds once more, as they were."""
    chosen = [(function, args) for function, args in calls if function.overloadpacket in kinds]
    return lambda: [function(*args) for function, args in chosen] and None


def products(calls: list[tuple[Any, list[Any]]]) -> Work:
    """The recorded convolutions as matrix products of the same size and type, and the matrix products."""
    pairs: list[tuple[Tensor, Tensor]] = []
    for function, args in calls:
        if function.overloadpacket is aten.convolution:
            weight, rows = args[1], _outputs(args[0], args[1], args[3], args[4])
            pairs.append(_matrices(rows, weight[0].numel(), weight.shape[0], weight))
        elif function.overloadpacket is aten.convolution_backward:
            gradient, weight, wanted = args[0], args[2], args[-1]
            rows, inner, width = gradient[:, 0].numel(), weight[0].numel(), weight.shape[0]
            if wanted[0]:
                pairs.append(_matrices(rows, width, inner, weight))
            if wanted[1]:
                pairs.append(_matrices(inner, rows, width, weight))
    others = operations(calls, PRODUCTS)

    def work() -> None:
        for left, right in pairs:
            torch.mm(left, right)
        others()

    return work


def _outputs(inputs: Tensor, weight: Tensor, stride: list[int], padding: list[int]) -> int:
    """Positions that a convolution computes, of all clips."""
    sides = [
        (size + 2 * pad - kernel) // step + 1
        for size, pad, kernel, step in zip(inputs.shape[2:], padding, weight.shape[2:], stride, strict=True)
    ]
    return int(inputs.shape[0]) * sides[0] * sides[1]


def _matrices(rows: int, inner: int, columns: int, like: Tensor) -> tuple[Tensor, Tensor]:
    kind: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
    return torch.randn(rows, inner, **kind), torch.randn(inner, columns, **kind)


def transform_flops(calls: list[tuple[Any, list[Any]]]) -> float:
    """2.5 n log2 n for each real transform of n values."""
    total = 0.0
    for function, args in calls:
        if function.overloadpacket in TRANSFORMS:
            size = args[0].shape[-1] if function.overloadpacket is aten._fft_r2c else args[3]
            total += args[0][..., 0].numel() * 2.5 * size * torch.log2(torch.tensor(float(size))).item()
    return total


def step(options: argparse.Namespace, device: torch.device) -> None:
    """The step in each precision beside its bare arithmetic, FLOPs, and where the time goes."""
    print(f"{options.size}, {options.batch} clips of 3 x {options.bins} x {options.frames}, {options.threads} threads")
    for precision in options.precisions.split(","):
        trainer = Trainer(options, device, precision)
        trainer.step()
        with Recorder() as recorder:
            trainer.step()
        with FlopCounterMode(display=False) as counter:
            trainer.step()
        calls = recorder.calls
        square = torch.randn(PEAK, PEAK, device=device).to(TYPES[precision])
        contestants = {
            "step": trainer.step,
            "matrix products": products(calls),
            "transforms": operations(calls, TRANSFORMS),
            "convolutions and products, the library's": operations(calls, HEAVY[: -len(TRANSFORMS)]),
            f"product of {PEAK} x {PEAK}": lambda square=square: square @ square,
        }
        found = compare(contestants, options.rounds, device)
        report(found, counter.get_total_flops(), transform_flops(calls), options.batch, precision)
        where(trainer, device)


def report(
    found: dict[str, tuple[float, float]], products_flops: float, transforms_flops: float, batch: int, precision: str
) -> None:
    whole, gemms, transforms, library, peak = found.values()
    print(
        f"{precision}: {products_flops / 1e9:.1f} GFLOP of products, {transforms_flops / 1e9:.2f} of transforms a step"
    )
    show(found, "step")
    for number, clock in enumerate(("clock", "CPU time")):
        rate = products_flops / whole[number] / 1e6
        top = 2 * PEAK**3 / peak[number] / 1e6
        print(
            f"  by {clock}: {1e3 * batch / whole[number]:.1f} clips/s, {rate:.0f} GFLOP/s = "
            f"{100 * rate / top:.0f} % of the peak measured ({top:.0f}); step / (products + transforms) = "
            f"{whole[number] / (gemms[number] + transforms[number]):.2f}, "
            f"step / (operations + transforms) = {whole[number] / (library[number] + transforms[number]):.2f}"
        )


KINDS = {
    "convolutions": ("conv",),
    "matrix products": ("mm.", "gemm"),
    "Fourier transforms": ("_fft", "vecdot"),
    "batch and layer norm": ("norm",),
    "ReLU, GELU, GLU, pooling": ("relu", "threshold", "gelu", "glu", "maximum", "eq_"),
    "copies, casts, transposes": ("copy", "clone", "pad", "zero_", "fill_", "cat"),
    "Adam": ("adam", "lerp", "addcdiv", "addcmul", "sqrt"),
}


class Clock(TorchDispatchMode):
    """CPU seconds of each operation, all threads: what other processes take doesn't count, unlike in a profile."""

    def __init__(self) -> None:
        super().__init__()
        self.spent: collections.Counter[str] = collections.Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        began = time.process_time()
        result = function(*args, **(kwargs or {}))
        self.spent[str(function)] += time.process_time() - began
        return result


def where(trainer: Trainer, device: torch.device) -> None:
    """Print how the step's time is shared out: CPU time of each operation, or the GPU's by torch.profiler."""
    steps = 5
    if device.type == "cuda":
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            for _ in range(steps):
                trainer.step()
        spent = {event.key: event.self_device_time_total / 1e6 for event in profiler.key_averages()}
    else:
        with Clock() as clock:
            for _ in range(steps):
                trainer.step()
        spent = clock.spent
    shares: collections.Counter[str] = collections.Counter()
    for name, seconds in spent.items():
        kinds = [kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)]
        shares[kinds[0] if kinds else "other: sums, products of elements"] += 1e3 * seconds / steps
    total = sum(shares.values())
    for kind, milliseconds in shares.most_common():
        print(f"    {kind:44} {milliseconds:9.2f} ms {100 * milliseconds / total:5.1f} %")


# The choices


def layouts(options: argparse.Namespace, device: torch.device) -> None:
    """A 3x1 convolution, forward and backward, in each stage's size."""
    for precision in options.precisions.split(","):
        for stage, width in enumerate(SIZES[options.size]["widths"]):
            bins = options.bins // 4 >> stage
            print(f"{precision}: {width} channels, {bins} bins, {options.batch} x {options.frames} frames")
            ways = _layouts(width, bins, options.batch, options.frames, TYPES[precision], device)
            show(compare(ways, options.rounds, device), "channels last")


def _layouts(
    width: int, bins: int, batch: int, frames: int, kind: torch.dtype, device: torch.device
) -> dict[str, Work]:
    maps = torch.randn(batch, width, bins, frames, device=device).to(kind)
    weight = torch.randn(width, width, 3, 1, device=device).to(kind)
    across = weight.transpose(2, 3).contiguous()
    single = maps.permute(0, 3, 1, 2).reshape(batch * frames, width, 1, bins)  # a frame is a clip of its own
    outer = torch.randn(bins + 2, batch * frames, width, device=device).to(kind)  # frequency outermost, padded
    rows = [outer[tap : tap + bins].reshape(-1, width) for tap in range(3)]
    taps_ = [weight[:, :, tap, 0].t().contiguous() for tap in range(3)]
    stacked = torch.cat(taps_)
    gradient = torch.randn_like(rows[0])

    def three() -> None:
        for turned in (False, True):  # the gradient's way has transposed taps
            result = rows[0] @ (taps_[0].t() if turned else taps_[0])
            result.addmm_(rows[1], taps_[1].t() if turned else taps_[1])
            result.addmm_(rows[2], taps_[2].t() if turned else taps_[2])
        for row in rows:
            row.t() @ gradient

    def stack() -> None:
        wide = torch.cat(rows, 1)
        wide @ stacked
        torch.cat(rows, 1) @ stacked
        wide.t() @ gradient

    wide = torch.cat(rows, 1)
    last = torch.channels_last
    return {
        "channels last": _both_ways(maps.contiguous(memory_format=last), weight.contiguous(memory_format=last), (1, 0)),
        "channels first": _both_ways(maps, weight, (1, 0)),
        "channels last, frequency inside": _both_ways(
            maps.transpose(2, 3).contiguous(memory_format=last), across.contiguous(memory_format=last), (0, 1)
        ),
        "a frame as a clip, channels first": _both_ways(single.contiguous(), across, (0, 1)),
        "a frame as a clip, channels last": _both_ways(
            single.contiguous(memory_format=last), across.contiguous(memory_format=last), (0, 1)
        ),
        "three products, frequency outermost": three,
        "stacked taps and one product": stack,
        "the product alone": lambda: (wide @ stacked, wide @ stacked, wide.t() @ gradient),
    }


def _both_ways(maps: Tensor, weight: Tensor, padding: tuple[int, int]) -> Work:
    gradient = torch.randn_like(functional.conv2d(maps, weight, padding=padding))

    def work() -> None:
        functional.conv2d(maps, weight, padding=padding)
        aten.convolution_backward(
            gradient, maps, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, [True, True, False]
        )

    return work


def kernels(options: argparse.Namespace, device: torch.device) -> None:
    """S4D's kernel forward and backward, and the largest error over the largest tap, of the exact one in float64."""
    sizes = SIZES[options.size]
    layer = S4D(sizes["widths"][-1], sizes["state"]).to(device)
    ways = {"naive": naive_taps, "doubling": doubling_taps, "baby steps, giant steps": taps}
    print(f"{sizes['widths'][-1]} channels, state {sizes['state']}, {options.frames} taps")

    def modes(kind: torch.dtype) -> tuple[Tensor, Tensor]:
        a = torch.complex(-layer.log_decay.to(kind).exp(), layer.frequency.to(kind))
        factor, weight = discretised(layer.log_dt.to(kind).exp(), a, "zoh")
        return factor, weight * torch.view_as_complex(layer.c.to(kind))

    def work(way: Callable[..., Tensor]) -> Work:
        return lambda: way(*modes(torch.float32), options.frames).square().sum().backward()

    show(compare({name: work(way) for name, way in ways.items()}, options.rounds, device), "naive")
    exact = naive_taps(*modes(torch.float64), options.frames).detach()
    for name, way in ways.items():
        error = (way(*modes(torch.float32), options.frames).detach() - exact).abs().max() / exact.abs().max()
        print(f"  {name:44} error {float(error):.1e}")


def naive_taps(factor: Tensor, weight: Tensor, length: int) -> Tensor:
    """Every power of every mode."""
    return 2 * (
        weight[:, :, None] * torch.exp(factor[:, :, None] * torch.arange(length, device=factor.device))
    ).real.sum(1)


def doubling_taps(factor: Tensor, weight: Tensor, length: int) -> Tensor:
    """Powers 0..2^k - 1 from half as many and one more power, until there are enough."""
    powers = torch.ones_like(factor)[:, :, None]
    step_ = torch.exp(factor)[:, :, None]
    while powers.shape[-1] < length:
        powers = torch.cat((powers, powers * step_), -1)
        step_ = step_ * step_
    return 2 * (weight[:, :, None] * powers[..., :length]).real.sum(1)


def transforms(options: argparse.Namespace, device: torch.device) -> None:
    """Convolution over time, forward and backward, from (B, T, H) in bfloat16 to the same."""
    width, length = SIZES[options.size]["widths"][-1], options.frames
    frames = torch.randn(options.batch, length, width, device=device).bfloat16().requires_grad_()
    taps_ = torch.randn(width, length, device=device, requires_grad=True)
    print(f"{options.batch} x {length} frames, {width} channels, transforms of {transform_length(length)}")

    def by_autograd(size: int) -> Tensor:
        signal = torch.fft.rfft(frames.float().transpose(1, 2), n=size) * torch.fft.rfft(taps_, n=size)
        return torch.fft.irfft(signal, n=size)[..., :length].transpose(1, 2).bfloat16()

    def toeplitz() -> Tensor:
        matrices = functional.pad(taps_, (length - 1, 0)).unfold(1, length, 1).flip(1)  # (H, L, L)
        return torch.bmm(frames.permute(2, 0, 1).float(), matrices).permute(1, 2, 0).bfloat16()

    upstream = torch.randn(options.batch, length, width, device=device).bfloat16()
    ways: dict[str, Callable[[], Tensor]] = {
        "this project's": lambda: causal_convolution(frames, taps_),
        "torch's gradient, same transforms": lambda: by_autograd(transform_length(length)),
        "torch's gradient, twice the frames": lambda: by_autograd(2 * length),
        "Toeplitz matrices": toeplitz,
    }
    work: dict[str, Work] = {
        name: lambda way=way: way().backward(upstream)  # type: ignore[misc]
        for name, way in ways.items()
    }
    show(compare(work, options.rounds, device), "this project's")


PARTS = {"step": step, "layouts": layouts, "kernels": kernels, "transforms": transforms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--bins", type=int, default=128)
    parser.add_argument("--frames", type=int, default=119)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precisions", default="bf16,fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    keep_freed_memory()
    with fixed_numerics(options.threads):
        PARTS[options.part](options, torch.device(options.device))


if __name__ == "__main__":
    main()
