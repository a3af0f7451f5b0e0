"""`birdssl pretrain`: unlabelled clips, or the labels of others, to an encoder.

OUT/model.json, encoder.safetensors    the encoder of the best epoch
OUT/network.safetensors                what the objective saw it through: projector, its own weights, or a head
OUT/history.csv                        a row an epoch: losses, health, retrieval or accuracies
"""

import logging
from typing import Any, ClassVar

import polars as pl
from torch import nn

from birdssl.artifacts.artifact import table_digest
from birdssl.artifacts.manifest import CLIP_SCHEMA, PART, TRAINING, VALIDATION
from birdssl.artifacts.published import published_weights
from birdssl.artifacts.weights import write_weights
from birdssl.errors import IncompatibleError
from birdssl.models.encoder import Encoder
from birdssl.models.initial import seeded_weights
from birdssl.models.published import load_published
from birdssl.models.registry import build_encoder
from birdssl.objectives.objective import small_batch_message
from birdssl.seeds import derive
from birdssl.settings.names import SUPERVISED
from birdssl.settings.objective import OWN
from birdssl.settings.pretrain import PretrainSettings
from birdssl.stages.contract import Result, Stage, Unit
from birdssl.stages.frontends import check_length
from birdssl.stages.material import Material, material
from birdssl.stages.training import HISTORY, encoder_options, read_provenance, training_identity, training_plan
from birdssl.training.history import write_history
from birdssl.training.joined import SOURCE, Joined, join
from birdssl.training.loop import Trained, train
from birdssl.training.methods import METHODS, frames_needed
from birdssl.training.optimisers import usual_batch
from birdssl.training.pretraining import PairNetwork
from birdssl.training.saved_model import PAYLOAD, ModelSpec, save_model
from birdssl.training.session import Session, training_session
from birdssl.training.validation import lasting_collapse

log = logging.getLogger(__name__)

BESIDE = "network.safetensors"


