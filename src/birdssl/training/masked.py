"""Masked acoustic modelling as a task: an encoder that rebuilds what is hidden of a spectrum (Mockingjay, TERA)."""

from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.transformer import SpectrumHead
from birdssl.training.batches import even_batches
from birdssl.training.gather import gather
from birdssl.training.health import health
from birdssl.training.history import Row
from birdssl.training.masks import MOCKINGJAY, TERA, Masking, draw_masks
from birdssl.training.mel import mel_bins
from birdssl.training.pairs import Views, another_clip
from birdssl.training.retrieval import retrieval_top1
from birdssl.training.task import Batch, Task
from birdssl.training.validation import PROBED, exact_place, say_collapse, settled, spread

VARIANTS: dict[str, Masking] = {"mockingjay": MOCKINGJAY, "tera": TERA}
TRIED = 32  # frames that an encoder is tried on


class Framed(Protocol):
    """An encoder with a time axis."""

    def frames(self, inputs: Tensor) -> Tensor:
        """(B, 1, F, T) to (B, features, T)."""
        ...


class MaskedNetwork(nn.Module):
    """An encoder that keeps a vector for each frame, and the head that rebuilds the frame from it.

    Raises UsageError for an encoder that takes anything but the mel channel, or doesn't keep every frame.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.bins = mel_bins(encoder, "masked modelling")
        self.encoder = encoder
        _check_frames(encoder, self.bins)
        self.head = SpectrumHead(encoder.features, self.bins)

    def frames(self, spectra: Tensor) -> Tensor:
        """(B, 1, F, T) to the encoder's (B, features, T)."""
        return cast(Framed, self.encoder).frames(spectra)

    def forward(self, seen: Tensor) -> Tensor:
        """(B, 1, F, T) spectra with parts hidden to (B, 1, F, T) spectra rebuilt."""
        rebuilt: Tensor = self.head(self.frames(seen))
        return rebuilt


