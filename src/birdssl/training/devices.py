"""Which device networks run on."""

import logging

import torch

from birdssl.errors import UsageError

log = logging.getLogger(__name__)


def choose_device(wanted: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; the choice is logged.

    `auto` takes the first CUDA device, else Apple's, else the processor. Raises UsageError for a device that isn't
    there or isn't one of these words.
    """
    device = torch.device(_available() if wanted == "auto" else _checked(wanted))
    log.info("device: %s%s", device, f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "")
    return device


def _available() -> str:
    if torch.cuda.is_available():
        return "cuda:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _checked(wanted: str) -> str:
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise UsageError(f'--device "{wanted}" is no device; choose auto, cpu, cuda, cuda:N or mps')
    if kind == "cuda":
        count = torch.cuda.device_count()
        if int(number or 0) >= count:
            raise UsageError(
                f"--device {wanted}: torch finds {count} CUDA devices here; choose auto or cpu, or let "
                "`birdssl doctor` say what is missing"
            )
        return f"cuda:{number or 0}"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: torch finds no Apple GPU here; choose auto or cpu")
    return kind
