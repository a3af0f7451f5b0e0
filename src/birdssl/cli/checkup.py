"""`birdssl doctor`: one line a check, and the cure below each that found something."""

import json
import textwrap
from dataclasses import asdict

from birdssl.cli.page import width
from birdssl.settings.doctor import DoctorSettings
from birdssl.stages.doctor import Check, checks

INDENT = " " * 20


def doctor(settings: DoctorSettings) -> int:
    """Print all checks; 1 when one of them needs a cure."""
    done: list[Check] = []
    for check in checks():
        done.append(check)
        if not settings.json_summary:
            print(line(check, width()), flush=True)
    well = all(check.ok for check in done)
    if settings.json_summary:
        print(json.dumps({"ok": well, "checks": [{**asdict(check), "ok": check.ok} for check in done]}))
    else:
        ill = sum(not check.ok for check in done)
        print("all is well" if well else f"{ill} of {len(done)} checks found a problem; the cures stand below each")
    return 0 if well else 1


def line(check: Check, columns: int) -> str:
    """A check as text; a cure is never broken into lines, since it's meant to be copied."""
    head = f"{'ok' if check.ok else 'problem':<9}{check.name:<11}"
    wrapped = textwrap.wrap(check.found, columns - len(INDENT), break_long_words=False, break_on_hyphens=False)
    text = head + f"\n{INDENT}".join(wrapped or [""])
    return text if check.ok else f"{text}\n{INDENT}cure: {check.cure}"
