"""Where embeddings come from: the fold that their model held out, the clips it learned from, and all earlier stages."""

import os
from collections.abc import Sequence
from pathlib import Path

from birdssl.artifacts.artifact import Artifact, read_record
from birdssl.evaluation.selection import LABELLED, ORIGINALS


def model_fold(artifact: Artifact) -> int | None:
    """The fold that the model behind embeddings held out: its own fact, or that of the model's directory."""
    if artifact.facts.get("fold") is not None:
        return int(artifact.facts["fold"])
    for item in artifact.record.inputs:
        folder = artifact.path / item["path"]
        if item["verb"] in ("pretrain", "finetune") and (record := read_record(folder)) is not None:
            found = record.facts.get("fold", record.settings.get("fold"))
            return None if found is None else int(found)
    return None


def run_fold(run: Artifact) -> int | None:
    """The fold that a training run held out."""
    found = run.facts.get("fold", run.settings.get("fold"))
    return None if found is None else int(found)


def training_ids(run: Artifact) -> frozenset[str]:
    """Ids of the original clips that a finetune run learned from."""
    rows = run.manifest().filter(ORIGINALS & LABELLED)
    return frozenset(rows["id"].to_list())


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
