"""S4D: linear state spaces with diagonal matrices, one a channel, as a layer over time (Gu 2022, docs/papers.md).

    h' = A h + x,   y = 2 Re(C h) + D x,      A diagonal and complex, one of each conjugate pair stored

Discretised with a step of its own for each channel it is a causal convolution over time, or a recurrence with a state
of fixed size that gives the same values frame by frame. Everything complex and the convolution stay in float32 (float64
where the weights are), under autocast too: a phase of several hundred radians has no digits left in bfloat16.
"""

import math
from collections.abc import Callable, Hashable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.causal_convolution import causal_convolution
from birdssl.models.remembered import Remembered

Init = Literal["lin", "inv"]
Discretisation = Literal["zoh", "bilinear"]

STEPS = (1e-3, 1e-1)  # the range that dt is drawn from, log-uniform


def initial_frequencies(state: int, init: Init) -> Tensor:
    """Im A of the state//2 stored modes, float64: S4D-Lin pi n, or S4D-Inv (N/pi)(N/(2n+1) - 1).

    Raises UsageError for an odd or empty state, or another name.
    """
    if state < 2 or state % 2:
        raise UsageError(f"an S4D layer stores conjugate pairs, so its state is even and at least 2; it got {state}")
    n = torch.arange(state // 2, dtype=torch.float64)
    if init == "lin":
        return math.pi * n
    if init == "inv":
        return state / math.pi * (state / (2 * n + 1) - 1)
    raise UsageError(f'there is no S4D start "{init}"; use "lin" or "inv"')


def discretised(dt: Tensor, a: Tensor, method: Discretisation) -> tuple[Tensor, Tensor]:
    """Continuous modes to steps of dt: (log of the factor a step, weight of the input), both (H, N/2) complex.

    `dt` is (H,) real, `a` (H, N/2) complex. `expm1` keeps seven digits where exp(x) - 1 keeps three (|x| = 5e-4).
    """
    x = dt[:, None] * a
    if method == "zoh":
        return x, torch.expm1(x) / a
    if method == "bilinear":
        return torch.log1p(x / 2) - torch.log1p(-x / 2), dt[:, None] / (1 - x / 2)
    raise UsageError(f'there is no discretisation "{method}"; use "zoh" or "bilinear"')


def taps(log_factor: Tensor, weight: Tensor, length: int) -> Tensor:
    """The kernel K_l = 2 Re sum_n weight_n exp(l log_factor_n), l < length: (H, N/2) complex to (H, length) real.

    Baby steps and giant steps: l = giant + baby, so that only about 2 sqrt(length) powers of each mode are computed,
    and the sum over modes becomes a small matrix product a channel.
    """
    baby = math.isqrt(max(length - 1, 0)) + 1
    giant = -(-length // baby)
    cosine, sine = _powers(log_factor, 1, baby)  # (H, N/2, baby)
    large_cosine, large_sine = _powers(log_factor, baby, giant)  # (H, N/2, giant)
    real, imaginary = 2 * weight.real[:, :, None], 2 * weight.imag[:, :, None]
    left = torch.cat(
        (real * large_cosine - imaginary * large_sine, -(real * large_sine + imaginary * large_cosine)), 1
    )  # Re and -Im of 2 weight exp(giant), (H, N, giant)
    right = torch.cat((cosine, sine), 1)  # Re and Im of exp(baby), (H, N, baby)
    return torch.bmm(left.transpose(1, 2), right).flatten(1)[:, :length]


def _powers(log_factor: Tensor, stride: int, count: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of exp(l log_factor) for l = 0, stride, ..., (count - 1) stride: (H, N/2, count) each.

    In real numbers: torch's complex exponential isn't vectorised on a CPU.
    """
    exponents = stride * torch.arange(count, device=log_factor.device, dtype=log_factor.real.dtype)
    size = torch.exp(log_factor.real[:, :, None] * exponents)
    angle = log_factor.imag[:, :, None] * exponents
    return size * torch.cos(angle), size * torch.sin(angle)


class S4D(nn.Module):
    """State spaces over time, GELU, dropout tied over time, and a gated 1x1 mixture of channels; shape kept.

    Args:
        width: channels H.
        state: state size N (N/2 complex modes are stored).
        dropout: probability that a channel of a clip is zeroed, over all its frames.
        init: start of A, see `initial_frequencies`.
        discretisation: "zoh" or "bilinear".
    """

    def __init__(
        self,
        width: int,
        state: int = 64,
        dropout: float = 0.1,
        init: Init = "lin",
        discretisation: Discretisation = "zoh",
    ) -> None:
        super().__init__()
        frequencies = initial_frequencies(state, init).float()
        low, high = (math.log(step) for step in STEPS)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(width))
        self.log_decay = nn.Parameter(torch.full((width, state // 2), math.log(0.5)))  # A = -exp(log_decay) + i freq.
        self.frequency = nn.Parameter(frequencies.repeat(width, 1))
        self.c = nn.Parameter(torch.view_as_real(torch.randn(width, state // 2, dtype=torch.cfloat)).clone())
        self.d = nn.Parameter(torch.randn(width))
        self.mix = nn.Linear(width, 2 * width)
        self.dropout = nn.Dropout1d(dropout)
        self.discretisation: Discretisation = discretisation
        self._remembered = Remembered()

    def ssm_parameters(self) -> list[nn.Parameter]:
        """dt and A: without weight decay, and at most at a rate of 1e-3 (the S4 code's habit)."""
        return [self.log_dt, self.log_decay, self.frequency]

    def kernel(self, length: int) -> Tensor:
        """(H, length) taps, D in the first. Remembered in eval mode without gradient."""

        def make() -> tuple[Tensor]:
            log_factor, weight = self._steps()
            made = taps(log_factor, weight, length)
            return (torch.cat((made[:, :1] + self.d[:, None], made[:, 1:]), 1),)

        return self._recall("kernel", length, make)[0]

    def initial_state(self, batch: int) -> Tensor:
        """(B, H, N/2) complex zeros: nothing heard yet."""
        kind = torch.complex128 if self.c.dtype == torch.float64 else torch.complex64
        return torch.zeros(batch, *self.frequency.shape, dtype=kind, device=self.c.device)

    def step(self, frame: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One frame (B, H) and the state before it to the layer's output (B, H) and the state after it."""
        made, state = self.advance(frame[:, None], state)
        return made[:, 0], state

    def advance(self, frames: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, H) and the state before them to the layer's output (B, T, H) and the state after them.

        Only the state goes frame by frame; what is heard of it and the mixture of channels are worked out for all T.
        """

        def make() -> tuple[Tensor, Tensor]:
            log_factor, weight = self._steps()
            return torch.exp(log_factor), weight

        factor, weight = self._recall("step", None, make)
        heard = frames.to(self.d.dtype)
        states = []
        for frame in heard.unbind(1):
            state = factor * state + frame[:, :, None]
            states.append(state)
        y = 2 * (weight * torch.stack(states, 1)).real.sum(-1) + self.d * heard
        return self._mixed(y), state

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, H) to (B, T, H)."""
        with torch.autocast(frames.device.type, enabled=False):
            y = causal_convolution(frames, self.kernel(frames.shape[1]))
        return self._mixed(y)

    def _mixed(self, y: Tensor) -> Tensor:
        y = functional.gelu(y)
        if self.training:
            y = self.dropout(y.transpose(1, 2)).transpose(1, 2)
        return functional.glu(self.mix(y), -1)

    def _steps(self) -> tuple[Tensor, Tensor]:
        """Log of each mode's factor a step, and the weight that joins B (= 1), its discretisation and C."""
        a = torch.complex(-torch.exp(self.log_decay), self.frequency)
        log_factor, weight = discretised(torch.exp(self.log_dt), a, self.discretisation)
        return log_factor, weight * torch.view_as_complex(self.c)

    def _recall(self, what: str, key: Hashable, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        if self.training or torch.is_grad_enabled():
            return make()
        return self._remembered.get(what, key, [*self.ssm_parameters(), self.c, self.d], make)


class S4DBlock(nn.Module):
    """An S4D layer with dropout (tied over time), a residual and a LayerNorm after it. Arguments as for `S4D`."""

    def __init__(
        self,
        width: int,
        state: int = 64,
        dropout: float = 0.1,
        init: Init = "lin",
        discretisation: Discretisation = "zoh",
    ) -> None:
        super().__init__()
        self.layer = S4D(width, state, dropout, init, discretisation)
        self.dropout = nn.Dropout1d(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, H) to (B, T, H)."""
        mixed = self.layer(frames)
        if self.training:
            mixed = self.dropout(mixed.transpose(1, 2)).transpose(1, 2)
        return self.norm(frames + mixed)

    def advance(self, frames: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, T, H) and a state (B, H, N/2) to the next frames and the state after them. Use it in eval mode."""
        mixed, state = self.layer.advance(frames, state)
        return self.norm(frames + mixed), state
