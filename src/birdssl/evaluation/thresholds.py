"""Scores from which a class counts as present, where several may be present at once."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DEFAULT_THRESHOLD = 0.5  # where nothing has chosen another


def best_thresholds(
    truth: npt.NDArray[np.bool_], scores: npt.NDArray, classes: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    """For each class the threshold with the best F1, and the classes that have no positive to choose it by.

    These get `DEFAULT_THRESHOLD`. Both arrays are (clips, classes).
    """
    found = [best_f1_threshold(truth[:, place], scores[:, place]) for place in range(len(classes))]
    chosen = {name: DEFAULT_THRESHOLD if value is None else value for name, value in zip(classes, found, strict=True)}
    return chosen, [name for name, value in zip(classes, found, strict=True) if value is None]


def best_f1_threshold(truth: npt.NDArray[np.bool_], scores: npt.NDArray) -> float | None:
    """The score from which answers of yes have the best F1 (Lipton et al. 2014); None without a positive.

    Halfway between the lowest score that is taken and the next lower one (or 0), so that scores that differ in their
    last digits fall on the same side. Of equal F1, the highest threshold: our choice, for a false alarm costs a person
    a look. Both (clips,), scores in [0, 1].
    """
    positives = int(truth.sum())
    if positives == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(float)
    last = np.append(ranked[1:] != ranked[:-1], True)  # only whole groups of equal scores can be taken
    taken, hits = np.arange(1, len(ranked) + 1)[last], np.cumsum(truth[order])[last]
    best = int(np.argmax(2 * hits / (taken + positives)))
    levels = np.append(ranked[last], 0.0)
    return float((levels[best] + levels[best + 1]) / 2)
