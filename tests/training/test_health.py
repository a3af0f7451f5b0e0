"""Health numbers against values worked out by hand."""

import math

import pytest
import torch

from birdssl.training.health import alignment, collapse_message, effective_rank, embedding_std, health, uniformity

CROSS = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def test_four_points_on_a_circle() -> None:
    # each dimension: 1, -1, 0, 0, so a variance of 1/2
    assert embedding_std(CROSS) == pytest.approx(math.sqrt(0.5) * math.sqrt(2))
    assert effective_rank(CROSS) == pytest.approx(2)
    # six pairs: two opposite (d^2 = 4), four at right angles (d^2 = 2)
    assert uniformity(CROSS) == pytest.approx(math.log((2 * math.exp(-8) + 4 * math.exp(-4)) / 6))


def test_scale_does_not_matter_where_it_should_not() -> None:
    assert embedding_std(5 * CROSS) == pytest.approx(embedding_std(CROSS))
    assert uniformity(5 * CROSS) == pytest.approx(uniformity(CROSS))
    assert effective_rank(5 * CROSS + 100) == pytest.approx(2)


def test_effective_rank_by_hand() -> None:
    # centred singular values 3 sqrt(2) and sqrt(2): shares 3/4 and 1/4
    z = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(z) == pytest.approx(math.exp(entropy))


def test_effective_rank_is_the_same_by_the_clips_products() -> None:
    """More dimensions than clips, where the singular values come by another way: their own definition is the oracle."""
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(12, 40, generator=draw, dtype=torch.float64) * torch.linspace(0.01, 3, 40) + 5
    values = torch.linalg.svdvals(z - z.mean(dim=0))[:11]  # the twelfth is the mean's
    share = values / values.sum()
    assert effective_rank(z) == pytest.approx(float(torch.exp(-(share * share.log()).sum())), rel=1e-5)
    assert effective_rank(z.T) <= 12
    assert effective_rank(torch.ones(4, 8)) == 0


def test_alignment_by_hand() -> None:
    assert alignment(CROSS, CROSS * 3) == pytest.approx(0)
    assert alignment(CROSS, -CROSS) == pytest.approx(4)
    assert alignment(CROSS, CROSS.flip(1)) == pytest.approx(2)


def test_collapse_is_said_aloud() -> None:
    collapsed = torch.ones(8, 4) + 1e-4 * torch.arange(32.0).view(8, 4)
    numbers = health(collapsed, collapsed)
    assert numbers["embedding_std"] < 0.01
    assert numbers["uniformity"] == pytest.approx(0, abs=1e-3)
    assert "collapsed" in (collapse_message(numbers) or "")
    assert effective_rank(torch.ones(8, 4)) == 0
    draw = torch.Generator().manual_seed(0)
    spread = torch.randn(64, 16, generator=draw)
    assert collapse_message(health(spread, spread)) is None
    assert embedding_std(spread) == pytest.approx(1, abs=0.05)
