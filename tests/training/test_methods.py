"""Objectives whole: what the command line's settings say of them is what they say themselves."""

import inspect
from typing import Any, get_args

import pytest
import torch
from encoders import small_encoder

from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.objectives.registry import OBJECTIVES
from birdssl.settings.base import check
from birdssl.settings.names import (
    ENCODER_INPUT,
    ENCODER_NAMES,
    OBJECTIVE_ENCODER,
    OBJECTIVE_NAMES,
    OBJECTIVE_VIEWS,
    SUPERVISED,
    UNLABELLED_OBJECTIVES,
    ViewsName,
)
from birdssl.settings.objective import ALL_OWN, OWN, ObjectiveSettings
from birdssl.training.methods import METHODS, Sources
from birdssl.training.views import VIEWS

# a value for each of the settings that objectives have of their own, other than the default
OTHER = {
    "projector_width": 48, "projector_layers": 2, "projector_bias": True, "redundancy": 0.1, "invariance": 2.0,
    "variance": 3.0, "covariance": 4.0, "bilinear_init": "normal:0.05", "temperature": 0.3, "prediction": 0.2,
    "ema": 0.9, "mask_share": 0.3, "mask_span": 5, "mask_bands": 0.4, "mask_noise": 0.6,
}  # fmt: skip


def test_names_for_the_command_line_are_the_methods():
    assert set(METHODS) == set(UNLABELLED_OBJECTIVES) == set(OBJECTIVE_VIEWS)
    assert {*METHODS, SUPERVISED} == set(OBJECTIVE_NAMES) == set(OWN) == set(OBJECTIVE_ENCODER)
    assert set(OBJECTIVE_ENCODER.values()) <= set(ENCODER_NAMES)
    assert set(OTHER) == set(ALL_OWN)
    assert set(ALL_OWN) | {"objective", "encoder", "views", "shuffle_pairs"} == set(ObjectiveSettings.model_fields)


def test_an_objective_s_own_views_come_first_and_all_can_be_made():
    assert {name: method.views[0] for name, method in METHODS.items()} == OBJECTIVE_VIEWS
    assert {*VIEWS, "stored"} == set(get_args(ViewsName))
    assert {view for method in METHODS.values() for view in method.views} == {*VIEWS, "stored"}


def test_p1s_objectives_learn_from_pictures_as_p1_did():
    for name in OBJECTIVES:
        assert ENCODER_INPUT[OBJECTIVE_ENCODER[name]] == "picture"
        assert "stored" in METHODS[name].views


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_of_an_objective_reaches_it(name: str):
    """A setting that a builder took and dropped would be a flag that is parsed and never read."""
    encoder = small_encoder(OBJECTIVE_ENCODER[name], channels=1)

    def made(given: dict[str, Any]) -> str:
        own = check(ObjectiveSettings, {"objective": name, **given}).own()
        with seeded_weights(1):
            network = METHODS[name].build(encoder, own)
        task = METHODS[name].task(network, Sources(Clips(), Clips(), 2, 1, own))
        return description(network) + str(getattr(task, "masking", ""))

    usual = made({})
    for setting in OWN[name]:
        changed = made({setting: OTHER[setting]})
        assert changed != usual, setting
        assert made({setting: OTHER[setting]}) == changed


class Clips:
    """Views of four clips that nobody looks at."""

    clips, ahead = 4, False

    def views(self, clips: torch.Tensor, epoch: int) -> tuple[torch.Tensor, ...]:
        raise NotImplementedError


def description(network: torch.nn.Module) -> str:
    """Modules, plain values and sums of the weights of a network, apart from its encoder."""
    parts = [str(network)]
    for module_name, module in network.named_modules():
        if not module_name.startswith("encoder") and "target" not in module_name:
            plain = {key: value for key, value in vars(module).items() if isinstance(value, int | float | str)}
            parts.append(f"{module_name} {plain}")
    for weight_name, weight in network.named_parameters():
        if not weight_name.startswith("encoder"):
            parts.append(f"{weight_name} {tuple(weight.shape)} {weight.sum().item()}")
    return "\n".join(parts)


def test_defaults_of_p1s_objectives_are_the_papers():
    defaults = {key: value.default for key, value in inspect.signature(Projector).parameters.items()}
    assert (defaults["width"], defaults["layers"], defaults["bias"]) == (512, 3, False)
    weights = {key: value.default for key, value in inspect.signature(OBJECTIVES["vicreg"]).parameters.items()}
    assert (weights["invariance"], weights["variance"], weights["covariance"]) == (25, 25, 1)
    assert inspect.signature(OBJECTIVES["barlow-twins"]).parameters["redundancy"].default == 0.005


@pytest.mark.parametrize("objective", OBJECTIVE_NAMES)
def test_a_setting_of_another_objective_is_refused_and_says_whose_it_is(objective: str):
    other = next(name for name in OTHER if name not in OWN[objective])
    owners = ", ".join(name for name in OWN if other in OWN[name])
    with pytest.raises(Exception, match=f"--{other.replace('_', '-')} belongs to {owners}; --objective {objective}"):
        check(ObjectiveSettings, {"objective": objective, other: OTHER[other]})
