"""Two processes give the loss and gradient of one process on the joined batch."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.gather import gather

WORKER = """
import os
import sys
import time
import torch
from torch import distributed, nn
from birdssl.objectives.registry import OBJECTIVES
from birdssl.training.gather import gather

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
given = torch.load(f"{folder}/given.pt", weights_only=True)
rows = slice(rank * 6, rank * 6 + 6)
results = {}
for name in OBJECTIVES:
    net = nn.Linear(5, 4).double()
    net.load_state_dict({"weight": given["weight"], "bias": given["bias"]})
    net = nn.parallel.DistributedDataParallel(net)
    za, zb = net(given["xa"][rows]), net(given["xb"][rows])
    loss, _ = OBJECTIVES[name]()(gather(za), gather(zb))
    loss.backward()
    results[name] = {"loss": loss.detach(), "weight": net.module.weight.grad, "bias": net.module.bias.grad}
order = gather(torch.tensor([rank]))
torch.save({"results": results, "order": order}, f"{folder}/rank{rank}.part")
os.rename(f"{folder}/rank{rank}.part", f"{folder}/rank{rank}.pt")
deadline = time.monotonic() + 60
while not os.path.exists(f"{folder}/rank{1 - rank}.pt") and time.monotonic() < deadline:
    time.sleep(0.01)
os._exit(0)  # gloo's threads sometimes end a process by std::terminate while the interpreter shuts down
"""


def joined(given: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    net = nn.Linear(5, 4).double()
    net.load_state_dict({"weight": given["weight"], "bias": given["bias"]})
    loss, _ = OBJECTIVES[name]()(net(given["xa"]), net(given["xb"]))
    loss.backward()
    assert net.weight.grad is not None
    assert net.bias.grad is not None
    return {"loss": loss.detach(), "weight": net.weight.grad, "bias": net.bias.grad}


def test_two_processes_equal_one(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(4)
    shapes = {"weight": (4, 5), "bias": (4,), "xa": (12, 5), "xb": (12, 5)}
    given = {name: torch.randn(shape, generator=draw, dtype=torch.float64) for name, shape in shapes.items()}
    torch.save(given, tmp_path / "given.pt")
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    for rank in range(2):
        found = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        assert found["order"].tolist() == [0, 1]
        for name in OBJECTIVES:
            for part, expected in joined(given, name).items():
                torch.testing.assert_close(
                    found["results"][name][part], expected, rtol=1e-12, atol=1e-12, msg=f"{name} {part} of rank {rank}"
                )


def test_without_other_processes_nothing_is_gathered() -> None:
    rows = torch.ones(3, 2, requires_grad=True)
    assert gather(rows) is rows
