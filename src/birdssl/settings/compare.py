"""Settings of `birdssl compare`."""

from typing import ClassVar

from birdssl.settings.base import Settings, setting
from birdssl.settings.fewshot import ClassifierName


class CompareSettings(Settings):
    """Set runs side by side in one table: evaluations, or few-shot runs.

    Inputs that are OUT of evaluate: a row for every system. Evaluations of one system on several folds, made in one go
    or apart, give a mean and a deviation. Each pair is compared over recordings, by a bootstrap over origins, and over
    folds, by paired t-tests, plain and corrected for the folds' overlap and for the number of comparisons. The score is
    balanced accuracy, or macro average precision where all evaluations tell each class by itself.

    Inputs that are OUT of fewshot: a row for every method and classifier; several of one name are parts of one method,
    such as groups or draws that ran apart. The runs must have asked the same queries. Differences are paired, draw by
    draw; chance, random starts and mel statistics stand beside, and so does the choice among all methods that is made
    inside the support.

    OUT holds table.md, table.csv, latex.csv, results.json and systems.png (and .svg).
    """

    example: ClassVar[str] = "birdssl compare scores-fold-* -o compared --baseline 'random start'"

    name: list[str] = setting(
        [],
        "A name for each input, in order; inputs of one name are folds of one system, or parts of one method. Default: "
        "the runs' own.",
    )
    baseline: str | None = setting(
        None, "The system, method, or row by its whole name, that all others are told from.", metavar="NAME"
    )
    expected: list[str] = setting(
        [],
        "Systems or methods that the table should have: one without an input gets a row that says its weights aren't "
        "at hand.",
        metavar="NAME",
    )
    apart: list[str] = setting(
        [], "fewshot: groups that stand in the table but outside the average and the differences.", metavar="GROUP"
    )
    classifiers: list[ClassifierName] = setting(
        [], "fewshot: rows to show, by classifier; default all. The choice is among all in any case.", metavar="NAME"
    )
    draws: int = setting(2000, "evaluate: draws of origins for the intervals.", ge=100, le=1_000_000)
    seed: int = setting(1030, "evaluate: decides these draws.", ge=0)
    level: float = setting(0.95, "Level of the intervals.", ge=0.5, le=0.999)
