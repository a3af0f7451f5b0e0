"""ResNet-18 with residual adapters for each task: MT-SLVR's encoder (Heggan et al. 2023, Rebuffi et al. 2018).

- stem as in ResNet-18: Conv 7x7 to 64, BatchNorm, ReLU, max pooling 3x3;
- four stages of two blocks of two 3x3 convolutions, 64 to 512 channels; the later three share the 3x3 kernels
  between tasks and give each task its own adapters and batch normalisation;
- a shortcut without weights where the shape changes: mean pooling, and zeros for the new channels;
- for each task batch normalisation, ReLU, mean over the map, and a dense layer;
- embedding: the tasks' dense layers side by side, 1000 values.

What tasks share below their first adapter is computed once for all of them, where the published code computes it for
each: the numbers are the same, for 0.85 of the FLOPs at 128 bins (0.50 without adapters).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

Adapters = Literal["parallel", "series", "bn", "none"]

WIDTHS = (64, 128, 256, 512)  # channels of the stages
BLOCKS = 2  # of a stage
EMBEDDING = 1000  # over all tasks, as MT-SLVR keeps of ResNet's 1000 classes

# Options of `resnet18_adapters`. "full" is MT-SLVR's; "small" and "quick" are ours, for a CPU.
SIZES: dict[str, dict[str, Any]] = {
    "full": {"widths": [64, 128, 256, 512]},
    "small": {"widths": [32, 64, 128, 256]},
    "quick": {"widths": [16, 32, 64, 128]},
}


def resnet18_adapters(
    *,
    channels: int,
    bins: int,
    adapters: Adapters = "parallel",
    tasks: int = 2,
    widths: Sequence[int] = WIDTHS,
) -> "AdapterResNet18":
    """ResNet-18 with adapters, for spectra of `channels` channels and `bins` frequencies, any number of frames.

    Args:
        adapters: what each task has of its own, beside batch normalisation, at each 3x3 convolution of the last three
            stages: "parallel", a 1x1 convolution of the same input, added (best in MT-SLVR, the default); "series",
            BatchNorm and a 1x1 convolution of the output, added to it; "bn", nothing more; "none" gives tasks nothing
            but their dense layers on a plain ResNet-18 (MT-SLVR's "split").
        tasks: how many tasks; each embeds to 1000 / tasks values.
        widths: channels of the stages, which mustn't shrink.

    Raises UsageError for other adapters, a number of tasks that doesn't divide 1000, or impossible widths.
    """
    if adapters not in get_args(Adapters):
        raise UsageError(f'resnet18-adapters has no adapters "{adapters}"; use {", ".join(get_args(Adapters))}')
    if channels < 1 or bins < 1 or tasks < 1 or EMBEDDING % tasks:
        raise UsageError(
            f"resnet18-adapters needs a channel, a frequency, and tasks that {EMBEDDING} can be divided by; got "
            f"{channels} channels, {bins} frequencies and {tasks} tasks"
        )
    if not widths or widths[0] < 1 or any(width < before for before, width in pairwise(widths)):
        raise UsageError(f"resnet18-adapters needs stages of at least one channel that don't shrink: {list(widths)}")
    return AdapterResNet18(channels, bins, adapters, tasks, widths)


class AdapterResNet18(Encoder):
    """A ResNet-18 whose later stages know which task they work for.

    Attributes:
        tasks: how many tasks there are.
        task_features: length of one task's embedding.
    """

    takes: ClassVar[Input] = "spectra"

    def __init__(self, channels: int, bins: int, adapters: Adapters, tasks: int, widths: Sequence[int]) -> None:
        sizes = {"channels": channels, "bins": bins, "widths": list(widths)}
        super().__init__(
            "resnet18-adapters", EMBEDDING, (channels, bins, None), **sizes, adapters=adapters, tasks=tasks
        )
        self.tasks, self.task_features = tasks, EMBEDDING // tasks
        first, last = widths[0], widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(channels, first, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        plain = adapters == "none"
        early = _stage(first, first, 1, adapters, 1)
        late = [
            block
            for inputs, width in pairwise(widths)
            for block in _stage(inputs, width, 2, adapters, 1 if plain else tasks)
        ]
        self.shared = nn.ModuleList(early + late if plain else early)
        self.own = nn.ModuleList([] if plain else late)
        self.norms = nn.ModuleList(nn.Identity() if plain else nn.BatchNorm2d(last) for _ in range(tasks))
        self.dense = nn.ModuleList(nn.Linear(last, self.task_features) for _ in range(tasks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")  # as ResNet, adapters too

    def by_task(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, bins, frames) to each task's embedding, (B, task_features) each.

        Raises ValueError for another shape.
        """
        self.check(inputs)
        maps = self.stem(inputs)
        for block in self.shared:
            maps = block(maps, 0)
        return tuple(self._embed(maps, task) for task in range(self.tasks))

    def encode(self, inputs: Tensor) -> Tensor:
        return torch.cat(self.by_task(inputs), dim=1)

    def _embed(self, maps: Tensor, task: int) -> Tensor:
        """The maps that all tasks share to one task's embedding."""
        for block in self.own:
            maps = block(maps, task)
        maps = functional.relu(self.norms[task](maps))
        embedding: Tensor = self.dense[task](maps.mean(dim=(2, 3)))
        return embedding


class TaskConv(nn.Module):
    """A 3x3 convolution for all tasks, with adapter and batch normalisation for each."""

    def __init__(self, inputs: int, width: int, stride: int, adapters: Adapters, tasks: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.beside = nn.ModuleList()
        self.behind = nn.ModuleList()
        if adapters == "parallel":
            self.beside.extend(nn.Conv2d(inputs, width, 1, stride=stride, bias=False) for _ in range(tasks))
        if adapters == "series":
            self.behind.extend(
                nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, width, 1, bias=False)) for _ in range(tasks)
            )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(tasks))

    def forward(self, maps: Tensor, task: int) -> Tensor:
        """(B, inputs, F, T) to (B, width, F / stride, T / stride), rounded up."""
        made = self.conv(maps)
        if self.beside:
            made = made + self.beside[task](maps)
        if self.behind:
            made = made + self.behind[task](made)
        normalised: Tensor = self.norms[task](made)
        return normalised


