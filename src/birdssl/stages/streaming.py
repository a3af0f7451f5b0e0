"""A saved model over sound that goes on: `birdssl embed --stream`, without the command line.

Each answer is the mean of the encoder's frames over a trailing window as long as the model's crops. Two memories:

- "window": each window starts from rest, so an answer is what `birdssl embed` gives for that window cut out of the
  recording (a clip of one crop, without silence to trim). The network over frequency runs once a frame, for all windows
  that hold the frame; only the frames that reach over a window's two ends, where a clip has zeros, are computed anew.
  An answer comes with the last sample of its window.
- "stream": the S4D layers hear the stream from its beginning, and the answer is the mean of the last frames of that one
  long run. A frame reaches half a transform ahead, and so much later the answer comes.

Memory is that of one window, however long the stream.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from birdssl.audio.device.crops import even_starts
from birdssl.audio.device.spectra import Spectra
from birdssl.errors import IncompatibleError
from birdssl.models.acoustic_ssm import AcousticSSM
from birdssl.stages.inference import Network, exact, model_source, open_network
from birdssl.training.devices import choose_device

HOPS_A_WINDOW = 4  # how often an answer comes where nothing else is said


@dataclass(frozen=True)
class Heard:
    """One answer.

    Attributes:
        start, end: of the window, in seconds of the stream.
        embedding: (D,) float32.
        scores: (classes,) in [0, 1], by the model's activation; None without a head.
    """

    start: float
    end: float
    embedding: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Geometry:
    """Windows and frames of a stream, in samples and frames.

    Frame g is centred on sample g * hop and hears `ahead` samples to both sides. Window k has the samples from
    k * every * hop on, `length` of them, and `frames` frames from number k * every on.

    Attributes:
        hop: samples from frame to frame.
        ahead: half a transform.
        length: samples of a window.
        every: frames from one window to the next.
    """

    hop: int
    ahead: int
    length: int
    every: int

    @property
    def frames(self) -> int:
        """Frames of a window."""
        return 1 + self.length // self.hop

    @property
    def inner(self) -> range:
        """A window's frames that hear nothing outside of it, numbered within it. Empty for a short window."""
        return range(-(-self.ahead // self.hop), (self.length - self.ahead) // self.hop + 1)


def geometry(frontend: Spectra, seconds: float | None) -> Geometry:
    """Windows every `seconds` (a quarter of a window where None), rounded to whole frames, one at least."""
    wanted = frontend.crop_samples / HOPS_A_WINDOW if seconds is None else seconds * frontend.sample_rate
    return Geometry(
        frontend.hop, frontend.look_ahead, frontend.crop_samples, max(1, math.floor(wanted / frontend.hop + 0.5))
    )


class Listener(ABC):
    """Takes samples as they come and gives answers as soon as they can be had.

    Attributes:
        frontend: the model's.
        classes: names of the scores; none without a head.
    """

    def __init__(self, network: Network, layer: str, every: float | None) -> None:
        """`layer` as `Network.layer` names it; `every` seconds an answer, None for a quarter of a window.

        Raises IncompatibleError for a model that doesn't hear frame by frame.
        """
        self.encoder, self.frontend = causal_model(network)
        self.model = network.model
        self.layer, self.device, self.classes = layer, network.device, network.classes
        self.geometry = geometry(self.frontend, every)
        self._sound = torch.zeros(0, dtype=torch.int16, device=self.device)
        self._first = 0  # number of its first sample
        self._window = 0  # number of the next window

    def push(self, samples: npt.NDArray[np.int16]) -> Iterator[Heard]:
        """(n,) int16 at the model's rate to the answers that they complete, however many samples come at once."""
        step = min(self.geometry.every * self.geometry.hop, self.geometry.length)
        for at in range(0, len(samples), step):
            part = torch.from_numpy(samples[at : at + step].copy()).to(self.device)  # bytes of a pipe are read-only
            self._sound = torch.cat([self._sound, part])
            yield from self._ready()

    @abstractmethod
    def finish(self) -> Iterator[Heard]:
        """The last answer, of a window that ends with the stream, if that hasn't been given; none of no sound."""

    @property
    def held(self) -> int:
        """Samples held just now."""
        return len(self._sound)

    @abstractmethod
    def _ready(self) -> Iterator[Heard]:
        """Answers whose sound is there."""

    @property
    def _heard(self) -> int:
        """Samples so far."""
        return self._first + len(self._sound)

    def _take(self, first: int, last: int) -> Tensor:
        """Samples numbered `first` to `last` (excluded), zeros before the first and after the last that there are."""
        inside = self._sound[max(0, first - self._first) : max(0, last - self._first)]
        before = max(0, min(self._first, last) - first)
        return F.pad(inside, (before, last - first - before - len(inside)))

    def _forget(self, sample: int) -> None:
        """Drop what lies before a sample."""
        if sample > self._first:
            self._sound = self._sound[sample - self._first :].clone()
            self._first = sample

    def _spectra(self, first: int, last: int, start: int, end: int) -> Tensor:
        """Frames `first` to `last` (excluded), (1, channels, bins, frames), that hear samples `start` to `end`.

        Beyond these they hear zeros, as at the ends of a clip.
        """
        size = self.geometry
        begin, stop = first * size.hop - size.ahead, (last - 1) * size.hop + size.ahead
        low = min(max(begin, start), stop)
        high = max(min(stop, end), low)
        return self.frontend.framed(F.pad(self._take(low, high), (low - begin, stop - high))[None])

    def _answer(self, start: int, end: int, mean: Tensor) -> Heard:
        """The encoder's mean frame (features,) of samples `start` to `end`, through the head where there is one."""
        rate = self.frontend.sample_rate
        embedding, scores = mean[None].float(), None
        if (head := self.model.head) is not None:
            penultimate = head.penultimate(embedding)
            scores = self.model.scores(head.classify(penultimate))[0].cpu().numpy()
            embedding = penultimate if self.layer == "penultimate" else embedding
        return Heard(start / rate, end / rate, embedding[0].cpu().numpy(), scores)


class WindowListener(Listener):
    """Each window from rest."""

    def __init__(self, network: Network, layer: str, every: float | None) -> None:
        super().__init__(network, layer, every)
        self._features = torch.zeros(0, self.encoder.cnn.features, device=self.device)  # of inner frames
        self._frame = self.geometry.inner.start  # number of the first of them

    def _ready(self) -> Iterator[Heard]:
        size = self.geometry
        while self._heard >= (start := self._window * size.every * size.hop) + size.length:
            yield self._answer(start, start + size.length, self._mean(self._window * size.every))
            self._window += 1
            self._forget(start)  # the last window of the stream may begin anywhere after this one
            kept = max(self._frame, self._window * size.every + size.inner.start)
            self._features = self._features[kept - self._frame :].clone()
            self._frame = kept

    def _mean(self, first: int) -> Tensor:
        """The mean of the encoder's frames over the window from frame `first` on."""
        size = self.geometry
        start, end = first * size.hop, first * size.hop + size.length
        if not size.inner:
            return self._whole(self._take(start, end))
        inner = range(first + size.inner.start, first + size.inner.stop)
        fresh = self._frame + len(self._features)  # the first inner frame that isn't known yet
        wanted = [(first, inner.start), (inner.stop, first + size.frames), (fresh, inner.stop)]
        spectra = [self._spectra(*frames, start, end) for frames in wanted if frames[1] > frames[0]]
        made = self.encoder.cnn(torch.cat(spectra, dim=3))[0]  # (frames, features)
        left, right = inner.start - first, first + size.frames - inner.stop
        self._features = torch.cat([self._features, made[left + right :]])
        known = self._features[inner.start - self._frame : inner.stop - self._frame]
        features = torch.cat([made[:left], known, made[left : left + right]])
        return self.encoder.over_time(features[None])[0].float().mean(0)

    def _whole(self, window: Tensor) -> Tensor:
        """The same of one window by itself."""
        return self.encoder(self.frontend.inputs(window[None]))[0]

    def finish(self) -> Iterator[Heard]:
        size, end = self.geometry, self._heard
        given = (self._window - 1) * size.every * size.hop + size.length if self._window else 0
        if end > given:
            # off the grid of frames, so by itself; a stream shorter than a window has zeros around it, as a clip has
            start = end - size.length if end > size.length else _middle(end, size.length)
            yield self._answer(max(0, start), end, self._whole(self._take(start, start + size.length)))


class StreamListener(Listener):
    """One run over the whole stream."""

    def __init__(self, network: Network, layer: str, every: float | None) -> None:
        super().__init__(network, layer, every)
        self._state = self.encoder.initial_state(1, self.device)
        self._outputs = torch.zeros(0, self.encoder.features, device=self.device)  # of the last frames
        self._next = 0  # number of the next frame
        self._given = -1  # last frame of the last answer

    def _ready(self) -> Iterator[Heard]:
        yield from self._up_to((self._heard - self.geometry.ahead) // self.geometry.hop + 1)

    def _up_to(self, frames: int) -> Iterator[Heard]:
        """Run the frames before number `frames`, with an answer at each window's end."""
        size = self.geometry
        while self._next < frames:
            end = self._window * size.every + size.frames  # after the next window's last frame
            self._run(min(frames, end))
            if self._next == end:
                yield self._last(self._window * size.every * size.hop, size.length)
                self._window += 1

    def _run(self, last: int) -> None:
        size = self.geometry
        spectra = self._spectra(self._next, last, 0, self._heard)
        made, self._state = self.encoder.advance(self.encoder.cnn(spectra), self._state)
        self._outputs = torch.cat([self._outputs, made[0].float()])[-size.frames :].clone()
        self._next = last
        self._forget(last * size.hop - size.ahead)

    def _last(self, start: int, length: int) -> Heard:
        self._given = self._next - 1
        return self._answer(start, start + length, self._outputs.mean(0))

    def finish(self) -> Iterator[Heard]:
        size, end = self.geometry, self._heard
        if end == 0:
            return
        yield from self._up_to(1 + end // size.hop)  # zeros after the end, as a clip has them
        if self._given < self._next - 1:
            start = max(0, self._next - size.frames) * size.hop
            yield self._last(start, end - start)


def _middle(samples: int, length: int) -> int:
    """Where the only crop of a clip of so many samples begins."""
    return int(even_starts(torch.tensor([[0, samples]]), length, 1)[0, 0])


def causal_model(network: Network) -> tuple[AcousticSSM, Spectra]:
    """The encoder and frontend of a model that hears frame by frame; IncompatibleError that says why it doesn't."""
    encoder, frontend = network.model.encoder, network.frontend
    if isinstance(encoder, AcousticSSM) and isinstance(frontend, Spectra):
        return encoder, frontend
    raise IncompatibleError(
        f"--stream: {encoder.name} doesn't hear frame by frame, for each of its frames depends on what comes after it; "
        "take a model of acoustic-ssm or adapted-cnn, or cut the recording and give the clips to `birdssl embed`"
    )


@contextmanager
def listening(model: Path, memory: str, layer: str | None, every: float | None, device: str) -> Iterator[Listener]:
    """A listener of the model in a folder, with the arithmetic of `birdssl embed` while it is open.

    `memory` is "window" or "stream"; `layer` None for the penultimate one where there is a head. Raises what
    `open_network` does, and IncompatibleError for a model that can't.
    """
    chosen = str(choose_device(device))
    network = open_network(model, model_source(model).digest, chosen)
    with exact(), torch.inference_mode():
        yield LISTENERS[memory](network, network.layer(layer), every)


LISTENERS: dict[str, type[Listener]] = {"window": WindowListener, "stream": StreamListener}