class Pretrain(Stage[PretrainSettings]):
    """One unit: the model."""

    verb: ClassVar[str] = "pretrain"
    owns: ClassVar[tuple[str, ...]] = (*PAYLOAD, BESIDE, HISTORY)
    parallel: ClassVar[bool] = False
    accepts: ClassVar[tuple[str, ...] | None] = ("render",)
    data: Joined
    material: Material

    @property
    def schema(self) -> dict[str, Any]:
        """The columns of what is learnt from, and what each row was used for."""
        return {**CLIP_SCHEMA, SOURCE: pl.Int16, PART: pl.String}

    @property
    def encoder_name(self) -> str:
        """The setting, or the objective's own."""
        return self.settings.trained_encoder

    @property
    def batch(self) -> int:
        """Clips in a batch: the setting, or the paper's."""
        return self.settings.batch_size or usual_batch(self.encoder_name, pretraining=True)

    def plan(self) -> list[Unit]:
        """Find the clips and part them into training and validation."""
        settings = self.settings
        self.data = join(self.artifacts(), self.out)
        self.material = material(self.data, self.inputs, settings)
        self._check_sizes()
        training_plan(settings, self.encoder_name, self.batch, pretraining=True)  # says now what doesn't fit
        network = self._network()
        assert isinstance(network.encoder, Encoder)
        masks = frames_needed(settings.objective, settings.own())
        check_length(network.encoder, self.material.frontend, masks)
        size = 4 * sum(weight.numel() for weight in network.parameters())
        weights = [] if settings.weights is None else [table_digest(settings.weights)]
        return [Unit("model", training_identity(self.artifacts(), *weights), size=size)]

    def _check_sizes(self) -> None:
        count = self.material.clips
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
        options = {**self.material.encoder_shape, **encoder_options(self.settings, self.encoder_name)}
        with seeded_weights(derive(self.settings.seed, "encoder")):
            encoder = build_encoder(self.encoder_name, **options)
        if self.settings.weights is not None:
            source = str(self.settings.weights)
            log.info("%s", load_published(encoder, published_weights(self.settings.weights), source))
        return encoder

    def _network(self) -> nn.Module:
        encoder = self._encoder()
        with seeded_weights(derive(self.settings.seed, "projector")):
            return self.material.network(encoder)

    def work(self, unit: Unit) -> Result:
        """Train, and save the best epoch."""
        settings = self.settings
        with training_session(
            self.options.device, settings.precision, settings.threads, self.encoder_name, self.scratch
        ) as session:
            network = self._network()
            self._warn_of_small_batch(network)
            log.info("%d clips to train on, %d for validation", *self.material.clips.values())
            task, frontend = self.material.task(network, self.batch, session.device)
            plan = training_plan(settings, self.encoder_name, self.batch, pretraining=True)
            trained = train(task, plan, session.fabric, self.scratch, session.environment)
        self._save(network, frontend, trained, session)
        return Result(self.material.rows.select(list(self.schema)))

    def _warn_of_small_batch(self, network: nn.Module) -> None:
        """Of objectives that look at correlations, which have P1's projector."""
        if "projector_layers" in OWN[self.settings.objective] and isinstance(network, PairNetwork):
            small = small_batch_message(self.batch, network.projector.width)
            if small:
                log.warning("%s", small)

    def _save(self, network: nn.Module, frontend: dict[str, Any], trained: Trained, session: Session) -> None:
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
        }
        if self.settings.objective == SUPERVISED:
            provenance["taught"] = list(self.material.classes)  # outputs of the head that stays beside
        else:
            provenance["collapsed"] = lasting_collapse(trained.history) is not None
        write_history(self.out / HISTORY, trained.history)
        encoder = network.encoder
        assert isinstance(encoder, Encoder)
        beside = {name: value for name, value in network.state_dict().items() if not name.startswith("encoder.")}
        write_weights(self.out / BESIDE, beside)
        save_model(self.out, encoder, None, ModelSpec(frontend, provenance=provenance))

    def facts(self) -> dict[str, Any]:
        """What the model takes, and how it was made."""
        settings = self.settings
        own = {"encoder": self.encoder_name, "objective": settings.objective, "fold": settings.fold}
        return {**self.data.facts, **own, "batch": self.batch}

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """The best epoch and its scores."""
        made = read_provenance(self.out)
        return {
            "training_clips": self.material.clips[TRAINING],
            "validation_clips": self.material.clips[VALIDATION],
            "best_epoch": made["best_epoch"],
            "validation_loss": made["scores"]["validation_loss"],
            **self._found(made),
        }

    def _found(self, made: dict[str, Any]) -> dict[str, Any]:
        """What can be read by itself, as a loss can't."""
        if self.settings.objective == SUPERVISED:
            name = "validation_balanced_accuracy"
            return {"classes": len(self.material.classes), name: made["scores"][name]}
        return {
            "retrieval": made["scores"]["retrieval"],
            "retrieval_before": made["start"]["retrieval"],
            "collapsed": made["collapsed"],
        }

    def report(self, summary: dict[str, Any]) -> str:
        """The best epoch in a sentence."""
        chosen = {
            "score": "has the lowest validation loss",
            "health": "finds most views again, with a validation loss of",
            "last": "is kept, with a validation loss of",
        }[self.settings.selected]
        text = (
            f"{self.settings.objective} on {self.encoder_name}: epoch {summary['best_epoch']} of "
            f"{self.settings.epochs} {chosen}, {summary['validation_loss']:.4g}; {self._found_in_words(summary)}"
        )
        return text + ("; embeddings have collapsed, see run.log" if summary.get("collapsed") else "")

    def _found_in_words(self, summary: dict[str, Any]) -> str:
        if self.settings.objective == SUPERVISED:
            return (
                f"balanced accuracy {summary['validation_balanced_accuracy']:.1%} on {summary['validation_clips']} "
                f"held-out ones of {summary['classes']} labels"
            )
        masked = METHODS[self.settings.objective].views == ("one",)
        sought = "what was hidden of a clip" if masked else "a clip's other view"
        return (
            f"{sought} is found among {summary['validation_clips']} in {summary['retrieval']:.1%} of cases "
            f"({summary['retrieval_before']:.1%} before training)"
        )
