"""Every encoder: built for its frontend, trained a step, saved, loaded, and embedding the same wherever clips lie."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from encoders import SMALL
from tones import tone_clips
from torch import nn

from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.artifacts.shards import Shards
from birdssl.cli.app import main
from birdssl.models.heads import build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import ENCODERS, build_encoder
from birdssl.settings.base import check
from birdssl.settings.finetune import FinetuneSettings
from birdssl.stages.frontends import input_options, waveform_frontend
from birdssl.stages.inference import Network, open_network
from birdssl.training.finetuning import Classifier
from birdssl.training.held import DeviceHeld
from birdssl.training.precision import fixed_numerics
from birdssl.training.saved_model import ModelSpec, SavedModel, load_model, save_model
from birdssl.training.waveforms import Sounds, WaveformClips, fitted

COUNT = 4
CLASSES = ("high", "low")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of a second at 16 kHz, and beside them the directory of their waveforms."""
    folder = tone_clips(tmp_path_factory.mktemp("sound") / "clips", COUNT)
    command = ["render", str(folder), "-o", str(folder.parent / "shards"), "--kind", "waveform", "--sheet", "0"]
    assert main([*command, "--quiet"]) == 0
    return folder


def waves_of(artifact: Artifact) -> np.ndarray:
    rows = artifact.manifest()
    return Shards.of(artifact).take(rows["shard"].to_numpy(), rows["row"].to_numpy())


def test_every_encoder_has_a_small_size() -> None:
    assert SMALL.keys() == ENCODERS.keys()


@pytest.mark.parametrize("name", ENCODERS)
def test_build_train_save_load_and_embed(name: str, clips: Path, tmp_path: Path) -> None:
    small, shards = SMALL[name], open_artifact(clips.parent / "shards")
    waves = waves_of(shards)
    settings = check(FinetuneSettings, {"encoder": name, "crops": 2, **small.frontend})
    sounds = Sounds.of(DeviceHeld(torch.from_numpy(waves)), 1, 6.0)
    frontend = fitted(waveform_frontend(settings, name, shards.facts), sounds, torch.arange(COUNT))
    with seeded_weights(3):
        encoder = build_encoder(name, **input_options(name, frontend, ()), **small.options)
        head = build_head(name, encoder.features, len(CLASSES))
    network = Classifier(encoder, head)
    before = [parameter.detach().clone() for parameter in encoder.parameters()]
    inputs = WaveformClips(sounds, frontend).draw(torch.arange(COUNT), 1)
    assert network.train()(inputs).shape == (COUNT, 2)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    loss = nn.functional.cross_entropy(network(inputs), torch.arange(COUNT) % 2)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    assert any(not old.equal(new) for old, new in zip(before, encoder.parameters(), strict=True))

    spec = ModelSpec(frontend.to_dict(), CLASSES, thresholds={"high": 0.5}, provenance={"epoch": 1})
    save_model(tmp_path / "model", encoder.eval(), head.eval(), spec)
    saved = load_model(tmp_path / "model")
    assert (saved.encoder.name, saved.encoder.options, saved.spec) == (name, encoder.options, spec)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "model.json", "encoder.safetensors", "head.safetensors"
    }  # fmt: skip

    kept, loaded = Network(SavedModel(encoder, head, spec), CPU), open_network(tmp_path / "model", "x", "cpu")
    assert loaded.frontend == frontend
    answers = [network.run(waves, "encoder", 32) for network in (kept, loaded)]
    assert answers[0].embeddings.shape == (COUNT, encoder.features)
    assert np.array_equal(answers[0].embeddings, answers[1].embeddings)
    assert np.array_equal(answers[0].scores, answers[1].scores)
    assert len(np.unique(answers[0].embeddings, axis=0)) == COUNT
    for source in (clips, clips.parent / "shards"):
        out = tmp_path / source.name
        words = ["embed", str(source), "-o", str(out), "--model", str(tmp_path / "model"), "--layer", "encoder"]
        assert main([*words, "--device", "cpu", "--quiet"]) == 0
        rows = open_artifact(out).manifest()
        order = pl.DataFrame({"id": shards.manifest()["id"]}).join(rows, on="id", how="left", maintain_order="left")
        assert np.array_equal(order["embedding"].to_numpy(), answers[0].embeddings), source.name
        assert np.array_equal(order["scores"].to_numpy(), answers[0].scores), source.name


@pytest.mark.parametrize("name", [name for name in ENCODERS if name not in ("resnet50", "inceptionv3")])
def test_a_crop_s_embedding_does_not_depend_on_its_neighbours(name: str, clips: Path) -> None:
    """In eval mode nothing of a batch may leak from clip to clip, as it does where a batch is normalised as a whole."""
    small, shards = SMALL[name], open_artifact(clips.parent / "shards")
    sounds = Sounds.of(DeviceHeld(torch.from_numpy(waves_of(shards))), 1)
    settings = check(FinetuneSettings, {"encoder": name, "crops": 1, **small.frontend})
    frontend = fitted(waveform_frontend(settings, name, shards.facts), sounds, torch.arange(COUNT))
    with seeded_weights(3):
        encoder = build_encoder(name, **input_options(name, frontend, ()), **small.options).eval()
    inputs = WaveformClips(sounds, frontend).take(torch.arange(COUNT))
    with fixed_numerics(1), torch.inference_mode():
        together, alone = encoder(inputs), torch.cat([encoder(one) for one in inputs.split(1)])
    assert torch.allclose(together, alone, atol=1e-4 * float(together.abs().max()))
