"""Retrieval of the other view."""

import pytest
import torch

from birdssl.training.retrieval import retrieval_top1


def test_equal_views_are_always_found_and_swapped_ones_never():
    z = torch.randn(30, 8, generator=torch.Generator().manual_seed(0))
    assert retrieval_top1(z, z) == 1.0
    assert retrieval_top1(z, z.roll(1, 0)) == 0.0


def test_unrelated_embeddings_are_found_by_chance():
    draw = torch.Generator().manual_seed(1)
    found = retrieval_top1(torch.randn(2000, 64, generator=draw), torch.randn(2000, 64, generator=draw))
    assert found < 0.005  # chance is 0.0005; blocks of rows are crossed


def test_a_common_offset_and_each_vectors_length_do_not_matter():
    draw = torch.Generator().manual_seed(2)
    a = torch.randn(40, 6, generator=draw)
    b = a + 0.3 * torch.randn(40, 6, generator=draw)
    assert retrieval_top1(a + 100, 3 * b - 50) == retrieval_top1(a, b) > 0.5


def test_collapsed_embeddings_score_nothing():
    assert retrieval_top1(torch.ones(10, 4), torch.ones(10, 4)) == 0.0


def test_by_hand():
    # centred already; the third's partner is nearer to the first
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    b = torch.tensor([[1.0, 0.1], [-1.0, -1.1], [0.0, 1.0]])
    assert retrieval_top1(a, b) == pytest.approx(2 / 6)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="two equal"):
        retrieval_top1(torch.ones(3, 2), torch.ones(2, 2))
