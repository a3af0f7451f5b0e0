"""`birdssl embed`: clips or shards through a model, to one vector a clip.

OUT/manifest.parquet     the clips' rows with `embedding` and, where the model has a head, `scores`
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl

from birdssl.artifacts.artifact import Artifact
from birdssl.artifacts.manifest import CLIP_SCHEMA, ORIGINAL
from birdssl.artifacts.shards import Shards
from birdssl.audio.encode import FULL_SCALE
from birdssl.audio.spectrogram import Frontend
from birdssl.errors import BadInput, IncompatibleError, NoInputError, UsageError
from birdssl.settings.embed import EmbedSettings
from birdssl.stages.clip_sound import ClipSound
from birdssl.stages.clip_table import block_units, read_clips, recording_contents
from birdssl.stages.contract import Reject, Result, Source, Stage, Unit, inherit
from birdssl.stages.frontends import AnyFrontend, stored, stored_shape
from birdssl.stages.inference import Answers, Network, model_facts, model_source, open_network
from birdssl.training.devices import choose_device

UNIT_ROWS = 256  # clips in a unit: what an interruption can cost, and what one worker takes at a time
VECTOR_BYTES = 4
MEL_STATISTICS = "mel-statistics"


@dataclass(frozen=True)
class Part:
    """A unit's rows, and the shards that they lie in where they are rendered."""

    rows: pl.DataFrame
    shards: Shards | None


@dataclass(frozen=True)
class Vectors:
    """What is made of each clip, decided before any is read.

    Attributes:
        frontend: how clips are drawn, or taken as sound.
        layer: "penultimate", "encoder" or "mel-statistics".
        width: length of an embedding.
        classes: names of the columns of `scores`; empty for none.
        digest: of the model; empty for features.
        device: where the model runs.
    """

    frontend: AnyFrontend
    layer: str
    width: int
    classes: tuple[str, ...] = ()
    digest: str = ""
    device: str = "cpu"


