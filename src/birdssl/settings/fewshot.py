"""Settings of `birdssl fewshot`."""

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator

from birdssl.settings.base import setting
from birdssl.settings.frontend import FrontendSettings
from birdssl.settings.names import UnlabelledObjectiveName
from birdssl.settings.network import NetworkSettings
from birdssl.settings.objective import ALL_OWN, ObjectiveSettings
from birdssl.settings.training import OptimisationSettings

ClassifierName = Literal["finetune", "linear", "knn", "centroid"]
PRETRAIN, NONE, PUBLISHED = "pretrain", "none", "published"  # starts that aren't a model's directory
RANDOM_GROUPS = "random"
EVERY_CLASS = "all classes"
SWEEP_RATES = 3  # tried where --sweep doesn't say how many


class FewshotSettings(OptimisationSettings, FrontendSettings, NetworkSettings, ObjectiveSettings):
    """Learn a group of classes from a few labelled clips of each, after pretraining on clips without labels.

    Inputs are directories made by `birdssl render --kind waveform` from labelled clips. For each group, draw of the
    support and pretraining seed an encoder is pretrained on the pool, and its classifiers answer the queries: P2's
    two-layer head with full fine-tuning, and a linear, a k-NN and a nearest-centroid probe on frozen embeddings, alone
    and beside mel statistics. A random start, mel statistics and chance always stand beside. Which of these is best is
    also chosen inside the support, never on queries, and that choice has a row of its own.

    --protocol paper is P2's: the pool is all of a group's clips but the support, and is the query set too. inductive:
    queries are set apart first, by origin. own: every labelled clip is support, for a set of one's own; the best
    classifier is named by folds inside it, and kept in OUT/classifier for `birdssl detect` and `birdssl embed`, its
    encoder in OUT/encoder.

    OUT holds table.md, table.csv, latex.csv, results.json and systems.png (and .svg); its manifest has every answer,
    and cells/ says how each pretraining went.
    """

    example: ClassVar[str] = "birdssl fewshot waves -o fewshot --groups labels.csv --objective cola --epochs 500"

    objective: UnlabelledObjectiveName = setting("cola", "What is learnt from the pool.", short="-O")
    validate_every: int = setting(
        50,
        "Epochs between looks at how pretraining goes, and between its checkpoints; the last is always looked at.",
        ge=1,
    )
    protocol: Literal["paper", "inductive", "own"] = setting(
        "paper", "How a group's clips are parted into pool, support and queries."
    )
    groups: str = setting(
        "all",
        "Classes that are told from each other: all of them (all:NAME names the group), random:N for N groups of "
        "--ways classes, or a CSV table with columns label and group.",
        metavar="all|random:N|FILE",
    )
    group: list[str] = setting(
        [],
        "A group by its classes, in place of --groups; repeat it for more.",
        metavar="NAME=LABEL,LABEL",
        commas=False,
    )
    only_groups: list[str] = setting([], "Of these groups, run those named here.", metavar="NAME")
    ways: int = setting(5, "Classes in a group of --groups random:N; given groups have their own number.", ge=2)
    shots: int = setting(5, "Support clips of a class.", ge=1)
    draws: int = setting(5, "Draws of the support for each group.", ge=1, le=10_000)
    only_draws: list[int] = setting([], "Of these draws, run those numbered here, from 0.", metavar="N")
    pretraining_seeds: int = setting(
        1,
        "Encoders pretrained for each group and draw; with one, intervals hold no noise of pretraining.",
        ge=1,
        le=100,
    )
    disjoint_origins: bool = setting(
        False, "paper: leave out queries of origins that the support has, so that one recording is on one side."
    )
    query_share: float = setting(
        0.25, "inductive: share of a group's clips that is set apart as queries, by whole origins.", gt=0, lt=1
    )
    pool_clips: int | None = setting(None, "Most clips to pretrain on, drawn; default all of the pool.", ge=2)
    start: str = setting(
        PRETRAIN,
        "Where the encoder comes from: pretrain one on each pool, none (random start and mel statistics alone), "
        "published (--weights of --encoder), or the OUT of `birdssl pretrain`.",
        short="-s",
        metavar="pretrain|none|published|DIR",
    )
    weights: Path | None = setting(None, "The encoder's published checkpoint, for --start published.")
    name: str | None = setting(None, "Name of the method in tables; default its encoder and objective.")
    classifiers: list[ClassifierName] = setting(
        ["finetune", "linear", "knn", "centroid"],
        "What answers: finetune (two-layer head, encoder and head trained), linear, knn, centroid.",
        metavar="NAME",
    )
    support_folds: int = setting(
        5,
        "Folds inside the support, by origin, that choose among classifiers and rates; 0 for no choice.",
        ge=0,
        le=100,
    )
    finetune_epochs: int = setting(50, "Passes over the support in fine-tuning.", ge=0)
    finetune_rate: float = setting(0.006, "Learning rate of fine-tuning, by SGD without momentum (P2).", gt=0)
    finetune_batch: int = setting(
        25, "Clips in a batch of fine-tuning; with 25 at once, 50 epochs are 50 steps and underfit: try 5.", ge=1
    )
    freeze: bool = setting(False, "Fine-tuning trains the head alone; the encoder stays as it started.")
    sweep: str | None = setting(
        None,
        "Fine-tuning rates to try by folds inside the support, LOW:HIGH or LOW:HIGH:COUNT; P2's was 0.005:0.01.",
        metavar="LOW:HIGH",
    )
    several_labels: Literal["refuse", "leave-out"] = setting(
        "refuse", "What to do with clips of several labels, since one label a clip is learnt."
    )
    level: float = setting(0.95, "Level of the intervals.", ge=0.5, le=0.999)

    @property
    def random_groups(self) -> int | None:
        """How many groups are drawn; None where groups are given."""
        kind, _, count = self.groups.partition(":")
        return int(count) if kind == RANDOM_GROUPS and count.isdecimal() else None

    @property
    def every_class(self) -> str | None:
        """The name of the one group of all classes; None where there are other groups."""
        kind, _, name = self.groups.partition(":")
        return (name or EVERY_CLASS) if kind == "all" and not self.group else None

    @property
    def draw_numbers(self) -> list[int]:
        """Draws to run, from 0."""
        return [0] if self.protocol == "own" else sorted(set(self.only_draws) or range(self.draws))

    @property
    def rates(self) -> list[float]:
        """Fine-tuning rates to choose from, evenly spaced by ratio."""
        if self.sweep is None:
            return [self.finetune_rate]
        low, high, count = _sweep(self.sweep)
        return [float(f"{low * (high / low) ** (step / (count - 1)):.6g}") for step in range(count)]

    @model_validator(mode="after")
    def _groups_fit(self) -> "FewshotSettings":
        if self.groups.startswith(f"{RANDOM_GROUPS}:") and not self.random_groups:
            raise ValueError(f"--groups {self.groups!r}: write random:N with N at least 1, such as random:10")
        if self.group and "groups" in self.model_fields_set:
            raise ValueError("--group and --groups exclude each other; give one of them")
        for text in self.group:
            name, _, labels = text.partition("=")
            if not name.strip() or len({label.strip() for label in labels.split(",") if label.strip()}) < 2:
                raise ValueError(f"--group {text!r}: write NAME=LABEL,LABEL with two labels or more")
        if "ways" in self.model_fields_set and self.random_groups is None:
            raise ValueError("--ways is for --groups random:N; other groups have as many classes as they have")
        if len({text.partition("=")[0].strip() for text in self.group}) < len(self.group):
            raise ValueError("--group gives one name twice; name each group differently")
        return self

    @model_validator(mode="after")
    def _protocol_fits(self) -> "FewshotSettings":
        if self.disjoint_origins and self.protocol != "paper":
            raise ValueError(
                f"--disjoint-origins is for --protocol paper; {self.protocol} "
                f"{'keeps origins apart anyway' if self.protocol == 'inductive' else 'has no queries'}"
            )
        if "query_share" in self.model_fields_set and self.protocol != "inductive":
            raise ValueError("--query-share is for --protocol inductive; leave it out, or give that as well")
        if self.protocol == "own":
            for name in ("shots", "draws", "only_draws"):
                if name in self.model_fields_set:
                    raise ValueError(f"{self.flag(name)} has no meaning with --protocol own, which draws no support")
            if self.support_folds < 2:
                raise ValueError("--protocol own names the best classifier by --support-folds; give 2 or more")
        if self.support_folds == 1:
            raise ValueError("--support-folds 1: one fold leaves nothing to learn from; give 0 for none, or 2 or more")
        beyond = [number for number in self.only_draws if not 0 <= number < self.draws]
        if beyond:
            raise ValueError(f"--only-draws {beyond[0]}: the draws are 0 to {self.draws - 1}; see --draws")
        return self

    @model_validator(mode="after")
    def _start_fits(self) -> "FewshotSettings":
        if (self.start == PUBLISHED) != (self.weights is not None):
            raise ValueError("--start published and --weights FILE belong together: give both, or neither")
        if self.start == PUBLISHED and self.encoder is None:
            raise ValueError("--start published needs --encoder, which the weights are of")
        if self.start in (PRETRAIN, NONE):  # the random start of an objective's encoder may be asked for
            return self
        for name in ("objective", "shuffle_pairs", "views", *ALL_OWN):
            if name in self.model_fields_set:
                raise ValueError(
                    f"{self.flag(name)} is for --start pretrain, and with --start {self.start} nothing is pretrained; "
                    "leave it out"
                )
        return self

    @model_validator(mode="after")
    def _tuning_fits(self) -> "FewshotSettings":
        if not self.classifiers or len(set(self.classifiers)) < len(self.classifiers):
            raise ValueError("--classifiers: name one or several, each once")
        if self.sweep is None:
            return self
        if "finetune_rate" in self.model_fields_set:
            raise ValueError("--sweep and --finetune-rate exclude each other; give one of them")
        if self.support_folds < 2:
            raise ValueError("--sweep chooses by --support-folds inside the support; give 2 or more")
        if self.shots < 2 and self.protocol != "own":
            raise ValueError(
                "--sweep chooses by folds inside the support, and --shots 1 leaves nothing to ask about; give 2 shots "
                "or more, or --finetune-rate"
            )
        low, high, count = _sweep(self.sweep)
        if not 0 < low < high or count < 2:
            raise ValueError(f"--sweep {self.sweep!r}: write LOW:HIGH or LOW:HIGH:COUNT, 0 < LOW < HIGH, COUNT from 2")
        return self


def _sweep(text: str) -> tuple[float, float, int]:
    """Lowest and highest rate, and how many; zeros for what can't be read."""
    number = r"(\d+\.?\d*(?:[eE]-?\d+)?)"
    found = re.fullmatch(rf"{number}:{number}(?::(\d+))?", text.strip())
    if found is None:
        return 0.0, 0.0, 0
    return float(found[1]), float(found[2]), int(found[3] or SWEEP_RATES)
