"""`birdssl finetune`: labelled clips to a classifier.

OUT/model.json, encoder.safetensors, head.safetensors    the classifier of the best epoch
OUT/history.csv                                          a row an epoch: losses, and accuracies or average precision
"""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import torch

from birdssl.artifacts.artifact import table_digest
from birdssl.artifacts.balance import Balance
from birdssl.artifacts.manifest import CLIP_SCHEMA, HOLDS_NOTHING, ORIGINAL, PART, VALIDATION
from birdssl.artifacts.published import published_weights
from birdssl.artifacts.weights import download_weights, read_weights
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.evaluation.lineage import learned_from, training_runs
from birdssl.evaluation.thresholds import DEFAULT_THRESHOLD, best_thresholds
from birdssl.models.encoder import Encoder
from birdssl.models.heads import build_head
from birdssl.models.imagenet import imagenet_url, load_imagenet
from birdssl.models.initial import seeded_weights
from birdssl.models.published import load_published
from birdssl.models.registry import build_encoder
from birdssl.seeds import derive
from birdssl.settings.finetune import FinetuneSettings
from birdssl.stages.contract import Result, Source, Stage, Unit, inherit, relative
from birdssl.stages.frontends import (
    check_length,
    holds_pictures,
    input_options,
    refuse_frontend_settings,
    started_frontend,
    takes_pictures,
    waveform_frontend,
)
from birdssl.stages.images import IMAGES
from birdssl.stages.inference import model_source
from birdssl.stages.training import (
    HISTORY,
    check_start_options,
    encoder_options,
    labelled_inputs,
    read_provenance,
    training_identity,
    training_plan,
)
from birdssl.training.finetuning import Classifier, EachLabel, Finetuning, Thawed
from birdssl.training.history import write_history
from birdssl.training.inputs import Embedded, Inputs
from birdssl.training.joined import SOURCE, Joined, differing, join
from birdssl.training.labelled import (
    USES,
    class_list,
    count_unlabelled,
    labelled_rows,
    labelled_with_each,
    say_absent,
    several_targets,
    targets,
    training_rows,
)
from birdssl.training.loop import Trained, train
from birdssl.training.optimisers import usual_batch
from birdssl.training.partition import part_by_fold, part_by_origin, without_test
from birdssl.training.saved_model import PAYLOAD, Activation, ModelSpec, SavedModel, load_model, save_model
from birdssl.training.session import Session, training_session
from birdssl.training.waveforms import Frontend

log = logging.getLogger(__name__)

RANDOM, IMAGENET, PUBLISHED = "random", "imagenet", "published"


