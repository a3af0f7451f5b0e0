"""How training computes: precision, threads and memory, fixed so that the same run gives the same bytes."""

import contextlib
import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from typing import Literal

import torch

log = logging.getLogger(__name__)

PrecisionName = Literal["auto", "fp32", "bf16"]

# glibc's mallopt, <malloc.h>
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


# Depthwise convolutions: bfloat16 ran at 0.6-0.7 of fp32's speed on a CPU (benchmarks/training.py).
FP32_ON_CPU = ("mobilenetv3-large",)


def choose_precision(wanted: str, device: torch.device, encoder: str) -> str:
    """Turn "auto" into "bf16" where the processor computes in it and the encoder gains by it, else into "fp32".

    The rule looks at the hardware and never at a clock, so one type of processor always gets one answer. With the
    channels-last layout bfloat16 trained SimpleCNN 1.7-2 times as fast as fp32 on AVX512-BF16, and 4 times on AMX
    (docs/decisions.md); without such instructions it is emulated and slower.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bf16" if native and encoder not in FP32_ON_CPU else "fp32"
    return "fp32"


@contextlib.contextmanager
def fixed_numerics(threads: int) -> Iterator[None]:
    """Inside, torch uses `threads` threads and deterministic algorithms, and draws inside leave no trace outside.

    The number of threads decides how sums are split, so it belongs to a run's settings. Algorithms that have no
    deterministic form only warn: max pooling on a GPU is one, and all of P1's networks use it.
    """
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by torch's deterministic matrix products
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.backends.cudnn.benchmark = False  # picks kernels by the clock
            yield
        finally:
            torch.backends.cudnn.benchmark = benchmark
            torch.use_deterministic_algorithms(deterministic, warn_only=warned)
            torch.set_num_threads(before)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Inside, fp32 is fp32, for what is scored or saved: convolutions on newer GPUs keep 10 of 23 bits otherwise."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
    ):
        yield


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory for the next batch; True when it agreed.

    By default every activation above 32 MB is mapped from the system, zeroed, and given back within one step: training
    SimpleCNN on a CPU spends a quarter of its time there (1.3 times as fast without). No effect off Linux and glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # a C library without it, such as musl
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def advise_threads(threads: int) -> None:
    """Say when the machine has more cores than the run uses."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores > threads:
        log.info(
            "training on %d threads of %d cores; --threads %d is faster and its last digits differ",
            threads,
            cores,
            cores,
        )
