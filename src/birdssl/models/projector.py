"""The projector (VICReg: expander) between encoder and self-supervised loss."""

from torch import Tensor, nn

from birdssl.errors import UsageError


class Projector(nn.Module):
    """Dense layers of one width: Linear, BatchNorm, ReLU for all but the last, which is Linear without bias.

    P1: three layers of 512. `bias` is that of the hidden Linear layers, inert before BatchNorm: Barlow Twins' official
    code has none (default), VICReg's has it.

    Args:
        features: length of the encoder's embedding.
        width: outputs of every layer.
        layers: number of Linear layers, at least 1.
    """

    def __init__(self, features: int, width: int = 512, layers: int = 3, bias: bool = False) -> None:
        super().__init__()
        if layers < 1 or width < 1:
            raise UsageError(f"a projector needs at least one layer of width 1 and got {layers} of width {width}")
        self.width = width
        parts: list[nn.Module] = []
        inputs = features
        for _ in range(layers - 1):
            parts += [nn.Linear(inputs, width, bias=bias), nn.BatchNorm1d(width), nn.ReLU(inplace=True)]
            inputs = width
        parts.append(nn.Linear(inputs, width, bias=False))
        self.layers = nn.Sequential(*parts)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, features) to (B, width). In training mode B must be at least 2 (batch normalisation)."""
        projected: Tensor = self.layers(embeddings)
        return projected
