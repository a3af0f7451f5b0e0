"""Masked modelling: its loss by hand, what fits it, and that it tells what is hidden from what is around it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from processes import run_processes
from torch import Tensor
from whistles import SingleCrops

from birdssl.errors import UsageError
from birdssl.models.acoustic_ssm import acoustic_ssm, adapted_cnn
from birdssl.models.byol_a import byol_a_cnn
from birdssl.models.initial import seeded_weights
from birdssl.models.simplecnn import simplecnn
from birdssl.models.transformer import transformer
from birdssl.training.history import Row
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.masked import VARIANTS, MaskedModelling, MaskedNetwork, hidden_difference, span_of
from birdssl.training.optimisers import OptimiserPlan
from birdssl.training.precision import fixed_numerics

TRAINED, HELD_OUT, EPOCHS, BATCH = 320, 100, 25, 32
SIZES = {"layers": 2, "width": 64, "heads": 4, "feedforward": 128}


def masks(variant: str) -> dict[str, float]:
    return {f"mask_{name}": value for name, value in asdict(VARIANTS[variant]).items()}


def task(variant: str, *, trained: int = TRAINED, held_out: int = HELD_OUT, **options) -> MaskedModelling:
    with seeded_weights(1):
        network = MaskedNetwork(transformer(channels=1, bins=24, **SIZES))
    training, validation = SingleCrops(0, trained), SingleCrops(trained, held_out)
    return MaskedModelling(network, training, validation, BATCH, 1, **masks(variant), **options)


def history(made: MaskedModelling, folder: Path, epochs: int = EPOCHS) -> list[Row]:
    plan = TrainingPlan(epochs, BATCH, 1030, OptimiserPlan("adam", 2e-3), drop_last=True)
    with fixed_numerics(1):
        return train(made, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history


def test_the_loss_by_hand():
    rebuilt, content = torch.zeros(2, 1, 2, 3), torch.arange(12.0).view(2, 1, 2, 3)
    places = torch.zeros(2, 1, 2, 3, dtype=torch.bool)
    places[0, 0, 1, 2] = places[1, 0, 0, 0] = places[1, 0, 0, 1] = True
    differences, counts = hidden_difference(rebuilt, content, places)
    assert differences.tolist() == [5.0, 13.0]
    assert counts.tolist() == [1.0, 2.0]
    with torch.autocast("cpu", torch.bfloat16):
        narrow, _ = hidden_difference(rebuilt.bfloat16(), content, places)
    assert narrow.equal(differences)


def test_only_hidden_places_are_learnt_from():
    made = task("tera", trained=40)
    seen, content, places = batch = made.load(torch.arange(8), 1)
    rebuilt = torch.zeros_like(content, requires_grad=True)
    loss, _ = made.loss(lambda _: rebuilt, batch)
    (gradient,) = torch.autograd.grad(loss, rebuilt)
    assert loss.item() == pytest.approx(content[places].abs().mean().item(), rel=1e-5)
    assert not gradient[~places].any()
    assert gradient[places].abs().unique().tolist() == pytest.approx([1 / int(places.sum())])
    assert not seen.equal(content)


def test_spans_are_cut_out():
    spectra = torch.arange(24.0).view(2, 1, 2, 6)
    assert span_of(spectra, torch.tensor([0, 3]), 3).tolist() == [[0, 1, 2, 6, 7, 8], [15, 16, 17, 21, 22, 23]]


def test_the_control_rebuilds_another_clips_content_at_the_same_places():
    plain, control = task("tera", trained=40), task("tera", trained=40, shuffle_pairs=True)
    clips = torch.arange(40)
    seen, content, places = plain.load(clips, 2)
    other_seen, other, other_places = control.load(clips, 2)
    assert other_seen.equal(seen)
    assert other_places.equal(places)
    flat, all_content = other.flatten(1), content.flatten(1)
    found = [int(torch.where((row == all_content).all(dim=1))[0]) for row in flat]
    assert sorted(found) == list(range(40))
    assert all(partner != clip for clip, partner in enumerate(found))


def test_what_is_rebuilt_to_the_letter_is_always_found():
    made = task("mockingjay", trained=40, held_out=50)
    whole = made.validation.spectra

    class Oracle(torch.nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            self.asked = getattr(self, "asked", 0) + len(frames)
            return whole[self.asked - len(frames) : self.asked]

    made.network.head = Oracle()
    made.network.eval()
    with torch.inference_mode():
        row = made.validate()
    assert row["retrieval"] == 1.0
    assert row["validation_loss"] == 0.0


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda: byol_a_cnn(channels=1, bins=24, features=16), "byol-a-cnn makes 4 of 32"),
        (lambda: simplecnn(height=100, width=32), "simplecnn takes a picture"),
        (lambda: transformer(channels=3, bins=24, **SIZES), "this transformer takes 3 channels"),
        (lambda: adapted_cnn(channels=1, bins=24, widths=[8, 8]), "adapted-cnn makes each frame of itself alone"),
    ],
)
def test_what_does_not_fit_says_why(encoder, message: str):
    with pytest.raises(UsageError, match=message):
        MaskedNetwork(encoder())


def test_any_encoder_that_keeps_frames_fits():
    network = MaskedNetwork(acoustic_ssm(channels=1, bins=24, widths=[8, 8], ssm_layers=1, state=4))
    assert network.training
    assert network(torch.zeros(2, 1, 24, 30)).shape == (2, 1, 24, 30)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_goes_on_with_the_same_bits(variant: str, tmp_path: Path):
    whole = history(task(variant, trained=64, held_out=8), tmp_path / "whole", 3)
    history(task(variant, trained=64, held_out=8), tmp_path / "parts", 2)
    assert history(task(variant, trained=64, held_out=8), tmp_path / "parts", 3) == whole


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "least"), [("mockingjay", 0.45), ("tera", 0.25)])
def test_hidden_content_of_unseen_clips_is_found_far_more_often(variant: str, least: float, tmp_path: Path):
    """Chance is 0.01. Bands and noise leave TERA less to go by."""
    true = history(task(variant), tmp_path / "true")
    control = history(task(variant, shuffle_pairs=True), tmp_path / "control")
    before, after, shuffled = true[0], true[-1], control[-1]
    assert before["retrieval"] == control[0]["retrieval"] < 0.05
    assert after["retrieval"] > least
    assert shuffled["retrieval"] < 0.05
    assert after["validation_loss"] < 0.9 * shuffled["validation_loss"]
    assert after["validation_loss"] < 0.8 * before["validation_loss"]
    assert after["effective_rank"] > 6  # of two or three whistles' places and slopes
    assert after["embedding_std"] > 0.5


SCRIPT = """
import json
import sys
from pathlib import Path
import torch
from whistles import SingleCrops
from birdssl.models.initial import seeded_weights
from birdssl.models.transformer import transformer
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.masked import MaskedModelling, MaskedNetwork
from birdssl.training.optimisers import OptimiserPlan