class Finetune(Stage[FinetuneSettings]):
    """One unit: the model."""

    verb: ClassVar[str] = "finetune"
    owns: ClassVar[tuple[str, ...]] = (*PAYLOAD, HISTORY)
    parallel: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...] | None] = ("render",)
    data: Joined
    rows: pl.DataFrame  # what is trained on and validated by, with `part`, `source` and `uses`
    classes: tuple[str, ...]
    overlap: int
    frontend: Frontend | None  # of waveforms; None for pictures

    @property
    def schema(self) -> dict[str, Any]:
        """The clips' columns, and what each was used for."""
        return {**CLIP_SCHEMA, SOURCE: pl.Int16, PART: pl.String, USES: pl.Int32}

    @property
    def start(self) -> Path | None:
        """The model to start from; None for a random or an ImageNet start."""
        return None if self.settings.start in (RANDOM, IMAGENET, PUBLISHED) else Path(self.settings.start)

    def recorded_settings(self) -> dict[str, Any]:
        """As every stage's; `start` may be a word or a path."""
        values = super().recorded_settings()
        return values if self.start is None else {**values, "start": relative(self.start, self.out)}

    @cached_property
    def started(self) -> SavedModel | None:
        """The model to start from, as loaded."""
        if self.start is None:
            return None
        if not self.start.exists():
            raise NoInputError(
                f"--start {self.start}: no such directory; give random, imagenet, or the OUT of `birdssl pretrain`"
            )
        return load_model(self.start)

    @property
    def encoder_name(self) -> str:
        """The setting, else the start's, else simplecnn."""
        if self.started is not None:
            return self.started.encoder.name
        return self.settings.encoder or "simplecnn"

    @property
    def batch(self) -> int:
        """Clips in a batch: the setting, or the paper's, which may differ after pretraining."""
        return self.settings.batch_size or usual_batch(
            self.encoder_name, pretraining=False, started=self.start is not None
        )

    def sources(self) -> list[Source]:
        """The clips, and the model to start from."""
        clips = super().sources()
        return clips if self.start is None else [*clips, model_source(self.start)]

    def plan(self) -> list[Unit]:
        """Choose the rows and the classes, and look at the start."""
        settings, artifacts = self.settings, self.artifacts()
        self.data = join(artifacts, self.out)
        self.frontend = self._frontend()
        self._check_start()
        training_plan(settings, self.encoder_name, self.batch)  # says now what doesn't fit
        every = self._labelled()
        self.classes = class_list(every, [artifact.facts for artifact in artifacts], self.each)
        self._check_classes()
        rows = without_test(every)
        if settings.fold is None:
            parted = part_by_origin(rows, settings.validation_fraction, settings.seed, self.each)
        else:
            parted = part_by_fold(rows, settings.fold)
        by_fold = settings.fold is not None
        training = training_rows(parted, self._balance(), settings.train_fraction, settings.seed, by_fold)
        held = (pl.col(PART) == VALIDATION) & (pl.col("role") == ORIGINAL)
        validation = parted.filter(held).with_columns(pl.lit(0, pl.Int32).alias(USES))
        self._check_sizes(training, validation)
        self.overlap = self._check_overlap(validation)
        self.rows = pl.concat([training, validation.select(training.columns)])
        return [Unit("model", training_identity(artifacts, *self._start_identity()), size=4 * 10**7)]

    @property
    def each(self) -> bool:
        """Whether each class is told by itself."""
        return self.settings.several_labels == "each"

    def _labelled(self) -> pl.DataFrame:
        if self.each:
            return labelled_with_each(self.data.rows)
        return labelled_rows(self.data.rows, self.settings.several_labels == "leave-out")

    def _check_classes(self) -> None:
        if not self.classes:
            raise IncompatibleError('every label is "none", so there is no class to tell; label what is to be found')
        if len(self.classes) < 2 and not self.each:
            raise IncompatibleError(f"the only class is {self.classes[0]!r}; a classifier needs two or more")

    def _balance(self) -> Balance:
        if self.each:
            return None
        planned = inherit(None, self.artifacts(), "balance")
        if self.settings.balance is None:
            return planned
        return "max" if self.settings.balance == "max" else int(self.settings.balance)

    def _check_sizes(self, training: pl.DataFrame, validation: pl.DataFrame) -> None:
        if training[USES].sum() < 2 or validation.is_empty():
            raise IncompatibleError(
                f"{training.height} labelled clips to train on and {validation.height} held out: at least two and one "
                "are needed; label more clips, or choose another --fold or --validation-fraction"
            )
        if self.each and validation.filter(HOLDS_NOTHING).height == validation.height:
            raise IncompatibleError(
                f'all {validation.height} held-out clips are labelled "none", so no epoch can be chosen by them; label '
                "more clips, or choose another --fold or --validation-fraction"
            )
        say_absent(training, validation, self.classes)

    def _check_start(self) -> None:
        settings = self.settings
        if self.start is None:
            if settings.start == IMAGENET:
                imagenet_url(self.encoder_name)  # refuses an encoder without such weights before anything is read
            if settings.weights is not None and not settings.weights.is_file():
                raise NoInputError(f"--weights {settings.weights}: no such file")
            with torch.device("meta"):  # without weights: refuses options and sizes that don't fit before work begins
                check_length(self._random_encoder(), self.frontend)
            return
        assert self.started is not None
        check_start_options(settings, self.started.encoder, str(self.start))
        made = self.started.frontend
        if self.frontend is not None:
            made = {name: made.get(name) for name in ("sample_rate", "clip_seconds")}
        wanted = {name: value for name, value in made.items() if name != "kind"}  # of images: height and width
        found = {name: (self.data.facts["frontend"] or self.data.facts).get(name) for name in wanted}
        difference = differing({"frontend": found}, {"frontend": wanted}, ("frontend",))
        if difference:
            raise IncompatibleError(
                f"{self.inputs[0]} was rendered otherwise than what {self.start} learnt from: {difference}; render it "
                "with the model's settings, or start from another model"
            )

    def _frontend(self) -> Frontend | None:
        """Of waveforms: the start's, or what the settings ask for, not fitted yet. None for pictures."""
        stored = str(self.inputs[0])
        if self.data.facts["kind"] == IMAGES:
            raise IncompatibleError(
                f"{stored} holds images, and a classifier is of sounds; learn from them by `birdssl pretrain "
                "--objective supervised`, and fine-tune what comes out on clips"
            )
        if holds_pictures(self.data.facts):
            refuse_frontend_settings(self.settings, stored)
            if self.started is not None and not takes_pictures(self.started.frontend):
                raise IncompatibleError(
                    f"{stored} holds pictures, and {self.start} takes sound; run `birdssl render --kind waveform`"
                )
            return None
        if self.started is None:
            return waveform_frontend(self.settings, self.encoder_name, self.data.facts)
        return started_frontend(self.settings, self.started.frontend, str(self.start))

    def _start_identity(self) -> list[str]:
        if self.start is not None:
            return [model_source(self.start).digest]
        return [] if self.settings.weights is None else [table_digest(self.settings.weights)]

    def _check_overlap(self, validation: pl.DataFrame) -> int:
        """Held-out clips that the start, or what it started from, was trained on: of the test part and of the fold."""
        if self.start is None:
            return 0
        known = {clip for run in training_runs(self.start) for clip in learned_from(run)["id"]}
        test = self.data.rows.filter(pl.col("test").fill_null(False) & (pl.col("role") == ORIGINAL))
        held = test if self.settings.fold is None else pl.concat([test, validation.select(test.columns)])
        count = held.filter(pl.col("id").is_in(list(known))).height
        if count and not self.settings.allow_overlap:
            raise IncompatibleError(
                f"--start {self.start} was trained on {count} of {held.height} clips that are held out here, so scores "
                "on them would flatter; pretrain with the same --fold, or accept it with --allow-overlap"
            )
        if count:
            log.warning("the start was trained on %d of %d clips that are held out here", count, held.height)
        return count

    def _random_encoder(self) -> Encoder:
        shape = input_options(self.encoder_name, self.frontend, self.data.shape)
        return build_encoder(self.encoder_name, **shape, **encoder_options(self.settings, self.encoder_name))

    def _encoder(self) -> Encoder:
        if self.started is not None:
            return self.started.encoder
        settings = self.settings
        with seeded_weights(derive(settings.seed, "encoder")):
            encoder = self._random_encoder()
        if settings.start == IMAGENET:
            url = imagenet_url(self.encoder_name)
            load_imagenet(encoder, read_weights(settings.weights) if settings.weights else download_weights(url))
        elif settings.start == PUBLISHED:
            assert settings.weights is not None
            log.info("%s", load_published(encoder, published_weights(settings.weights), str(settings.weights)))
        return encoder

    def work(self, unit: Unit) -> Result:
        """Train, and save the best epoch."""
        settings = self.settings
        encoder = self._encoder()
        with seeded_weights(derive(settings.seed, "head")):
            head = build_head(encoder.name, encoder.features, len(self.classes))
        network = Classifier(encoder, head, frozen=settings.freeze)
        with training_session(
            self.options.device, settings.precision, settings.threads, encoder.name, self.scratch
        ) as session:
            plan = training_plan(settings, encoder.name, self.batch)
            places = torch.tensor((self.rows[PART] != VALIDATION).to_list()).nonzero()[:, 0]
            fit = places if self.started is None else None
            inputs, frontend = labelled_inputs(self.data, self.rows, self.frontend, settings, session.device, fit)
            task = self._task(network, inputs, session)
            trained = train(task, plan, session.fabric, self.scratch, session.environment)
            thresholds = self._thresholds(task) if isinstance(task, EachLabel) else None
        self._save(network, frontend, trained, session, thresholds)
        return Result(self.rows.select(list(self.schema)))

    def _task(self, network: Classifier, inputs: Inputs, session: Session) -> Finetuning:
        rows = self.rows
        places = torch.arange(rows.height)
        training = places.repeat_interleave(torch.tensor(rows[USES].to_list()))
        validation = places[torch.tensor((rows[PART] == VALIDATION).to_list())]
        log.info(
            "%d rows to train on, %d for validation, %d classes", len(training), len(validation), len(self.classes)
        )
        truth = several_targets(rows, self.classes) if self.each else targets(rows, self.classes)
        numbers, task = torch.tensor(truth), EachLabel if self.each else Finetuning
        size = 4 * rows.height * network.encoder.features / 2**30
        if not self.settings.freeze or size > self.settings.memory_budget:
            return task(network, inputs, training, validation, numbers, self.batch)
        network.encoder.to(session.device).eval()
        embedded = Embedded(inputs, network.encoder.pooled_states, self.batch)
        return task(Thawed(network), embedded, training, validation, numbers, self.batch)

    def _thresholds(self, task: EachLabel) -> dict[str, float]:
        """For each class the threshold with the best F1 on the validation clips, by the network as it was kept."""
        found, bare = best_thresholds(*task.validation_scores(), self.classes)
        for name in bare:
            log.warning("no held-out clip of %s to choose a threshold by: it stays at %g", name, DEFAULT_THRESHOLD)
        return found

    def _save(
        self,
        network: Classifier,
        frontend: dict[str, Any],
        trained: Trained,
        session: Session,
        thresholds: dict[str, float] | None,
    ) -> None:
        provenance = {
            "verb": self.verb,
            "start": self.settings.start if self.start is None else self.started_digest,
            "inputs": [artifact.digest for artifact in self.artifacts()],
            "environment": session.environment,
            "best_epoch": trained.best,
            "epochs": self.settings.epochs,
            "scores": trained.history[trained.best],
            "overlap": self.overlap,
        }
        write_history(self.out / HISTORY, trained.history)
        activation: Activation = "sigmoid" if self.each else "softmax"
        spec = ModelSpec(frontend, self.classes, thresholds=thresholds, activation=activation, provenance=provenance)
        save_model(self.out, network.encoder, network.head, spec)

    @property
    def started_digest(self) -> str:
        """Digest of the model that this one started from."""
        assert self.start is not None
        return model_source(self.start).digest

    def facts(self) -> dict[str, Any]:
        """What the model takes and gives, and how it was made."""
        own = {"encoder": self.encoder_name, "classes": list(self.classes), "fold": self.settings.fold}
        return {**self.data.facts, **own, "batch": self.batch, "overlap": self.overlap}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """The best epoch and its scores."""
        made = read_provenance(self.out)
        score = EachLabel.score if self.each else Finetuning.score
        several = {"unlabelled": count_unlabelled(self.data.rows), "none": self.rows.filter(HOLDS_NOTHING).height}
        return {
            "classes": len(self.classes),
            "training_clips": int(self.rows[USES].sum()),
            "validation_clips": self.rows.filter(pl.col(PART) == VALIDATION).height,
            "best_epoch": made["best_epoch"],
            score: made["scores"][score],
            "overlap": made["overlap"],
            **(several if self.each else {}),
        }

    def report(self, summary: dict[str, Any]) -> str:
        """The kept epoch in a sentence, and what is known of clips without a class."""
        score = EachLabel.score if self.each else Finetuning.score
        name = score.removeprefix("validation_").replace("_", " ")
        by_score = self.settings.selected == "score"
        flatters = "it chose the epoch, so it flatters; " if by_score else ""
        found = (
            f"{self.encoder_name} from {self.settings.start}: epoch {summary['best_epoch']} of {self.settings.epochs} "
            f"has {'the best' if by_score else 'a'} {name} on {summary['validation_clips']} held-out clips, "
            f"{summary[score]:.1%} ({flatters}score the test part with `birdssl embed` and `birdssl evaluate`)"
        )
        if not self.each:
            return found
        return (
            f'{found}\n{summary["none"]} of the clips are labelled "none", negatives of every class; '
            f"{summary['unlabelled']} unlabelled clips were left out"
        )
