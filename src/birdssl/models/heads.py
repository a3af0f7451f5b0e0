"""Classification heads, one for each encoder: P1's, and P2's two dense layers (docs/papers.md)."""

from dataclasses import dataclass

from torch import Tensor, nn

from birdssl.errors import UsageError


@dataclass(frozen=True)
class HeadPlan:
    """Layers of a head: dropout, a hidden layer (None: no hidden layer), dropout, and the class scores.

    Attributes:
        before: dropout probability on the encoder's embedding.
        hidden: width of the hidden layer; None takes the embedding itself as the penultimate layer.
        activation: of the hidden layer, "relu" or "hardswish".
        after: dropout probability on the penultimate layer.
    """

    before: float = 0.0
    hidden: int | None = None
    activation: str = "relu"
    after: float = 0.0


TWO_LAYERS = HeadPlan(hidden=256)  # P2 says "two dense layers"; 512-256-classes with ReLU is our choice

HEADS: dict[str, HeadPlan] = {
    "simplecnn": HeadPlan(before=0.5, hidden=64, activation="relu", after=0.5),
    "mobilenetv3-large": HeadPlan(hidden=1280, activation="hardswish", after=0.2),
    "resnet50": HeadPlan(),
    "inceptionv3": HeadPlan(after=0.5),
    "acoustic-ssm": TWO_LAYERS,
    "adapted-cnn": TWO_LAYERS,
    "resnet18-adapters": TWO_LAYERS,
    "byol-a-cnn": TWO_LAYERS,
    "transformer": TWO_LAYERS,
    "wav2vec2": TWO_LAYERS,
    "hubert": TWO_LAYERS,
}
LINEAR = "linear"  # the embedding's own features to scores: a probe on any encoder, as `birdssl fewshot` fits it
PLANS: dict[str, HeadPlan] = {**HEADS, LINEAR: HeadPlan()}


class Head(nn.Module):
    """Class scores from embeddings.

    Attributes:
        kind: key in `PLANS`.
        features: length of the embedding it takes.
        classes: number of classes C.
        width: length P of the penultimate features (64, 1280, or the encoder's own for the others).
    """

    def __init__(self, kind: str, features: int, classes: int) -> None:
        super().__init__()
        plan = PLANS[kind]
        self.kind = kind
        self.features = features
        self.classes = classes
        self.width = plan.hidden or features
        self.before: nn.Module = nn.Dropout(plan.before) if plan.before else nn.Identity()
        self.hidden: nn.Module = nn.Identity()
        if plan.hidden is not None:
            activation = nn.Hardswish() if plan.activation == "hardswish" else nn.ReLU()
            self.hidden = nn.Sequential(nn.Linear(features, plan.hidden), activation)
        self.after: nn.Module = nn.Dropout(plan.after) if plan.after else nn.Identity()
        self.scores = nn.Linear(self.width, classes)

    def penultimate(self, embeddings: Tensor) -> Tensor:
        """(B, features) to (B, width): the features that P1 evaluates. Without dropout in eval mode."""
        features: Tensor = self.hidden(self.before(embeddings))
        return features

    def classify(self, penultimate: Tensor) -> Tensor:
        """(B, width) penultimate features to (B, classes) logits."""
        logits: Tensor = self.scores(self.after(penultimate))
        return logits

    def forward(self, embeddings: Tensor) -> Tensor:
        """(B, features) to (B, classes) logits."""
        return self.classify(self.penultimate(embeddings))


def build_head(kind: str, features: int, classes: int) -> Head:
    """The head of the encoder called `kind`, for embeddings of `features` values and `classes` classes.

    Raises UsageError for an unknown kind or no class.
    """
    if kind not in PLANS:
        raise UsageError(f'no head is called "{kind}"; there are {", ".join(PLANS)}')
    if classes < 1:
        raise UsageError(f"a head needs at least one class and got {classes}; label some clips first")
    return Head(kind, features, classes)
