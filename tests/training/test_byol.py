"""BYOL-A: what the target does, and that the online network learns what two views share."""

import json
from pathlib import Path

import pytest
import torch
from processes import run_processes
from torch import Tensor
from whistles import ClickedPairs

from birdssl.errors import UsageError
from birdssl.models.byol_a import byol_a_cnn
from birdssl.models.initial import seeded_weights
from birdssl.models.simplecnn import simplecnn
from birdssl.objectives.byol import both_ways
from birdssl.training.byol import ByolA, ByolNetwork, normalised
from birdssl.training.checkpoints import LAST, restore
from birdssl.training.history import Row
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import OptimiserPlan, build_optimiser
from birdssl.training.precision import fixed_numerics

TRAINED, HELD_OUT, EPOCHS, BATCH = 320, 100, 10, 32
ADAM = OptimiserPlan("adam", 1e-3)


def network(features: int = 16, width: int = 8, hidden: int = 12, ema: float = 0.99) -> ByolNetwork:
    with seeded_weights(1):
        return ByolNetwork(byol_a_cnn(channels=1, bins=16, features=features), width, hidden, ema)


def history(made: ByolNetwork, folder: Path, *, trained: int, held_out: int, epochs: int, shuffled=False) -> list[Row]:
    training, validation = ClickedPairs(0, trained, shuffled=shuffled), ClickedPairs(trained, held_out)
    plan = TrainingPlan(epochs, BATCH, 1030, ADAM, drop_last=True)
    with fixed_numerics(1):
        task = ByolA(made, training, validation, BATCH)
        return train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history


def views(clips: int = 6) -> tuple[Tensor, Tensor]:
    first, second = ClickedPairs(0, clips).views(torch.arange(clips), 1)
    return first, second


def test_the_target_begins_as_a_copy_of_its_own():
    made = network()
    for target, online in made._pairs():
        assert target.equal(online)
        assert target.data_ptr() != online.data_ptr()
    assert len(list(made._pairs())) == len(list(made.encoder.parameters())) + len(list(made.projector.parameters()))


def test_only_the_online_network_learns_and_all_of_it():
    made = network()
    predictions, targets = made(*views())
    both_ways(predictions, targets).mean().backward()
    for name, weight in made.named_parameters():
        assert (weight.grad is None) == name.startswith("target_"), name
    learnt = sum(len(group["params"]) for group in build_optimiser(ADAM, made).param_groups)
    assert learnt == sum(not name.startswith("target_") for name, _ in made.named_parameters())


def test_the_target_goes_a_hundredth_of_the_way_after_each_step():
    made = network()
    before = made.target_projector.layers[0].weight.clone()
    with torch.no_grad():
        made.projector.layers[0].weight += 2.0
    task = ByolA(made, ClickedPairs(0, 4), ClickedPairs(4, 4), 4)
    task.stepped()
    torch.testing.assert_close(made.target_projector.layers[0].weight, before + 0.02, atol=1e-6, rtol=0)
    task.stepped()
    torch.testing.assert_close(made.target_projector.layers[0].weight, before + 0.0398, atol=1e-6, rtol=0)
    assert made.target_encoder.dense[0].weight.equal(made.encoder.dense[0].weight)


def test_published_sizes_of_projector_and_predictor():
    with torch.device("meta"):
        made = ByolNetwork(byol_a_cnn(channels=1, bins=64))
    shapes = {name: tuple(weight.shape) for name, weight in made.named_parameters() if weight.ndim == 2}
    assert shapes["projector.layers.0.weight"] == (4096, 2048)
    assert shapes["projector.layers.3.weight"] == (256, 4096)
    assert shapes["predictor.layers.0.weight"] == (4096, 256)
    assert shapes["predictor.layers.3.weight"] == (256, 4096)


def test_a_network_that_is_its_own_target_predicts_across_views():
    """In eval mode with a predictor that changes nothing, the loss is the distance of the views' projections."""
    made = network().eval()
    made.predictor = torch.nn.Identity()
    predictions, targets = made(*views())
    torch.testing.assert_close(predictions[0], targets[0])
    cosine = torch.nn.functional.cosine_similarity(predictions[0], predictions[1])
    torch.testing.assert_close(both_ways(predictions, targets), 4 - 4 * cosine)


def test_both_views_are_normalised_together():
    first, second = views()
    one, two = normalised(first * 3 + 10, second * 3 - 4)
    both = torch.cat([one, two])
    assert both.mean().item() == pytest.approx(0, abs=1e-5)
    assert both.std(correction=0).item() == pytest.approx(1, rel=1e-5)
    assert (one.mean() - two.mean()).item() > 1
    assert not any(part.any() for part in normalised(torch.ones(2, 1, 3, 3), torch.ones(2, 1, 3, 3)))


