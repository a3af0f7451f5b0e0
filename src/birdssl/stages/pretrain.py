"""`birdssl pretrain`: pairs of views to an encoder.

OUT/model.json, encoder.safetensors    the encoder of the best epoch
OUT/projector.safetensors              what the objective saw it through
OUT/history.csv                        a row an epoch: losses, health, retrieval
"""

import logging
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch

from birdssl.artifacts.manifest import CLIP_SCHEMA, PART, TRAINING, VALIDATION, VIEW
from birdssl.artifacts.weights import write_weights
from birdssl.errors import IncompatibleError
from birdssl.models.encoder import Encoder
from birdssl.models.initial import seeded_weights
from birdssl.models.projector import Projector
from birdssl.models.registry import build_encoder
from birdssl.objectives.objective import Objective, small_batch_message
from birdssl.objectives.registry import OBJECTIVES
from birdssl.seeds import derive
from birdssl.settings.pretrain import WEIGHTS, PretrainSettings
from birdssl.stages.contract import Result, Stage, Unit
from birdssl.stages.training import HISTORY, encoder_options, read_provenance, training_identity, training_plan
from birdssl.training.history import write_history
from birdssl.training.images import hold_images
from birdssl.training.joined import SOURCE, Joined, join
from birdssl.training.loop import Trained, train
from birdssl.training.optimisers import p1_batch
from birdssl.training.pairs import StoredViews, view_table
from birdssl.training.partition import part_by_fold, part_by_origin, without_test
from birdssl.training.pretraining import PairNetwork, Pretraining, lasting_collapse
from birdssl.training.saved_model import PAYLOAD, ModelSpec, save_model
from birdssl.training.session import Session, training_session

log = logging.getLogger(__name__)

PROJECTOR = "projector.safetensors"


