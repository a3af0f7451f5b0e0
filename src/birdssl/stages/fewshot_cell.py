"""One cell of few-shot: an encoder is pretrained on a pool, and every classifier answers on every kind of features."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from birdssl.artifacts.episodes import Episode, Group, support_folds
from birdssl.artifacts.published import published_weights
from birdssl.audio.device.spectra import Spectra
from birdssl.errors import BirdsslError
from birdssl.evaluation.baseline import as_layer
from birdssl.evaluation.episode_answers import Fit, Questions, answer, best_of, fitted_probe, folds_answers, probe
from birdssl.evaluation.fewshot import ANSWERS, FINETUNE, MEL, PRETRAINED, RANDOM, WITH_MEL
from birdssl.models.encoder import Encoder
from birdssl.models.heads import LINEAR, Head, build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.published import load_published
from birdssl.models.registry import build_encoder
from birdssl.seeds import derive
from birdssl.settings.fewshot import NONE, PRETRAIN, PUBLISHED, FewshotSettings
from birdssl.settings.names import ProbeName
from birdssl.stages.frontends import input_options
from birdssl.stages.training import encoder_options, training_plan
from birdssl.training.fewshot import Tuning, embed, finetuned, probabilities
from birdssl.training.finetuning import Classifier
from birdssl.training.history import Row
from birdssl.training.joined import Joined
from birdssl.training.loop import train
from birdssl.training.methods import METHODS, Sources
from birdssl.training.saved_model import SavedModel
from birdssl.training.session import Session
from birdssl.training.validation import lasting_collapse
from birdssl.training.views import WaveformViews
from birdssl.training.waveforms import Frontend, Sounds, WaveformClips, fitted, mel_statistics

log = logging.getLogger(__name__)

CLIPS_AT_ONCE = 64  # whose mel statistics are taken in one go
TOLD = ("loss", "validation_loss", "retrieval", "effective_rank")  # of pretraining, in a cell's notes


@dataclass(frozen=True)
class Cell:
    """What is done in one go: episodes of one group that share their pool, with one pretraining seed.

    Attributes:
        rows: the clips of all parts, with `truth` (null where it isn't known).
        pool: places in `rows` of what is pretrained on.
        episodes: their parts are places in `rows` too.
        batch: clips in a batch of pretraining.
    """

    group: Group
    seed: int
    rows: pl.DataFrame
    pool: npt.NDArray[np.int64]
    episodes: tuple[Episode, ...]
    batch: int


def build_start(settings: FewshotSettings, started: SavedModel | None, frontend: Frontend, seed: int) -> Encoder:
    """An encoder with random weights from a seed: the start of pretraining, and what it is compared with."""
    if started is not None:
        name, options = started.encoder.name, started.encoder.options
    else:
        name = settings.trained_encoder
        options = {**input_options(name, frontend, ()), **encoder_options(settings, name)}
    with seeded_weights(derive(seed, "encoder")):
        return build_encoder(name, **options)


class CellWork:
    """A cell at work on its device. `frontend` is the start's, or still to be fitted to the pool."""

    def __init__(
        self, cell: Cell, settings: FewshotSettings, data: Joined, started: SavedModel | None, frontend: Frontend,
        session: Session, scratch: Path,
    ) -> None:  # fmt: skip
        self.cell, self.settings, self.started = cell, settings, started
        self.session, self.scratch = session, scratch
        self.seed = derive(settings.seed, "pretraining", cell.seed)
        held = data.hold(cell.rows, session.device, settings.memory_budget)
        self.sounds = Sounds.of(held, self.seed, settings.gain)
        self.pool = torch.from_numpy(cell.pool)
        self.frontend = frontend if started is not None else fitted(frontend, self.sounds, self.pool)
        self.inputs = WaveformClips(self.sounds, self.frontend)
        self.notes: dict[str, Any] = {"group": cell.group.name, "seed": cell.seed}

    def run(self) -> tuple[pl.DataFrame, dict[str, Any]]:
        """Answers (ANSWERS), and notes as JSON values. `encoders` and `vectors` stay to be looked at."""
        self.encoders = {RANDOM: self._random()}
        if self.settings.start != NONE:
            self.encoders[PRETRAINED] = self._pretrained()
        self.vectors = self._vectors(self.encoders)
        parts = [rows for episode in self.cell.episodes for rows in self._episode(episode, self.encoders, self.vectors)]
        return pl.concat([pl.DataFrame(schema=ANSWERS), *parts]), self.notes

    def classifier(self, kind: str, rate: float) -> tuple[Encoder, Head]:
        """The pretrained encoder with a head that learned from the whole support: fine-tuned, or a probe as a layer."""
        questions, encoder = self._questions(self.cell.episodes[0])[0], self.encoders[PRETRAINED]
        if kind == FINETUNE:
            tuning = self._tuning(questions)
            places, classes = torch.from_numpy(questions.support), len(questions.classes)
            targets = self._targets(questions)
            task = finetuned(encoder, self.inputs, places, targets, classes, rate, tuning, self.session.fabric)
            assert isinstance(task.network, Classifier)
            return task.network.encoder, task.network.head
        probed: ProbeName = "linear" if kind == "linear" else "centroid"
        seed = self._probe_seed(questions)
        with threadpool_limits(1):
            weights, bias = as_layer(fitted_probe(probed, self.vectors[PRETRAINED], questions, questions.support, seed))
        head = build_head(LINEAR, encoder.features, len(questions.classes))
        head.load_state_dict({"scores.weight": torch.from_numpy(weights), "scores.bias": torch.from_numpy(bias)})
        return encoder, head

    def _random(self) -> Encoder:
        return build_start(self.settings, self.started, self.frontend, self.seed).to(self.session.device)

    def _pretrained(self) -> Encoder:
        if self.settings.start == PRETRAIN:
            return self._pretrain()
        encoder = self._random()
        if self.settings.start == PUBLISHED:
            assert self.settings.weights is not None
            weights = published_weights(self.settings.weights)
            log.info("%s", load_published(encoder, weights, str(self.settings.weights)))
        else:
            assert self.started is not None
            encoder.load_state_dict(self.started.encoder.state_dict())
        return encoder

    def _pretrain(self) -> Encoder:
        """On the pool alone, to the last epoch: no clip is held out to choose one by, as few-shot pools are small."""
        settings, method = self.settings, METHODS[self.settings.objective]
        encoder = self._random()
        with seeded_weights(derive(self.seed, "projector")):
            network = method.build(encoder, settings.own())
        shown = WaveformViews(settings.shown_views, self.sounds, self.pool, self.frontend,
                              shuffled=settings.shuffle_pairs)  # fmt: skip
        looked_at = WaveformViews(settings.shown_views, self.sounds, self.pool, self.frontend)
        sources = Sources(shown, looked_at, self.cell.batch, self.seed, settings.own(), shuffled=settings.shuffle_pairs)
        task = method.task(network, sources)
        plan = training_plan(settings, encoder.name, self.cell.batch, pretraining=True)
        plan = replace(plan, seed=self.seed)
        trained = train(task, plan, self.session.fabric, self.scratch, self.session.environment)
        first, last = trained.history[0], trained.history[-1]
        self.notes["pretraining"] = {
            "clips": len(self.pool),
            "epochs": settings.epochs,
            "before": _told(first),
            "after": _told(last),
            "collapsed": lasting_collapse(trained.history) is not None,
        }
        return encoder

    def _vectors(self, encoders: dict[str, Encoder]) -> dict[str, npt.NDArray]:
        """Features of all clips of the cell, by name; fused ones are side by side."""
        mel = self._mel_statistics()
        vectors: dict[str, npt.NDArray] = {MEL: mel}
        for name, encoder in encoders.items():
            vectors[name] = embed(encoder, self.inputs)
            vectors[name + WITH_MEL] = np.concatenate([vectors[name], mel], axis=1)
        return vectors

    def _mel_statistics(self) -> npt.NDArray:
        """By P2's frontend whatever the encoder's is, so that all tables have one and the same row."""
        front = Spectra(self.frontend.sample_rate, self.frontend.clip_seconds)
        return mel_statistics(self.sounds, front).numpy()

    def _episode(
        self, episode: Episode, encoders: dict[str, Encoder], vectors: dict[str, npt.NDArray]
    ) -> list[pl.DataFrame]:
        settings, name = self.settings, episode.group.name
        questions, lonely = self._questions(episode)
        parts = self._probed(questions, vectors)
        rates = {}
        if FINETUNE in settings.classifiers:
            for features, encoder in encoders.items():
                rows, rates[features] = self._tuned(questions, features, encoder)
                parts.append(rows)
        self.notes.setdefault("draws", []).append(
            {
                "draw": episode.draw,
                "support": len(episode.support),
                "queries": len(episode.query),
                "query_origins": self.cell.rows[episode.query]["origin"].n_unique(),
                "left_out": episode.left_out,
                "shared": episode.shared,
                "single_origin_classes": list(lonely),
                "finetune_rates": rates,
            }
        )
        log.info("group %s, seed %d, draw %d: answered", name, self.cell.seed, episode.draw)
        return parts

    def _probed(self, questions: Questions, vectors: dict[str, npt.NDArray]) -> list[pl.DataFrame]:
        """Answers of plain classifiers. On one thread: fits this small took ten times the processor's time on two."""
        seed = self._probe_seed(questions)
        with threadpool_limits(1):
            return [answer(questions, features, kind, probe(kind, array, questions, seed))
                    for kind in self.settings.classifiers if kind != "finetune"
                    for features, array in vectors.items()]  # fmt: skip

    def _probe_seed(self, questions: Questions) -> int:
        return derive(self.settings.seed, "probe", questions.cell["group"], questions.cell["draw"])

    def _tuning(self, questions: Questions) -> Tuning:
        settings, cell = self.settings, questions.cell
        seed = derive(self.seed, "fine-tuning", cell["group"], cell["draw"])
        return Tuning(settings.finetune_epochs, settings.finetune_batch, settings.freeze, seed)

    def _questions(self, episode: Episode) -> tuple[Questions, tuple[str, ...]]:
        cell, settings = self.cell, self.settings
        folds, lonely = None, tuple[str, ...]()
        if settings.support_folds and settings.shots > 1:
            support = cell.rows[episode.support]
            seed = derive(settings.seed, "folds", episode.group.name, episode.draw)
            folds, lonely = support_folds(
                support["truth"].to_list(), support["origin"].to_list(), settings.support_folds, seed
            )
        named = {"group": episode.group.name, "draw": episode.draw, "seed": cell.seed}
        return Questions(cell.rows, episode.support, episode.query, folds, episode.group.classes, named), lonely

    def _tuned(self, questions: Questions, features: str, encoder: Encoder) -> tuple[pl.DataFrame, float]:
        """Fine-tuned answers, at the rate that does best inside the support where there are several."""
        rates, tuning = self.settings.rates, self._tuning(questions)
        targets = self._targets(questions)

        def at(rate: float) -> Fit:
            def fit(learned: npt.NDArray[np.int64], asked: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
                places = torch.from_numpy(learned)
                classes, fabric = len(questions.classes), self.session.fabric
                log.info("fine-tuning, %s: %d clips, %d epochs, rate %g", features, len(learned), tuning.epochs, rate)
                task = finetuned(encoder, self.inputs, places, targets, classes, rate, tuning, fabric)
                return probabilities(task, torch.from_numpy(asked))

            return fit

        if len(rates) > 1:
            stable, tried = self._tried(questions, features, rates, at)
            best = best_of(questions, tried)
            outside = answer(replace(questions, folds=None), features, FINETUNE, at(stable[best]))
            return pl.concat([tried[best], outside]), stable[best]
        # a random start is never chosen, so what it does inside the support is asked only where there is nothing else
        inside = features != RANDOM or self.settings.protocol == "own"
        asked = questions if inside else replace(questions, folds=None)
        return answer(asked, features, FINETUNE, at(rates[0])), rates[0]

    def _tried(
        self, questions: Questions, features: str, rates: list[float], at: Callable[[float], Fit]
    ) -> tuple[list[float], list[pl.DataFrame]]:
        """The rates that didn't run away, and their answers inside the support; BirdsslError where all did."""
        stable, tried, failed = [], [], None
        for rate in rates:
            try:
                tried.append(folds_answers(questions, features, FINETUNE, at(rate)))
                stable.append(rate)
            except BirdsslError as error:
                failed = error
                log.warning("%s, fine-tuned at a rate of %g: %s; not chosen", features, rate, error)
        if failed is not None and not stable:
            raise failed
        return stable, tried

    def _targets(self, questions: Questions) -> Tensor:
        """Class of each clip, (clips,); 0 for those of unknown class, which are never learned from."""
        number = {label: place for place, label in enumerate(questions.classes)}
        return torch.tensor([number.get(label, 0) for label in self.cell.rows["truth"].to_list()])


def _told(row: Row) -> dict[str, float]:
    return {name: round(float(row[name]), 6) for name in TOLD if name in row}