def test_projections_are_fp32_beside_a_bfloat16_encoder():
    made = network().eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        predictions, targets = made(*views())
    assert {part.dtype for part in (*predictions, *targets)} == {torch.float32}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ByolNetwork(byol_a_cnn(channels=3, bins=16, features=8)), "byol-a works on the mel channel alone"),
        (lambda: ByolNetwork(simplecnn(height=100, width=32)), "simplecnn takes a picture"),
        (lambda: network(ema=1.0), r"\[0, 1\), and ema is 1"),
    ],
)
def test_what_does_not_fit_says_why(build, message: str):
    with pytest.raises(UsageError, match=message):
        build()


def test_a_checkpoint_holds_the_target(tmp_path: Path):
    sizes = {"trained": 64, "held_out": 8}
    made = network(ema=0.5)
    whole = history(made, tmp_path / "whole", epochs=3, **sizes)
    history(network(ema=0.5), tmp_path / "parts", epochs=2, **sizes)
    assert (tmp_path / "parts" / LAST).exists()
    again = network(ema=0.5)
    assert history(again, tmp_path / "parts", epochs=3, **sizes) == whole
    restore(tmp_path / "parts", again, build_optimiser(ADAM, again))
    target, online = again.target_encoder.dense[0].weight, again.encoder.dense[0].weight
    assert 0 < (target - online).abs().max().item() < 0.01


@pytest.mark.slow
def test_the_other_view_of_unseen_clips_is_found_far_more_often(tmp_path: Path):
    """Chance is 0.01; an untrained encoder finds a tenth, and shuffled pairs teach it nothing."""
    sizes = {"trained": TRAINED, "held_out": HELD_OUT, "epochs": EPOCHS}
    true = history(network(128, 64, 256), tmp_path / "true", **sizes)
    control = history(network(128, 64, 256), tmp_path / "control", shuffled=True, **sizes)
    before, after, shuffled = true[0], true[-1], control[-1]
    assert before["retrieval"] == control[0]["retrieval"] < 0.2
    assert after["retrieval"] > 3 * before["retrieval"]
    assert after["retrieval"] > shuffled["retrieval"] + 0.25
    assert after["validation_loss"] < 0.5 * shuffled["validation_loss"]
    assert after["alignment"] < shuffled["alignment"]
    assert after["effective_rank"] > 8
    assert after["embedding_std"] > 0.5


SCRIPT = """
import json
import sys
from pathlib import Path
import torch
from whistles import ClickedPairs
from birdssl.models.byol_a import byol_a_cnn
from birdssl.models.initial import seeded_weights
from birdssl.training.byol import ByolA, ByolNetwork, normalised
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.optimisers import OptimiserPlan

processes, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
with seeded_weights(1):
    network = ByolNetwork(byol_a_cnn(channels=1, bins=16, features=16), 8, 12, 0.9)
fabric = make_fabric(torch.device("cpu"), "fp32", processes)
first, second = ClickedPairs(0, 8).views(torch.arange(8), 1)
first = first * torch.arange(1.0, 9).view(8, 1, 1, 1)
own = slice(4 * fabric.global_rank, 4 * fabric.global_rank + 4)
for part, whole in zip(normalised(first[own], second[own], gathered=True), normalised(first, second)):
    torch.testing.assert_close(part, whole[own])
task = ByolA(network, ClickedPairs(0, 32), ClickedPairs(32, 10), 8)
trained = train(task, TrainingPlan(2, 8, 1030, OptimiserPlan("adam", 1e-2)), fabric, folder)
sums = {name: float(weight.double().sum()) for name, weight in network.named_parameters()}
(folder / f"told-{fabric.global_rank}.json").write_text(json.dumps([trained.history, sums]))
leave(folder, "told-*.json", processes)
"""


@pytest.mark.slow
def test_two_processes_normalise_together_and_agree_on_the_target(tmp_path: Path):
    """Not on what one process would find: batch normalisation sees a process's own share on a CPU."""
    run_processes(SCRIPT, 2, str(tmp_path))
    (history, sums), other = (json.loads((tmp_path / f"told-{rank}.json").read_text()) for rank in range(2))
    assert other[1] == sums
    assert [row["loss"] for row in other[0][1:]] == [row["loss"] for row in history[1:]]
    assert sums["target_encoder.dense.0.weight"] != sums["encoder.dense.0.weight"]
