"""Balanced accuracy, recall, confusion and silhouette over the classes of interest.

P1 trains on 15 classes and scores the clips of 12; a prediction that falls in one of the other 3 is wrong. So a class
list keeps the scored classes first and the others behind them: then truth i is answered rightly by prediction i, and a
confusion matrix has its diagonal where a reader looks for it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import silhouette_score

from birdssl.errors import IncompatibleError
from birdssl.seeds import generator

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The silhouette compares all pairs: 5,000 clips are 25 million distances, a second or two.
SILHOUETTE_CLIPS = 5000


@dataclass(frozen=True)
class ClassList:
    """Classes of interest, and the others that a prediction may fall in.

    Attributes:
        scored: classes whose clips are scored, in the order of tables.
        others: classes that a model may answer but whose clips aren't scored.
    """

    scored: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """Every class that may be predicted, the scored ones first."""
        return self.scored + self.others

    def truth(self, labels: Iterable[str]) -> Ints:
        """Positions of labels among the scored classes; raises IncompatibleError for a label that isn't scored."""
        return _positions(labels, self.scored, "a class of interest")

    def predicted(self, labels: Iterable[str]) -> Ints:
        """Positions of labels among all answers; raises IncompatibleError for an unknown label."""
        return _positions(labels, self.answers, "a class that may be predicted")


@dataclass(frozen=True)
class Silhouette:
    """Mean silhouette in [-1, 1], or None with the reason why there is none."""

    value: float | None
    reason: str | None = None
    clips: int = 0


def class_list(known: Sequence[str], wanted: Sequence[str] = ()) -> ClassList:
    """Put the wanted classes (all known ones if none are named) first.

    Raises IncompatibleError for a wanted class that is unknown or named twice.
    """
    if not wanted:
        return ClassList(tuple(known))
    if unknown := [name for name in wanted if name not in known]:
        raise IncompatibleError(f"--classes names {', '.join(unknown)}; the classes here are {', '.join(known)}")
    if len(set(wanted)) < len(wanted):
        raise IncompatibleError(f"--classes names a class twice: {', '.join(wanted)}")
    return ClassList(tuple(wanted), tuple(name for name in known if name not in wanted))


def confusion(truth: Ints, predicted: Ints, classes: ClassList) -> Ints:
    """Count clips by (scored class, answer): shape (scored, answers)."""
    table = np.zeros((len(classes.scored), len(classes.answers)), np.int64)
    np.add.at(table, (truth, predicted), 1)
    return table


def recalls(table: npt.NDArray) -> Floats:
    """Share of each scored class's clips that were answered rightly, (scored,); NaN for a class without clips."""
    clips = table.sum(axis=1).astype(float)
    right = np.diagonal(table).astype(float)
    return np.divide(right, clips, out=np.full(len(clips), np.nan), where=clips > 0)


def balanced_accuracy(table: npt.NDArray) -> float:
    """Mean recall of the scored classes that have clips, as scikit-learn's `balanced_accuracy_score`; NaN if none."""
    found = recalls(table)
    found = found[~np.isnan(found)]
    return float(found.mean()) if len(found) else float("nan")


def chance(clips_per_class: npt.ArrayLike) -> float:
    """Balanced accuracy of one same answer for every clip: 1 / (scored classes with clips).

    Guessing among all answers, unscored ones too, would reach less; this is the stricter of the two.
    """
    present = int(np.count_nonzero(np.asarray(clips_per_class)))
    return 1 / present if present else float("nan")


def silhouette(embeddings: npt.NDArray, truth: Ints, seed: int = 0) -> Silhouette:
    """Mean silhouette of true classes in embedding space, Euclidean (P1 Table 3), over the clips given.

    Args:
        embeddings: (clips, features).
        truth: (clips,) class of each clip.
        seed: draws the clips that are compared when there are more than `SILHOUETTE_CLIPS`.
    """
    rows = np.arange(len(truth))
    if len(rows) > SILHOUETTE_CLIPS:
        rows = np.sort(generator(seed, "silhouette").choice(len(rows), SILHOUETTE_CLIPS, replace=False))
    kinds = len(np.unique(truth[rows]))
    if kinds < 2:
        return Silhouette(None, "a silhouette needs clips of two classes or more", len(rows))
    if kinds >= len(rows):
        return Silhouette(None, "a silhouette needs a class with two clips or more", len(rows))
    points = embeddings[rows].astype(np.float64)
    return Silhouette(float(silhouette_score(points, truth[rows])), None, len(rows))


def _positions(labels: Iterable[str], names: Sequence[str], what: str) -> Ints:
    place = {name: position for position, name in enumerate(names)}
    try:
        return np.array([place[label] for label in labels], np.int64)
    except KeyError as error:
        raise IncompatibleError(f"label {error.args[0]!r} isn't {what}; these are: {', '.join(names)}") from None
