"""Random starting weights from an explicit seed: torch's layers only draw from its global generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Modules built inside get weights that depend on `seed` alone; the global generator is left as it was.

    with seeded_weights(derive(seed, "encoder")):
        encoder = build_encoder("resnet50", height=256, width=256)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
