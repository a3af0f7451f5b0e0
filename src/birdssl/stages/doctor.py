"""What `birdssl doctor` looks at. Packages are imported in processes of their own, so that a broken one is reported."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

TORCH_FAMILY = ("torch", "torchaudio", "torchvision")
NATIVE = ("numpy", "scipy", "sklearn", "polars", "pyarrow", "soundfile", "soxr", "python_stretch", "lightning_fabric")
FORMATS = ("WAV", "FLAC", "OGG", "MP3")
OLDEST_PYTHON = (3, 11)
LITTLE_DISK, LITTLE_MEMORY = 2e9, 4e9  # bytes; below, the demo doesn't fit
IMPORT_SECONDS = 300  # a cold start of torch from a network disk is slow

TORCH_PROBE = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps({
    "version": torch.__version__,
    "cuda": torch.version.cuda,
    "gpus": [torch.cuda.get_device_name(number) for number in range(count)],
    "mps": torch.backends.mps.is_available(),
}))
"""
AUDIO_PROBE = """
import io, json, numpy, soundfile
tone, faults = numpy.sin(numpy.arange(44100) / 10).astype("float32") / 2, {}
for name in json.loads(%r):
    try:
        file = io.BytesIO()
        soundfile.write(file, tone, 44100, format=name)
        file.seek(0)
        back = soundfile.read(file)[0]
        if abs(len(back) - len(tone)) > 4096 or abs(back).max() < 0.4:
            faults[name] = "it comes back changed"
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        faults[name] = str(error)
print(json.dumps({"faults": faults, "libsndfile": soundfile.__libsndfile_version__}))
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `cure` is what to do, and empty when all is well."""

    name: str
    found: str
    cure: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing need be done."""
        return not self.cure


@dataclass(frozen=True)
class Probe:
    """What a process of its own reported: its JSON, or the last line of its error."""

    values: dict[str, Any] | None
    error: str = ""


def checks() -> Iterator[Check]:
    """All checks, in the order to read them; the slow ones run side by side."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        torch = pool.submit(probe, TORCH_PROBE)
        imports = {name: pool.submit(probe, import_probe(name)) for name in (*TORCH_FAMILY[1:], *NATIVE)}
        audio = pool.submit(probe, AUDIO_PROBE % json.dumps(FORMATS))
        yield python_check(sys.version_info[:3])
        yield requirements_check(requires("birdssl") or [], installed)
        results = {name: future.result() for name, future in imports.items()}
        yield torch_check({"torch": torch.result(), **{name: results[name] for name in TORCH_FAMILY[1:]}}, installed)
        yield imports_check({name: results[name] for name in NATIVE})
        yield audio_check(audio.result())
        yield device_check(torch.result(), nvidia_gpus())
    yield processor_check(cpu_count(), cpu_flags())
    yield memory_check(memory_bytes())
    yield from (disk_check(name, path) for name, path in (("disk", Path.cwd()), ("temp", Path(tempfile.gettempdir()))))


def probe(code: str) -> Probe:
    """Run Python code that prints one JSON object."""
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=IMPORT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Probe(None, f"no answer within {IMPORT_SECONDS} s")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return Probe(None, lines[-1] if lines else f"it ended with {done.returncode}")
    return Probe(json.loads(done.stdout.strip().splitlines()[-1]))


def import_probe(name: str) -> str:
    """Code that imports a package and says its version."""
    return f'import json, {name}; print(json.dumps({{"version": getattr({name}, "__version__", "")}}))'


