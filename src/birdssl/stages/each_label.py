"""Whether an evaluation tells each class by itself."""

from collections.abc import Sequence
from pathlib import Path

from birdssl.artifacts.artifact import Artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.evaluate import EvaluateSettings

EACH = "each_label"  # fact of an evaluation


def tells_each(inputs: Sequence[Artifact], settings: EvaluateSettings) -> bool:
    """Whether each class is told by itself: where it is asked for, and where a head that answers was trained so.

    Raises UsageError and IncompatibleError for what contradicts it.
    """
    heads: dict[str, Path] = {} if settings.probe else {
        artifact.facts.get("scores", "softmax"): artifact.path
        for artifact in inputs if "scores" in artifact.scan().collect_schema()
    }  # fmt: skip
    if settings.several_labels != "each" and "sigmoid" not in heads:
        return False
    if settings.several_labels == "leave-out":
        raise UsageError(
            f"--several-labels leave-out: the head of {heads['sigmoid']} tells each class by itself, and is scored so; "
            "leave it out, or score one label a clip by --probe linear"
        )
    if "softmax" in heads:
        raise IncompatibleError(
            f"the head of {heads['softmax']} answers one class a clip, so it can't be scored for each by itself; embed "
            "by a model of `birdssl finetune --several-labels each`, or give --probe linear for all inputs"
        )
    return True


def told_each(runs: Sequence[Artifact]) -> bool:
    """Whether evaluations tell each class by itself; raises IncompatibleError where some do and some don't."""
    found = {bool(run.facts.get(EACH)): run.path for run in runs}
    if len(found) > 1:
        raise IncompatibleError(
            f"{found[True]} scores each class by itself, and {found[False]} one label a clip; their scores can't stand "
            "in one table: give evaluations of one kind, or score both with `birdssl evaluate --several-labels each` "
            "(by --probe linear, where a head answers one class a clip)"
        )
    return True in found
