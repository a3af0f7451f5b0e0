"""Settings of `birdssl report`."""

from pathlib import Path
from typing import ClassVar

from birdssl.settings.base import setting
from birdssl.settings.portraits import PortraitSettings


class ReportSettings(PortraitSettings):
    """Put evaluations on one page that works offline: tables, figures, and a map of clips to click on and listen to.

    Inputs are OUT of evaluate: every system, and every fold of it, whether scored in one go or apart. OUT of pretrain
    and finetune may stand among them for their training curves; those behind the evaluations are found by themselves.

    The page has the study's table (start, encoder, silhouette, mean and deviation over folds), every fold as a point,
    whether pretraining helped, confusion, recall and reliability of each system, training curves with label-free
    health, and the embeddings on a plane: a click on a point shows the clip's spectrogram and plays its sound.

    Where evaluations tell each class by itself, scores are macro average precision, a table has every class (average
    precision, AUROC, precision, recall, F1), and a clip's label on the plane is all species that it holds.

    OUT holds report.html, figures/ (PNG and SVG) and tables/ (CSV, JSON, and LaTeX for the study's table).
    """

    example: ClassVar[str] = "birdssl report runs/evaluate-* -o report --baseline 'mel statistics'"

    page_title: str | None = setting(None, "The page's title.", metavar="TEXT", key="title")
    baseline: str | None = setting(None, "The system that the others are told from.", metavar="NAME")
    expected: list[str] = setting(
        [],
        "Systems that the study should have: one without an input gets a row that says its weights aren't at hand.",
        metavar="NAME",
    )
    groups: Path | None = setting(
        None,
        "CSV table with columns label and group, such as bird and frog, to colour the plane by.",
        metavar="FILE",
    )
    sounds: int = setting(
        1000, "Most clips whose spectrogram and sound lie in the page: 15 to 20 kB each for 3 s; 0 for none.", ge=0
    )