def installed(name: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def python_check(found: tuple[int, ...]) -> Check:
    """Whether Python is new enough."""
    name = ".".join(map(str, found))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    cure = "" if found[:2] >= OLDEST_PYTHON else f"make a virtual environment with Python {wanted} or newer"
    return Check("python", f"{name} at {sys.executable}", cure)


def needed(requirements: list[str]) -> dict[str, Requirement]:
    """What birdssl itself needs here, without the extras for development."""
    parsed = [Requirement(text) for text in requirements]
    return {item.name: item for item in parsed if item.marker is None or item.marker.evaluate({"extra": ""})}


def requirements_check(requirements: list[str], find: Callable[[str], str | None]) -> Check:
    """Whether every package is there in a version that birdssl was made for."""
    wanted = needed(requirements)
    wrong = {
        name: item
        for name, item in wanted.items()
        if (found := find(name)) is None or not item.specifier.contains(found, prereleases=True)
    }
    if not wrong:
        return Check("packages", f"all {len(wanted)} are installed in the versions that birdssl asks for")
    listed = ", ".join(f"{name} {find(name) or 'is missing'} (needs {wrong[name].specifier})" for name in wrong)
    return Check("packages", listed, pip_install([str(item) for item in wrong.values()]))


def torch_check(probes: dict[str, Probe], find: Callable[[str], str | None]) -> Check:
    """Whether torch, torchaudio and torchvision import together: their wheels don't say which fit."""
    found = ", ".join(f"{name} {find(name) or 'missing'}" for name in TORCH_FAMILY)
    failed = [f"{name} doesn't import ({result.error})" for name, result in probes.items() if result.values is None]
    family = [item for name, item in needed(requires("birdssl") or []).items() if name in TORCH_FAMILY]
    unfit = [item.name for item in family if not item.specifier.contains(find(item.name) or "0", prereleases=True)]
    if not failed and not unfit:
        return Check("torch", f"{found} fit together")
    faults = "; ".join(failed) or f"{' and '.join(unfit)} of another release than birdssl was made for"
    return Check("torch", f"{found}: {faults}", pip_install([str(item) for item in family], "--force-reinstall"))


def imports_check(probes: dict[str, Probe]) -> Check:
    """Whether the packages with compiled parts load."""
    failed = {name: result.error for name, result in probes.items() if result.values is None}
    if not failed:
        return Check("imports", f"{', '.join(probes)} load")
    faults = "; ".join(f"{name}: {error}" for name, error in failed.items())
    names = {"sklearn": "scikit-learn", "python_stretch": "python-stretch", "lightning_fabric": "lightning-fabric"}
    return Check("imports", faults, pip_install([names.get(name, name) for name in failed], "--force-reinstall"))


def audio_check(result: Probe) -> Check:
    """Whether the formats that recorders write can be read and written."""
    if result.values is None:
        return Check("audio", result.error, pip_install(["soundfile"], "--force-reinstall"))
    faults, library = result.values["faults"], result.values["libsndfile"]
    good = ", ".join(name for name in FORMATS if name not in faults)
    if not faults:
        return Check("audio", f"{good} are written and read (libsndfile {library})")
    listed = "; ".join(f"{name}: {reason}" for name, reason in faults.items())
    cure = f"{pip_install(['soundfile'], '--upgrade')}: its wheels carry a libsndfile that knows all four"
    return Check("audio", f"{listed} (libsndfile {library})", cure)


def nvidia_gpus() -> list[str]:
    """GPUs that the driver knows of, whatever torch thinks."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=30)
        if done.returncode == 0:
            return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return []


def device_check(torch: Probe, gpus: list[str]) -> Check:
    """Where networks would run with --device auto."""
    if torch.values is None:
        return Check("device", "unknown, since torch doesn't import", "see torch above")
    if torch.values["gpus"]:
        return Check("device", f"--device auto takes cuda: {', '.join(torch.values['gpus'])}")
    if gpus:
        built = torch.values["cuda"]
        why = f"torch was built for CUDA {built}, newer than the driver" if built else "this torch is for CPUs only"
        cure = "update the NVIDIA driver" if built else "install a torch wheel with CUDA; --device cpu works meanwhile"
        return Check("device", f"{', '.join(gpus)} is here but torch can't use it: {why}", cure)
    if torch.values["mps"]:
        return Check("device", "--device auto takes mps, the Apple GPU")
    return Check("device", "--device auto takes cpu; no GPU was found")


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> set[str]:
    """What the processor can do, as Linux lists it; empty elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return set(line.partition(":")[2].split())
    return set()


def processor_check(count: int, flags: set[str]) -> Check:
    """Cores, and whether bf16 makes training faster on them."""
    units = [name for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX-512"), ("bf16", "Arm")) if flag in flags]
    bf16 = f"bf16 arithmetic in hardware ({units[0]})" if units else "no bf16 arithmetic in hardware"
    return Check("processor", f"{count} {'core' if count == 1 else 'cores'}, {bf16}")


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, or the control group's where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return min(total, int(Path(name).read_text()))
    return total


def memory_check(size: int) -> Check:
    """Whether there is memory for the demo."""
    cure = (
        f"use a machine with {LITTLE_MEMORY / 1e9:.0f} GB or more, or smaller batches" if size < LITTLE_MEMORY else ""
    )
    return Check("memory", f"{size / 1e9:.1f} GB", cure)


def disk_check(name: str, folder: Path) -> Check:
    """Whether a folder can be written and has room."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Check(name, f"{folder} can't be written", "work in another folder" if name == "disk" else "set TMPDIR")
    cure = "make room, or work in another folder" if name == "disk" else "make room, or set TMPDIR to another folder"
    return Check(name, found, cure if free < LITTLE_DISK else "")


def pip_install(packages: list[str], *options: str) -> str:
    """The command that installs packages into this Python."""
    quoted = " ".join(f"'{text}'" for text in packages)
    return " ".join([f"{sys.executable} -m pip install", *options, quoted])
