"""Where embeddings come from: the fold that their model held out, the clips it learned from, and all earlier stages."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.artifact import Artifact, open_artifact, read_record
from birdssl.artifacts.manifest import ORIGINAL, PART, TRAINING
from birdssl.settings.names import SUPERVISED

PRETRAIN, FINETUNE, FEWSHOT = "pretrain", "finetune", "fewshot"
# what a network started from, and plain features that have none
RANDOM, IMAGENET, PUBLISHED, PRETRAINED, PLAIN, UNKNOWN = (
    "random", "imagenet", "published", "pretrained", "plain", "unknown",
)  # fmt: skip
TRAINS = (PRETRAIN, FINETUNE, FEWSHOT)
HEADS_LAYER = "penultimate"
OTHER_LABELS = "other labels"  # stands for an objective where a network learned other labels first
# settings in which runs of one pretraining may differ: its folds and repeats, and how the machine computed
ASIDE = ("fold", "seed", "precision", "threads", "memory_budget", "start", "weights")


def run_folder(folder: Path) -> Path:
    """The directory of the run that made the model in `folder`: the same, or the one above of few-shot's models."""
    above = folder.resolve().parent
    record = read_record(above) if read_record(folder) is None else None
    return above if record is not None and record.verb == FEWSHOT else folder


def model_run(artifact: Artifact) -> Artifact | None:
    """The training run that made embeddings; None for plain features, or where it isn't there any more."""
    for item in artifact.record.inputs:
        folder = run_folder(artifact.path / item["path"])
        record = read_record(folder)
        if record is not None and record.verb in TRAINS:
            return open_artifact(folder)
    return None


def training_runs(folder: Path) -> Iterator[Artifact]:
    """The run that made a model, then those that made the models it started from, as far as they're still there."""
    folder = run_folder(folder)
    record = read_record(folder)
    if record is None or record.verb not in TRAINS:
        return
    yield open_artifact(folder)
    for item in record.inputs:
        yield from training_runs(folder / item["path"])


def model_fold(artifact: Artifact) -> int | None:
    """The fold that the model behind embeddings held out: its own fact, or that of the model's directory."""
    if artifact.facts.get("fold") is not None:
        return int(artifact.facts["fold"])
    run = model_run(artifact)
    return None if run is None else run_fold(run)


def run_fold(run: Artifact) -> int | None:
    """The fold that a training run held out."""
    found = run.facts.get("fold", run.settings.get("fold"))
    return None if found is None else int(found)


def learned_from(run: Artifact) -> pl.DataFrame:
    """`id` (of the original, for copies and views) and `origin` of the clips that a run learned from."""
    if run.verb == FEWSHOT:
        return pl.concat([taught_by(run), *_pools(run)]).unique("id", keep="first", maintain_order=True)
    rows = run.manifest()
    if PART in rows.columns:
        rows = rows.filter(pl.col(PART) == TRAINING)
    return rows.select(pl.coalesce("parent", "id").alias("id"), "origin").unique("id", maintain_order=True)


def taught_by(run: Artifact) -> pl.DataFrame:
    """`id` and `origin` of the clips whose labels a run learned: of a pretraining run's only if it was supervised."""
    if run.verb == FEWSHOT:
        return run.manifest().select("id", "origin").unique("id", maintain_order=True)
    found = learned_from(run)
    return found if run.verb == FINETUNE or _supervised(run) else found.clear()


def _supervised(run: Artifact) -> bool:
    return run.verb == PRETRAIN and run.settings.get("objective") == SUPERVISED


def start_of(artifact: Artifact) -> dict[str, Any]:
    """What the network behind embeddings started from: `way`, its `encoder`, and whether it was then `tuned`.

    A network that was pretrained for no epoch is the start that it had: random, or published weights. `way` is UNKNOWN
    where the run isn't there any more. `labels` stands there where it was taught a share of them only, and `layer`
    where the embeddings are of a layer before a head that learned. Of a pretrained one, `objective` is what it learned
    by (OTHER_LABELS for a classifier of other classes) and `pretraining` a digest of how, the same in all folds.
    """
    encoder = artifact.facts.get("encoder")
    if not artifact.facts.get("model"):
        return {"way": PLAIN, "encoder": None, "tuned": False}
    run = model_run(artifact)
    if run is None:
        return {"way": UNKNOWN, "encoder": encoder, "tuned": None}
    found = {"encoder": encoder, "tuned": run.verb == FINETUNE and not run.settings.get("freeze")}
    if (share := run.settings.get("train_fraction", 1.0)) < 1:
        found["labels"] = share
    if artifact.facts.get("layer") == HEADS_LAYER:
        found["layer"] = HEADS_LAYER
    start = str(run.settings.get("start") or PRETRAINED)
    if start in (RANDOM, IMAGENET, PUBLISHED):
        return {"way": start, **found}
    runs = list(training_runs(run.path))
    *later, first = runs
    if first.verb == PRETRAIN and first.settings.get("epochs") == 0 and len(later) <= 1:
        return {"way": RANDOM if first.settings.get("weights") is None else PUBLISHED, **found}
    own = run.settings.get("start") in (None, PRETRAIN)  # pretrain, and few-shot that pretrains
    return {"way": PRETRAINED, **found, **_pretraining(runs if own else runs[1:])}


