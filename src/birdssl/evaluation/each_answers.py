"""A model's answers where each class is told by itself: scores, and the classes whose score reaches their threshold.

From the model's own head, with the thresholds that it was saved with; or from a probe on its embeddings, one for each
class against all other clips, with thresholds from out-of-fold predictions inside its training part: all training clips
can then teach the probe, and none of them is judged by a probe that it taught.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.neighbors import KNeighborsClassifier

from birdssl.artifacts.folds import deal, stratify
from birdssl.errors import IncompatibleError
from birdssl.evaluation.answers import how_in_words
from birdssl.evaluation.baseline import (
    CHOICE_FOLDS,
    CHOICE_TOLERANCE,
    FALLBACK_STRENGTH,
    ITERATIONS,
    NEIGHBOURS,
    STRENGTHS,
    centroids,
    logistic,
)
from birdssl.evaluation.metrics import Floats
from birdssl.evaluation.ranking import Bools, Ranked, as_drawn
from birdssl.evaluation.standard import Standard
from birdssl.evaluation.thresholds import DEFAULT_THRESHOLD, best_thresholds
from birdssl.seeds import generator
from birdssl.settings.names import ProbeName


@dataclass(frozen=True)
class EachAnswers:
    """Answers of one model to some clips.

    Attributes:
        scores: (clips, classes) float32 in [0, 1], of the classes that were asked for, in their order.
        predicted: (clips,) lists of the classes whose score reaches their threshold.
        facts: how they came about, as JSON values.
    """

    scores: npt.NDArray[np.float32]
    predicted: list[list[str]]
    facts: dict[str, Any]


def hot(labels: pl.Series, classes: Sequence[str]) -> Bools:
    """Lists of labels to (clips, classes), whether a clip has the class."""
    held = [set(found) for found in labels.to_list()]
    return np.array([[name in found for name in classes] for found in held], bool).reshape(len(held), len(classes))


def head_each(
    rows: pl.DataFrame, own: Sequence[str], thresholds: Mapping[str, float] | None, wanted: Sequence[str], where: str
) -> EachAnswers:
    """Answers of a head of classes `own`: `rows` have a column `scores`, (clips, own).

    Raises IncompatibleError where the head lacks a class that is wanted, and for scores that aren't finite.
    """
    scores = rows["scores"].to_numpy()
    if scores.shape[1] != len(own):
        raise IncompatibleError(f"{where}: {scores.shape[1]} scores a clip but {len(own)} classes; embed anew")
    if unknown := [name for name in wanted if name not in own]:
        raise IncompatibleError(
            f"{where}: its head has no score for {', '.join(unknown)}; score classes that all heads have, by --classes"
        )
    if not np.isfinite(scores).all():
        raise IncompatibleError(f"{where} holds scores that aren't finite; the model that made them has diverged")
    known = thresholds or {}
    return _answers(
        scores[:, [own.index(name) for name in wanted]],
        wanted,
        {name: known.get(name, DEFAULT_THRESHOLD) for name in wanted},
        {"by": "head", "classes": list(own), "threshold_from": "the model" if known else "default"},
    )


def probe_each(
    kind: ProbeName, training: pl.DataFrame, rows: pl.DataFrame, classes: Sequence[str], seed: int, where: str
) -> EachAnswers:
    """Answers of a probe fitted on `training` (columns embedding, truth, origin) to `rows` (column embedding).

    Raises IncompatibleError where no training clip holds a class, and for embeddings that aren't finite.
    """
    truth = hot(training["truth"], classes)
    if not truth.any():
        raise IncompatibleError(
            f"{where}: no clip to train a probe on, outside the scored part, holds a class of interest "
            f"({', '.join(classes)}); embed the training part too"
        )
    vectors, asked = (table["embedding"].to_numpy().astype(np.float64) for table in (training, rows))
    if not (np.isfinite(vectors).all() and np.isfinite(asked).all()):
        raise IncompatibleError(f"{where} holds values that aren't finite; the model that made them has diverged")
    folds = _inner_folds(training, seed)
    strength, inside = _choose(kind, vectors, truth, folds)
    thresholds, bare = dict.fromkeys(classes, DEFAULT_THRESHOLD), list(classes)
    if inside is not None:
        thresholds, bare = best_thresholds(truth, inside, classes)
    fitted = _Fitted(kind, _standard(kind, vectors), truth, strength)
    chosen = f"by {CHOICE_FOLDS} folds by origin inside the training rows"
    few = f"fixed, as training has fewer than {CHOICE_FOLDS} origins"
    facts: dict[str, Any] = {
        "by": "probe", "kind": kind, "classes": list(classes), "clips": len(truth),
        "origins": training["origin"].n_unique(), "threshold_from": "default" if inside is None else "out-of-fold",
        "untaught": [name for place, name in enumerate(classes) if not truth[:, place].any()],
        "default_thresholds": bare,
    }  # fmt: skip
    if kind == "linear":
        facts |= {"strength": strength, "chosen": few if inside is None else chosen, "converged": fitted.converged}
    elif kind == "knn":
        facts["neighbours"] = min(NEIGHBOURS, len(truth))
    return _answers(fitted.scores(asked), classes, thresholds, facts)


class _Fitted:
    """A probe for each class, on the training rows of `standard`."""

    def __init__(self, kind: ProbeName, standard: Standard, truth: Bools, strength: float, tolerance: float = 1e-4):
        self.standard, points = standard, standard.rows
        self.share = truth.mean(axis=0)
        self.models = {int(place): _fit(kind, points, truth[:, place].astype(int), strength, tolerance)
                       for place in np.flatnonzero((self.share > 0) & (self.share < 1))}  # fmt: skip
        self.converged = kind != "linear" or all(model.n_iter_.max() < ITERATIONS for model in self.models.values())

    def scores(self, vectors: Floats) -> Floats:
        """(clips, features) to (clips, classes) in [0, 1]; of a class that no training clip holds, or all, 0 or 1."""
        points = self.standard(vectors)
        found = np.tile(self.share, (len(points), 1))
        for place, model in self.models.items():
            found[:, place] = model.predict_proba(points)[:, 1]
        return found


def _standard(kind: ProbeName, vectors: Floats) -> Standard:
    return Standard(vectors, spanned=kind == "linear")


def _fit(kind: ProbeName, points: Floats, codes: npt.NDArray[np.int64], strength: float, tolerance: float) -> Any:
    if kind == "linear":
        return logistic(strength, points, codes, tolerance)
    if kind == "knn":
        return KNeighborsClassifier(min(NEIGHBOURS, len(codes)), weights="distance").fit(points, codes)
    return centroids(points, codes)


def _inner_folds(training: pl.DataFrame, seed: int) -> npt.NDArray[np.int64] | None:
    """(rows,) folds of whole origins, dealt by the clips' rarest labels; None where origins are fewer."""
    origins = np.unique(training["origin"].to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)
    if origins.max() + 1 < CHOICE_FOLDS:
        return None
    return deal(stratify(training["labels"]), origins, CHOICE_FOLDS, generator(seed, "probe"))


