"""Whether an evaluation tells each class by itself, and who can't read one that does."""

from collections.abc import Iterable, Sequence
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


def refuse_each(runs: Iterable[Artifact]) -> None:
    """Raise IncompatibleError for an evaluation that tells each class by itself."""
    for run in runs:
        if run.facts.get(EACH):
            raise IncompatibleError(
                f"{run.path} scores each class by itself, and evaluations are joined where a clip has one label; give "
                "all embeddings to one `birdssl evaluate`, which sets its inputs side by side"
            )
