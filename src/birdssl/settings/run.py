"""How a stage is run: options common to all verbs that never change an artifact's bytes."""

import re

from pydantic import field_validator

from birdssl.errors import UsageError
from birdssl.settings.base import Settings, setting


class RunOptions(Settings):
    """Options of every verb that change how the work is done, not what comes out."""

    jobs: int = setting(1, "Worker processes; the bytes that come out are the same for any number.", ge=1, short="-j")
    device: str = setting("auto", "Where networks run.", metavar="auto|cpu|cuda|cuda:N|mps")
    update: bool = setting(False, "Add what has appeared in the input since OUT was made.")
    overwrite: bool = setting(False, "Remove OUT first, when it's an artifact of this verb.")
    dry_run: bool = setting(False, "Say what would be done, in how many units and bytes, and write nothing.")
    max_rejects: str = setting(
        "0", "How many inputs may be left out before the exit code is 3: a count or N%.", metavar="N|P%"
    )
    json_summary: bool = setting(False, "Print one JSON object on stdout instead of text.", key="json")
    quiet: bool = setting(False, "Only warnings and errors on stderr.", short="-q")

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", value):
            raise ValueError("must be auto, cpu, cuda, cuda:N (such as cuda:0) or mps")
        return value


def reject_limit(text: str) -> tuple[float, bool]:
    """Read `--max-rejects`: (number, is a percentage). Raises UsageError for anything but N or N%."""
    percent = text.endswith("%")
    known = re.fullmatch(r"\d+(\.\d*)?%" if percent else r"\d+", text)
    value = float(text.removesuffix("%")) if known else -1.0
    if value < 0 or (percent and value > 100):
        raise UsageError(f"--max-rejects {text!r}: must be a count such as 10, or a share such as 5%")
    return value, percent
