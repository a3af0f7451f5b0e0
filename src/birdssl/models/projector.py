"""The projector (VICReg: expander) between encoder and self-supervised loss, one kind for each family of methods."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class TwoLayerPlan:
    """A projector of two dense layers.

    Attributes:
        width: outputs of the last layer where nothing else is asked for.
        hidden: outputs of the first layer; None takes the embedding's own length.
        batch_norm: BatchNorm before the ReLU of the hidden layer.
        squashed: LayerNorm and tanh at the end.
    """

    width: int
    hidden: int | None = None
    batch_norm: bool = False
    squashed: bool = False


# P2 says "two-layer MLP" of its g: 512-512-128 is our choice, LayerNorm and tanh are COLA's beside a bilinear
# similarity. "simclr" is MT-SLVR's. "byol" is BYOL-A's, of projector and predictor.
TWO_LAYERS: dict[str, TwoLayerPlan] = {
    "cola": TwoLayerPlan(width=128, hidden=512, squashed=True),
    "simclr": TwoLayerPlan(width=256),
    "byol": TwoLayerPlan(width=256, hidden=4096, batch_norm=True),
}


class TwoLayers(nn.Module):
    """Linear, [BatchNorm], ReLU, Linear, [LayerNorm, tanh], as a `TwoLayerPlan` says.

    Attributes:
        width: outputs of the last layer.
    """

    def __init__(self, features: int, width: int, plan: TwoLayerPlan) -> None:
        super().__init__()
        hidden = plan.hidden or features
        self.width = width
        parts: list[nn.Module] = [nn.Linear(features, hidden)]
        if plan.batch_norm:
            parts.append(nn.BatchNorm1d(hidden))
        parts += [nn.ReLU(inplace=True), nn.Linear(hidden, width)]
        if plan.squashed:
            parts += [nn.LayerNorm(width), nn.Tanh()]
        self.layers = nn.Sequential(*parts)

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, features) to (B, width). In training mode "byol" needs a B of at least 2 (batch normalisation)."""
        projected: Tensor = self.layers(embeddings)
        return projected


def build_projector(kind: str, features: int, width: int | None = None) -> TwoLayers:
    """The two-layer projector called `kind` ("cola", "simclr" or "byol") for embeddings of `features` values.

    `width` is the length of its outputs; None takes the method's own (128, 256, 256). Raises UsageError for another
    kind or a width below 1. `Projector` is that of Barlow Twins and VICReg.
    """
    if kind not in TWO_LAYERS:
        raise UsageError(f'no projector is called "{kind}"; there are {", ".join(TWO_LAYERS)}')
    plan = TWO_LAYERS[kind]
    width = plan.width if width is None else width
    if width < 1:
        raise UsageError(f"a projector needs at least one output and got a width of {width}")
    return TwoLayers(features, width, plan)