def _pretraining(runs: Sequence[Artifact]) -> dict[str, Any]:
    """`objective` and `pretraining` of the run that a network was tuned from; None where it isn't there any more."""
    if not runs:
        return {"objective": None, "pretraining": None}
    settings = {name: value for name, value in runs[0].settings.items() if name not in ASIDE}
    published = runs[0].settings.get("weights") is not None
    text = json.dumps([settings, published, len(runs[0].record.inputs)], sort_keys=True)  # more folders: another pool
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    objective = runs[0].facts.get("objective") or settings.get("objective")
    return {"objective": OTHER_LABELS if runs[0].verb == FINETUNE else objective, "pretraining": digest}


@dataclass(frozen=True)
class Past:
    """What a model has learned from, with all models that it started from.

    Attributes:
        ids, origins: of all clips.
        taught_origins: of the clips whose labels were learned.
        known: False where no training run stands beside the model any more, so that nothing of this is known.
    """

    ids: frozenset[str]
    origins: frozenset[str]
    taught_origins: frozenset[str]
    known: bool


def past(folder: Path, head: bool) -> Past:
    """What the model in `folder` has learned from, as far as its runs are still there.

    `head` says whether it has one: few-shot's bare encoder was pretrained without labels, its classifier wasn't.
    """
    runs = list(training_runs(folder))
    heard = [learned_from(run) for run in runs]
    taught = [taught_by(run) for place, run in enumerate(runs) if place > 0 or head or run.verb != FEWSHOT]
    ids, origins = ({value for rows in heard for value in rows[name]} for name in ("id", "origin"))
    labelled = {value for rows in taught for value in rows["origin"]}
    return Past(frozenset(ids), frozenset(origins), frozenset(labelled), bool(runs))


def _pools(run: Artifact) -> Iterator[pl.DataFrame]:
    """`id` and `origin` of all clips that a few-shot run may have pretrained on, as far as its inputs are there."""
    for item in run.record.inputs:
        folder = run.path / item["path"]
        if item["verb"] == "render" and read_record(folder) is not None:
            rows = open_artifact(folder).manifest()
            heard = rows.filter((pl.col("role") == ORIGINAL) & ~pl.col("test").fill_null(False))
            yield heard.select("id", pl.coalesce("origin", "recording").alias("origin"))


def seen_unlabelled(run: Artifact | None, ids: Sequence[str]) -> int:
    """How many of the clips a model's pretraining has seen, without their labels."""
    if run is None:
        return 0
    if run.verb == FINETUNE:
        return int(run.facts.get("overlap") or 0)
    if _supervised(run):
        return 0
    return learned_from(run).filter(pl.col("id").is_in(list(ids))).height


def best_on_validation(inputs: Sequence[Artifact]) -> tuple[int, bool]:
    """Which of a system's inputs to look at, and whether it was chosen: the one whose finetune run did best on its own
    validation clips (P1 shows its best fold; the test score must not choose), else the first."""
    runs = [model_run(artifact) for artifact in inputs]
    scores = [run.record.summary.get("validation_balanced_accuracy") if run is not None else None for run in runs]
    known = [score for score in scores if score is not None]
    if len(known) < len(scores) or len(scores) < 2:
        return 0, False
    return known.index(max(known)), True


def lineage(inputs: Sequence[Path], home: Path) -> list[dict[str, str]]:
    """Inputs and all that they were made from, as far as it's still there; nearest first."""
    found: dict[str, dict[str, str]] = {}
    queue = [path.resolve() for path in inputs]
    while queue:
        path = queue.pop(0)
        place = os.path.relpath(path, home.resolve())
        record = read_record(path)
        if record is None or place in found:
            continue
        found[place] = {"path": place, "verb": record.verb, "version": record.version, "digest": record.digest or ""}
        queue += [(path / item["path"]).resolve() for item in record.inputs]
    return list(found.values())
