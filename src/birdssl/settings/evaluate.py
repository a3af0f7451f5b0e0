"""Settings of `birdssl evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.names import PROBES, ProbeName
from birdssl.settings.portraits import PortraitSettings


class EvaluateSettings(PortraitSettings):
    """Score embeddings on held-out recordings: balanced accuracy with intervals, and a report page.

    Each input is an OUT of embed. Several are compared as systems, on the same clips; inputs of one name are the folds
    of one system, and give a mean and a deviation. A model's own head answers; embeddings without a head get a
    classifier trained here, on labelled clips of the training part only. Chance always stands beside. Of several
    kinds of classifier (--probe linear,knn,centroid) each is a system of its own, such as "VICReg (k-NN)".

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
    probe: list[ProbeName] = setting(
        [],
        "Classifiers trained here on every input's embeddings, in place of heads; of several, each is a system. "
        "Default: linear, where no head is.",
    )
    train_ids: list[Path] = setting(
        [],
        "OUT of finetune whose training clips these classifiers learn from, so that few labels are the same few; "
        "one for each fold.",
        metavar="DIR",
    )
    fold: int | None = setting(
        None,
        "Fold that classifiers on embeddings of no fold, such as mel statistics, leave out, so that they learn from as "
        "many labels as models of that fold.",
        ge=0,
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
        if len(set(self.probe)) < len(self.probe):
            raise ValueError(f"--probe names a classifier twice: {', '.join(self.probe)}")
        if self.baseline is not None and self.name and self.baseline not in (known := self.systems(self.name)):
            raise ValueError(f"--baseline {self.baseline!r} is none of the systems: {', '.join(known)}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"--classes names a class twice: {', '.join(self.classes)}")
        return self

    @property
    def probes(self) -> list[ProbeName | None]:
        """Each kind of classifier that answers; None for heads, and linear where there is none."""
        return [*self.probe] or [None]

    def system(self, name: str, probe: ProbeName | None) -> str:
        """What the answers to an input of that name by that probe are called."""
        return f"{name} ({PROBES[probe]})" if probe and len(self.probe) > 1 else name

    def systems(self, names: Sequence[str]) -> list[str]:
        """All systems that inputs of these names give."""
        return [self.system(name, probe) for name in names for probe in self.probes]