def _choose(
    kind: ProbeName, vectors: Floats, truth: Bools, folds: npt.NDArray[np.int64] | None
) -> tuple[float, Floats | None]:
    """The strength with the best macro average precision over folds, ties to the stronger hold, and its scores there.

    Without folds the fallback, and no scores. Kinds without a strength are run once.
    """
    if folds is None:
        return FALLBACK_STRENGTH, None
    best, found = -1.0, (FALLBACK_STRENGTH, np.zeros(truth.shape))
    parted = [(held, _standard(kind, vectors[~held])) for held in _held(folds)]
    for strength in STRENGTHS if kind == "linear" else (FALLBACK_STRENGTH,):
        inside, parts = np.zeros(truth.shape), []
        for held, standard in parted:
            fitted = _Fitted(kind, standard, truth[~held], strength, CHOICE_TOLERANCE)
            inside[held] = fitted.scores(vectors[held])
            parts.append(Ranked(truth[held], inside[held], np.zeros(held.sum(), np.int64)))
        reached = float(as_drawn(parts, 1).macro_average_precision[0])
        if reached > best:
            best, found = reached, (strength, inside)
    return found


def _held(folds: npt.NDArray[np.int64]) -> Iterator[Bools]:
    for fold in np.unique(folds):
        yield folds == fold


def _answers(
    scores: npt.NDArray, classes: Sequence[str], thresholds: Mapping[str, float], facts: dict[str, Any]
) -> EachAnswers:
    reached = scores >= np.array([thresholds[name] for name in classes])
    predicted = [[name for name, yes in zip(classes, row, strict=True) if yes] for row in reached]
    return EachAnswers(scores.astype(np.float32), predicted, facts | {"thresholds": dict(thresholds)})


WORDS = {
    "the model": "thresholds as the model was saved with them, from its validation clips",
    "default": f"thresholds of {DEFAULT_THRESHOLD:g}, since nothing was there to choose them by",
    "out-of-fold": "thresholds with the best F1 on out-of-fold predictions of the training clips",
}


def each_in_words(told: Sequence[Mapping[str, Any]], system: str) -> list[str]:
    """How a system's answers and thresholds came about, in sentences."""
    models = [model for item in told if item["system"] == system for model in item["models"]]
    origins = dict.fromkeys(model["threshold_from"] for model in models)
    untaught = dict.fromkeys(name for model in models for name in model.get("untaught", ()))
    words = [*how_in_words([dict(item) for item in told], system),
             *(f"Each class is told by itself; {WORDS[origin]}." for origin in origins)]  # fmt: skip
    return [*words, *([f"No training clip holds {', '.join(untaught)}: its score is 0."] if untaught else [])]
