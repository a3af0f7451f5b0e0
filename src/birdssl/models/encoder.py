"""What every encoder is: spectrogram images in, one vector a clip out, and all that is needed to build it again."""

from typing import Any

from torch import Tensor, nn


class Encoder(nn.Module):
    """Maps grey spectrogram images to embeddings.

    Subclasses implement `encode`. `build_encoder(encoder.name, **encoder.options)` gives the same architecture again.

    Attributes:
        name: key in `birdssl.models.registry.ENCODERS`.
        options: keyword arguments it was built from, `height` and `width` (pixels) included.
        features: length of the vector that `forward` returns.
    """

    name: str
    options: dict[str, Any]
    features: int

    def __init__(self, name: str, features: int, *, height: int, width: int, **options: Any) -> None:
        super().__init__()
        self.name = name
        self.features = features
        self.options = {"height": height, "width": width, **options}

    def encode(self, images: Tensor) -> Tensor:
        """(B, 1, height, width) float in [0, 1] to (B, features)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, height, width) float in [0, 1] to (B, features).

        Raises ValueError for another shape: a wrong size would pass through global pooling unnoticed.
        """
        expected = (1, self.options["height"], self.options["width"])
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise ValueError(
                f"{self.name} was built for images of shape (batch, {', '.join(map(str, expected))}) "
                f"and got {tuple(images.shape)}; render clips with the model's own frontend"
            )
        return self.encode(images)
