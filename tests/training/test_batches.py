"""Orders and batches."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from birdssl.training.batches import epoch_order, even_batches, share, training_batches


def test_an_order_depends_on_seed_and_epoch_alone():
    orders = [epoch_order(50, seed, epoch).tolist() for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == list(range(50)) for order in orders)


def test_short_last_batches():
    sizes = {drop: [len(part) for part in training_batches(torch.arange(23), 10, drop_last=drop)] for drop in (0, 1)}
    assert sizes == {0: [10, 10, 3], 1: [10, 10]}
    assert [len(part) for part in training_batches(torch.arange(21), 10, drop_last=False)] == [10, 11]
    assert [len(part) for part in training_batches(torch.arange(23), 10, drop_last=False, processes=2)] == [10, 10, 2]


@given(items=st.integers(1, 500), batch=st.integers(1, 90))
def test_even_batches_hold_every_item_once_and_are_never_smaller_than_asked(items: int, batch: int):
    parts = even_batches(items, batch)
    assert torch.cat(parts).tolist() == list(range(items))
    sizes = [len(part) for part in parts]
    assert min(sizes) >= min(items, batch)
    assert max(sizes) - min(sizes) <= 1


@given(items=st.integers(2, 60), processes=st.integers(1, 4))
def test_shares_put_together_in_rank_order_are_the_batch(items: int, processes: int):
    batch = torch.arange(items)
    assert torch.cat([share(batch, rank, processes) for rank in range(processes)]).tolist() == batch.tolist()
