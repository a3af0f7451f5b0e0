"""Values that are worked out from weights once and used until the weights change."""

from collections.abc import Callable, Hashable

import torch
from torch import Tensor


class Remembered:
    """Values worked out from weights, kept until a weight differs.

    The weights' values are compared, not their identity or version, so no way of changing them (an optimiser, a loaded
    state dict, an average written through `.data`, a move to another device) can leave an old value in use.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Hashable, list[Tensor], tuple[Tensor, ...]]] = {}

    def get(
        self, what: str, key: Hashable, weights: list[Tensor], make: Callable[[], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """`make()`, or what it gave last time for `what` if `key` and all weights are the same."""
        kept = self._kept.get(what)
        if kept is not None and kept[0] == key and all(map(_same, kept[1], weights)):
            return kept[2]
        value = make()
        self._kept[what] = (key, [weight.detach().clone() for weight in weights], value)
        return value


def _same(one: Tensor, other: Tensor) -> bool:
    alike = one.device == other.device and one.dtype == other.dtype
    return alike and torch.equal(one, other)
