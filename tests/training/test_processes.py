"""Two processes train as one does on the joined batch."""

from pathlib import Path

import polars as pl
import pytest
from processes import run_processes

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from chirps import HEIGHT, WIDTH, view_pictures
from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.history import write_history
from birdssl.training.inputs import Pictures
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import plan_optimiser
from birdssl.training.pairs import StoredViews
from birdssl.training.pretraining import PairNetwork, Pretraining

processes, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
images = Pictures.of(torch.from_numpy(np.stack([view for clip in range(24) for view in view_pictures(clip)])))
with seeded_weights(1):
    encoder = build_encoder("simplecnn", height=HEIGHT, width=WIDTH)
    network = PairNetwork(encoder, Projector(encoder.features, 8, layers=1), OBJECTIVES["vicreg"]())
rows = torch.arange(48).view(-1, 2)
task = Pretraining(network, StoredViews(images, rows[:16], 1), StoredViews(images, rows[16:], 1), 8)
plan = TrainingPlan(3, 8, 1030, plan_optimiser("simplecnn", 8), drop_last=True)
fabric = make_fabric(torch.device("cpu"), "fp32", processes)
assert fabric.world_size == processes
trained = train(task, plan, fabric, folder)
write_history(folder / f"history-{fabric.global_rank}.csv", trained.history)
leave(folder, "history-*.csv", processes)
"""


def histories(processes: int, folder: Path) -> list[pl.DataFrame]:
    """What each process of a run wrote."""
    folder.mkdir()
    run_processes(SCRIPT, processes, str(folder))
    return [pl.read_csv(folder / f"history-{rank}.csv") for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path: Path):
    """Without batch normalisation, which sees only a process's own share on a CPU."""
    (alone,), (first, second) = histories(1, tmp_path / "one"), histories(2, tmp_path / "two")
    assert first.equals(second)
    assert sorted(path.name for path in (tmp_path / "two").glob("last*")) == ["last.safetensors"]
    for name in ("loss", "validation_loss", "invariance", "covariance"):
        assert first[name].drop_nulls().to_list() == pytest.approx(alone[name].drop_nulls().to_list(), rel=1e-4), name
