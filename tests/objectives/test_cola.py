"""COLA's bilinear loss and NT-Xent: golden values, hand-worked cases, lightly, and the start of training."""

import math
import subprocess
import sys
from pathlib import Path

import lightly.loss
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.initial import seeded_weights
from birdssl.objectives.cola import BilinearSimilarity
from birdssl.objectives.nt_xent import NTXent
from birdssl.objectives.objective import Objective


def golden_views() -> tuple[Tensor, Tensor]:
    rows = torch.arange(1, 9, dtype=torch.float64).view(-1, 1)
    columns = torch.arange(1, 5, dtype=torch.float64)
    return torch.sin(rows * columns), torch.sin(rows * columns + 0.3 * torch.cos(rows))


def golden_bilinear(**options: bool) -> BilinearSimilarity:
    objective = BilinearSimilarity(4, **options).double()
    with torch.no_grad():
        objective.weight.copy_(torch.eye(4, dtype=torch.float64) + 0.1)
    return objective


def squash(z: Tensor) -> Tensor:
    return torch.tanh(functional.layer_norm(z, z.shape[1:]))


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_golden_bilinear() -> None:
    za, zb = golden_views()
    rows, columns = golden_bilinear()(za, zb)[0].item(), golden_bilinear()(zb, za)[0].item()
    assert (rows, columns) == pytest.approx((0.721092964, 0.724838590), abs=1e-9)
    both, _ = golden_bilinear(symmetric=True)(za, zb)
    assert both.item() == pytest.approx((rows + columns) / 2, abs=1e-12)
    squashed, _ = golden_bilinear()(squash(za), squash(zb))
    assert squashed.item() == pytest.approx(0.891081669, abs=1e-9)


@pytest.mark.parametrize(("temperature", "expected"), [(0.07, 0.059638189), (0.5, 1.138150831)])
def test_golden_nt_xent(temperature: float, expected: float) -> None:
    loss, _ = NTXent(temperature)(*golden_views())
    assert loss.item() == pytest.approx(expected, abs=1e-9)


def test_an_unsymmetric_similarity_by_hand() -> None:
    """W sends the anchor's first axis to the positive's second: the scores are [[0, 2], [0, 0]] by rows."""
    objective = BilinearSimilarity(2)
    with torch.no_grad():
        objective.weight.copy_(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
    loss, terms = objective(torch.eye(2), torch.eye(2))
    assert loss.item() == pytest.approx((math.log(1 + math.exp(2)) + math.log(2)) / 2, abs=1e-6)
    assert terms["found"].item() == 0.0  # the first is beaten, the second ties with another
    swapped, terms = objective(torch.eye(2), torch.eye(2).flip(0))
    assert swapped.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2, abs=1e-6)
    assert terms["found"].item() == 0.5


def test_nt_xent_by_hand() -> None:
    """Two clips at right angles, views equal: each view sees its partner at 1 and two others at 0."""
    loss, terms = NTXent(1.0)(torch.eye(2) * 3, torch.eye(2))
    assert loss.item() == pytest.approx(math.log(math.e + 2) - 1, abs=1e-6)
    assert terms["found"].item() == 1.0


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize(("batch", "width"), [(2, 3), (9, 16), (32, 4)])
def test_lightly_agrees_on_nt_xent(batch: int, width: int, temperature: float) -> None:
    za, zb = drawn((batch, width), batch).requires_grad_(), drawn((batch, width), batch + 1)
    expected = lightly.loss.NTXentLoss(temperature=temperature)(za, zb)
    loss, _ = NTXent(temperature)(za, zb)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, za)
    (other,) = torch.autograd.grad(expected, za)
    torch.testing.assert_close(gradient, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("squashed", "start", "low", "high"),
    [(True, "identity", 0.05, 0.1), (False, "identity", 0.0, 0.01), (True, "normal:0.05", 20, 30)],
)
def test_the_start_of_the_bilinear_weights_decides_the_start_of_training(
    squashed: bool, start: str, low: float, high: float
) -> None:
    """Correlated pairs at batch 64 and width 512; chance is log 64 = 4.16."""
    za = drawn((64, 512), 1).float()
    zb = 0.78 * za + 0.626 * drawn((64, 512), 2).float()  # correlation 0.78
    if squashed:
        za, zb = squash(za), squash(zb)
    with seeded_weights(3):
        objective = BilinearSimilarity(512, start)
    assert low <= objective(za, zb)[0].item() <= high


