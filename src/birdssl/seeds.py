"""Randomness that depends on what it's for, never on the order in which work is done.

A draw is named by the run's seed and by keys such as (epoch, clip id), so that the same clip gets the same draw with
one worker or many, and after an interruption.
"""

import hashlib

import numpy as np


def derive(seed: int, *keys: str | int) -> int:
    """Hash a seed and its keys to an integer in [0, 2**63), fit for `torch.Generator.manual_seed`."""
    text = "\x1f".join([str(seed), *(str(key) for key in keys)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A numpy generator of its own for a seed and its keys."""
    return np.random.default_rng(derive(seed, *keys))
