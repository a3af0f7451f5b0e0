"""What pretraining learns from: stored pictures of views, waveforms that views are made of, or labelled clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch
from torch import nn

from birdssl.artifacts.manifest import ORIGINAL, PART, TRAINING, VALIDATION, VIEW
from birdssl.errors import IncompatibleError
from birdssl.models.encoder import Encoder
from birdssl.models.heads import build_head
from birdssl.settings.names import SUPERVISED
from birdssl.settings.pretrain import PretrainSettings
from birdssl.stages.frontends import (
    holds_pictures,
    input_options,
    refuse_frontend_settings,
    waveform_frontend,
)
from birdssl.stages.images import IMAGES
from birdssl.stages.training import labelled_inputs
from birdssl.training.finetuning import Classifier
from birdssl.training.inputs import Pictures
from birdssl.training.joined import SOURCE, Joined
from birdssl.training.labelled import class_list, labelled_rows, say_absent, targets
from birdssl.training.methods import METHODS, Sources
from birdssl.training.pairs import StoredViews, Views, view_table
from birdssl.training.partition import part_by_fold, part_by_origin, without_test
from birdssl.training.supervised import Supervised
from birdssl.training.task import Task
from birdssl.training.views import WaveformViews
from birdssl.training.waveforms import Frontend, Sounds, fitted

PARTS = (TRAINING, VALIDATION)


class Material(Protocol):
    """Clips with a part each, and the task that learns from them.

    Attributes:
        rows: the manifest's rows that are used, with `part` and `source`.
        clips: how many clips each part has.
        encoder_shape: what an encoder is built with for this input.
        classes: names of the labels that are learnt; empty where none are.
    """

    rows: pl.DataFrame
    clips: dict[str, int]
    encoder_shape: dict[str, int]
    classes: tuple[str, ...]

    @property
    def frontend(self) -> Frontend | None:
        """Of waveforms, not fitted yet; None for pictures."""
        ...

    def network(self, encoder: Encoder) -> nn.Module:
        """What is trained: the encoder and what is built around it, drawn from torch's global generator."""
        ...

    def task(self, network: Any, batch: int, device: torch.device) -> tuple[Task, dict[str, Any]]:
        """The task that trains it, with the clips on a device, and the frontend that goes with the model."""
        ...


def material(data: Joined, inputs: Sequence[Path], settings: PretrainSettings) -> Material:
    """The material of joined inputs. Raises UsageError or IncompatibleError where they can't feed the objective."""
    if settings.objective == SUPERVISED:
        return LabelledClips(data, inputs, settings)
    if data.facts["kind"] == IMAGES:
        raise IncompatibleError(
            f"{inputs[0]} holds images, of which only labels are learnt; give --objective supervised, or clips of sound"
        )
    pictures = holds_pictures(data.facts)
    kind = "stored" if pictures else settings.shown_views
    known = METHODS[settings.objective].views
    fits = (settings.views or "stored") == "stored" if pictures else kind != "stored"
    if kind not in known or not fits:
        raise IncompatibleError(_no_such_views(settings, kind, known, pictures, inputs[0]))
    return StoredPictures(data, inputs, settings) if pictures else StoredWaveforms(data, settings, kind)


def _no_such_views(settings: PretrainSettings, kind: str, known: Sequence[str], pictures: bool, path: Path) -> str:
    if pictures:
        wanted = settings.views or known[0]
        return (
            f"{path} holds pictures, whose views are stored, and {settings.objective} was to be shown views of kind "
            f"{wanted}, which are made of sound; run `birdssl render --kind waveform`"
        )
    if kind == "stored":
        return f"{path} holds waveforms, whose views are made as they are needed; leave --views stored out"
    made = ", ".join(name for name in known if name != "stored")
    return f"--views {kind}: of waveforms, {settings.objective} learns from views of kind {made}"


class ViewedClips:
    """Clips that are learnt from by their views, without labels."""

    settings: PretrainSettings
    classes: tuple[str, ...] = ()

    def open(self, device: torch.device) -> tuple[dict[str, Views], dict[str, Any]]:
        """Views of each part, on a device, and the frontend that goes with the model."""
        raise NotImplementedError

    def network(self, encoder: Encoder) -> nn.Module:
        """As the objective has it."""
        return METHODS[self.settings.objective].build(encoder, self.settings.own())

    def task(self, network: Any, batch: int, device: torch.device) -> tuple[Task, dict[str, Any]]:
        """As the objective has it."""
        settings = self.settings
        sources, frontend = self.open(device)
        given = Sources(
            sources[TRAINING], sources[VALIDATION], batch, settings.seed, settings.own(), settings.shuffle_pairs
        )
        return METHODS[settings.objective].task(network, given), frontend


