"""What is left out on the command line is P1's value, in every verb."""

import pytest

from birdssl.cli.verbs import VERBS
from birdssl.settings.augment import AugmentSettings
from birdssl.settings.base import check
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.render import RenderSettings
from birdssl.settings.segment import SegmentSettings
from birdssl.settings.split import SplitSettings

TRAINING = {
    "epochs": 100,
    "schedule": "constant",
    "batch_size": None,  # tests/training/test_optimisers.py holds what stands for these
    "optimiser": None,
    "learning_rate": None,
    "momentum": None,
    "weight_decay": None,
}
PAPER = [
    (SegmentSettings, {"sample_rate": 44_100, "clip_seconds": 3.0}),
    (SplitSettings, {"test_fraction": 0.1, "folds": 5}),
    (
        AugmentSettings,
        {"stretch": [0.7, 0.8, 0.9, 1.1, 1.2, 1.3], "pitch": [-12, -6, -3, 3, 6, 12], "noise": [2, 4, 6, 8, 10, 12]},
    ),
    (RenderSettings, {"n_fft": 2048, "hop": 512, "n_mels": 256, "top_db": 80.0, "f_min": 0.0, "pixels": (256, 256)}),
    # what stands for an objective's own settings is held by tests/training/test_methods.py
    (PretrainSettings, {**TRAINING, "projector_width": None, "projector_layers": None, "projector_bias": None}),
    (FinetuneSettings, {**TRAINING, "train_fraction": 1.0, "freeze": False, "start": "random"}),
]


@pytest.mark.parametrize(("settings", "paper"), PAPER, ids=lambda item: getattr(item, "__name__", ""))
def test_defaults_are_the_paper_s(settings: type, paper: dict) -> None:
    given = {"views": 2} if settings is AugmentSettings else {}
    found = check(settings, given)
    assert {name: getattr(found, name) for name in paper} == paper


@pytest.mark.parametrize("verb", VERBS)
def test_every_draw_begins_with_the_paper_s_seed(verb: str) -> None:
    field = VERBS[verb].settings.model_fields.get("seed")
    assert field is None or field.default == 1030
