"""Settings of `birdssl evaluate`."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.portraits import PortraitSettings


class EvaluateSettings(PortraitSettings):
    """Score embeddings on held-out recordings: balanced accuracy with intervals, and a report page.

    Each input is an OUT of embed. Several are compared as systems, on the same clips; inputs of one name are the folds
    of one system, and give a mean and a deviation. A model's own head answers; embeddings without a head get a
    classifier trained here, on labelled clips of the training part only. Chance always stands beside.

    Where several species may call in a clip (--several-labels each, or heads of a `finetune` that was run so), scores
    are macro and micro average precision and macro AUROC, and of each class also precision, recall and F1 at its
    threshold. Clips labelled "none" are negatives of every class; unlabelled ones are left out, and counted.

    OUT holds report.html (one file, works offline), metrics.json, figures/ and, in its manifest, every answer.
    """

    example: ClassVar[str] = (
        "birdssl evaluate embedded-mel embedded-vicreg -o scores --name 'mel statistics,VICReg' "
        "--baseline 'mel statistics'"
    )

    on: Literal["test", "validation"] = setting(
        "test", "Clips that are scored: the test part, or the fold that each model held out."
    )
    name: list[str] = setting(
        [], "A name for each input, in order; inputs of one name are folds of one system. Default: directory names."
    )
    classes: list[str] = setting(
        [], "Classes of interest. An answer in another class counts as wrong. Default: all.", metavar="CLASS"
    )
    baseline: str | None = setting(None, "Name of the system that the others are told from.", metavar="NAME")
    probe: Literal["linear", "knn", "centroid"] | None = setting(
        None,
        "Classifier trained here on every input's embeddings, in place of heads. Default: linear, where no head is.",
    )
    train_ids: list[Path] = setting(
        [],
        "OUT of finetune whose training clips these classifiers learn from, so that few labels are the same few; "
        "one for each fold.",
        metavar="DIR",
    )
    several_labels: Literal["refuse", "leave-out", "each"] = setting(
        "refuse",
        "What to do with clips of several labels: refuse or leave them out, since one label a clip is scored, or score "
        "each class by itself, as is done for heads that tell it so.",
    )
    shared_origins: Literal["refuse", "leave-out", "accept"] = setting(
        "refuse",
        "What to do with clips whose origin was learned from as well: accepted, they make a score flatter.",
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.baseline is not None and self.name and self.baseline not in self.name:
            raise ValueError(f"--baseline {self.baseline!r} is none of --name {', '.join(self.name)}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"--classes names a class twice: {', '.join(self.classes)}")
        return self
