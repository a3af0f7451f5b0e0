"""Answers in one few-shot episode: any classifier on its queries, and by folds inside its support."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from birdssl.evaluation.baseline import Probe, fit_probe
from birdssl.evaluation.fewshot import ANSWERS, CERTAINTY_DIGITS, FOLDS, QUERY
from birdssl.evaluation.metrics import Floats, Ints
from birdssl.settings.names import ProbeName

# (places learned from, places asked about) to probabilities (asked, classes)
Fit = Callable[[Ints, Ints], Floats]


@dataclass(frozen=True)
class Questions:
    """An episode over one table of clips.

    Attributes:
        clips: a row each, with id, recording, origin and truth; what is asked about has a truth.
        support, query: places in it.
        folds: (support,) fold of each support clip; None for none.
        classes: of the group, sorted.
        cell: group, draw and seed.
    """

    clips: pl.DataFrame
    support: Ints
    query: Ints
    folds: Ints | None
    classes: tuple[str, ...]
    cell: dict[str, Any]

    def truths(self, places: Ints) -> list[str]:
        return self.clips["truth"].gather(places).to_list()


def answer(questions: Questions, features: str, classifier: str, fit: Fit) -> pl.DataFrame:
    """Rows (ANSWERS) of one system: to each support clip by the other folds, and to each query by the whole support."""
    parts = [folds_answers(questions, features, classifier, fit)] if questions.folds is not None else []
    if len(questions.query):
        scores = fit(questions.support, questions.query)
        parts.append(_rows(questions, features, classifier, QUERY, questions.query, scores))
    return pl.concat(parts) if parts else pl.DataFrame(schema=ANSWERS)


def folds_answers(questions: Questions, features: str, classifier: str, fit: Fit) -> pl.DataFrame:
    """Rows of one system inside the support alone."""
    assert questions.folds is not None
    parts = []
    for fold in np.unique(questions.folds):
        held = questions.folds == fold
        asked = questions.support[held]
        scores = fit(questions.support[~held], asked)
        parts.append(_rows(questions, features, classifier, FOLDS, asked, scores))
    return pl.concat(parts)


def probe(kind: ProbeName, vectors: npt.NDArray, questions: Questions, seed: int) -> Fit:
    """A plain classifier on vectors (clips, features): each feature standardised by the clips learned from."""

    def fit(learned: Ints, asked: Ints) -> Floats:
        fitted = fitted_probe(kind, vectors, questions, learned, seed)
        return _in_order(fitted.scores(vectors[asked]), fitted.classes, questions.classes)

    return fit


def fitted_probe(kind: ProbeName, vectors: npt.NDArray, questions: Questions, learned: Ints, seed: int) -> Probe:
    """A plain classifier fitted to the clips numbered `learned`."""
    origins = questions.clips["origin"].gather(learned).to_list()
    return fit_probe(kind, vectors[learned], questions.truths(learned), origins, seed)


def best_of(questions: Questions, tried: Sequence[pl.DataFrame]) -> int:
    """Which of several answers inside the support is best: mean recall, then probability of the truth, then the first.

    Never looks at queries.
    """
    scores = []
    for rows in tried:
        means = (
            rows.filter(pl.col("part") == FOLDS)
            .group_by("truth")
            .agg((pl.col("truth") == pl.col("predicted")).mean().alias("recall"), pl.col("certainty").mean())
            .sort("truth")
        )
        scores.append(
            tuple(round(float(means[name].mean()), CERTAINTY_DIGITS) for name in ("recall", "certainty"))  # type: ignore[arg-type]
        )
    return max(range(len(scores)), key=lambda place: (*scores[place], -place))


def _in_order(scores: Floats, names: Sequence[str], classes: Sequence[str]) -> Floats:
    """Columns as `classes` has them; 0 for a class that wasn't learned."""
    full = np.zeros((len(scores), len(classes)))
    full[:, [classes.index(name) for name in names]] = scores
    return full


def _rows(
    questions: Questions, features: str, classifier: str, part: str, places: Ints, scores: Floats
) -> pl.DataFrame:
    truths, best = questions.truths(places), scores.argmax(axis=1)
    columns = [questions.classes.index(label) for label in truths]
    clips = questions.clips[places]
    values: dict[str, Any] = {
        **questions.cell,
        "part": part,
        "features": features,
        "classifier": classifier,
        "id": clips["id"],
        "recording": clips["recording"],
        "origin": clips["origin"],
        "truth": truths,
        "predicted": [questions.classes[place] for place in best],
        "certainty": scores[np.arange(len(scores)), columns],
    }
    return pl.DataFrame(values).select([pl.col(name).cast(kind) for name, kind in ANSWERS.items()])
