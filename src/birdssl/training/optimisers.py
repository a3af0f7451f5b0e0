"""Optimisers: P1's for each encoder as defaults, and LARS as the methods' official codes use it (A1)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from birdssl.errors import UsageError
from birdssl.models.acoustic_ssm import AcousticSSM


@dataclass(frozen=True)
class OptimiserPlan:
    """An optimiser and its constants. `momentum` is SGD's, RMSprop's and LARS's; `alpha` is RMSprop's."""

    name: str
    learning_rate: float
    momentum: float = 0.0
    eps: float = 1e-8
    alpha: float = 0.99
    weight_decay: float = 0.0


# torch equivalents of TensorFlow 2.7's defaults, which P1 used: eps 1e-7, RMSprop's alpha .9 (torch: 1e-8 and .99)
SGD = OptimiserPlan("sgd", 1e-2)
ADAM = OptimiserPlan("adam", 1e-4, eps=1e-7)
RMSPROP = OptimiserPlan("rmsprop", 1e-3, eps=1e-7, alpha=0.9)
# official Barlow Twins: 0.2 * batch / 256 for weights; `Lars` takes 0.0048 / 0.2 of that for biases and norms
LARS = OptimiserPlan("lars", 0.2, momentum=0.9, weight_decay=1e-6)
KINDS: dict[str, OptimiserPlan] = {plan.name: plan for plan in (SGD, ADAM, RMSPROP, LARS)}

P1_OPTIMISERS: dict[str, OptimiserPlan] = {
    "simplecnn": SGD,
    "mobilenetv3-large": replace(SGD, momentum=0.9),
    "resnet50": ADAM,
    "inceptionv3": RMSPROP,
}
# P1 3.4: 80 (30 for ResNet-50); for pretraining and the fine-tuning that follows it 50 (30), for want of memory
P1_BATCHES: dict[str, tuple[int, int]] = {
    "simplecnn": (80, 50),
    "mobilenetv3-large": (80, 50),
    "resnet50": (30, 30),
    "inceptionv3": (80, 50),
}
SSM_RATE = 1e-3
LARS_BATCH = 256  # the batch that LARS's learning rate is stated for
LARS_BIAS_RATIO = 0.0048 / 0.2


# P2: Adam 1e-4 to pretrain, SGD 6e-3 to fine-tune, constants unsaid: torch's, as in the S4 code; batches are unsaid
# too: 64 of 175 clips, and all 25 of the support
P2_PRETRAINING = replace(ADAM, eps=1e-8)
P2_FINETUNING = replace(SGD, learning_rate=6e-3)
P2_BATCHES = (25, 64)


def usual_batch(encoder: str, *, pretraining: bool, started: bool = False) -> int:
    """The batch of the paper an encoder is from.

    Fine-tuning after pretraining (`started`) has the batch of pretraining in P1, and that of all fine-tuning in P2.
    """
    if encoder in P1_BATCHES:
        return P1_BATCHES[encoder][1 if pretraining or started else 0]
    return P2_BATCHES[1 if pretraining else 0]


def usual_optimiser(encoder: str, *, pretraining: bool) -> OptimiserPlan:
    """The optimiser of the paper an encoder is from: P1's for its four, P2's for all others."""
    return P1_OPTIMISERS.get(encoder, P2_PRETRAINING if pretraining else P2_FINETUNING)


def plan_optimiser(
    encoder: str,
    batch: int,
    *,
    pretraining: bool = False,
    name: str | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
) -> OptimiserPlan:
    """The usual optimiser of an encoder, or the one called `name`, with the values that are given.

    LARS's default learning rate grows with the batch; a given one is taken as it is. Raises UsageError for a momentum
    with Adam, which has none.
    """
    plan = usual_optimiser(encoder, pretraining=pretraining)
    if name is not None and name != plan.name:
        plan = KINDS[name]
    if plan.name == "adam" and momentum is not None:
        raise UsageError("--momentum is for sgd, rmsprop and lars, and the optimiser is adam; leave it out")
    if plan.name == "lars":
        plan = replace(plan, learning_rate=plan.learning_rate * batch / LARS_BATCH)
    return replace(
        plan,
        learning_rate=plan.learning_rate if learning_rate is None else learning_rate,
        momentum=plan.momentum if momentum is None else momentum,
        weight_decay=plan.weight_decay if weight_decay is None else weight_decay,
    )


def build_optimiser(plan: OptimiserPlan, network: nn.Module) -> Optimizer:
    """The optimiser of a plan over the weights of `network` that ask for gradients.

    Time steps and poles of S4D layers are a group of their own: never decayed, at a rate of `SSM_RATE` at most (the S4
    code's; at P2's Adam 1e-4 without decay it changes nothing).
    """
    optimiser = _optimiser(plan, weight_groups(network))
    set_rate(optimiser, plan.learning_rate)
    return optimiser


def _optimiser(plan: OptimiserPlan, weights: list[dict[str, Any]]) -> Optimizer:
    rate, decay = plan.learning_rate, plan.weight_decay
    if plan.name == "lars":
        return Lars(weights, lr=rate, momentum=plan.momentum, weight_decay=decay)
    if plan.name == "sgd":
        return torch.optim.SGD(weights, lr=rate, momentum=plan.momentum, nesterov=False, weight_decay=decay)
    if plan.name == "adam":
        return torch.optim.Adam(weights, lr=rate, eps=plan.eps, weight_decay=decay)
    if plan.name == "rmsprop":
        return torch.optim.RMSprop(
            weights, lr=rate, alpha=plan.alpha, eps=plan.eps, momentum=plan.momentum, weight_decay=decay
        )
    raise ValueError(f"no optimiser is called {plan.name!r}")


def weight_groups(network: nn.Module) -> list[dict[str, Any]]:
    """The weights that ask for gradients, in one group, and those of state spaces in a second where there are any."""
    found = [
        weight
        for module in network.modules()
        if isinstance(module, AcousticSSM)
        for weight in module.ssm_parameters()
        if weight.requires_grad
    ]
    apart = {id(weight) for weight in found}
    rest = [weight for weight in network.parameters() if weight.requires_grad and id(weight) not in apart]
    groups: list[dict[str, Any]] = [{"params": rest}]
    return [*groups, {"params": found, "weight_decay": 0.0, "ceiling": SSM_RATE}] if found else groups


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """The learning rate of all groups, as far as each goes."""
    for group in optimiser.param_groups:
        group["lr"] = min(rate, group.get("ceiling", math.inf))


class Lars(Optimizer):
    """Layer-wise adaptive rates as in the official code of Barlow Twins.

    A weight with two or more axes moves by lr * eta * |w| / |g + decay * w|; biases and norms (one axis) are neither
    decayed nor adapted and move at `bias_ratio` of the rate, and so do all weights of a group with a `weight_decay` of
    0 (state spaces). `groups` are as `weight_groups` has them.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        eta: float = 1e-3,
        bias_ratio: float = LARS_BIAS_RATIO,
    ) -> None:
        parted = []
        for group in groups:
            for adapt in (True, False):
                chosen = [weight for weight in group["params"]
                          if (weight.ndim > 1 and group.get("weight_decay") != 0) == adapt]  # fmt: skip
                parted.append({**group, "params": chosen, "adapt": adapt})
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "eta": eta,
            "bias_ratio": bias_ratio,
        }
        super().__init__([group for group in parted if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step along the gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                change = _adapted(weight, group) if group["adapt"] else weight.grad * group["bias_ratio"]
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                weight.sub_(state["momentum_buffer"].mul_(group["momentum"]).add_(change), alpha=group["lr"])


def _adapted(weight: Tensor, group: dict) -> Tensor:
    """Gradient with weight decay, scaled to eta times the weight's norm (unscaled where either norm is 0)."""
    change = weight.grad + group["weight_decay"] * weight
    size, slope = weight.norm(), change.norm()
    ratio = torch.where((size > 0) & (slope > 0), group["eta"] * size / slope, torch.ones_like(size))
    return change * ratio


@dataclass(frozen=True)
class Schedule:
    """Learning rate over a run as a factor of the optimiser's own: a pure function of the step, so nothing to save.

    "constant" is P1's. "cosine" rises linearly over `warmup` epochs and falls to 0.001 (official Barlow Twins).
    """

    name: str = "constant"
    warmup: int = 10
    epochs: int = 100

    def factor(self, epoch: float) -> float:
        """Factor at `epoch`, counted from 0 at the first step; its fraction is the way through the epoch."""
        if self.name == "constant":
            return 1.0
        warmup = min(self.warmup, self.epochs)
        if epoch < warmup:
            return epoch / warmup
        way = (epoch - warmup) / max(1, self.epochs - warmup)
        cosine = (1 + math.cos(math.pi * way)) / 2
        return cosine + 0.001 * (1 - cosine)
