"""Optimisers against torch's own, and LARS against its formula by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from birdssl.errors import UsageError
from birdssl.models.acoustic_ssm import acoustic_ssm
from birdssl.training.optimisers import (
    ADAM,
    LARS,
    P1_BATCHES,
    P1_OPTIMISERS,
    RMSPROP,
    Lars,
    Schedule,
    build_optimiser,
    plan_optimiser,
    set_rate,
    usual_batch,
)

P1_ENCODERS = ("simplecnn", "mobilenetv3-large", "resnet50", "inceptionv3")


def test_every_encoder_of_p1_has_p1s_optimiser_and_batch():
    assert P1_OPTIMISERS.keys() == P1_BATCHES.keys() == set(P1_ENCODERS)


@pytest.mark.parametrize(
    ("encoder", "kind", "values"),
    [
        ("simplecnn", torch.optim.SGD, {"lr": 0.01, "momentum": 0.0, "nesterov": False}),
        ("mobilenetv3-large", torch.optim.SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": False}),
        ("resnet50", torch.optim.Adam, {"lr": 1e-4, "eps": 1e-7, "betas": (0.9, 0.999)}),
        ("inceptionv3", torch.optim.RMSprop, {"lr": 1e-3, "alpha": 0.9, "eps": 1e-7, "momentum": 0.0}),
    ],
)
def test_p1s_constants(encoder: str, kind: type, values: dict):
    optimiser = build_optimiser(plan_optimiser(encoder, 50), nn.Linear(2, 2))
    assert type(optimiser) is kind
    assert {name: optimiser.param_groups[0][name] for name in values} == values
    assert optimiser.param_groups[0]["weight_decay"] == 0


def test_batches_are_smaller_for_pretraining_and_after_it():
    assert [usual_batch(name, pretraining=False) for name in P1_ENCODERS] == [80, 80, 30, 80]
    assert [usual_batch(name, pretraining=True) for name in P1_ENCODERS] == [50, 50, 30, 50]
    assert [usual_batch(name, pretraining=False, started=True) for name in P1_ENCODERS] == [50, 50, 30, 50]


def test_p2s_constants():
    assert [usual_batch("acoustic-ssm", pretraining=value) for value in (True, False)] == [64, 25]
    assert usual_batch("acoustic-ssm", pretraining=False, started=True) == 25
    before, after = (plan_optimiser("acoustic-ssm", 25, pretraining=value) for value in (True, False))
    assert (before.name, before.learning_rate) == ("adam", 1e-4)
    assert (after.name, after.learning_rate, after.momentum) == ("sgd", 6e-3, 0.0)


def test_what_is_given_overrides_and_another_kind_brings_its_own_constants():
    plan = plan_optimiser("simplecnn", 50, name="adam")
    assert (plan.learning_rate, plan.eps) == (ADAM.learning_rate, 1e-7)
    plan = plan_optimiser("mobilenetv3-large", 50, learning_rate=0.1, weight_decay=1e-3)
    assert (plan.learning_rate, plan.momentum, plan.weight_decay) == (0.1, 0.9, 1e-3)
    assert plan_optimiser("inceptionv3", 50, name="rmsprop") == RMSPROP
    assert plan_optimiser("resnet50", 512, name="lars").learning_rate == pytest.approx(0.4)
    assert plan_optimiser("resnet50", 512, name="lars", learning_rate=0.3).learning_rate == 0.3


def test_a_momentum_that_adam_would_not_read_is_refused():
    with pytest.raises(UsageError, match="--momentum is for sgd, rmsprop and lars"):
        plan_optimiser("resnet50", 30, momentum=0.9)


def test_frozen_weights_are_left_out():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert sum(len(group["params"]) for group in build_optimiser(ADAM, layer).param_groups) == 1


def test_lars_moves_a_matrix_by_its_norms_and_a_bias_plainly():
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))  # norm 5
    bias = nn.Parameter(torch.tensor([1.0]))
    optimiser = Lars([{"params": [weight, bias]}], lr=2.0, momentum=0.5, weight_decay=0.0, eta=0.1, bias_ratio=0.25)
    weight.grad, bias.grad = torch.tensor([[0.0, 2.0]]), torch.tensor([8.0])
    optimiser.step()
    # matrix: 2 * 0.1 * 5 / 2 * (0, 2) = (0, 1); bias: 2 * 0.25 * 8 = 4
    assert weight.tolist() == [[3.0, 3.0]]
    assert bias.tolist() == [-3.0]
    weight.grad, bias.grad = torch.zeros(1, 2), torch.zeros(1)
    optimiser.step()
    assert weight.tolist() == [[3.0, 2.5]]  # momentum carries half of the step before
    assert bias.tolist() == [-5.0]


def test_lars_decays_matrices_only():
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimiser = Lars([{"params": [weight, bias]}], lr=1.0, momentum=0.0, weight_decay=0.1, eta=0.5)
    weight.grad, bias.grad = torch.zeros(2, 2), torch.zeros(2)
    optimiser.step()
    assert weight.flatten().tolist() == pytest.approx([0.5] * 4)  # the direction is w, its length eta * |w|
    assert bias.tolist() == [1.0, 1.0]


def test_a_cosine_schedule_rises_and_falls_to_a_thousandth():
    schedule = Schedule("cosine", warmup=10, epochs=110)
    assert schedule.factor(0) == 0
    assert schedule.factor(5) == 0.5
    assert schedule.factor(10) == 1
    assert schedule.factor(60) == pytest.approx(0.5 + 0.001 * 0.5)
    assert schedule.factor(110) == pytest.approx(0.001)
    assert Schedule().factor(57.3) == 1
    assert math.isfinite(Schedule("cosine", warmup=10, epochs=2).factor(2.0))


def test_state_spaces_are_not_decayed_and_move_slowly():
    network = nn.Sequential(acoustic_ssm(channels=1, bins=8, widths=(4, 4), ssm_layers=2, state=4), nn.Linear(4, 2))
    optimiser = build_optimiser(replace(ADAM, learning_rate=0.1, weight_decay=0.5), network)
    rest, spaces = optimiser.param_groups
    assert {id(weight) for weight in spaces["params"]} == {id(weight) for weight in network[0].ssm_parameters()}
    assert len(rest["params"]) + len(spaces["params"]) == len(list(network.parameters()))
    assert (rest["weight_decay"], spaces["weight_decay"]) == (0.5, 0.0)
    assert (rest["lr"], spaces["lr"]) == (0.1, 1e-3)  # from the first step on, also in a loop that sets no rate
    set_rate(optimiser, 0.2)
    assert (rest["lr"], spaces["lr"]) == (0.2, 1e-3)
    set_rate(optimiser, 1e-4)
    assert (rest["lr"], spaces["lr"]) == (1e-4, 1e-4)


def test_lars_neither_decays_nor_adapts_state_spaces():
    network = acoustic_ssm(channels=1, bins=8, widths=(4, 4), ssm_layers=1, state=4)
    optimiser = build_optimiser(replace(LARS, weight_decay=0.5), network)
    own = {id(weight) for weight in network.ssm_parameters()}
    for group in optimiser.param_groups:
        for weight in group["params"]:
            assert group["adapt"] == (weight.ndim > 1 and id(weight) not in own)
            assert (group.get("ceiling") == 1e-3) == (id(weight) in own)


def test_the_papers_adams_have_their_own_eps():
    """P1 used TensorFlow, whose eps is 1e-7; P2's code is torch's, with 1e-8."""
    assert plan_optimiser("resnet50", 30, pretraining=True).eps == 1e-7
    assert plan_optimiser("acoustic-ssm", 64, pretraining=True).eps == 1e-8
