"""AcousticSSM, P2's encoder, and Adapted CNN, the same without its state spaces (docs/papers.md).

- a residual network over frequency alone, one vector a frame (`birdssl.models.frequency_cnn`);
- six S4D layers over time, causal (`birdssl.models.s4d`);
- mean over time.

So it runs over a whole clip at once, or frame by frame with a state of fixed size, to the same values.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input
from birdssl.models.frequency_cnn import FrequencyCNN
from birdssl.models.s4d import Discretisation, Init, S4DBlock

WIDTHS = (64, 128, 256, 512)

# Options of `acoustic_ssm` (of `adapted_cnn`: `widths` alone). "full" is P2's; "small" and "quick" are ours, for a CPU.
SIZES: dict[str, dict[str, Any]] = {
    "full": {"widths": [64, 128, 256, 512], "ssm_layers": 6, "state": 64},
    "small": {"widths": [32, 64, 128, 256], "ssm_layers": 4, "state": 32},
    "quick": {"widths": [16, 32, 64, 128], "ssm_layers": 2, "state": 32},
}


def acoustic_ssm(
    *,
    channels: int,
    bins: int,
    widths: Sequence[int] = WIDTHS,
    ssm_layers: int = 6,
    state: int = 64,
    dropout: float = 0.1,
    strided: bool = True,
    init: Init = "lin",
    discretisation: Discretisation = "zoh",
) -> "AcousticSSM":
    """AcousticSSM for spectra of `channels` x `bins`, any number of frames.

    `widths` are the channels of the residual stages and the last one is the embedding's length; `ssm_layers` S4D layers
    with a state of `state` values a channel. The paper gives widths and layers; state 64, dropout 0.1, S4D-Lin and
    zero-order hold are the S4 code's defaults, the strides ResNet-18's. Raises UsageError for sizes that can't be.
    """
    _check("acoustic-ssm", channels, bins, widths)
    if ssm_layers < 1:
        raise UsageError(f"acoustic-ssm has at least one S4D layer and got {ssm_layers}; without any it's adapted-cnn")
    return AcousticSSM(
        "acoustic-ssm",
        channels,
        bins,
        widths,
        strided,
        blocks=[S4DBlock(widths[-1], state, dropout, init, discretisation) for _ in range(ssm_layers)],
        ssm_layers=ssm_layers,
        state=state,
        dropout=dropout,
        init=init,
        discretisation=discretisation,
    )


def adapted_cnn(*, channels: int, bins: int, widths: Sequence[int] = WIDTHS, strided: bool = True) -> "AcousticSSM":
    """P2's ablation: AcousticSSM's residual network and the mean over time, no S4D layer. Arguments as there."""
    _check("adapted-cnn", channels, bins, widths)
    return AcousticSSM("adapted-cnn", channels, bins, widths, strided, blocks=[])


def _check(name: str, channels: int, bins: int, widths: Sequence[int]) -> None:
    if channels < 1 or bins < 1 or not widths or min(widths) < 1:
        raise UsageError(
            f"{name} needs at least one channel, one frequency bin and one stage, each of a width of at least 1; "
            f"it got channels {channels}, bins {bins}, widths {list(widths)}"
        )


class AcousticSSM(Encoder):
    """A network over frequency, causal blocks over time (none in Adapted CNN), and the mean over time."""

    takes: ClassVar[Input] = "spectra"

    def __init__(
        self,
        name: str,
        channels: int,
        bins: int,
        widths: Sequence[int],
        strided: bool,
        blocks: Sequence[S4DBlock],
        **options: Any,
    ) -> None:
        sizes = {"channels": channels, "bins": bins, "widths": list(widths), "strided": strided}
        super().__init__(name, widths[-1], (channels, bins, None), **sizes, **options)
        self.cnn = FrequencyCNN(channels, widths, strided)
        self.blocks = nn.ModuleList(blocks)

    def ssm_parameters(self) -> list[nn.Parameter]:
        """dt and A of every S4D layer: a group of its own for recipes with weight decay (`S4D.ssm_parameters`)."""
        return [weight for block in self._blocks() for weight in block.layer.ssm_parameters()]

    def frames(self, inputs: Tensor) -> Tensor:
        """(B, channels, bins, T) to (B, features, T). Frame t depends on the input up to frame t (eval mode)."""
        return self.over_time(self.cnn(inputs)).transpose(1, 2)

    def over_time(self, features: Tensor) -> Tensor:
        """What `cnn` makes of each frame, (B, T, features), through the S4D layers from rest: the same shape."""
        for block in self._blocks():
            features = block(features)
        return features

    def encode(self, inputs: Tensor) -> Tensor:
        return self.frames(inputs).float().mean(2)

    def initial_state(self, batch: int, device: torch.device | str) -> list[Tensor]:
        """What the S4D layers have heard before the first frame, nothing: one (B, features, state/2) a layer."""
        return [block.layer.initial_state(batch).to(device) for block in self._blocks()]

    def step(self, frame: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One frame (B, channels, bins) and the state before it to its features (B, features) and the state after it.

        In eval mode frame after frame equals `frames` of all of them (a test holds 1e-4). Raises ValueError in training
        mode, where batch statistics and dropout would make each frame another network's.
        """
        if self.training:
            raise ValueError(f"{self.name} takes sound frame by frame in eval mode only; call eval() first")
        features, after = self.advance(self.cnn(frame[..., None]), state)
        return features[:, 0], after

    def advance(self, features: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As `over_time`, from a state instead of rest: (B, T, features) and the state after them. Use in eval mode."""
        after = []
        for block, before in zip(self._blocks(), state, strict=True):
            features, heard = block.advance(features, before)
            after.append(heard)
        return features, after

    def _blocks(self) -> list[S4DBlock]:
        return [block for block in self.blocks if isinstance(block, S4DBlock)]
