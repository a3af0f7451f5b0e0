"""History rows and the choice of the epoch."""

from pathlib import Path

import polars as pl

from birdssl.training.history import best_epoch, epoch_line, write_history


def test_the_earliest_of_equals_is_the_best_and_the_start_only_counts_alone():
    rows = [{"epoch": epoch, "score": score} for epoch, score in enumerate([0.0, 3.0, 1.0, 1.0, float("nan")])]
    assert best_epoch(rows, "score", larger_is_better=False) == 2
    assert best_epoch(rows, "score", larger_is_better=True) == 1
    assert best_epoch(rows[:1], "score", larger_is_better=True) == 0
    assert best_epoch([rows[0], {"epoch": 1, "score": float("nan")}], "score", larger_is_better=True) == 1


def test_what_the_first_row_lacks_is_empty_in_the_file(tmp_path: Path):
    write_history(tmp_path / "history.csv", [{"epoch": 0, "validation_loss": 0.1}, {"epoch": 1, "loss": 1 / 3}])
    assert (tmp_path / "history.csv").read_text() == "epoch,validation_loss,loss\n0,0.1,\n1,,0.3333333333333333\n"
    assert pl.read_csv(tmp_path / "history.csv")["loss"].to_list() == [None, 1 / 3]


def test_a_line_shows_what_there_is():
    line = epoch_line({"epoch": 3, "validation_loss": 12.3456}, 20, ("loss", "validation_loss"))
    assert line == "epoch 3/20: validation loss 12.35"
