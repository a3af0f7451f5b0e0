"""Settings of `birdssl run`."""

from pathlib import Path
from typing import ClassVar

from birdssl.settings.base import Settings, setting

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


def own_recipes() -> dict[str, Path]:
    """The recipes that come with birdssl, by name."""
    return dict(sorted((file.stem, file) for file in RECIPES.glob("*.toml")))


class RecipeSettings(Settings):
    """Run a recipe: a TOML file of stages with their settings, over a matrix of variants.

    Every stage gets a directory in OUT that is named after its settings and inputs, so that variants and recipes share
    what they have in common, and the same command again finishes what is missing. Each command line is printed before
    it runs and can be typed by hand. A bare name such as dias2022 is a recipe that comes with birdssl.

    Several processes or machines may fill one OUT, each with its own --only: a directory that two of them need is made
    by one while the other waits.
    """

    example: ClassVar[str] = "birdssl run recipe.toml recordings/ -o runs --only fold=0"

    input: list[str] = setting(
        [],
        "What the recipe reads under a name; repeat it for more. What needs an input that isn't given is left out.",
        metavar="NAME=PATH",
        commas=False,
    )
    only: list[str] = setting([], "Run a part of the matrix only.", metavar="AXIS=VALUE")
