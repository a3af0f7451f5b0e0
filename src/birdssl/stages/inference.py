"""A saved model over clips, as embed and detect both need it: always in 32 bits, one thread, fixed batches.

bfloat16 is fast in training, but neighbours among embeddings get lost in it; and sums split over threads differ in
their last digits. More clips a second come from more workers (`--jobs`) or a GPU.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from birdssl.artifacts.artifact import RECORD, open_artifact
from birdssl.audio.spectrogram import Frontend as PictureFrontend
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.stages.contract import Source
from birdssl.stages.frontends import AnyFrontend, any_frontend, input_options, stored
from birdssl.training.held import DeviceHeld
from birdssl.training.inputs import mean_of_crops
from birdssl.training.precision import fixed_numerics, keep_freed_memory, without_tf32
from birdssl.training.saved_model import PAYLOAD, SavedModel, load_model
from birdssl.training.waveforms import Sounds, WaveformClips

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What a model says of N clips: `embeddings` (N, D) and, with a head, `scores` (N, classes) in [0, 1]."""

    embeddings: Floats
    scores: Floats | None


class Network:
    """A model ready to run on one device."""

    def __init__(self, model: SavedModel, device: torch.device) -> None:
        self.model = model.to(device)
        self.device = device
        self.frontend: AnyFrontend = any_frontend(model.frontend)
        self.model.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the columns of `scores`; empty without a head."""
        return self.model.classes

    def layer(self, wanted: str | None) -> str:
        """The layer to write: `wanted`, or the penultimate one where there is a head, else the encoder's output.

        Raises IncompatibleError for the penultimate layer of a model without a head.
        """
        if wanted is None:
            return "encoder" if self.model.head is None else "penultimate"
        if wanted == "penultimate" and self.model.head is None:
            raise IncompatibleError(
                "--layer penultimate: this model has no head, so no penultimate layer; take --layer encoder, or a "
                "model that `birdssl finetune` made"
            )
        return wanted

    def width(self, layer: str) -> int:
        """Length of an embedding of that layer."""
        head = self.model.head
        return head.width if layer == "penultimate" and head is not None else self.model.encoder.features

    def stored(self, waves: npt.NDArray[np.float32]) -> npt.NDArray:
        """Waveforms (N, samples) as `run` takes them."""
        return stored(self.frontend, waves)

    def run(self, clips: npt.NDArray, layer: str, batch: int) -> Answers:
        """Stored clips (N, ...) to answers of N rows: pictures as the frontend draws them, or int16 waveforms.

        `batch` pictures or crops at a time. Of the crops of a clip, embeddings and probabilities are averaged.
        """
        step = max(1, batch // self.crops)
        with exact(), torch.inference_mode():
            parts = [self._batch(clips[i : i + step], layer) for i in range(0, len(clips), step)]
        scores = [part.scores for part in parts if part.scores is not None]
        return Answers(np.concatenate([part.embeddings for part in parts]), np.concatenate(scores) if scores else None)

    @property
    def crops(self) -> int:
        """Crops of a clip whose answers are averaged."""
        return 1 if isinstance(self.frontend, PictureFrontend) else self.frontend.crops

    def _inputs(self, clips: torch.Tensor) -> torch.Tensor:
        """Stored clips (B, ...) on the device to the encoder's input, (B * crops, ...)."""
        if isinstance(self.frontend, PictureFrontend):
            return self.model.prepare(clips)
        sounds = Sounds.of(DeviceHeld(clips), seed=0)  # nothing is drawn
        return WaveformClips(sounds, self.frontend).take(torch.arange(len(clips)))

    def _batch(self, clips: npt.NDArray, layer: str) -> Answers:
        inputs = self._inputs(torch.from_numpy(clips).to(self.device))
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        embeddings = self.model.encoder(inputs)
        head = self.model.head
        if head is None:
            return Answers(_floats(mean_of_crops(embeddings, self.crops)), None)
        penultimate = head.penultimate(embeddings)
        scores = self.model.scores(head.classify(penultimate))
        written = penultimate if layer == "penultimate" else embeddings
        return Answers(*(_floats(mean_of_crops(values, self.crops)) for values in (written, scores)))


def _floats(values: torch.Tensor) -> Floats:
    return values.float().cpu().numpy()


@contextmanager
def exact() -> Iterator[None]:
    """One thread, deterministic kernels, and no TensorFloat-32, which keeps 10 of 23 bits on newer GPUs."""
    with fixed_numerics(1), without_tf32():
        yield


def model_digest(folder: Path) -> str:
    """32 hex digits of a model's description and weights, wherever the folder lies."""
    digest = hashlib.blake2b(digest_size=16)
    for name in PAYLOAD:
        path = folder / name
        if path.exists():
            digest.update(name.encode() + b"\0")
            with path.open("rb") as handle:
                digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def model_facts(folder: Path) -> dict[str, Any]:
    """What the stage that made a model says of it, such as the fold that it held out; empty for a copied model."""
    return open_artifact(folder).facts if (folder / RECORD).exists() else {}


def model_source(folder: Path) -> Source:
    """A model as stage.json records it. One that is still being made is refused, as `open_artifact` says it."""
    verb = open_artifact(folder).verb if (folder / RECORD).exists() else None
    return Source(folder, verb, model_digest(folder))


def open_network(folder: Path, digest: str, device: str) -> Network:
    """The model in `folder` on a device that `choose_device` named; a worker opens each model once.

    Raises NoInputError where there is no such folder, what `load_model` raises, and IncompatibleError when encoder and
    frontend differ in the size of pictures.
    """
    if not folder.is_dir():
        raise NoInputError(
            f"--model {folder}: no such directory; give the OUT of `birdssl pretrain` or `finetune`, or "
            "OUT/classifier of `birdssl fewshot --protocol own`"
        )
    keep_freed_memory()  # 1.6, 1.5 and 1.2 times the clips a second of SimpleCNN, MobileNetV3 and ResNet-50 in 32 bits
    return _open_network(folder.resolve(), digest, device)


@lru_cache(maxsize=1)
def _open_network(folder: Path, digest: str, device: str) -> Network:
    network = Network(load_model(folder), torch.device(device))
    encoder, frontend = network.model.encoder, network.frontend
    shape = (frontend.height, frontend.width) if isinstance(frontend, PictureFrontend) else ()
    made = input_options(encoder.name, None if isinstance(frontend, PictureFrontend) else frontend, shape)
    for name, value in made.items():
        if encoder.options[name] != value:
            raise IncompatibleError(
                f"{folder}: its encoder takes {encoder.options[name]} {name}, its frontend makes {value}; "
                "make the model anew"
            )
    return network
