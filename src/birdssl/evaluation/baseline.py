"""Plain classifiers on fixed vectors: what an embedding, or two numbers a mel band, is worth without a network.

They score models that have no head, and they are the plain baseline that every table has beside it. All see vectors
standardised with the mean and deviation of the training rows alone, and nothing of the rows that are scored.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier

from birdssl.errors import IncompatibleError
from birdssl.evaluation.metrics import ClassList, Floats, balanced_accuracy, confusion
from birdssl.evaluation.standard import Standard
from birdssl.seeds import derive
from birdssl.settings.names import ProbeName

# Strengths tried for the linear probe, weakest last. On mel statistics of ESC-50 (official fold 1) accuracy was
# 26, 37, 39 and 38 %; on five classes of 1, 5 and 10 clips 0.1 was best, 0.01 and 1 up to 3 points behind it.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
FALLBACK_STRENGTH = 0.1
# The choice needs no fit to the last digit: this took a half to a quarter of the time and ranked the strengths alike.
CHOICE_TOLERANCE = 1e-3
CHOICE_FOLDS = 3
NEIGHBOURS = 5
ITERATIONS = 2000


@dataclass(frozen=True)
class Probe:
    """A fitted probe.

    Attributes:
        kind: linear, knn or centroid.
        classes: names of the columns of `scores`.
        facts: what was fitted and chosen, as JSON values: training clips, origins, strength and how it was chosen.
    """

    kind: ProbeName
    classes: tuple[str, ...]
    facts: dict[str, Any]
    standard: Standard
    model: Any

    def scores(self, embeddings: npt.NDArray) -> Floats:
        """Probabilities (clips, classes) of embeddings (clips, features); rows add up to 1."""
        return self.model.predict_proba(self.standard(embeddings))


def as_layer(probe: Probe) -> tuple[Floats, Floats]:
    """A linear or centroid probe as one layer: weights (classes, features) and bias (classes,) of raw embeddings.

    The softmax of weights @ embedding + bias gives the probe's scores. Raises ValueError for k-NN, which has no such
    form.
    """
    if isinstance(probe.model, _Centroids):
        weights = probe.model.centres / probe.model.variance
        bias = -(probe.model.centres**2).sum(1) / (2 * probe.model.variance)
    elif isinstance(probe.model, LogisticRegression):
        weights, bias = probe.model.coef_, probe.model.intercept_
        if len(probe.classes) == 2:  # scikit-learn keeps one row for two classes
            weights, bias = (np.concatenate([np.zeros_like(part), part]) for part in (weights, bias))
    else:
        raise ValueError(f"a probe of kind {probe.kind} is no layer")
    return probe.standard.raw(weights, bias)


@dataclass(frozen=True)
class _Centroids:
    """Nearest class mean; scores as if each class were a round Gaussian of the pooled within-class variance."""

    centres: Floats
    variance: float

    def predict_proba(self, points: Floats) -> Floats:
        away = (points**2).sum(1)[:, None] - 2 * points @ self.centres.T + (self.centres**2).sum(1)
        logits = -(away - away.min(axis=1, keepdims=True)) / (2 * self.variance)
        odds = np.exp(logits)
        return odds / odds.sum(axis=1, keepdims=True)


def mel_statistics(spectrograms: npt.NDArray) -> npt.NDArray[np.float32]:
    """Mean and standard deviation over time of each mel band: (clips, bands, frames) to (clips, 2 x bands)."""
    pictures = spectrograms.astype(np.float32)
    return np.concatenate([pictures.mean(axis=2), pictures.std(axis=2)], axis=1)


def fit_probe(
    kind: ProbeName, embeddings: npt.NDArray, labels: Sequence[str], origins: Sequence[str], seed: int
) -> Probe:
    """Fit a probe on training rows.

    linear: logistic regression, classes weighted alike since balanced accuracy is the score. Its strength is chosen by
    balanced accuracy in 3 folds by origin inside the training rows (ties go to the stronger hold); fixed at 0.1 where a
    class has fewer than 3 origins. knn: 5 nearest, Euclidean, weighted by closeness. centroid: nearest class mean.

    Args:
        embeddings: (clips, features), finite.
        labels: class of each clip.
        origins: origin of each clip.
        seed: of the folds in which the strength is chosen.

    Raises IncompatibleError for fewer than two classes, and for values that aren't finite.
    """
    truth = np.asarray(labels, dtype=object)
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        found = f"these {len(truth)} are of: {', '.join(classes) or 'none'}"
        raise IncompatibleError(f"a probe needs training clips of two classes or more; {found}")
    if not np.isfinite(embeddings).all():
        raise IncompatibleError("the embeddings hold values that aren't finite; the model that made them has diverged")
    standard = Standard(embeddings, spanned=kind == "linear")
    points = standard.rows
    codes = np.searchsorted(np.array(classes), truth.astype(str))
    facts: dict[str, Any] = {"kind": kind, "clips": len(truth), "origins": len(set(origins))}
    if kind == "linear":
        strength, why = _choose_strength(embeddings, codes, origins, seed)
        model: Any = logistic(strength, points, codes)
        facts |= {"strength": strength, "chosen": why, "converged": int(model.n_iter_.max()) < ITERATIONS}
    elif kind == "knn":
        neighbours = min(NEIGHBOURS, len(truth))
        model = KNeighborsClassifier(neighbours, weights="distance").fit(points, codes)
        facts["neighbours"] = neighbours
    else:
        model = centroids(points, codes)
    return Probe(kind, classes, facts, standard, model)


def _choose_strength(
    embeddings: npt.NDArray, codes: npt.NDArray, origins: Sequence[str], seed: int
) -> tuple[float, str]:
    """The strength with the best mean balanced accuracy over folds by origin, and how it was found."""
    groups = np.unique(np.asarray(origins, dtype=object).astype(str), return_inverse=True)[1]
    fewest = min(len(np.unique(groups[codes == code])) for code in np.unique(codes))
    if fewest < CHOICE_FOLDS:
        return FALLBACK_STRENGTH, f"fixed, as some class has fewer than {CHOICE_FOLDS} origins in training"
    folds = StratifiedGroupKFold(CHOICE_FOLDS, shuffle=True, random_state=derive(seed, "probe") % 2**32)
    classes = ClassList(tuple(str(code) for code in range(codes.max() + 1)))
    totals = np.zeros(len(STRENGTHS))
    for inner, outer in folds.split(embeddings, codes, groups):
        standard = Standard(embeddings[inner], spanned=True)
        held = standard(embeddings[outer])
        for place, strength in enumerate(STRENGTHS):
            answers = logistic(strength, standard.rows, codes[inner], CHOICE_TOLERANCE).predict(held)
            totals[place] += balanced_accuracy(confusion(codes[outer], answers, classes))
    return STRENGTHS[int(totals.argmax())], f"by {CHOICE_FOLDS} folds by origin inside the training rows"


def logistic(strength: float, points: Floats, codes: npt.NDArray, tolerance: float = 1e-4) -> LogisticRegression:
    """Fit; whether it converged is told in the probe's facts, so scikit-learn's warning isn't shown as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=ITERATIONS, tol=tolerance)
        return model.fit(points, codes)


def centroids(points: Floats, codes: npt.NDArray) -> _Centroids:
    """Means of the classes, numbered from 0, of (clips, features)."""
    centres = np.stack([points[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
    variance = float(((points - centres[codes]) ** 2).mean())
    return _Centroids(centres, variance or 1.0)
