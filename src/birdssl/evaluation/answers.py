"""A model's answer to each clip: from the scores of its own head, or from a probe on its embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from birdssl.errors import IncompatibleError
from birdssl.evaluation.baseline import fit_probe
from birdssl.settings.names import ProbeName


@dataclass(frozen=True)
class Answers:
    """Answers of one model to some clips.

    Attributes:
        predicted: (clips,) class of the highest score.
        score: (clips,) that score, a probability.
        facts: how they came about, as JSON values.
    """

    predicted: list[str]
    score: npt.NDArray[np.float32]
    facts: dict[str, Any]


def head_answers(rows: pl.DataFrame, classes: Sequence[str], where: str) -> Answers:
    """Answers of a model's head: `rows` have a column `scores`, (clips, classes)."""
    scores = rows["scores"].to_numpy()
    if scores.shape[1] != len(classes):
        raise IncompatibleError(f"{where}: {scores.shape[1]} scores a clip but {len(classes)} classes; embed anew")
    return _best(scores, classes, {"by": "head", "classes": list(classes)}, where)


def probe_answers(kind: ProbeName, training: pl.DataFrame, rows: pl.DataFrame, seed: int, where: str) -> Answers:
    """Answers of a probe fitted on `training` (columns embedding, truth, origin) to `rows` (column embedding)."""
    if training.is_empty():
        raise IncompatibleError(
            f"{where}: no labelled clip to train a probe on outside the scored part; embed the training part too"
        )
    probe = fit_probe(kind, _vectors(training), training["truth"].to_list(), training["origin"].to_list(), seed)
    facts = {"by": "probe", "classes": list(probe.classes), **probe.facts}
    return _best(probe.scores(_vectors(rows)), probe.classes, facts, where)


def how_in_words(told: Sequence[dict[str, Any]], system: str) -> list[str]:
    """How a system's answers came about: a sentence for each way, with the folds where there are several."""
    folds: dict[str, list[str]] = {}
    for model in (model for item in told if item["system"] == system for model in item["models"]):
        folds.setdefault(_in_words(model), []).append("no fold" if model["fold"] is None else f"fold {model['fold']}")
    return [f"{', '.join(names).capitalize()}: {text}" if len(folds) > 1 else text for text, names in folds.items()]


def _in_words(facts: dict[str, Any]) -> str:
    if facts["by"] == "head":
        return f"Answers of the model’s own head, over {len(facts['classes'])} classes."
    learned = f"trained on {facts['clips']} clips of {facts['origins']} origins"
    if facts["kind"] == "linear":
        doubt = "" if facts["converged"] else " It did not converge."
        return (
            f"Logistic regression on the embeddings, {learned}; C = {facts['strength']:g} ({facts['chosen']}).{doubt}"
        )
    if facts["kind"] == "knn":
        return f"The {facts['neighbours']} nearest training embeddings, {learned}."
    return f"The nearest mean embedding of a class, {learned}."


def _vectors(rows: pl.DataFrame) -> npt.NDArray:
    return rows["embedding"].to_numpy()


def _best(scores: npt.NDArray, classes: Sequence[str], facts: dict[str, Any], where: str) -> Answers:
    if not np.isfinite(scores).all():
        raise IncompatibleError(f"{where} holds scores that aren't finite; the model that made them has diverged")
    best = scores.argmax(axis=1)
    top = scores[np.arange(len(best)), best].astype(np.float32)
    return Answers([classes[place] for place in best], top, facts)
