"""The training loop, one for every task: epochs, validation, the best epoch, checkpoints.

A task (`birdssl.training.task`) says what is trained and on what. Where it runs, in which precision and with how many
processes is lightning-fabric's part; all else stands here.
"""

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn
from torch.optim import Optimizer

from birdssl.errors import BirdsslError
from birdssl.seeds import derive
from birdssl.training.batch_statistics import settle
from birdssl.training.batches import epoch_order, share, training_batches
from birdssl.training.checkpoints import Progress, read_progress, restore, restore_best, save_checkpoint
from birdssl.training.choice import By, chosen_epoch
from birdssl.training.held import one_ahead
from birdssl.training.history import Row, epoch_line
from birdssl.training.optimisers import OptimiserPlan, Schedule, build_optimiser, set_rate
from birdssl.training.precision import without_tf32
from birdssl.training.task import Batch, Task

log = logging.getLogger(__name__)

FABRIC_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed"}
SAY_EVERY = 30.0  # s between lines within a long epoch


@dataclass(frozen=True)
class TrainingPlan:
    """How long and in what steps to train. `batch` counts items over all processes.

    `select` says which epoch the network is left with (`birdssl.training.choice`).
    """

    epochs: int
    batch: int
    seed: int
    optimiser: OptimiserPlan
    schedule: Schedule = field(default_factory=Schedule)
    drop_last: bool = False
    validate_every: int = 1
    select: By = "score"

    def validates(self, epoch: int) -> bool:
        """Whether an epoch is validated and its end kept on disk: the start, each n-th, and the last."""
        return epoch % self.validate_every == 0 or epoch == self.epochs


@dataclass(frozen=True)
class Trained:
    """What came out: one row an epoch (row 0 is the start), and the epoch whose weights the network now holds."""

    history: list[Row]
    best: int


