"""Stored clips on the device and in files."""

import threading

import numpy as np
import pytest
import torch

from birdssl.training.held import DeviceHeld, MappedHeld, hold, one_ahead
from birdssl.training.inputs import Pictures

PICTURES = np.random.default_rng(0).integers(0, 256, (50, 4, 6), dtype=np.uint8)


@pytest.mark.parametrize(("budget", "kind"), [(1.0, DeviceHeld), (0.0, MappedHeld), (1000 / 2**30, MappedHeld)])
def test_the_budget_decides_where_clips_are_and_not_what_they_are(budget: float, kind: type):
    held = hold(lambda rows: PICTURES[rows], 50, (4, 6), torch.uint8, torch.device("cpu"), budget)
    assert type(held) is kind
    rows = torch.tensor([49, 0, 49])
    assert np.array_equal(held.take(rows).numpy(), PICTURES[[49, 0, 49]])
    taken = Pictures(held).take(rows)
    assert taken.dtype == torch.float32
    assert np.array_equal(taken.numpy(), PICTURES[[49, 0, 49], None] / np.float32(255))


def test_loading_ahead_keeps_the_order_and_runs_beside_the_caller():
    names = []

    def load(request: int) -> int:
        names.append(threading.current_thread().name)
        return request * request

    assert list(one_ahead(load, range(10))) == [n * n for n in range(10)]
    assert list(one_ahead(load, [])) == []
    assert threading.current_thread().name not in names


def test_a_fault_in_loading_reaches_the_caller():
    def load(request: int) -> int:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(one_ahead(load, [1, 2]))
