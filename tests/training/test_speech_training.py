"""wav2vec 2.0 and HuBERT trained for real, by crops of waveforms: as a whole, and frozen but for their mixture."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from birdssl.audio.device.waveform import Waveforms
from birdssl.models.heads import build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.models.speech import SpeechEncoder
from birdssl.seeds import generator
from birdssl.training.finetuning import Classifier, Finetuning
from birdssl.training.held import DeviceHeld
from birdssl.training.history import Row
from birdssl.training.loop import TrainingPlan, make_fabric, train
from birdssl.training.methods import METHODS, Sources
from birdssl.training.optimisers import OptimiserPlan
from birdssl.training.precision import fixed_numerics
from birdssl.training.views import WaveformViews
from birdssl.training.waveforms import Sounds, WaveformClips

RATE, SECONDS = 8000, 0.6
TRAINED, HELD_OUT, BATCH = 192, 64, 32
FRONT = Waveforms(RATE, SECONDS, crop_seconds=0.25, crops=2)  # resampled to 16 kHz: 12 frames
SIZES = {"layers": 1, "width": 64, "channels": 32}


def sound(clip: int) -> np.ndarray:
    """(RATE * SECONDS,) int16: three steady tones, which make the clip, under hiss that comes and goes."""
    rng = generator(12, "sound", clip)
    time = np.arange(round(RATE * SECONDS)) / RATE
    found = sum(np.sin(2 * np.pi * rng.uniform(200, 3600) * time + rng.uniform(0, 6)) for _ in range(3))
    steps = np.repeat(rng.uniform(0, 1, 8) ** 2, len(time) // 8)
    return np.rint((found + steps * rng.standard_normal(len(time))) * 2000).astype(np.int16)


@cache
def sounds() -> Sounds:
    waves = torch.from_numpy(np.stack([sound(clip) for clip in range(TRAINED + HELD_OUT)]))
    return Sounds.of(DeviceHeld(waves), seed=1, gain=6.0)


def encoder_of(name: str) -> SpeechEncoder:
    with seeded_weights(1):
        encoder = build_encoder(name, **SIZES)
    assert isinstance(encoder, SpeechEncoder)
    return encoder


def history(name: str, method: str, epochs: int, folder: Path, *, shuffled: bool) -> list[Row]:
    """Rows of the start and the end."""
    trained, held_out = torch.arange(TRAINED), torch.arange(TRAINED, TRAINED + HELD_OUT)
    training = WaveformViews("crops", sounds(), trained, FRONT, shuffled=shuffled)
    validation = WaveformViews("crops", sounds(), held_out, FRONT)
    encoder = encoder_of(name)
    with seeded_weights(2):
        network = METHODS[method].build(encoder, {})
    task = METHODS[method].task(network, Sources(training, validation, BATCH, 1, {}, shuffled))
    plan = TrainingPlan(epochs, BATCH, 1030, OptimiserPlan("adam", 1e-3), drop_last=True, validate_every=epochs)
    with fixed_numerics(1):
        rows = train(task, plan, make_fabric(torch.device("cpu"), "fp32"), folder).history
    return [rows[0], rows[-1]]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method", "least"), [("wav2vec2", "cola", 4), ("hubert", "simclr", 6)])
def test_the_other_crop_of_unseen_clips_is_found_far_more_often(name: str, method: str, least: int, tmp_path: Path):
    """Chance is 1/64; a network that nothing has taught finds 0.10, on three tones in a clip.

    Rank falls as it learns what to leave out, to about the tones' pitches; a collapse would leave 1.
    """
    before, after = history(name, method, 20, tmp_path / "true", shuffled=False)
    same, control = history(name, method, 20, tmp_path / "control", shuffled=True)
    assert before == same
    assert after["retrieval"] > 2 * before["retrieval"]
    assert after["retrieval"] > 2 * control["retrieval"]
    assert after["retrieval"] > control["retrieval"] + 0.2
    assert after["validation_loss"] < 0.75 * control["validation_loss"]
    assert after["effective_rank"] > least
    assert after["embedding_std"] > 5 * control["embedding_std"]


def two_pitches() -> Sounds:
    """64 clips of one steady tone under hiss: the first half low ones."""
    rng = generator(13, "pitches")
    time = np.arange(round(RATE * SECONDS)) / RATE
    pitch = np.repeat([[400.0], [2500.0]], 32, axis=0) * rng.uniform(0.8, 1.2, (64, 1))
    waves = 4000 * np.sin(2 * np.pi * pitch * time) + 400 * rng.standard_normal((64, len(time)))
    return Sounds.of(DeviceHeld(torch.from_numpy(np.rint(waves).astype(np.int16))), seed=1)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert"])
def test_frozen_the_mixture_and_the_head_learn_and_the_network_stays(name: str, tmp_path: Path):
    encoder = encoder_of(name)
    with seeded_weights(3):
        network = Classifier(encoder, build_head(name, encoder.features, 2), frozen=True)
    fixed = {part: value.clone() for part, value in encoder.net.state_dict().items()}
    rows = torch.arange(64)
    task = Finetuning(network, WaveformClips(two_pitches(), FRONT), rows, rows, rows // 32, BATCH)
    plan = TrainingPlan(30, BATCH, 1030, OptimiserPlan("adam", 1e-2), drop_last=True, validate_every=30)
    with fixed_numerics(1):
        found = train(task, plan, make_fabric(torch.device("cpu"), "fp32"), tmp_path).history
    assert found[-1]["validation_loss"] < 0.5 * found[0]["validation_loss"]
    assert encoder.scalars is not None
    assert encoder.scalars.detach().abs().min() > 0.005  # they start at 0
    after = encoder.net.state_dict()
    assert [part for part in fixed if not torch.equal(fixed[part], after[part])] == []
    assert not any(weight.requires_grad or weight.grad is not None for weight in encoder.net.parameters())
