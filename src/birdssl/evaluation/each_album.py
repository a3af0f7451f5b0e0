"""The pictures of an evaluation that tells each class by itself."""

from collections.abc import Sequence
from typing import Any

from birdssl.evaluation import album, figures
from birdssl.evaluation.each_answers import each_in_words


def draw_each(results: dict[str, Any], told: Sequence[Any]) -> dict[str, bytes]:
    """All pictures by their paths; tells `results` of these, of thresholds, and of how answers came about."""
    pictures = album.comparison(results).files(f"{album.FOLDER}/comparison")
    results["figures"] = {"comparison": f"{album.FOLDER}/comparison.png"}
    for number, system in enumerate(results["systems"], 1):
        models = [model for item in told if item["system"] == system["name"] for model in item["models"]]
        for row in system["classes"]:
            row["thresholds"] = [round(model["thresholds"][row["class"]], 6) for model in models]
        system["how"] = each_in_words(told, system["name"])
        drawn = figures.precision(
            [
                album.bar(row["class"], row["average_precision"], album.counts(row), (), system["baseline"])
                for row in system["classes"]
            ]
        )
        stem = f"{album.FOLDER}/{album.slug(system['name'], number)}-classes"
        system["figures"] = {"classes": f"{stem}.png"}
        pictures |= drawn.files(stem)
    return pictures