def make_fabric(device: torch.device, precision: str, processes: int = 1) -> Fabric:
    """A Fabric on `device`, in "fp32" or "bf16" (mixed: weights stay 32 bits wide).

    With several processes it is one of them, started by torchrun or by Slurm, whose variables say which; batches are
    then shared out, and gradients averaged.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    devices = [device.index or 0] if device.type == "cuda" and processes == 1 else processes
    alone = processes == 1
    fabric = Fabric(
        accelerator=device.type,
        strategy="auto" if alone else "ddp",
        devices=devices,
        plugins=LightningEnvironment() if alone else None,  # whatever tasks a Slurm job has, this is a run of its own
        precision=FABRIC_PRECISION[precision],  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def train(
    task: Task, plan: TrainingPlan, fabric: Fabric, folder: Path, environment: dict[str, Any] | None = None
) -> Trained:
    """Train a task's network in place to the end of the plan, and leave it with the weights of its best epoch.

    Goes on from the last checkpoint in `folder`, with the same bits as a run that was never stopped. Raises
    BirdsslError, with the epoch and what to try, when the loss isn't finite any more.
    """
    network = task.network.to(fabric.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = build_optimiser(plan.optimiser, network)
    progress = read_progress(folder) or Progress(environment=dict(environment or {}))
    if progress.epoch >= 0:
        task.memory.update(restore(folder, network, optimiser))
        log.info("going on after epoch %d of %d", progress.epoch, plan.epochs)
    forward, stepper = fabric.setup(network, optimiser)
    for epoch in range(progress.epoch + 1, plan.epochs + 1):
        started = time.monotonic()
        row: Row = {"epoch": epoch}
        if epoch > 0:
            row |= _train_epoch(task, plan, fabric, forward, stepper, optimiser, epoch)
        if plan.validates(epoch):
            if epoch > 0:
                _settle(task, plan, fabric, forward, epoch)
            row |= _validate(task, network)
        for name, value in row.items():
            _check_finite(value, epoch, plan, name.replace("_", " "))
        _advance(progress, row, task, plan, fabric, folder, network, optimiser)
        seconds = time.monotonic() - started
        log.info("%s (%.1f s)", epoch_line(row, plan.epochs, task.shown), seconds)
        if plan.validates(epoch):
            task.remark(progress.history)
    restore_best(folder, progress.best, network)
    return Trained(progress.history, progress.best)


def _train_epoch(
    task: Task,
    plan: TrainingPlan,
    fabric: Fabric,
    forward: nn.Module,
    stepper: Optimizer,
    optimiser: Optimizer,
    epoch: int,
) -> Row:
    """One pass over the training items; means of the loss and its terms over batches."""
    torch.manual_seed(derive(plan.seed, "draws", epoch, fabric.global_rank))  # dropout and the like
    batches = _batches(task, plan, fabric, epoch)
    task.train()
    sums: dict[str, Tensor] = {}
    said = time.monotonic()
    for step, batch in enumerate(_loaded(task, batches, fabric, epoch)):
        _set_rate(optimiser, plan, epoch - 1 + step / len(batches))
        loss, terms = task.loss(forward, batch)
        fabric.backward(loss)
        stepper.step()
        stepper.zero_grad(set_to_none=True)
        task.stepped()
        for name, value in {"loss": loss.detach(), **terms}.items():
            sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            log.info("epoch %d/%d: batch %d of %d", epoch, plan.epochs, step + 1, len(batches))
            _check_finite(float(sums["loss"]), epoch, plan)
    row = {name: float(value) / len(batches) for name, value in sums.items()}
    _check_finite(row["loss"], epoch, plan)
    return row


def _settle(task: Task, plan: TrainingPlan, fabric: Fabric, forward: nn.Module, epoch: int) -> None:
    """Let the batch statistics of a run of few steps be those of the epoch's batches: in all its epochs or in none.

    Losses with statistics taken anew are lower, so a change half way would choose an epoch before it.
    """
    batches = _batches(task, plan, fabric, epoch)
    settle(task, forward, _loaded(task, batches, fabric, epoch), plan.epochs * len(batches))


def _batches(task: Task, plan: TrainingPlan, fabric: Fabric, epoch: int) -> list[Tensor]:
    order = epoch_order(task.items, plan.seed, epoch)
    return training_batches(order, plan.batch, drop_last=plan.drop_last, processes=fabric.world_size)


def _loaded(task: Task, batches: list[Tensor], fabric: Fabric, epoch: int) -> Iterator[Batch]:
    """This process's share of each batch, loaded."""
    own = [share(batch, fabric.global_rank, fabric.world_size) for batch in batches]
    if task.ahead:
        yield from one_ahead(lambda items: task.load(items, epoch), own)
    else:
        for items in own:
            yield task.load(items, epoch)


def _set_rate(optimiser: Optimizer, plan: TrainingPlan, epoch: float) -> None:
    set_rate(optimiser, plan.optimiser.learning_rate * plan.schedule.factor(epoch))


def _check_finite(value: float, epoch: int, plan: TrainingPlan, name: str = "loss") -> None:
    if math.isfinite(value):
        return
    raise BirdsslError(
        f"the {name} is {value} in epoch {epoch}: the weights have run away. Try a smaller --learning-rate (it was "
        f"{plan.optimiser.learning_rate:g}), --precision fp32, or another --optimiser"
    )


def _validate(task: Task, network: nn.Module) -> Row:
    """The task's scores, in fp32: bfloat16 can spoil nearest neighbours. Dropout off, nothing learnt."""
    network.eval()
    with torch.inference_mode(), without_tf32():
        return task.validate()


def _advance(
    progress: Progress,
    row: Row,
    task: Task,
    plan: TrainingPlan,
    fabric: Fabric,
    folder: Path,
    network: nn.Module,
    optimiser: Optimizer,
) -> None:
    """Note an epoch that is finished, in memory and, where it's validated, on disk."""
    progress.epoch = int(row["epoch"])
    progress.history.append(row)
    if not plan.validates(progress.epoch):
        return
    own = chosen_epoch(progress.history, plan.select, task)
    # batch statistics, and so validation, may differ between processes on a CPU; the files are the first one's
    progress.best = fabric.broadcast(own)
    if fabric.is_global_zero:
        save_checkpoint(folder, progress, network, optimiser, task.memory)
    fabric.barrier()
