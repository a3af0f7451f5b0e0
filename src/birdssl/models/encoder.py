"""What every encoder is: clips as its frontend makes them in, one vector a clip out, and all to build it again."""

from typing import Any, ClassVar, Literal

from torch import Tensor, nn

Input = Literal["picture", "spectra", "waveform"]


class Encoder(nn.Module):
    """Maps clips to embeddings.

    Subclasses implement `encode`. `build_encoder(encoder.name, **encoder.options)` gives the same architecture again.

    Attributes:
        takes: what a batch of clips is: "picture" (B, 1, height, width), grey in [0, 1] or one standardised channel of
            a fixed size; "spectra" (B, channels, bins, frames), standardised; "waveform" (B, samples) in [-1, 1].
        name: key in `birdssl.models.registry.ENCODERS`.
        options: keyword arguments it was built from.
        features: length of the vector that `forward` returns.
        expected: shape of one clip's input; None where any length will do.
        shortest: fewest frames, or samples of a waveform, that make an embedding.
    """

    takes: ClassVar[Input]
    name: str
    options: dict[str, Any]
    features: int
    expected: tuple[int | None, ...]
    shortest: int = 1

    def __init__(self, name: str, features: int, expected: tuple[int | None, ...], **options: Any) -> None:
        super().__init__()
        self.name = name
        self.features = features
        self.expected = expected
        self.options = options

    def encode(self, inputs: Tensor) -> Tensor:
        """(B, *expected) float to (B, features)."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, *expected) float to (B, features).

        Raises ValueError for another shape: a wrong size would pass through global pooling unnoticed.
        """
        self.check(inputs)
        return self.encode(inputs)

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        """What stays as it is, in eval mode, when the encoder is frozen."""
        return (self,)

    def pooled_states(self, inputs: Tensor) -> Tensor:
        """What the frozen parts make of inputs, one tensor a clip: the embedding, where nothing else learns."""
        embeddings: Tensor = self(inputs)
        return embeddings

    def mix(self, states: Tensor) -> Tensor:
        """`pooled_states` to embeddings (B, features), by what isn't frozen; linear in the states."""
        return states

    def check(self, inputs: Tensor) -> None:
        """Raises ValueError when a batch hasn't the expected shape."""
        found = tuple(inputs.shape[1:])
        fits = len(found) == len(self.expected) and all(
            wanted in (None, size) for wanted, size in zip(self.expected, found, strict=True)
        )
        if not fits:
            shape = ", ".join("any" if size is None else str(size) for size in self.expected)
            raise ValueError(
                f"{self.name} was built for a {self.takes} of shape (batch, {shape}) and got {tuple(inputs.shape)}; "
                "prepare clips with the model's own frontend"
            )