processes, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
with seeded_weights(1):
    network = MaskedNetwork(transformer(channels=1, bins=24, layers=1, width=16, heads=2, feedforward=16, dropout=0.0))
task = MaskedModelling(network, SingleCrops(0, 32), SingleCrops(32, 10), 8, 1, mask_bands=0.2, mask_noise=0.15)
fabric = make_fabric(torch.device("cpu"), "fp32", processes)
assert fabric.world_size == processes
trained = train(task, TrainingPlan(2, 8, 1030, OptimiserPlan("adam", 1e-2)), fabric, folder)
(folder / f"history-{fabric.global_rank}.json").write_text(json.dumps(trained.history))
leave(folder, "history-*.json", processes)
"""


@pytest.mark.slow
def test_two_processes_learn_as_one_does(tmp_path: Path):
    """The clips of two processes have different numbers of hidden places, and still it's the mean over all of them."""
    found = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        run_processes(SCRIPT, processes, str(folder))
        found[processes] = [json.loads((folder / f"history-{rank}.json").read_text()) for rank in range(processes)]
    (alone,), (first, second) = found[1], found[2]
    assert first == second
    for row, other in zip(first, alone, strict=True):
        assert row == pytest.approx(other, rel=1e-4)


def test_an_encoder_is_tried_where_its_weights_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder on a GPU was given a clip on the processor; the meta device stands in for the GPU."""
    seen: list[str] = []

    def frames(clips: Tensor) -> Tensor:
        seen.append(clips.device.type)
        return torch.stack([torch.zeros(4, 32), torch.ones(4, 32)])

    encoder = acoustic_ssm(channels=1, bins=8, widths=(4, 4), ssm_layers=1, state=4).to("meta")
    monkeypatch.setattr(encoder, "frames", frames)
    MaskedNetwork(encoder)
    assert seen == ["meta"]
