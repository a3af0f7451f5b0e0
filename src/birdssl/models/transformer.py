"""The transformer of Mockingjay (Liu et al. 2020) and TERA (Liu et al. 2021), and the head that rebuilds spectra.

- each frame's values through one dense layer, plus a sinusoid of its place (Vaswani et al. 2017), normalised;
- layers of self-attention and a GELU network, each added to its input and normalised after (post-LN, eps 1e-12);
- dropout of 0.1 on every sum, inside the attention, and on the input;
- base: 3 layers of 768 with 12 heads (TERA's and Mockingjay's base); 12 layers make Mockingjay's large.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

EPS = 1e-12  # of every layer normalisation, as in BERT
DEVIATION = 0.02  # of the starting weights, as in BERT; biases start at 0
LONGEST_PERIOD = 10_000.0  # of the sinusoids, in frames over 2 pi


def transformer(
    *,
    channels: int,
    bins: int,
    layers: int = 3,
    width: int = 768,
    heads: int = 12,
    feedforward: int = 3072,
    dropout: float = 0.1,
) -> "Transformer":
    """The transformer for spectra of `channels` channels and `bins` frequencies, of any number of frames.

    Several channels of a frame are laid side by side. Args:
        layers: of attention and network each; the papers have 3 (base) and 12 (large).
        width: values of a frame inside, and features of the embedding; even, and a multiple of `heads`.
        heads: of the attention.
        feedforward: width inside each network.
        dropout: probability in [0, 1).

    Raises UsageError for a size that doesn't fit.
    """
    if width % 2 or width < 2 or heads < 1 or width % heads:
        raise UsageError(f"a transformer's width must be even and a multiple of its {heads} heads, and it is {width}")
    if layers < 1 or feedforward < 1 or not 0 <= dropout < 1:
        raise UsageError(
            "a transformer needs at least one layer, a network of at least one value, and a dropout in [0, 1): got "
            f"{layers}, {feedforward} and {dropout:g}"
        )
    return Transformer(channels, bins, layers, width, heads, feedforward, dropout)


class Transformer(Encoder):
    """Frames to vectors that know of all other frames; the embedding is their mean over time (our choice).

    It computes attention by `scaled_dot_product_attention`, so memory doesn't grow with the square of T where the
    device has a fused form.
    """

    takes: ClassVar[Input] = "spectra"

    def __init__(
        self, channels: int, bins: int, layers: int, width: int, heads: int, feedforward: int, dropout: float
    ) -> None:
        sizes = {"layers": layers, "width": width, "heads": heads, "feedforward": feedforward, "dropout": dropout}
        super().__init__("transformer", width, (channels, bins, None), channels=channels, bins=bins, **sizes)
        self.embed = nn.Linear(channels * bins, width)
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(width, heads, feedforward, dropout) for _ in range(layers))
        self.apply(start)

    def hidden_states(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, channels, bins, T) to layers + 1 tensors (B, width, T): the first layer's input, each layer's output."""
        values = inputs.flatten(1, 2).transpose(1, 2)  # (B, T, channels * bins)
        embedded = self.embed(values)
        places = sinusoid(embedded.shape[1], embedded.shape[2], embedded.device)
        states = [self.dropout(self.norm(embedded + places))]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return tuple(state.transpose(1, 2) for state in states)

    def frames(self, inputs: Tensor) -> Tensor:
        """(B, channels, bins, T) standardised to the last layer's (B, width, T)."""
        return self.hidden_states(inputs)[-1]

    def encode(self, inputs: Tensor) -> Tensor:
        return self.frames(inputs).float().mean(dim=2)


class Layer(nn.Module):
    """Self-attention and a two-layer network, each added to its input, which is then normalised."""

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.joined = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=EPS)
        self.network = nn.Sequential(nn.Linear(width, feedforward), nn.GELU(), nn.Linear(feedforward, width))
        self.network_norm = nn.LayerNorm(width, eps=EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor) -> Tensor:
        """(B, T, width) to the same shape."""
        attended: Tensor = self.attention_norm(states + self.dropout(self.joined(self._attention(states))))
        passed: Tensor = self.network_norm(attended + self.dropout(self.network(attended)))
        return passed

    def _attention(self, states: Tensor) -> Tensor:
        query, key, value = (
            project(states).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, width / heads)
            for project in (self.query, self.key, self.value)
        )
        rate = self.rate if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, dropout_p=rate)
        return attended.transpose(1, 2).flatten(2)


class SpectrumHead(nn.Module):
    """Frames' vectors back to spectra: dense, GELU, layer normalisation, dense.

    Args:
        features: of the encoder.
        bins: frequencies that it rebuilds.
    """

    def __init__(self, features: int, bins: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, features)
        self.norm = nn.LayerNorm(features, eps=EPS)
        self.output = nn.Linear(features, bins)
        self.apply(start)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, features, T) to (B, 1, bins, T)."""
        hidden = self.norm(functional.gelu(self.dense(frames.transpose(1, 2))))
        return self.output(hidden).transpose(1, 2).unsqueeze(1)


def sinusoid(frames: int, width: int, device: torch.device | None = None) -> Tensor:
    """(frames, width) float32: sine at even, cosine at odd places of frame / 10000^(2 * (place // 2) / width)."""
    rates = LONGEST_PERIOD ** (-torch.arange(0, width, 2, device=device) / width)
    angles = torch.arange(frames, device=device)[:, None] * rates  # (frames, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def start(module: nn.Module) -> None:
    """BERT's starting weights: normal of deviation 0.02, biases 0; layer normalisations begin as torch's do."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=DEVIATION)
        nn.init.zeros_(module.bias)
