"""What systems are scored by, so that tables and pages are laid out once: its key in results, and its names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A score of systems.

    Attributes:
        key: of the score in a system's results, in its folds and in `chance`.
        words: in a sentence.
        head: of a table's column.
        beside: the figures that stand beside it, key to column; with an interval or as a bare share.
    """

    key: str
    words: str
    head: str
    beside: Mapping[str, str] = field(default_factory=dict)


BALANCED_ACCURACY = Measure("balanced_accuracy", "balanced accuracy", "balanced accuracy")
AVERAGE_PRECISION = Measure(
    "macro_average_precision",
    "macro average precision",
    "macro AP",
    {"micro_average_precision": "micro AP", "macro_auroc": "macro AUROC", "macro_f1": "macro F1"},
)


def measure_of(results: Mapping[str, Any]) -> Measure:
    """What the systems of some results were scored by."""
    return AVERAGE_PRECISION if AVERAGE_PRECISION.key in results["chance"] else BALANCED_ACCURACY