class Embed(Stage[EmbedSettings]):
    """A unit is a run of `UNIT_ROWS` rows of one input, in manifest order."""

    verb: ClassVar[str] = "embed"
    accepts: ClassVar[tuple[str, ...]] = ("segment", "split", "augment", "render")
    vectors: Vectors
    passed_on: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        """The clips' columns, then the vectors."""
        classes = len(self.vectors.classes)
        scores = {"scores": pl.Array(pl.Float32, classes)} if classes else {}
        return {**CLIP_SCHEMA, "embedding": pl.Array(pl.Float32, self.vectors.width), **scores}

    def sources(self) -> list[Source]:
        """The clips, and the model."""
        clips = super().sources()
        return clips if self.settings.model is None else [*clips, model_source(self.settings.model)]

    def plan(self) -> list[Unit]:
        """Rows of the wanted roles, a unit for every `UNIT_ROWS` of them."""
        if self.settings.stream:  # a recipe's; the command line hears a stream without this stage
            raise UsageError("--stream reads stdin and writes stdout, so it's no step of a recipe; leave it out")
        inputs = self.artifacts()
        self.vectors = self._model_vectors() if self.settings.model else self._features(inputs)
        self.passed_on = _shared_facts(inputs)
        for artifact in inputs:
            check_frontend(artifact, self.vectors.frontend)
        units = self._units(inputs)
        if not units:
            places = ", ".join(map(str, self.inputs))
            raise NoInputError(
                f"no rows of role {', '.join(self.settings.roles)} in {places}; choose others with --roles"
            )
        return units

    def _model_vectors(self) -> Vectors:
        assert self.settings.model is not None
        device = str(choose_device(self.options.device))
        digest = model_source(self.settings.model).digest
        network = open_network(self.settings.model, digest, device)
        layer = network.layer(self.settings.layer)
        return Vectors(network.frontend, layer, network.width(layer), network.classes, digest, device)

    def _features(self, inputs: list[Artifact]) -> Vectors:
        known = inherit(None, inputs, "frontend")
        if known is None:
            rate, seconds = (inherit(None, inputs, name) for name in ("sample_rate", "clip_seconds"))
            known = Frontend(rate, seconds).to_dict()
        frontend = Frontend.from_dict(known)
        return Vectors(frontend, MEL_STATISTICS, 2 * frontend.height)

    def _units(self, inputs: list[Artifact]) -> list[Unit]:
        """Units of each input by itself, since shards lie in its own folder."""
        table, size = read_clips(inputs, self.out), VECTOR_BYTES * (self.vectors.width + len(self.vectors.classes))
        units, first = [], 0
        for number, artifact in enumerate(inputs):
            height = artifact.manifest().height
            rows = table.slice(first, height).filter(pl.col("role").is_in(self.settings.roles))
            first += height
            shards = self._shards(artifact, rows)
            name = f"{number:02d}-{artifact.path.resolve().name}"
            for unit in block_units(rows, recording_contents([artifact]), UNIT_ROWS, size, name):
                identity = f"{unit.identity} {self.vectors.digest}"
                units.append(Unit(unit.key, identity, Part(unit.payload, shards), unit.size))
        return units

    @staticmethod
    def _shards(artifact: Artifact, rows: pl.DataFrame) -> Shards | None:
        """The shards of rendered rows, None for audio. Copies and views that are only planned are refused."""
        if artifact.verb == "render":
            return Shards.of(artifact)
        if not artifact.facts.get("audio") and not rows.filter(pl.col("role") != ORIGINAL).is_empty():
            raise IncompatibleError(
                f"{artifact.path} plans copies and views, which `birdssl render` makes; embed what that writes, "
                "or --roles original"
            )
        return None

    def facts(self) -> dict[str, Any]:
        """What the clips' stages say alike, and what the vectors are."""
        own: dict[str, Any] = {
            "kind": "embedding",
            "frontend": self.vectors.frontend.to_dict(),
            "layer": self.vectors.layer,
            "width": self.vectors.width,
            "model": self.vectors.digest or None,
        }
        if self.settings.model is not None:
            own |= {"encoder": self._network().model.encoder.name, "fold": model_facts(self.settings.model).get("fold")}
        if self.vectors.classes:
            spec = self._network().model.spec
            own |= {"classes": list(self.vectors.classes), "scores": spec.activation}
            if spec.thresholds is not None:
                own["thresholds"] = spec.thresholds
        return {**self.passed_on, **own}

    def work(self, unit: Unit) -> Result:
        """Embed the rows of one unit; a clip that can't be read is left out."""
        part: Part = unit.payload
        clips, rejects = self._clips(part)
        kept = part.rows.filter(pl.Series([not reject for reject in rejects], dtype=pl.Boolean))
        left_out = [reject for reject in rejects if reject is not None]
        if kept.is_empty():
            return Result(None, left_out)
        answers = self._answers(clips)
        columns = [pl.Series("embedding", answers.embeddings, pl.Array(pl.Float32, self.vectors.width))]
        if answers.scores is not None:
            columns.append(pl.Series("scores", answers.scores, pl.Array(pl.Float32, len(self.vectors.classes))))
        return Result(kept.with_columns(columns), left_out)

    def _answers(self, clips: npt.NDArray) -> Answers:
        if self.vectors.layer == MEL_STATISTICS:
            from birdssl.evaluation.baseline import mel_statistics  # scikit-learn takes a second to import

            return Answers(mel_statistics(clips / np.float32(255)), None)
        return self._network().run(clips, self.vectors.layer, self.settings.batch)

    def _network(self) -> Network:
        assert self.settings.model is not None
        return open_network(self.settings.model, self.vectors.digest, self.vectors.device)

    def _clips(self, part: Part) -> tuple[npt.NDArray, list[Reject | None]]:
        """Stored clips (n, ...) of the rows that can be read, and for every row why not, or None."""
        if part.shards is None:
            return self._draw(part.rows)
        found = part.shards.take(part.rows["shard"].to_numpy(), part.rows["row"].to_numpy())
        front = self.vectors.frontend
        if isinstance(front, Frontend) and found.dtype != np.uint8:
            found = front(found.astype(np.float32) / FULL_SCALE)
        return found, [None] * part.rows.height

    def _draw(self, rows: pl.DataFrame) -> tuple[npt.NDArray, list[Reject | None]]:
        """Read clips, in order of file and offset, and store each at once: sound takes more memory than pictures."""
        front = self.vectors.frontend
        shape, dtype = stored_shape(front)
        clips = np.zeros((rows.height, *shape), dtype)
        rejects: list[Reject | None] = [None] * rows.height
        with ClipSound(self.out, front.sample_rate, front.clip_seconds) as source:
            for row in rows.with_row_index("place").sort("path", "channel", "offset", "place").iter_rows(named=True):
                try:
                    clips[row["place"]] = stored(front, source.read(row)[None])[0]
                except BadInput as error:
                    rejects[row["place"]] = Reject(row["recording"], f"{row['start']:g} s", str(error))
        return clips[[reject is None for reject in rejects]], rejects

    def report(self, summary: dict[str, Any]) -> str:
        """What the vectors are."""
        classes = f", scores for {len(self.vectors.classes)} classes" if self.vectors.classes else ""
        return f"{self.vectors.width} values a clip ({self.vectors.layer}){classes} in {self.out}/manifest.parquet"


def _shared_facts(inputs: list[Artifact]) -> dict[str, Any]:
    """Facts that all inputs have alike, and the union of their classes.

    Inputs may differ in what doesn't touch a clip's vector, such as how they were balanced. `array` is of shards, which
    an embedding has none of.
    """
    first, others = inputs[0].facts, [artifact.facts for artifact in inputs[1:]]
    shared = {
        name: value
        for name, value in first.items()
        if name not in ("array", "classes") and all(facts.get(name) == value for facts in others)
    }
    classes = sorted({label for artifact in inputs for label in artifact.facts.get("classes") or []})
    return {**shared, "classes": classes}


def check_frontend(artifact: Artifact, frontend: AnyFrontend) -> None:
    """Refuses clips that can't be drawn, or were drawn otherwise than the model's training data.

    Raises IncompatibleError that shows both values. Clips of a higher sample rate are no contradiction where they
    aren't rendered yet: they are resampled as they are read.
    """
    facts, wanted = artifact.facts, frontend.to_dict()
    if facts.get("frontend") is not None and not isinstance(frontend, Frontend):
        raise IncompatibleError(
            f"{artifact.path} holds pictures, and the model takes sound; embed the clips that it was rendered from, or "
            "run `birdssl render --kind waveform`"
        )
    known = facts.get("frontend") or {name: facts.get(name) for name in ("sample_rate", "clip_seconds")}
    rendered = artifact.verb == "render"
    for name, value in known.items():
        same = value == wanted.get(name)
        if name == "sample_rate" and not rendered and value is not None:
            same = value >= wanted[name]
        if not same:
            raise IncompatibleError(
                f"{name.replace('_', ' ')}: {value!r} in {artifact.path}, {wanted.get(name)!r} in training; "
                f"make the clips anew with --{name.replace('_', '-')} {wanted.get(name)}"
            )
