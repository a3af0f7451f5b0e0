"""Whether embeddings are healthy, without labels: spread, rank, alignment and uniformity.

Pure functions of float tensors, computed in 64 bits on the processor, so that numbers compare between devices and
precisions. They are meant for what the loss sees, the projector's outputs: an encoder's own outputs often end in ReLU,
and sharing a sign they are never spread over the whole sphere.
"""

import torch
from torch import Tensor
from torch.nn import functional

# Of 1 for a full spread. Our choice, and low: a mean that all embeddings share lowers the spread without harm, since
# neither loss minds a mean (0.09 was seen beside improving retrieval).
COLLAPSED_STD = 0.02
COLLAPSED_RANK = 2.0  # effective directions; our choice: two classes of sounds alone already need that many


def embedding_std(z: Tensor) -> float:
    """Mean over dimensions of the standard deviation of unit-length embeddings, times sqrt(D); z is (N, D), N >= 2.

    1 when directions are spread evenly over the sphere, 0 when all embeddings point one way (Chen & He 2021, who leave
    out the factor).
    """
    unit = _unit(z)
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def effective_rank(z: Tensor) -> float:
    """Exponential of the entropy of the centred embeddings' normalised singular values; z is (N, D).

    Between 1 and min(N - 1, D); 0 when all embeddings are equal (Roy & Vetterli 2007).
    """
    z = _wide(z)
    values = _singular_values(z - z.mean(dim=0))
    total = values.sum()
    if total <= 1e-12 * max(float(z.abs().max()), 1e-300) * len(z):
        return 0.0
    share = values / total
    return float(torch.exp(torch.special.entr(share).sum()))


def _singular_values(z: Tensor) -> Tensor:
    """Of (N, D), in 64 bits. Of more dimensions than clips by the clips' products, many times as fast.

    Values below 1e-8 of the largest are rounding then, and change no rank by a thousandth.
    """
    if z.shape[1] <= len(z):
        return torch.linalg.svdvals(z)
    return torch.linalg.eigvalsh(z @ z.T).clamp_min(0).sqrt()


def alignment(za: Tensor, zb: Tensor) -> float:
    """Mean squared distance of the unit-length embeddings of a clip's two views; 0 is best, 2 unrelated, 4 opposite.

    (N, D) each; Wang & Isola 2020 with alpha = 2.
    """
    return float((_unit(za) - _unit(zb)).pow(2).sum(dim=1).mean())


def uniformity(z: Tensor) -> float:
    """Log of the mean over pairs of exp(-2 d^2) among unit-length embeddings (N, D); lower is more even, 0 is collapse.

    Wang & Isola 2020 with t = 2. At least -8 for any embeddings, and near -4 for a full spread in many dimensions.
    """
    distances = functional.pdist(_unit(z))
    return float(torch.logsumexp(-2 * distances.pow(2), dim=0) - torch.log(torch.tensor(float(len(distances)))))


def spread_health(z: Tensor) -> dict[str, float]:
    """The three numbers that need no pairs, of embeddings (N, D), N >= 2."""
    return {"embedding_std": embedding_std(z), "effective_rank": effective_rank(z), "uniformity": uniformity(z)}


def health(za: Tensor, zb: Tensor) -> dict[str, float]:
    """The four numbers of two views' embeddings (N, D); those of one set are of the first view."""
    return {**spread_health(za), "alignment": alignment(za, zb)}


def encoder_rank(numbers: dict[str, float]) -> float:
    """Effective rank of the encoder's embeddings: without projections (masked modelling) that of all."""
    return numbers.get("encoder_rank", numbers["effective_rank"])


def collapse_message(numbers: dict[str, float]) -> str | None:
    """What to say aloud about `health`'s numbers when embeddings have collapsed; None when they haven't."""
    spread, rank = numbers["embedding_std"], numbers["effective_rank"]
    if spread >= COLLAPSED_STD and rank >= COLLAPSED_RANK:
        return None
    return (
        f"embeddings have collapsed: their spread is {spread:.3f} (1 is full, 0 none) and they fill {rank:.1f} "
        "directions. What is learned from here tells clips apart badly; lower the learning rate, enlarge the "
        "batch, or try vicreg"
    )


def _unit(z: Tensor) -> Tensor:
    return functional.normalize(_wide(z), dim=1)


def _wide(z: Tensor) -> Tensor:
    return z.detach().cpu().double()
