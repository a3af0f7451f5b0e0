"""What pretraining learns from: stored pictures of views, or waveforms that views are made of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch

from birdssl.artifacts.manifest import ORIGINAL, PART, TRAINING, VALIDATION, VIEW
from birdssl.errors import IncompatibleError
from birdssl.settings.pretrain import PretrainSettings
from birdssl.stages.frontends import PICTURES, input_options, refuse_frontend_settings, waveform_frontend
from birdssl.training.inputs import Pictures
from birdssl.training.joined import SOURCE, Joined
from birdssl.training.methods import METHODS
from birdssl.training.pairs import StoredViews, Views, view_table
from birdssl.training.partition import part_by_fold, part_by_origin, without_test
from birdssl.training.views import WaveformViews
from birdssl.training.waveforms import Frontend, Sounds, fitted

PARTS = (TRAINING, VALIDATION)


class Material(Protocol):
    """Clips with a part each, and their views.

    Attributes:
        rows: the manifest's rows that are used, with `part` and `source`.
        clips: how many clips each part has.
        encoder_shape: what an encoder is built with for this input.
    """

    rows: pl.DataFrame
    clips: dict[str, int]
    encoder_shape: dict[str, int]

    @property
    def frontend(self) -> Frontend | None:
        """Of waveforms, not fitted yet; None for pictures."""
        ...

    def open(self, device: torch.device) -> tuple[dict[str, Views], dict[str, Any]]:
        """Views of each part, on a device, and the frontend that goes with the model."""
        ...


def material(data: Joined, inputs: Sequence[Path], settings: PretrainSettings) -> Material:
    """The material of joined inputs. Raises UsageError or IncompatibleError where they can't feed the objective."""
    pictures = data.facts["kind"] == PICTURES
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


class StoredPictures:
    """Pictures of stored views."""

    frontend = None

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


class StoredWaveforms:
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
        places = {part: torch.from_numpy((self.rows[PART] == part).arg_true().to_numpy().astype(np.int64))
                  for part in PARTS}  # fmt: skip
        frontend = fitted(self.frontend, sounds, places[TRAINING])
        sources: dict[str, Views] = {}
        for part in PARTS:
            shuffled = self.settings.shuffle_pairs and part == TRAINING
            sources[part] = WaveformViews(self.kind, sounds, places[part], frontend, shuffled=shuffled)
        return sources, frontend.to_dict()


def parted_rows(rows: pl.DataFrame, settings: PretrainSettings, role: str) -> pl.DataFrame:
    """Rows of a role outside the test part, with a column `part`."""
    kept = without_test(rows).filter(pl.col("role") == role)
    if settings.fold is None:
        return part_by_origin(kept, settings.validation_fraction, settings.seed)
    return part_by_fold(kept, settings.fold)
