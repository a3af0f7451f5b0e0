"""What tasks on pairs of views tell of their validation part: loss, health of projections, retrieval by embeddings."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from birdssl.training.batches import even_batches
from birdssl.training.health import collapse_message, effective_rank, encoder_rank, health
from birdssl.training.history import Row
from birdssl.training.neighbours import kept_share, nearest
from birdssl.training.pairs import Views
from birdssl.training.retrieval import retrieval_top1

log = logging.getLogger(__name__)

NEIGHBOURS_KEPT = "neighbours"  # in a task's memory
PROBED = 1024  # validation clips that health and retrieval look at: both grow with the square of it
PATIENCE = 3  # epochs in a row that must look collapsed before it is said
# Of the effective rank of the start's embeddings. Runs made to collapse were at .14 to .17 of it after an epoch, and
# found other views no more often than before; at usual rates runs that learned stayed above .22 (docs/decisions.md).
SHRUNK = 0.2


@dataclass(frozen=True)
class Measured:
    """What a network makes of a batch of pairs.

    Attributes:
        loss, terms: of the batch.
        embeddings: of the two views, as the encoder leaves them for use, (B, features) each.
        projections: what the loss sees of the two views, (B, width) each.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    embeddings: tuple[Tensor, Tensor]
    projections: tuple[Tensor, Tensor]


def validated(
    views: Views, batch: int, measure: Callable[[tuple[Tensor, ...]], Measured], memory: dict[str, Tensor]
) -> Row:
    """Means over all clips of the loss and its terms, health of projections; rank, retrieval, neighbours of embeddings.

    `memory` holds the last look's neighbours, and this one's afterwards. `measure` takes what `views` gives, in batches
    of the training size or a little more; always the views of epoch 0. The network should be in eval mode: batch
    normalisation then uses its running statistics, as in Keras' evaluation, which P1 chose epochs by (after few steps
    see `birdssl.training.batch_statistics`).
    """
    sums: dict[str, float] = {}
    kept: list[tuple[Tensor, ...]] = []
    probed = spread(views.clips, PROBED)
    for clips in even_batches(views.clips, batch):
        found = measure(views.views(clips, 0))
        for name, value in {"loss": found.loss, **found.terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(clips)
        wanted = torch.isin(clips, probed)
        kept.append(tuple(exact_place(part)[wanted] for part in (*found.embeddings, *found.projections)))
    row = {f"validation_{name}": value / views.clips for name, value in sums.items()}
    h1, h2, z1, z2 = (torch.cat(parts) for parts in zip(*kept, strict=True))
    own = {"encoder_rank": effective_rank(h1), "retrieval": retrieval_top1(h1, h2)}
    return {**row, **health(z1, z2), **own, **settled(h1, memory)}


def settled(embeddings: Tensor, memory: dict[str, Tensor]) -> Row:
    """`neighbour_stability` of (N, D) embeddings since the last look, which `memory` holds; nothing at the first."""
    before, now = memory.get(NEIGHBOURS_KEPT), nearest(embeddings)
    memory[NEIGHBOURS_KEPT] = now
    return {} if before is None else {"neighbour_stability": kept_share(before, now)}


def lasting_collapse(history: list[Row]) -> str | None:
    """What to say when embeddings have collapsed, else None.

    Two signs. The spread alone must be gone for a few epochs: VICReg's projections start out with a common offset that
    takes an epoch or two to shrink. Where the encoder's embeddings lose directions and a clip's other view is found no
    more often than before training, one epoch says it. The projections' directions don't: batch normalisation spreads
    what little is left of them.
    """
    told = [row for row in history if "effective_rank" in row]
    last = [row for row in told if row["epoch"] > 0][-PATIENCE:]
    messages = [collapse_message(row) for row in last]
    if len(last) == PATIENCE and all(messages):
        return messages[-1]
    if not last or told[0]["epoch"] > 0:
        return None
    start, now = told[0], last[-1]
    before, filled = encoder_rank(start), encoder_rank(now)
    if filled >= SHRUNK * before or now["retrieval"] > start["retrieval"]:
        return None
    return (
        f"embeddings are collapsing: they fill {filled:.1f} directions of {before:.1f} "
        "before training, and tell clips apart no better; lower the learning rate, enlarge the batch, or try vicreg"
    )


def say_collapse(history: list[Row]) -> None:
    """Warn of a collapse in the epoch in which it has set in, not again in each that follows."""
    now = lasting_collapse(history)
    if now and not lasting_collapse(history[:-1]):
        log.warning("epoch %d: %s", int(history[-1]["epoch"]), now)


def spread(count: int, most: int) -> Tensor:
    """At most `most` of 0..count-1, evenly spread."""
    return torch.arange(min(count, most)) * count // min(count, most)


def exact_place(values: Tensor) -> Tensor:
    """The values where there are 64-bit floats, which an Apple GPU hasn't."""
    return values.cpu() if values.device.type == "mps" else values
