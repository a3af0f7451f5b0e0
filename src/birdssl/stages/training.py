"""What the two training stages share: their unit's identity, and settings as plans."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from birdssl.artifacts.artifact import Artifact
from birdssl.settings.training import TrainingSettings
from birdssl.training.optimisers import OptimiserPlan, Schedule, plan_optimiser
from birdssl.training.saved_model import DESCRIPTION

HISTORY = "history.csv"


def training_identity(artifacts: Sequence[Artifact], *others: str) -> str:
    """Digest of what a model depends on besides the settings: its inputs, in their order, and `others`."""
    text = "\x1f".join([*(artifact.digest for artifact in artifacts), *others])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def optimiser_plan(settings: TrainingSettings, encoder: str, batch: int) -> OptimiserPlan:
    """P1's optimiser with what the settings change."""
    return plan_optimiser(
        encoder,
        batch,
        name=settings.optimiser,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )


def schedule(settings: TrainingSettings) -> Schedule:
    """The learning rate's course over the run."""
    return Schedule(settings.schedule, settings.warmup_epochs, settings.epochs)


def read_provenance(out: Path) -> dict[str, Any]:
    """What model.json says of how the model in `out` was made."""
    return json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))["provenance"]