class Pretrain(Stage[PretrainSettings]):
    """One unit: the model."""

    verb: ClassVar[str] = "pretrain"
    owns: ClassVar[tuple[str, ...]] = (*PAYLOAD, PROJECTOR, HISTORY)
    parallel: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...] | None] = ("render",)
    data: Joined
    rows: pl.DataFrame  # the views that are used, with `part` and `source`
    pairs: pl.DataFrame  # a row a clip: `views`, positions in `rows`; `part`

    @property
    def schema(self) -> dict[str, Any]:
        """The views' columns, and what each was used for."""
        return {**CLIP_SCHEMA, SOURCE: pl.Int16, PART: pl.String}

    @property
    def batch(self) -> int:
        """Clips in a batch: the setting, or P1's."""
        return self.settings.batch_size or p1_batch(self.settings.encoder, pretraining=True)

    def plan(self) -> list[Unit]:
        """Find the pairs and part them into training and validation."""
        settings = self.settings
        self.data = join(self.artifacts(), self.out)
        self._refuse_no_views()
        views = without_test(self.data.rows).filter(pl.col("role") == VIEW)
        if settings.fold is None:
            parted = part_by_origin(views, settings.validation_fraction, settings.seed)
        else:
            parted = part_by_fold(views, settings.fold)
        self.rows = parted[view_table(parted)["views"].explode(empty_as_null=False).sort().to_list()]
        self.pairs = _with_parts(view_table(self.rows), self.rows)
        self._check_sizes()
        training_plan(settings, settings.encoder, self.batch)  # says now what doesn't fit
        size = 4 * (self._encoder().features * settings.projector_width + 2 * 10**6)
        return [Unit("model", training_identity(self.artifacts()), size=size)]

    def _refuse_no_views(self) -> None:
        for number, path in enumerate(self.inputs):
            if self.data.rows.filter((pl.col(SOURCE) == number) & (pl.col("role") == VIEW)).is_empty():
                raise IncompatibleError(
                    f"{path} has no views to make pairs from; run `birdssl augment --views 2` before `birdssl render`"
                )

    def _check_sizes(self) -> None:
        count = {part: self.pairs.filter(pl.col(PART) == part).height for part in (TRAINING, VALIDATION)}
        if self.settings.epochs and count[TRAINING] < self.batch:
            raise IncompatibleError(
                f"{count[TRAINING]} clips to train on are fewer than the batch of {self.batch}: "
                f"give --batch-size {max(2, count[TRAINING])} or less, or more clips"
            )
        if count[VALIDATION] < 2:
            raise IncompatibleError(
                f"{count[VALIDATION]} clip is held out for validation, and the losses need two or more: "
                "give a larger --validation-fraction, or more clips"
            )

    def _encoder(self) -> Encoder:
        options = encoder_options(self.settings)
        height, width = self.data.shape
        with seeded_weights(derive(self.settings.seed, "encoder")):
            return build_encoder(self.settings.encoder, height=height, width=width, **options)

    def _network(self) -> PairNetwork:
        settings, encoder = self.settings, self._encoder()
        with seeded_weights(derive(settings.seed, "projector")):
            projector = Projector(
                encoder.features, settings.projector_width, settings.projector_layers, settings.projector_bias
            )
        return PairNetwork(encoder, projector, self._objective())

    def _objective(self) -> Objective:
        names = WEIGHTS[self.settings.objective]
        given = {name: value for name in names if (value := getattr(self.settings, name)) is not None}
        return OBJECTIVES[self.settings.objective](**given)

    def work(self, unit: Unit) -> Result:
        """Train, and save the best epoch."""
        settings = self.settings
        small = small_batch_message(self.batch, settings.projector_width)
        if small:
            log.warning("%s", small)
        with training_session(
            self.options.device, settings.precision, settings.threads, settings.encoder, self.scratch
        ) as session:
            network = self._network()
            task = self._task(network, session)
            plan = training_plan(settings, settings.encoder, self.batch, drop_last=True)
            trained = train(task, plan, session.fabric, self.scratch, session.environment)
        self._save(network, trained, session)
        return Result(self.rows.select(list(self.schema)))

    def _task(self, network: PairNetwork, session: Session) -> Pretraining:
        settings, rows = self.settings, self.rows
        images = hold_images(
            lambda positions: self.data.read(rows, positions),
            rows.height,
            self.data.shape,
            session.device,
            settings.memory_budget,
        )
        sources = {}
        for part in (TRAINING, VALIDATION):
            views = np.array(self.pairs.filter(pl.col(PART) == part)["views"].to_list(), dtype=np.int64)
            shuffled = settings.shuffle_pairs and part == TRAINING
            sources[part] = StoredViews(images, torch.from_numpy(views), settings.seed, shuffled=shuffled)
        log.info("%d pairs to train on, %d for validation", sources[TRAINING].clips, sources[VALIDATION].clips)
        return Pretraining(network, sources[TRAINING], sources[VALIDATION], self.batch)

    def _save(self, network: PairNetwork, trained: Trained, session: Session) -> None:
        scores = trained.history[trained.best]
        provenance = {
            "verb": self.verb,
            "objective": self.settings.objective,
            "inputs": [artifact.digest for artifact in self.artifacts()],
            "environment": session.environment,
            "best_epoch": trained.best,
            "epochs": self.settings.epochs,
            "scores": scores,
            "start": trained.history[0],
            "collapsed": lasting_collapse(trained.history) is not None,
        }
        write_history(self.out / HISTORY, trained.history)
        write_weights(self.out / PROJECTOR, network.projector.state_dict())
        save_model(self.out, network.encoder, None, ModelSpec(self.data.facts["frontend"], provenance=provenance))

    def facts(self) -> dict[str, Any]:
        """What the model takes, and how it was made."""
        settings = self.settings
        own = {"encoder": settings.encoder, "objective": settings.objective, "fold": settings.fold}
        return {**self.data.facts, **own, "batch": self.batch}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """The best epoch and its scores."""
        made = read_provenance(self.out)
        count = dict(self.pairs.group_by(PART).len().sort(PART).iter_rows())
        return {
            "training_clips": count.get(TRAINING, 0),
            "validation_clips": count.get(VALIDATION, 0),
            "best_epoch": made["best_epoch"],
            "validation_loss": made["scores"]["validation_loss"],
            "retrieval": made["scores"]["retrieval"],
            "retrieval_before": made["start"]["retrieval"],
            "collapsed": made["collapsed"],
        }

    def report(self, summary: dict[str, Any]) -> str:
        """The best epoch in a sentence."""
        text = (
            f"{self.settings.objective} on {self.settings.encoder}: epoch {summary['best_epoch']} of "
            f"{self.settings.epochs} has the lowest validation loss, {summary['validation_loss']:.4g}; a clip's other "
            f"view is found among {summary['validation_clips']} in {summary['retrieval']:.1%} of cases "
            f"({summary['retrieval_before']:.1%} before training)"
        )
        return text + ("; embeddings have collapsed, see run.log" if summary["collapsed"] else "")


def _with_parts(pairs: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the part of their first view."""
    return pairs.with_columns(rows[pairs["views"].list.first().to_list()][PART])