class StoredPictures(ViewedClips):
    """Pictures of stored views."""

    frontend: Frontend | None = None

    def __init__(self, data: Joined, inputs: Sequence[Path], settings: PretrainSettings) -> None:
        refuse_frontend_settings(settings, str(inputs[0]))
        self.data, self.settings = data, settings
        self.encoder_shape = input_options(settings.trained_encoder, None, data.shape)
        for number, path in enumerate(inputs):
            if data.rows.filter((pl.col(SOURCE) == number) & (pl.col("role") == VIEW)).is_empty():
                raise IncompatibleError(
                    f"{path} has no views to make pairs from; run `birdssl augment --views 2` before `birdssl render`"
                )
        parted = parted_rows(data.rows, settings, VIEW)
        self.rows = parted[view_table(parted)["views"].explode(empty_as_null=False).sort().to_list()]
        pairs = view_table(self.rows)
        # a pair's part is that of its first view
        self.pairs = pairs.with_columns(self.rows[pairs["views"].list.first().to_list()][PART])
        self.clips = {part: self.pairs.filter(pl.col(PART) == part).height for part in PARTS}

    def open(self, device: torch.device) -> tuple[dict[str, Views], dict[str, Any]]:
        held = self.data.hold(self.rows, device, self.settings.memory_budget)
        sources: dict[str, Views] = {}
        for part in PARTS:
            views = np.array(self.pairs.filter(pl.col(PART) == part)["views"].to_list(), dtype=np.int64)
            shuffled = self.settings.shuffle_pairs and part == TRAINING
            rows = torch.from_numpy(views)
            sources[part] = StoredViews(Pictures(held), rows, self.settings.seed, shuffled=shuffled)
        return sources, self.data.facts["frontend"]


class StoredWaveforms(ViewedClips):
    """Waveforms, whose views are made anew each epoch."""

    frontend: Frontend

    def __init__(self, data: Joined, settings: PretrainSettings, kind: str) -> None:
        self.data, self.settings, self.kind = data, settings, kind
        self.rows = parted_rows(data.rows, settings, ORIGINAL)
        self.clips = {part: self.rows.filter(pl.col(PART) == part).height for part in PARTS}
        self.frontend = waveform_frontend(settings, settings.trained_encoder, data.facts)
        self.encoder_shape = input_options(settings.trained_encoder, self.frontend, data.shape)

    def open(self, device: torch.device) -> tuple[dict[str, Views], dict[str, Any]]:
        held = self.data.hold(self.rows, device, self.settings.memory_budget)
        sounds = Sounds.of(held, self.settings.seed, self.settings.gain)
        places = {part: part_places(self.rows, part) for part in PARTS}
        frontend = fitted(self.frontend, sounds, places[TRAINING])
        sources: dict[str, Views] = {}
        for part in PARTS:
            shuffled = self.settings.shuffle_pairs and part == TRAINING
            sources[part] = WaveformViews(self.kind, sounds, places[part], frontend, shuffled=shuffled)
        return sources, frontend.to_dict()


class LabelledClips:
    """Originals of one label each, pictures or waveforms, for --objective supervised."""

    def __init__(self, data: Joined, inputs: Sequence[Path], settings: PretrainSettings) -> None:
        """Raises IncompatibleError where there are fewer than two labels, or clips of several aren't to be left out."""
        self.data, self.settings = data, settings
        self.frontend: Frontend | None = None
        if holds_pictures(data.facts):
            refuse_frontend_settings(settings, str(inputs[0]))
        else:
            self.frontend = waveform_frontend(settings, settings.trained_encoder, data.facts)
        self.encoder_shape = input_options(settings.trained_encoder, self.frontend, data.shape)
        labelled = labelled_rows(data.rows, settings.several_labels == "leave-out")
        self.rows = parted_rows(labelled, settings, ORIGINAL)
        self.classes = class_list(self.rows, ())
        if len(self.classes) < 2:
            raise IncompatibleError(
                f"the only label is {self.classes[0]!r}; --objective supervised needs two or more to tell apart"
            )
        training, validation = (self.rows.filter(pl.col(PART) == part) for part in PARTS)
        say_absent(training, validation, self.classes)
        self.clips = {TRAINING: training.height, VALIDATION: validation.height}

    def network(self, encoder: Encoder) -> nn.Module:
        """The encoder under its paper's head, as `birdssl finetune` has it."""
        return Classifier(encoder, build_head(encoder.name, encoder.features, len(self.classes)))

    def task(self, network: Any, batch: int, device: torch.device) -> tuple[Task, dict[str, Any]]:
        """Cross-entropy."""
        training, validation = (part_places(self.rows, part) for part in PARTS)
        inputs, made = labelled_inputs(self.data, self.rows, self.frontend, self.settings, device, training)
        numbers = torch.tensor(targets(self.rows, self.classes))
        return Supervised(network, inputs, training, validation, numbers, batch), made


def part_places(rows: pl.DataFrame, part: str) -> torch.Tensor:
    """Positions of a part's rows, int64."""
    return torch.from_numpy((rows[PART] == part).arg_true().to_numpy().astype(np.int64))


def parted_rows(rows: pl.DataFrame, settings: PretrainSettings, role: str) -> pl.DataFrame:
    """Rows of a role outside the test part, with a column `part`."""
    kept = without_test(rows).filter(pl.col("role") == role)
    if settings.fold is None:
        return part_by_origin(kept, settings.validation_fraction, settings.seed)
    return part_by_fold(kept, settings.fold)