def test_the_bilinear_weights_are_learnt() -> None:
    """Views related by a rotation: only W can undo it."""
    za = functional.normalize(drawn((64, 8), 1).float(), dim=1)
    turn, _ = torch.linalg.qr(drawn((8, 8), 2).float())
    zb = za @ turn
    objective = BilinearSimilarity(8)
    optimiser = torch.optim.Adam(objective.parameters(), 0.2)
    losses = []
    for _ in range(200):
        loss, terms = objective(za, zb)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[0] > 3
    assert losses[-1] < 0.3
    assert terms["found"].item() > 0.9


OBJECTIVES = {
    "bilinear": golden_bilinear,
    "bilinear, both ways": lambda: golden_bilinear(symmetric=True),
    "nt-xent": NTXent,
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_the_loss(name: str) -> None:
    za, zb = (view.clone().requires_grad_() for view in golden_views())
    objective: Objective = OBJECTIVES[name]()
    assert torch.autograd.gradcheck(lambda a, b, *weights: objective(a, b)[0], (za, zb, *objective.parameters()))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_clips_may_come_in_any_order(name: str) -> None:
    za, zb = golden_views()
    objective: Objective = OBJECTIVES[name]()
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    torch.testing.assert_close(objective(za[order], zb[order])[0], objective(za, zb)[0])
    exchanged = objective(zb, za)[0].item() == pytest.approx(objective(za, zb)[0].item(), abs=1e-9)
    assert exchanged is (name != "bilinear")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_reduced_precision_is_widened(name: str) -> None:
    za, zb = (view.to(torch.bfloat16) for view in golden_views())
    objective: Objective = OBJECTIVES[name]().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, terms = objective(za, zb)
    expected, _ = objective.double()(za.double(), zb.double())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert not any(term.requires_grad for term in terms.values())


@pytest.mark.parametrize("how", ["normal", "normal:", "normal:-1", "normal:0", "normal:nan", "normal:x", "orthogonal"])
def test_an_unknown_start_says_what_there_is(how: str) -> None:
    with pytest.raises(UsageError, match=r"identity.*normal"):
        BilinearSimilarity(4, how)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one value"):
        BilinearSimilarity(0)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(UsageError, match="above 0"):
            NTXent(temperature)


WORKER = """
import os
import sys
import time
import torch
from torch import distributed, nn
from birdssl.objectives.cola import BilinearSimilarity
from birdssl.objectives.nt_xent import NTXent
from birdssl.training.gather import gather

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
given = torch.load(f"{folder}/given.pt", weights_only=True)
rows = slice(rank * 6, rank * 6 + 6)
results = {}
for name, objective in {"bilinear": BilinearSimilarity(4).double(), "nt-xent": NTXent()}.items():
    both = nn.ModuleDict({"net": nn.Linear(5, 4).double(), "objective": objective})
    both.load_state_dict({key: value for key, value in given.items() if key in both.state_dict()})

    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.both = both

        def forward(self, xa, xb):
            return self.both["net"](xa), self.both["net"](xb)

    forward = nn.parallel.DistributedDataParallel(Joined())
    za, zb = forward(given["xa"][rows], given["xb"][rows])
    loss, _ = objective(gather(za), gather(zb))
    loss.backward()
    results[name] = {"loss": loss.detach(), **{key: value.grad for key, value in both.named_parameters()}}
torch.save(results, f"{folder}/rank{rank}.part")
os.rename(f"{folder}/rank{rank}.part", f"{folder}/rank{rank}.pt")
deadline = time.monotonic() + 60
while not os.path.exists(f"{folder}/rank{1 - rank}.pt") and time.monotonic() < deadline:
    time.sleep(0.01)
os._exit(0)  # gloo's threads sometimes end a process by std::terminate while the interpreter shuts down
"""


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """The learnt W lies outside the module's forward pass, and still gets the gradient of the joined batch."""
    shapes = {"net.weight": (4, 5), "net.bias": (4,), "objective.weight": (4, 4), "xa": (12, 5), "xb": (12, 5)}
    given = {name: drawn(shape, seed) for seed, (name, shape) in enumerate(shapes.items())}
    torch.save(given, tmp_path / "given.pt")
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    for name, objective in {"bilinear": BilinearSimilarity(4).double(), "nt-xent": NTXent()}.items():
        both = nn.ModuleDict({"net": nn.Linear(5, 4).double(), "objective": objective})
        both.load_state_dict({key: value for key, value in given.items() if key in both.state_dict()})
        loss, _ = objective(both["net"](given["xa"]), both["net"](given["xb"]))
        loss.backward()
        expected = {"loss": loss.detach(), **{key: value.grad for key, value in both.named_parameters()}}
        assert len(expected) == (4 if name == "bilinear" else 3)
        for rank in range(2):
            found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)[name]
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
