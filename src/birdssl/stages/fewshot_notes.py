"""What a careful reader should know before believing a few-shot table: sentences from settings and cells' notes."""

from collections.abc import Sequence
from typing import Any

from birdssl.evaluation.fewshot import RANDOM
from birdssl.evaluation.scoring import FEW_ORIGINS
from birdssl.settings.fewshot import PRETRAIN, FewshotSettings


def notes(settings: FewshotSettings, results: dict[str, Any], told: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on the protocol, on what the intervals hold, on shared origins, and on pretraining that went wrong.

    `told` are the notes of all cells.
    """
    draws = [draw for cell in told for draw in cell.get("draws", [])]
    return [
        *_protocol(settings, draws),
        *_intervals(settings, results, draws),
        *_origins(draws),
        *_pretraining(settings, told),
        *_underfit(draws),
        *_choice(settings, results, draws),
        *_kept(settings, results, told),
    ]  # fmt: skip


def _protocol(settings: FewshotSettings, draws: Sequence[dict[str, Any]]) -> list[str]:
    queries, found = sum(draw["queries"] for draw in draws), []
    heard, near = (sum(draw.get(name, 0) for draw in draws) for name in ("heard", "heard_origins"))
    if heard or near:
        found.append(
            f"The start was trained, without labels, on {heard} of the {queries} queries, and on other clips of the "
            f"same origins as {near}; on recordings that it never met it may do less well."
        )
    if any(draw.get("history") is False for draw in draws):
        found.append("What the start was trained on isn't known here, so it may have met the queries, or their labels.")
    if settings.protocol == "own":
        found.append("Scores are of folds inside the labelled clips; other recordings may be harder.")
    if settings.protocol == "paper" and settings.start == PRETRAIN:
        found.append(
            "Transductive, as in the paper: the encoder was pretrained, without labels, on the queries themselves."
        )
    return found


def _intervals(settings: FewshotSettings, results: dict[str, Any], draws: Sequence[dict[str, Any]]) -> list[str]:
    found, worth = [], results["independent_groups"]
    groups = len([name for name in results["groups"] if name not in results["apart"]])
    if groups > 1 and worth == groups:
        found.append("The average's interval is over groups: what other groups of classes would give.")
    elif groups > 1:
        found.append(
            f"The {groups} groups share classes and are worth {worth} of other classes: "
            + ("the average's interval counts them as so many." if worth > 1 else "too few for the average's interval.")
        )
    if settings.protocol != "own" and len({draw["draw"] for draw in draws}) > 1:
        found.append("Within a group, intervals are over draws of the support and pretraining seeds.")
    if settings.start == PRETRAIN and settings.pretraining_seeds == 1:
        found.append("One pretraining seed: no interval within a group holds what another seed would give.")
    return found


def _origins(draws: Sequence[dict[str, Any]]) -> list[str]:
    queries = sum(draw["queries"] for draw in draws)
    shared, left_out = (sum(draw[name] for draw in draws) for name in ("shared", "left_out"))
    found = []
    fewest = min((draw["query_origins"] for draw in draws if draw.get("query_origins")), default=FEW_ORIGINS)
    if fewest < FEW_ORIGINS:
        found.append(
            f"The queries come from {fewest} origins only, and no interval here holds what other recordings would "
            "give: score more of them before deciding anything."
        )
    if shared:
        found.append(
            f"{shared / queries:.1%} of the queries are of an origin that the support has too, which flatters; "
            "--disjoint-origins leaves them out."
        )
    if left_out:
        found.append(
            f"{left_out} of {left_out + queries} queries were left out, as their origins are in the support too."
        )
    return found


def _pretraining(settings: FewshotSettings, told: Sequence[dict[str, Any]]) -> list[str]:
    collapsed = [cell["group"] for cell in told if cell.get("pretraining", {}).get("collapsed")]
    if collapsed:
        return [f"Embeddings collapsed in {len(collapsed)} of {len(told)} pretrainings (first: group {collapsed[0]})."]
    if settings.shuffle_pairs:
        return ["A negative control: pretraining was shown shuffled pairs, from which nothing can be learnt."]
    return []


def _underfit(draws: Sequence[dict[str, Any]]) -> list[str]:
    tuned = [draw["stuck"] for draw in draws if draw.get("stuck") is not None]
    if not any(tuned):
        return []
    return [
        f"Fine-tuning gave nearly all clips one class in {sum(tuned)} of {len(tuned)} cells: it hardly learned; try "
        "--finetune-batch 5 or more --finetune-epochs."
    ]


def _choice(settings: FewshotSettings, results: dict[str, Any], draws: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for row in results["systems"]:
        if "chose" in row:
            first, *others = row["chose"].items()
            rest = f"; then {', '.join(f'{name} ({count})' for name, count in others[:3])}" if others else ""
            if settings.protocol == "own":
                found.append(
                    f"The best for this set, by folds inside the labelled clips: {first[0]}. As the best of many, its "
                    "own score flatters a little."
                )
                found += _beaten_by_random(row, results)
            else:
                name = row["name"] if row["method"] else row["name"].capitalize()
                found.append(f"{name}: {first[0]} in {first[1]} of {row['cells']} cells{rest}.")
    lonely = sorted({label for draw in draws for label in draw["single_origin_classes"]})
    if lonely and settings.support_folds:
        found.append(
            "In some support all clips are of one origin, so folds inside it flatter: "
            f"{', '.join(lonely[:5])}{f' and {len(lonely) - 5} more' if len(lonely) > 5 else ''}."
        )
    return found


def _beaten_by_random(chosen: dict[str, Any], results: dict[str, Any]) -> list[str]:
    """Random starts can't be chosen, so it must be said where one is as good as what was."""
    random = [row for row in results["systems"] if row["features"].startswith(RANDOM)]
    best = max(random, key=lambda row: row["average"]["value"], default=None)
    if best is None or best["average"]["value"] < chosen["average"]["value"]:
        return []
    return [
        f"A network that was never trained did as well or better ({best['name']}: {best['average']['value']:.1%}, the "
        f"chosen {chosen['average']['value']:.1%}): pretraining isn't shown to have helped here."
    ]


def _kept(settings: FewshotSettings, results: dict[str, Any], told: Sequence[dict[str, Any]]) -> list[str]:
    """What --protocol own leaves for raw recordings, and what that is worth."""
    if settings.protocol != "own":
        return []
    kept = [cell["kept"] for cell in told if cell.get("kept")]
    if not kept:
        return [
            "There is no OUT/classifier: nothing that was tried runs on raw recordings (neighbours and mel statistics "
            "don't, nor does a start without training); add linear or finetune to --classifiers."
        ]
    words, score = kept[0]["words"], kept[0]["score"]
    chance = results["chance"]["average"]
    found = f"OUT/classifier holds {words}, the best of those that run on raw recordings: {score:.1%} inside the folds"
    return [found + ("." if score > chance else f", where chance is {chance:.1%}: don't use it.")]
