"""Is a model as often right as it says? Confidence of answers against how many of them are right.

A threshold in `birdssl detect` means what it says only of a model that is: of answers given 0.8, four in five are right
then.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birdssl.evaluation.metrics import Floats, Ints

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Answers by their confidence, in bins of equal width.

    Attributes:
        confidence, accuracy: (bins,) means of each bin; NaN where it is empty.
        answers: (bins,) how many.
        error: expected calibration error, the mean distance of the two over answers (Guo et al. 2017).
        said, right: means over all answers.
    """

    confidence: Floats
    accuracy: Floats
    answers: Ints
    error: float
    said: float
    right: float


def reliability(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """(answers,) probabilities of the answers given, and whether each was right, to what each bin of them is worth.

    Bins are (low, high], the first with its lower end. Raises ValueError without an answer, or beyond [0, 1].
    """
    said, hit = np.asarray(confidence, float), np.asarray(right, float)
    if not len(said) or said.min() < 0 or said.max() > 1:
        raise ValueError("a reliability curve needs at least one answer, and probabilities in [0, 1]")
    place = np.clip(np.ceil(said * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, values, minlength=bins) for values in (said, hit)]
    means = [np.divide(total, counts, out=np.full(bins, np.nan), where=counts > 0) for total in sums]
    error = float(np.nansum(np.abs(means[0] - means[1]) * counts) / len(said))
    return Reliability(means[0], means[1], counts.astype(np.int64), error, float(said.mean()), float(hit.mean()))
