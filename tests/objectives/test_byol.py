"""BYOL's regression loss: a golden value, hand-worked cases, and lightly."""

import lightly.loss
import pytest
import torch
from torch import Tensor

from birdssl.objectives.byol import both_ways, regression


def golden_views() -> tuple[Tensor, Tensor]:
    rows = torch.arange(1, 9, dtype=torch.float64).view(-1, 1)
    columns = torch.arange(1, 5, dtype=torch.float64)
    return torch.sin(rows * columns), torch.sin(rows * columns + 0.3 * torch.cos(rows))


def test_golden_value_one_way() -> None:
    assert regression(*golden_views()).mean().item() == pytest.approx(0.029021177, abs=1e-9)


def test_by_hand() -> None:
    predictions = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [3.0, 4.0]])
    targets = torch.tensor([[5.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 0.0]])
    assert regression(predictions, targets).tolist() == pytest.approx([0.0, 2.0, 4.0, 0.8])


def test_each_view_predicts_the_others_target() -> None:
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert both_ways((one, two), (two, one)).tolist() == [0.0]
    assert both_ways((one, two), (one, two)).tolist() == [4.0]


def test_lightly_agrees_and_only_predictions_learn() -> None:
    draw = torch.Generator().manual_seed(1)
    p1, p2, t1, t2 = (torch.randn(9, 5, generator=draw, dtype=torch.float64, requires_grad=True) for _ in range(4))
    theirs = lightly.loss.NegativeCosineSimilarity()
    expected = 4 + 2 * (theirs(p1, t2.detach()) + theirs(p2, t1.detach()))
    loss = both_ways((p1, p2), (t1, t2)).mean()
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, (p1, p2, t1, t2), allow_unused=True)
    assert found[2:] == (None, None)
    for ours, other in zip(found, torch.autograd.grad(expected, (p1, p2)), strict=False):
        torch.testing.assert_close(ours, other)


def test_reduced_precision_is_widened() -> None:
    narrow = [view.to(torch.bfloat16) for view in golden_views()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = regression(*narrow)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), regression(*(view.double() for view in narrow)), rtol=1e-4, atol=1e-6)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2\), \(2, 2\)"):
        regression(torch.ones(3, 2), torch.ones(2, 2))
