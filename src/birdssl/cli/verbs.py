"""The command tree: every stage verb with its settings, and how its stage is found when it's run.

A loader imports its stage when called, so that help and usage errors start without numpy or torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from birdssl.settings.base import Settings
from birdssl.settings.synth import SynthSettings


@dataclass(frozen=True)
class Verb:
    """A stage on the command line."""

    settings: type[Settings]
    stage: Callable[[], type[Any]]  # imports and returns the Stage class
    inputs: str  # metavar of the inputs; empty when the verb has none
    lists: bool = False  # whether it reads --files-from


def _synth() -> type[Any]:
    from birdssl.stages.synth import Synth

    return Synth


VERBS: dict[str, Verb] = {
    "synth": Verb(SynthSettings, _synth, ""),
}
