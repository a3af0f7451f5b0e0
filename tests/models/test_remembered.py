"""Remembered values can't be stale, however the weights were changed."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from birdssl.models.remembered import Remembered
from birdssl.models.s4d import S4D


def by_optimiser(layer: S4D) -> None:
    for weight in layer.parameters():
        weight.grad = torch.ones_like(weight)
    torch.optim.Adam(layer.parameters(), 0.1).step()


def by_state_dict(layer: S4D) -> None:
    layer.load_state_dict({name: weight + 0.1 for name, weight in layer.state_dict().items()})


def by_data(layer: S4D) -> None:
    """As an average of weights is often written: torch's version counter doesn't see it."""
    layer.log_dt.data.add_(0.1)


def by_copy(layer: S4D) -> None:
    """In place without gradient: BYOL's target network."""
    with torch.no_grad():
        layer.c.mul_(1.5)


def by_new_parameter(layer: S4D) -> None:
    layer.frequency = torch.nn.Parameter(layer.frequency.detach() * 2)


def by_precision(layer: S4D) -> None:
    layer.double()


CHANGES = [by_optimiser, by_state_dict, by_data, by_copy, by_new_parameter, by_precision]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_any_change_of_weights_gives_a_new_kernel(change: Callable[[S4D], None]) -> None:
    layer = S4D(4, 8).eval()
    signals = torch.randn(2, 9, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = layer.kernel(9).clone()
        layer.step(signals[:, 0], layer.initial_state(2))
    change(layer)
    fresh = S4D(4, 8).to(layer.d.dtype).eval()
    fresh.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(layer.kernel(9), fresh.kernel(9))
        assert not torch.equal(layer.kernel(9), before)
        found, _ = layer.step(signals[:, 0].to(layer.d.dtype), layer.initial_state(2))
        expected, _ = fresh.step(signals[:, 0].to(layer.d.dtype), fresh.initial_state(2))
        assert torch.equal(found, expected)


def test_the_same_weights_give_the_same_kernel_without_work() -> None:
    layer = S4D(4, 8).eval()
    with torch.inference_mode():
        first = layer.kernel(9)
        assert layer.kernel(9) is first
        assert layer.kernel(10).shape == (4, 10)
        assert torch.equal(layer.kernel(9), first)


@pytest.mark.parametrize("training", [True, False])
def test_with_gradients_nothing_is_remembered(training: bool) -> None:
    layer = S4D(4, 8).train(training)
    with torch.inference_mode():
        layer.kernel(9)
    layer.kernel(9).sum().backward()
    layer.kernel(9).sum().backward()  # a kept graph would be spent by now
    assert layer.log_dt.grad is not None


def test_a_copy_has_a_memory_of_its_own() -> None:
    layer = S4D(4, 8).eval()
    with torch.no_grad():
        layer.kernel(9)
        other = copy.deepcopy(layer)
        other.d.add_(1)
        difference = other.kernel(9) - layer.kernel(9)
    torch.testing.assert_close(difference, torch.eye(9)[:1].repeat(4, 1))


def test_each_kind_of_value_is_remembered_by_its_own_weights() -> None:
    memory, weight, made = Remembered(), torch.ones(2), []

    def make() -> tuple[Tensor]:
        made.append(1)
        return (weight * 2,)

    assert memory.get("a", 1, [weight], make) is memory.get("a", 1, [weight.clone()], make)
    memory.get("b", 1, [weight], make)
    memory.get("a", 2, [weight], make)
    memory.get("a", 2, [torch.full((2,), float("nan"))], make)
    memory.get("a", 2, [torch.full((2,), float("nan"))], make)  # unequal to itself: never remembered
    assert len(made) == 5
