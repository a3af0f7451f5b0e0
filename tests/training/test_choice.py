"""Which epoch is kept."""

import pytest

from birdssl.training.choice import chosen_epoch, healthiest_epoch
from birdssl.training.history import Row


def epoch(number: int, retrieval: float, rank: float = 5.0, **more: float) -> Row:
    return {"epoch": number, "retrieval": retrieval, "encoder_rank": rank, "effective_rank": 9.0 - number, **more}


def test_the_epoch_that_finds_most_views_is_the_healthiest():
    assert healthiest_epoch([epoch(0, 0.9), epoch(1, 0.3), epoch(2, 0.5), epoch(3, 0.4)]) == 2
    assert healthiest_epoch([epoch(0, 0.9)]) == 0  # the start is no epoch of training


def test_of_equals_the_encoder_with_more_directions_then_the_first():
    assert healthiest_epoch([epoch(0, 0), epoch(1, 0.5, 4), epoch(2, 0.5, 6), epoch(3, 0.5, 6), epoch(4, 0.4, 9)]) == 2


def test_epochs_that_were_not_looked_at_do_not_count():
    assert healthiest_epoch([epoch(0, 0), {"epoch": 1, "loss": 1.0}, epoch(2, 0.1), {"epoch": 3, "loss": 0.5}]) == 2


def test_masked_modelling_has_one_rank_which_is_its_encoders():
    rows = [{name: value for name, value in epoch(n, 0.5).items() if name != "encoder_rank"} for n in (1, 2)]
    assert healthiest_epoch(rows) == 1


class Score:
    score, larger_is_better = "validation_loss", False


@pytest.mark.parametrize(("by", "kept"), [("score", 1), ("health", 2), ("last", 3)])
def test_each_way_chooses_from_the_same_history(by: str, kept: int):
    rows = [epoch(0, 0.1, validation_loss=0.0)]
    rows += [
        epoch(n, retrieval, validation_loss=loss) for n, retrieval, loss in ((1, 0.2, 1), (2, 0.6, 3), (3, 0.4, 2))
    ]
    assert chosen_epoch(rows, by, Score()) == kept


@pytest.mark.parametrize("by", ["score", "health", "last"])
def test_it_is_the_one_chosen_before_or_the_newest(by: str):
    """Other epochs' weights are gone by then."""
    values = [0.3, 0.1, 0.5, 0.2, 0.5, 0.9, 0.0]
    rows = [epoch(n, value, rank=n % 3, validation_loss=1 - value) for n, value in enumerate(values)]
    before = 0
    for newest in range(len(rows)):
        now = chosen_epoch(rows[: newest + 1], by, Score())
        assert now in (before, newest)
        before = now
