"""Pairs of stored views."""

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from birdssl.errors import IncompatibleError
from birdssl.training.inputs import Pictures
from birdssl.training.pairs import StoredViews, another_clip, view_table

PICTURES = torch.arange(12, dtype=torch.uint8).view(12, 1, 1)


def rows(views: list[tuple[int, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        [{"source": source, "parent": parent, "number": number, "role": "view"} for source, parent, number in views],
        schema={"source": pl.Int16, "parent": pl.String, "number": pl.Int16, "role": pl.String},
    )


def test_views_of_a_clip_are_paired_by_source_and_parent():
    table = view_table(rows([(0, "b", 2), (0, "a", 1), (1, "a", 1), (0, "b", 1), (1, "a", 2), (0, "a", 2)]))
    assert table.rows() == [(0, "b", [3, 0]), (0, "a", [1, 5]), (1, "a", [2, 4])]


def test_a_clip_of_one_view_is_left_out_and_said(caplog: pytest.LogCaptureFixture):
    table = view_table(rows([(0, "a", 1), (0, "b", 1), (0, "b", 2)]))
    assert table["views"].to_list() == [[1, 2]]
    assert "1 clips have a single view" in caplog.text
    with pytest.raises(IncompatibleError, match="birdssl augment --views 2"):
        view_table(rows([(0, "a", 1)]))


def test_two_views_are_the_same_pair_in_every_epoch():
    source = StoredViews(Pictures.of(PICTURES), torch.arange(12).view(6, 2), 3)
    for epoch in (0, 1, 2):
        first, second = source.views(torch.tensor([4, 0]), epoch)
        assert (first * 255).flatten().round().tolist() == [8, 0]
        assert (second * 255).flatten().round().tolist() == [9, 1]


def test_of_more_views_two_different_ones_are_drawn_for_each_clip_and_epoch():
    source = StoredViews(Pictures.of(PICTURES), torch.arange(12).view(3, 4), 3)
    drawn = torch.stack([source.drawn(epoch).clone() for epoch in range(120)])  # (epoch, clip, 2)
    assert (drawn[..., 0] != drawn[..., 1]).all()
    assert (drawn // 4 == torch.arange(3).view(1, 3, 1)).all()
    assert len(drawn[:, 0].unique(dim=0)) == 12  # every ordered pair of the four turns up
    assert source.drawn(7).equal(drawn[7])


@given(clips=st.integers(2, 60), epoch=st.integers(0, 5))
def test_shuffled_partners_are_a_permutation_without_fixed_points(clips: int, epoch: int):
    partner = another_clip(clips, 1, epoch)
    assert sorted(partner.tolist()) == list(range(clips))
    assert (partner != torch.arange(clips)).all()


def test_shuffled_pairs_keep_the_first_view_and_change_by_epoch():
    source = StoredViews(Pictures.of(PICTURES), torch.arange(12).view(6, 2), 3, shuffled=True)
    one, two = source.drawn(1).clone(), source.drawn(2).clone()
    assert one[:, 0].equal(two[:, 0])
    assert not one[:, 1].equal(two[:, 1])
    assert (one[:, 0] // 2 != one[:, 1] // 2).all()
