"""Settings of `birdssl embed`."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from birdssl.settings.base import Settings, setting

STREAMED = ("stream_rate", "stream_format", "stream_hop", "stream_lines", "memory")
NOT_STREAMED = ("roles", "batch")
ROLES = ("original", "copy", "view")


class EmbedSettings(Settings):
    """Turn clips into vectors: one row a clip, with its labels, split, site and time.

    Reads clips (of segment, split or augment, drawn as the model's own frontend draws them) or shards (of render). The
    manifest of OUT has a column `embedding` (32-bit floats, one length for all) and, where the model has a head,
    `scores` in [0, 1] for its classes, which `stage.json` lists in order under facts: softmax, or each class by itself
    (`finetune --several-labels each`).

    With --stream there's no DIR and no OUT: raw PCM comes on stdin, one channel of it, and for each hop a line goes to
    stdout, with the mean of the encoder's frames over a trailing window as long as the model's crops, as in
    `ffmpeg -i mic.wav -f s16le -ac 1 -ar 20000 - | birdssl embed --stream --stream-rate 20000 --model finetuned`.
    The model's encoder must hear frame by frame (acoustic-ssm, adapted-cnn).
    """

    example: ClassVar[str] = "birdssl embed clips --model finetuned -o embedded"

    model: Path | None = setting(
        None,
        "Model to run: OUT of pretrain or finetune, or OUT/classifier or OUT/encoder of fewshot.",
        short="-m",
        metavar="DIR",
    )
    features: Literal["mel-statistics"] | None = setting(
        None, "Plain features instead of a model: mean and deviation over time of each row of the spectrogram."
    )
    layer: Literal["penultimate", "encoder"] | None = setting(
        None, "What is written of a model: by default the penultimate layer, or the encoder where there is no head."
    )
    roles: list[str] = setting(["original"], "Rows to embed: original, copy, view.", metavar="ROLE")
    batch: int = setting(32, "Clips in one pass. Another number changes the last digits.", ge=1, le=4096)
    stream: bool = setting(False, "Read raw PCM on stdin and write lines on stdout, as long as it goes on.")
    stream_rate: int | None = setting(
        None, "--stream: sample rate of what comes, in Hz; default the model's.", ge=1000, le=768000
    )
    stream_format: Literal["s16le", "f32le"] = setting(
        "s16le", "--stream: samples as whole numbers of 16 bits, or floats of 32 in [-1, 1]; little-endian."
    )
    stream_hop: float | None = setting(
        None, "--stream: seconds from line to line, rounded to whole frames; default a quarter of a window.", gt=0
    )
    stream_lines: Literal["jsonl", "tsv"] = setting("jsonl", "--stream: JSON objects, or tab-separated columns.")
    memory: Literal["window", "stream"] = setting(
        "window",
        "--stream: each window by itself, as if cut out and embedded, or what the encoder, which has heard everything "
        "from the beginning, says over the window.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.model is None) == (self.features is None):
            raise ValueError("give either --model DIR or --features mel-statistics")
        if self.stream and self.model is None:
            raise ValueError("--stream runs a model; give --model DIR instead of --features")
        for name in NOT_STREAMED if self.stream else STREAMED:
            if name in self.model_fields_set:
                raise ValueError(f"{self.flag(name)} goes {'without' if self.stream else 'with'} --stream")
        if self.layer is not None and self.model is None:
            raise ValueError("--layer is for --model; leave it out with --features")
        unknown = [role for role in self.roles if role not in ROLES]
        if unknown or not self.roles:
            raise ValueError(f"--roles {', '.join(unknown)!r}: choose one or several of {', '.join(ROLES)}")
        return self
