"""Losses against golden values worked out by hand, hand-worked cases, and lightly."""

import math

import lightly.loss
import pytest
import torch
from torch import Tensor

from birdssl.objectives.barlow_twins import BarlowTwins, cross_correlation
from birdssl.objectives.objective import off_diagonal, small_batch_message
from birdssl.objectives.registry import OBJECTIVES
from birdssl.objectives.vicreg import VICReg, covariance_penalty, variance_hinge
from birdssl.settings.names import OBJECTIVE_NAMES


def golden_views() -> tuple[Tensor, Tensor]:
    rows = torch.arange(1, 9, dtype=torch.float64).view(-1, 1)
    columns = torch.arange(1, 5, dtype=torch.float64)
    return torch.sin(rows * columns), torch.sin(rows * columns + 0.3 * torch.cos(rows))


GOLDEN = {
    "barlow-twins": 0.003830620,
    "vicreg": 7.316508780,
    "vicreg-algorithm1": 13.984200786,
    "vicreg-equation": 15.733166741,
}


def test_names_for_the_command_line_are_the_registry() -> None:
    assert OBJECTIVE_NAMES[: len(OBJECTIVES)] == tuple(OBJECTIVES)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_golden_loss(name: str) -> None:
    loss, _ = OBJECTIVES[name]()(*golden_views())
    assert loss.item() == pytest.approx(GOLDEN[name], abs=1e-8)


def test_golden_terms() -> None:
    _, terms = BarlowTwins()(*golden_views())
    assert terms["on_diagonal"].item() == pytest.approx(0.001980624, abs=1e-9)
    assert terms["off_diagonal"].item() == pytest.approx(0.369999132, abs=1e-9)
    loss, _ = BarlowTwins(eps=0)(*golden_views())
    assert loss.item() == pytest.approx(0.003827046, abs=1e-9)
    _, terms = VICReg()(*golden_views())
    expected = {"invariance": 0.023319546, "variance": 0.266707680, "covariance": 0.065828122}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-9)


def test_identical_views_leave_only_redundancy() -> None:
    za, _ = golden_views()
    _, terms = BarlowTwins()(za, za)
    assert terms["on_diagonal"].item() == pytest.approx(1.8e-9, abs=1e-10)


def test_correlation_by_hand() -> None:
    za = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    zb = torch.stack([za[:, 0], za[:, 0]], dim=1) * 3 + 5  # shift and scale don't matter
    torch.testing.assert_close(
        cross_correlation(za, zb, eps=0), torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    )
    loss, terms = BarlowTwins(redundancy=0.5, eps=0)(za, zb)
    assert (terms["on_diagonal"].item(), terms["off_diagonal"].item()) == pytest.approx((1.0, 1.0))
    assert loss.item() == pytest.approx(1.5)


def test_vicreg_terms_by_hand() -> None:
    z = torch.tensor([[0.0, 0.0], [2.0, 1.0]], dtype=torch.float64)  # variances 2 and 0.5, covariance 1
    assert variance_hinge(z, eps=0).item() == pytest.approx((1 - math.sqrt(0.5)) / 2)
    assert covariance_penalty(z).item() == pytest.approx(2 * 1**2 / 2)
    _, terms = VICReg()(z, z + 1)
    assert terms["invariance"].item() == pytest.approx(1.0)


def test_off_diagonal() -> None:
    assert off_diagonal(torch.arange(9).view(3, 3)).tolist() == [1, 2, 3, 5, 6, 7]
    assert off_diagonal(torch.ones(1, 1)).tolist() == []


@pytest.mark.parametrize(("batch", "width"), [(4, 7), (32, 16), (3, 64)])
def test_lightly_agrees(batch: int, width: int) -> None:
    draw = torch.Generator().manual_seed(batch)
    za = torch.randn(batch, width, generator=draw, dtype=torch.float64, requires_grad=True)
    zb = torch.randn(batch, width, generator=draw, dtype=torch.float64)
    for ours, theirs in ((BarlowTwins(), lightly.loss.BarlowTwinsLoss()), (VICReg(), lightly.loss.VICRegLoss())):
        loss, _ = ours(za, zb)
        expected = theirs(za, zb)
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
        (gradient,) = torch.autograd.grad(loss, za)
        (other,) = torch.autograd.grad(expected, za)
        torch.testing.assert_close(gradient, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_the_loss(name: str) -> None:
    za, zb = (view.clone().requires_grad_() for view in golden_views())
    objective = OBJECTIVES[name]()
    assert torch.autograd.gradcheck(lambda a, b: objective(a, b)[0], (za, zb))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_views_are_exchangeable_and_clips_may_come_in_any_order(name: str) -> None:
    za, zb = golden_views()
    objective = OBJECTIVES[name]()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    loss, _ = objective(za, zb)
    torch.testing.assert_close(objective(zb, za)[0], loss)
    torch.testing.assert_close(objective(za[order], zb[order])[0], loss)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_reduced_precision_is_widened(name: str) -> None:
    za, zb = (view.to(torch.bfloat16) for view in golden_views())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, terms = OBJECTIVES[name]()(za, zb)
    expected, _ = OBJECTIVES[name]()(za.double(), zb.double())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-5)
    assert not any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((1, 4), (1, 4)), ((3, 4, 2), (3, 4, 2))])
def test_wrong_shapes_are_refused(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="at least 2 clips"):
        BarlowTwins()(torch.zeros(shapes[0]), torch.zeros(shapes[1]))


def test_small_batches_are_pointed_out() -> None:
    assert small_batch_message(128, 512) is None
    assert "batch of 30" in (small_batch_message(30, 512) or "")
    assert "batch of 128" in (small_batch_message(127, 512) or "")
