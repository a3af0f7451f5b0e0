"""Which epoch's weights a run is left with: by the task's score, by health that needs no labels, or the last."""

from typing import Literal

from birdssl.training.health import encoder_rank
from birdssl.training.history import Row, best_epoch
from birdssl.training.task import Task

By = Literal["score", "health", "last"]


def chosen_epoch(rows: list[Row], by: By, task: Task) -> int:
    """The epoch to keep of those so far: the one that was chosen before, or the newest, whose weights are at hand."""
    if by == "last":
        return int(rows[-1]["epoch"])
    if by == "health":
        return healthiest_epoch(rows)
    return best_epoch(rows, task.score, task.larger_is_better)


def healthiest_epoch(rows: list[Row]) -> int:
    """The epoch that finds a clip's other view most often (`retrieval`); the start only where it's alone.

    Of equals it's the one whose encoder fills most directions (`encoder_rank`), and of these the first. Our choice.
    Each of the other numbers alone is best where nothing is learnt: alignment where all embeddings are one, uniformity
    and rank where they are noise (Wang & Isola 2020 need the first two together; Garrido et al. 2023 take rank as a
    necessary condition). A view is found among others only where both hold, with no weight to set between them;
    collapsed embeddings find none, since ties count as missed. And it is asked of the encoder, which is what is used
    later, while a loss may fall by the projector alone.
    """
    looked = [row for row in rows if "retrieval" in row]
    trained = [row for row in looked if row["epoch"] > 0] or looked

    def health(row: Row) -> tuple[float, float, float]:
        return row["retrieval"], encoder_rank(row), -row["epoch"]

    return int(max(trained, key=health)["epoch"])
