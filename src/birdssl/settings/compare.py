"""Settings of `birdssl compare`."""

from typing import ClassVar

from birdssl.settings.base import Settings, setting
from birdssl.settings.fewshot import ClassifierName


class CompareSettings(Settings):
    """Set runs of `birdssl fewshot` side by side: one table with a row for every method and classifier.

    Inputs are OUT of fewshot; several of one name are parts of one method, such as groups or draws that ran apart. The
    runs must have asked the same queries. Differences are paired, draw by draw; chance, random starts and mel
    statistics stand beside, and so does the choice among all methods that is made inside the support.

    OUT holds table.md, table.csv, latex.csv, results.json and systems.png.
    """

    example: ClassVar[str] = "birdssl compare ssm1 ssm2 cnn -o compared --baseline 'adapted-cnn cola'"

    name: list[str] = setting(
        [], "A name for each input, in order; inputs of one name are parts of one method. Default: the runs' own."
    )
    baseline: str | None = setting(
        None, "The method, or the row by its whole name, that all others are told from.", metavar="NAME"
    )
    expected: list[str] = setting(
        [],
        "Methods that the table should have: one without an input gets a row that says its weights aren't at hand.",
        metavar="NAME",
    )
    apart: list[str] = setting(
        [], "Groups that stand in the table but outside the average and the differences.", metavar="GROUP"
    )
    classifiers: list[ClassifierName] = setting(
        [], "Rows to show, by classifier; default all. The choice is among all in any case.", metavar="NAME"
    )
    level: float = setting(0.95, "Level of the intervals.", ge=0.5, le=0.999)