class TaskBlock(nn.Module):
    """ResNet-18's basic block of two `TaskConv`.

    Where the shape changes, the shortcut is mean pooling and zeros for new channels; in a plain network ("none")
    ResNet-18's 1x1 convolution with batch normalisation.
    """

    def __init__(self, inputs: int, width: int, stride: int, adapters: Adapters, tasks: int) -> None:
        super().__init__()
        self.first = TaskConv(inputs, width, stride, adapters, tasks)
        self.second = TaskConv(width, width, 1, adapters, tasks)
        self.shortcut: nn.Module | None = None
        if adapters == "none" and (stride != 1 or inputs != width):
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, maps: Tensor, task: int) -> Tensor:
        """(B, inputs, F, T) to (B, width, F / stride, T / stride), rounded up."""
        made = functional.relu(self.first(maps, task), inplace=True)
        made = self.second(made, task)
        kept = pooled_shortcut(maps, made) if self.shortcut is None else self.shortcut(maps)
        return functional.relu(made + kept, inplace=True)


def pooled_shortcut(maps: Tensor, like: Tensor) -> Tensor:
    """`maps` (B, C, F, T) with the shape of `like` (B, D, F', T'): means over windows, zeros for channels beyond C."""
    if maps.shape == like.shape:
        return maps
    pooled = functional.adaptive_avg_pool2d(maps, (like.shape[-2], like.shape[-1]))
    return functional.pad(pooled, (0, 0, 0, 0, 0, like.shape[1] - maps.shape[1]))


def _stage(inputs: int, width: int, stride: int, adapters: Adapters, tasks: int) -> list[TaskBlock]:
    return [
        TaskBlock(width if block else inputs, width, 1 if block else stride, adapters, tasks) for block in range(BLOCKS)
    ]
