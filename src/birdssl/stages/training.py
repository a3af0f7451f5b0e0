"""What the two training stages share: their unit's identity, and settings as plans."""

import hashlib
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from birdssl.artifacts.artifact import Artifact
from birdssl.artifacts.published import published_weights
from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.published import published_options
from birdssl.models.registry import ENCODERS, SIZES, sized
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.network import NetworkSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.training import OptimisationSettings
from birdssl.training.inputs import Inputs, Pictures
from birdssl.training.joined import Joined
from birdssl.training.loop import TrainingPlan
from birdssl.training.optimisers import Schedule, plan_optimiser
from birdssl.training.saved_model import DESCRIPTION
from birdssl.training.waveforms import Frontend, Sounds, WaveformClips, fitted

HISTORY = "history.csv"
PUBLISHED = "published"  # a start from --weights FILE
ENCODER_OPTIONS = (*NetworkSettings.model_fields, "imagenet_norm")
OPTION_NAMES = {"ssm_state": "state", "layer_mix": "layer"}  # of builders, where a setting's name says more


def training_identity(artifacts: Sequence[Artifact], *others: str) -> str:
    """Digest of what a model depends on besides the settings: its inputs, in their order, and `others`."""
    text = "\x1f".join([*(artifact.digest for artifact in artifacts), *others])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def encoder_options(settings: NetworkSettings, encoder: str) -> dict[str, Any]:
    """What the settings ask of the encoder; what is off is left out.

    Where it starts from a published checkpoint and no size is asked for, it has that checkpoint's. Raises UsageError
    for an option or a size that the encoder hasn't.
    """
    names = {name: OPTION_NAMES.get(name, name) for name in ENCODER_OPTIONS if name != "size"}
    asked = {name: value for name in names if (value := getattr(settings, name, None)) not in (None, False)}
    _check_options(settings, encoder, names, list(asked))
    given = {names[name]: value for name, value in asked.items()}
    if settings.size is not None:
        return {**sized(encoder, settings.size), **given}
    weights = getattr(settings, "weights", None)
    if weights is None or getattr(settings, "start", PUBLISHED) != PUBLISHED:
        return given
    return {**published_options(encoder, published_weights(weights), str(weights)), **given}


def _check_options(settings: NetworkSettings, encoder: str, names: dict[str, str], asked: list[str]) -> None:
    known = inspect.signature(ENCODERS[encoder]).parameters
    own = [settings.flag(name) for name in names if names[name] in known and name in type(settings).model_fields]
    own += ["--size"] if encoder in SIZES else []
    for name in asked:
        if names[name] not in known:
            there = f"it has {', '.join(own)}" if own else "it has no options of its own"
            raise UsageError(f"{settings.flag(name)} isn't for {encoder}; {there}")


def check_start_options(settings: NetworkSettings, encoder: Encoder, start: str) -> None:
    """Raises IncompatibleError for options of an encoder that contradict the one that training starts from."""
    known = {"encoder": encoder.name, **encoder.options}
    for name in ("encoder", *ENCODER_OPTIONS):
        value, found = getattr(settings, name, None), known.get(OPTION_NAMES.get(name, name), False)
        if value is not None and value != found:
            flag = settings.flag(name)
            raise IncompatibleError(
                f"{flag} {value} contradicts the start {start}, which has {found or 'none'}; leave {flag} out"
            )


def training_plan(
    settings: OptimisationSettings, encoder: str, batch: int, *, pretraining: bool = False
) -> TrainingPlan:
    """The encoder's usual optimiser with what the settings change, and the rest of them.

    Raises UsageError for what doesn't fit.
    """
    optimiser = plan_optimiser(
        encoder,
        batch,
        pretraining=pretraining,
        name=settings.optimiser,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    schedule = Schedule(settings.schedule, settings.warmup_epochs, settings.epochs)
    return TrainingPlan(
        settings.epochs,
        batch,
        settings.seed,
        optimiser,
        schedule,
        drop_last=pretraining,
        validate_every=settings.validate_every,
        select=settings.selected,
    )


def labelled_inputs(
    data: Joined,
    rows: pl.DataFrame,
    frontend: Frontend | None,
    settings: PretrainSettings | FinetuneSettings,
    device: torch.device,
    fit: torch.Tensor | None,
) -> tuple[Inputs, dict[str, Any]]:
    """The clips of `rows` as an encoder takes them, on a device, and the frontend that goes with the model.

    `frontend` is that of waveforms, None for pictures; its statistics are fitted to the clips numbered `fit`, where
    they aren't those of a start already.
    """
    held = data.hold(rows, device, settings.memory_budget)
    if frontend is None:
        return Pictures(held), data.facts["frontend"]
    sounds = Sounds.of(held, settings.seed, settings.gain)
    frontend = frontend if fit is None else fitted(frontend, sounds, fit)
    return WaveformClips(sounds, frontend), frontend.to_dict()


def read_provenance(out: Path) -> dict[str, Any]:
    """What model.json says of how the model in `out` was made."""
    return json.loads((out / DESCRIPTION).read_text(encoding="utf-8"))["provenance"]
