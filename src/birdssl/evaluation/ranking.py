"""How well scores rank clips, class by class: average precision and AUROC, with the doubt of other recordings.

Of each class, its clips should stand above the others; where to draw a line is another matter (thresholds). Macro
figures are means over classes that have a positive, so that a rare species counts as much as a common one; the micro
average precision ranks all pairs of a clip and a class in one list, where common species count more. Both metrics are
scikit-learn's, which the tests hold them to; ours take weights for many draws of origins at once.

A system may have several models, each with clips of its own (folds). Scores of two models can't be ranked in one list,
so each model's clips are ranked among themselves, and its figures averaged with those of the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from birdssl.evaluation.intervals import resamples
from birdssl.evaluation.metrics import Floats, Ints

Bools = npt.NDArray[np.bool_]
# Values held at once for the ranks of a draw: 2 million are 16 MB, of which a few copies are alive.
AT_ONCE = 2_000_000
CHANCE_AUROC = 0.5


@dataclass(frozen=True)
class Ranking:
    """Clips by falling score, ready for any weights.

    Attributes:
        clips: (n,) number of each clip in that order; in a micro ranking a clip stands there once for each class.
        positive: (n,) whether the class is in it.
        last: (groups,) place of the last of each group of equal scores, which can't be told apart.
    """

    clips: Ints
    positive: Bools
    last: Ints

    @classmethod
    def of(cls, truth: Bools, scores: npt.NDArray) -> "Ranking":
        """Truth and scores (clips,), or (clips, classes) for all pairs in one list."""
        clips = np.arange(truth.size) // max(1, truth.size // len(truth))
        order = np.argsort(-scores.ravel(), kind="stable")
        ranked = scores.ravel()[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        return cls(clips[order], truth.ravel()[order], last)

    def measure(self, weights: Floats) -> tuple[Floats, Floats]:
        """Average precision and AUROC under weights of clips (draws, clips), each (draws,).

        NaN where there is no positive; AUROC also where there is no negative.
        """
        step = max(1, AT_ONCE // len(self.clips))
        parts = [self._measure(weights[first : first + step]) for first in range(0, len(weights), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _measure(self, weights: Floats) -> tuple[Floats, Floats]:
        own = weights[:, self.clips]
        taken = own.cumsum(axis=1)[:, self.last]
        hits = (own * self.positive).cumsum(axis=1)[:, self.last]
        misses = taken - hits
        gained, lost = (np.diff(found, axis=1, prepend=0.0) for found in (hits, misses))
        positives, negatives = hits[:, -1], misses[:, -1]
        precision = _ratio((gained * _ratio(hits, taken, empty=0.0)).sum(axis=1), positives)
        above = (gained * (negatives[:, None] - misses + lost / 2)).sum(axis=1)  # equal scores count by half
        return precision, _ratio(above, positives * negatives)


@dataclass(frozen=True)
class Ranked:
    """One model's answers: truth and scores (clips, classes), and the number of each clip's origin (clips,)."""

    truth: Bools
    scores: npt.NDArray
    origins: Ints


@dataclass(frozen=True)
class Measured:
    """A system's figures, the first axis over draws.

    Attributes:
        macro_average_precision, micro_average_precision, macro_auroc: (draws,).
        average_precision, auroc: (draws, classes); NaN for a class without a positive, or (AUROC) without a negative.
    """

    macro_average_precision: Floats
    micro_average_precision: Floats
    macro_auroc: Floats
    average_precision: Floats
    auroc: Floats


HEADLINES = ("macro_average_precision", "micro_average_precision", "macro_auroc")


def measured(models: Sequence[Ranked], weights: Iterable[Floats]) -> Measured:
    """Figures of a system under each draw: `weights` are blocks (draws, origins), how often each origin was drawn."""
    rankings = [
        ([Ranking.of(truth, scores) for truth, scores in zip(model.truth.T, model.scores.T, strict=True)],
         Ranking.of(model.truth, model.scores), model.origins)
        for model in models
    ]  # fmt: skip
    found = []
    for block in weights:
        own = [_model(classes, micro, block[:, origins]) for classes, micro, origins in rankings]
        found.append([mean_of_known(np.stack(parts), axis=0) for parts in zip(*own, strict=True)])
    precision, auroc, micro = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Measured(mean_of_known(precision, axis=1), micro, mean_of_known(auroc, axis=1), precision, auroc)


def _model(classes: Sequence[Ranking], micro: Ranking, weights: Floats) -> tuple[Floats, Floats, Floats]:
    each = [ranking.measure(weights) for ranking in classes]
    return np.stack([pair[0] for pair in each], 1), np.stack([pair[1] for pair in each], 1), micro.measure(weights)[0]


def as_drawn(models: Sequence[Ranked], origins: int) -> Measured:
    """Figures of the clips as they are: one draw that holds every origin once."""
    return measured(models, [np.ones((1, origins))])


def redrawn(models: Sequence[Ranked], origins: int, draws: int, seed: int) -> Measured:
    """Figures of draws of origins, the same draws for all systems that are scored on the same origins."""
    return measured(models, resamples(origins, draws, seed))


def mean_of_known(values: Floats, axis: int) -> Floats:
    """Mean over an axis, leaving NaN out; NaN where nothing is left."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis).astype(float))


def _ratio(top: Floats, bottom: Floats, empty: float = np.nan) -> Floats:
    return np.divide(top, bottom, out=np.full(np.shape(top), empty), where=bottom > 0)