def _check_frames(encoder: Encoder, bins: int) -> None:
    """Raises UsageError unless the encoder keeps every frame, and a frame's vector tells of frames beside it."""
    click = torch.zeros(2, 1, bins, TRIED, device=next(encoder.parameters()).device)
    click[1, :, :, TRIED // 2] = 1.0
    reason = "has no frames"
    if hasattr(encoder, "frames"):
        training = encoder.training
        with torch.no_grad():
            silent, clicked = cast(Framed, encoder.eval()).frames(click)  # (features, T)
        encoder.train(training)
        kept = silent.shape[1]
        if kept == TRIED and (silent != clicked).any(dim=0).sum() > 1:
            return
        reason = "makes each frame of itself alone" if kept == TRIED else f"makes {kept} of {TRIED}"
    raise UsageError(
        f"masked modelling rebuilds every frame from those around it and {encoder.name} {reason}; choose an encoder "
        "that fits, such as transformer or acoustic-ssm"
    )


class MaskedModelling(Task):
    """Parts of a clip's spectrum are hidden and rebuilt; the epoch with the lowest validation loss is kept.

    The loss is the mean absolute difference over the hidden places of the batch. `shuffle_pairs` is the negative
    control: what stood in another clip at the hidden places is to be rebuilt, which nothing around them tells.
    """

    score: ClassVar[str] = "validation_loss"
    larger_is_better: ClassVar[bool] = False
    shown: ClassVar[tuple[str, ...]] = ("loss", "validation_loss", "retrieval", "effective_rank")

    def __init__(
        self,
        network: MaskedNetwork,
        training: Views,
        validation: Views,
        batch: int,
        seed: int,
        *,
        mask_share: float = MOCKINGJAY.share,
        mask_span: int = MOCKINGJAY.span,
        mask_bands: float = MOCKINGJAY.bands,
        mask_noise: float = MOCKINGJAY.noise,
        shuffle_pairs: bool = False,
    ) -> None:
        """Views are single crops, (B, 1, F, T) standardised; `birdssl.training.masks.Masking` says of the masks.

        Left out, the masks are Mockingjay's. Raises UsageError for masks out of range.
        """
        self.network: MaskedNetwork = network
        self.training, self.validation, self.batch, self.seed = training, validation, batch, seed
        self.masking = Masking(mask_share, mask_span, mask_bands, mask_noise)
        self.shuffle_pairs = shuffle_pairs
        self.items, self.ahead = training.clips, training.ahead

    def load(self, items: Tensor, epoch: int) -> Batch:
        """What the encoder sees, what is to be rebuilt, and where; each (B, 1, F, T)."""
        (spectra,) = self.training.views(items, epoch)
        seen, places = draw_masks(items, spectra.shape[2:], self.masking, self.seed, epoch).hide(spectra)
        if self.shuffle_pairs:
            (spectra,) = self.training.views(another_clip(self.items, self.seed, epoch)[items], epoch)
        return seen, spectra, places

    def loss(self, forward: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        seen, content, places = batch
        differences, counts = hidden_difference(forward(seen), content, places)
        return gather(differences).sum() / gather(counts).sum(), {}

    def validate(self) -> Row:
        """Loss, health of the embeddings, and retrieval of what was hidden.

        All spans are zeroed here, none left as they are or replaced, so that what is rebuilt is told from around it.
        Health compares the embedding of a clip (alignment: and that of the clip with parts hidden). Retrieval is the
        share of clips whose rebuilt span finds its own true content among those of all clips, one span of each, and the
        true content its rebuilt span; chance is 1 / clips.
        """
        total, count = 0.0, 0
        kept: list[tuple[Tensor, ...]] = []
        probed = spread(self.validation.clips, PROBED)
        for clips in even_batches(self.validation.clips, self.batch):
            (spectra,) = self.validation.views(clips, 0)
            masks = draw_masks(clips, spectra.shape[2:], self.masking, self.seed, 0, hide_all=True)
            seen, places = masks.hide(spectra)
            frames = self.network.frames(seen)
            rebuilt = self.network.head(frames)
            differences, counts = hidden_difference(rebuilt, spectra, places)
            total, count = total + float(differences.sum()), count + int(counts.sum())
            wanted = torch.isin(clips, probed).to(spectra.device)
            starts = masks.starts.to(spectra.device)[wanted]
            spans = [span_of(whole[wanted], starts, self.masking.span) for whole in (rebuilt, spectra)]
            embeddings = [part.mean(dim=2) for part in (self.network.frames(spectra[wanted]), frames[wanted])]
            kept.append(tuple(exact_place(part) for part in (*spans, *embeddings)))
        made, true, whole, masked = (torch.cat(parts) for parts in zip(*kept, strict=True))
        return {
            "validation_loss": total / count,
            **health(whole, masked),
            "retrieval": retrieval_top1(made, true),
            **settled(whole, self.memory),
        }

    def remark(self, history: list[Row]) -> None:
        """Collapse is said."""
        say_collapse(history)


def hidden_difference(rebuilt: Tensor, content: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of absolute differences at the places of each clip, and their number: three (B, 1, F, T) to two (B,).

    In 32-bit floats, autocast or not. The loss is the quotient of both sums over the global batch.
    """
    with torch.autocast(rebuilt.device.type, enabled=False):
        differences = (rebuilt.float() - content.float()).abs() * places
        return differences.flatten(1).sum(dim=1), places.flatten(1).sum(dim=1).float()


def span_of(spectra: Tensor, starts: Tensor, span: int) -> Tensor:
    """(B, 1, F, T) and first frames (B,) to each clip's `span` frames from there, flat (B, F * span)."""
    frames = starts[:, None] + torch.arange(span, device=starts.device)  # (B, span)
    index = frames[:, None, None].expand(-1, 1, spectra.shape[2], -1)
    return spectra.gather(3, index).flatten(1)
