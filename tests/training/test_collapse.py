"""Collapse is said aloud once it has set in."""

import logging

import pytest

from birdssl.training.pretraining import Pretraining, lasting_collapse, spread


def rows(*spreads: float) -> list[dict[str, float]]:
    return [
        {"epoch": epoch, "embedding_std": value, "effective_rank": 20.0} for epoch, value in enumerate((0.9, *spreads))
    ]


def test_three_epochs_in_a_row_are_a_collapse_and_the_start_is_none():
    assert lasting_collapse(rows(0.01, 0.01)) is None
    assert lasting_collapse(rows(0.01, 0.01, 0.5)) is None
    assert "collapsed" in str(lasting_collapse(rows(0.01, 0.01, 0.0)))


def test_it_is_said_once(caplog: pytest.LogCaptureFixture):
    history = rows(0.5, 0.01, 0.01, 0.01, 0.01, 0.01)
    task = object.__new__(Pretraining)
    with caplog.at_level(logging.WARNING):
        for count in range(1, len(history) + 1):
            task.remark(history[:count])
    assert [record.getMessage()[:8] for record in caplog.records] == ["epoch 4:"]


def test_probed_clips_are_spread_over_all():
    assert spread(3, 10).tolist() == [0, 1, 2]
    assert spread(10, 5).tolist() == [0, 2, 4, 6, 8]
