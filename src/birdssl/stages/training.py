"""What the two training stages share: their unit's identity, and settings as plans."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from birdssl.artifacts.artifact import Artifact
from birdssl.settings.training import TrainingSettings
from birdssl.training.loop import TrainingPlan
from birdssl.training.optimisers import Schedule, plan_optimiser
from birdssl.training.saved_model import DESCRIPTION

HISTORY = "history.csv"
ENCODER_OPTIONS = ("pool", "imagenet_norm", "double_rescale")


def training_identity(artifacts: Sequence[Artifact], *others: str) -> str:
    """Digest of what a model depends on besides the settings: its inputs, in their order, and `others`."""
    text = "\x1f".join([*(artifact.digest for artifact in artifacts), *others])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def encoder_options(settings: TrainingSettings) -> dict[str, Any]:
    """What the settings ask of the encoder. What is off is left out: encoders that lack an option refuse its name."""
    asked = {name: getattr(settings, name, None) for name in ENCODER_OPTIONS}
    return {name: value for name, value in asked.items() if value not in (None, False)}


def training_plan(settings: TrainingSettings, encoder: str, batch: int, *, drop_last: bool = False) -> TrainingPlan:
    """P1's optimiser with what the settings change, and the rest of them. Raises UsageError for what doesn't fit."""
    optimiser = plan_optimiser(
        encoder,
        batch,
        name=settings.optimiser,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    schedule = Schedule(settings.schedule, settings.warmup_epochs, settings.epochs)
    return TrainingPlan(settings.epochs, batch, settings.seed, optimiser, schedule, drop_last)


def read_provenance(out: Path) -> dict[str, Any]:
    """What model.json says of how the model in `out` was made."""
    return json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))["provenance"]
