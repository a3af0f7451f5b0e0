"""Models on disk: the same bytes for the same model, and what doesn't hold is refused by name.

`tests/stages/test_every_encoder.py` saves and loads every encoder.
"""

import json
from pathlib import Path

import pytest
import torch

from birdssl.artifacts.weights import read_weights, write_weights
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.models.encoder import Encoder
from birdssl.models.heads import build_head
from birdssl.models.initial import seeded_weights
from birdssl.models.registry import build_encoder
from birdssl.training.saved_model import ModelSpec, load_model, prepare, save_model

FRONTEND = {"sample_rate": 44100, "clip_seconds": 3.0}


def small_encoder(seed: int = 1) -> Encoder:
    with seeded_weights(seed):
        return build_encoder("simplecnn", height=100, width=32)


def test_same_model_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_model(tmp_path / name, small_encoder(), None, ModelSpec(FRONTEND))
    for file in ("model.json", "encoder.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_saving_without_head_removes_an_old_one(tmp_path: Path) -> None:
    encoder = small_encoder()
    save_model(tmp_path, encoder, build_head("simplecnn", encoder.features, 1), ModelSpec(FRONTEND, ("frog",)))
    save_model(tmp_path, encoder, None, ModelSpec(FRONTEND))
    assert load_model(tmp_path).head is None
    assert not (tmp_path / "head.safetensors").exists()


def test_classes_must_fit_the_head(tmp_path: Path) -> None:
    encoder = small_encoder()
    head = build_head("simplecnn", encoder.features, 2)
    with pytest.raises(ValueError, match="2 scores for 1 classes"):
        save_model(tmp_path, encoder, head, ModelSpec(FRONTEND, ("frog",)))
    with pytest.raises(ValueError, match="0 scores for 1 classes"):
        save_model(tmp_path, encoder, None, ModelSpec(FRONTEND, ("frog",)))


def test_the_activation_makes_scores_of_logits_and_old_models_are_softmax(tmp_path: Path) -> None:
    encoder = small_encoder()
    head = build_head("simplecnn", encoder.features, 2)
    logits = torch.tensor([[2.0, 0.0]])
    for name, scores in {"sigmoid": [0.8808, 0.5], "softmax": [0.8808, 0.1192]}.items():
        spec = ModelSpec(FRONTEND, ("frog", "wren"), thresholds={"frog": 0.3, "wren": 0.5}, activation=name)
        save_model(tmp_path, encoder, head, spec)
        assert load_model(tmp_path).scores(logits)[0].tolist() == pytest.approx(scores, abs=1e-4)
        assert load_model(tmp_path).spec == spec
    rewrite(tmp_path, activation="remove")
    assert load_model(tmp_path).spec.activation == "softmax"
    rewrite(tmp_path, activation="tanh")
    with pytest.raises(IncompatibleError, match="'tanh' and this birdssl knows softmax and sigmoid; update"):
        load_model(tmp_path)


def test_prepare_by_hand() -> None:
    grey = torch.tensor([[[0, 51, 255]]], dtype=torch.uint8)
    assert prepare(grey, {"offset": 0.0, "scale": 255.0}).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert prepare(grey, {"offset": 51.0, "scale": 102.0}).flatten().tolist() == pytest.approx([-0.5, 0, 2])
    assert prepare(grey, {"offset": 0.0, "scale": 255.0}).shape == (1, 1, 1, 3)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"holds no model\.json.*pretrain"):
        load_model(tmp_path)


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    description = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in description.items() if value != "remove"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "newer birdssl: update"),
        ({"schema": "x"}, "make the model anew"),
        ({"schema": "remove"}, "schema None"),
        ({"classes": "remove"}, "no 'classes'"),
        ({"encoder": {"name": "vgg", "options": {"height": 100, "width": 32}, "features": 1}}, '"vgg"'),
        ({"encoder": {"name": "simplecnn", "options": {"height": 100}, "features": 48}}, "can't build"),
        ({"encoder": {"name": "simplecnn", "options": {"height": 100, "width": 32, "x": 1}, "features": 48}}, '"x"'),
        ({"head": {"kind": "simplecnn", "penultimate": 64}, "classes": ["a"]}, "head.safetensors"),
    ],
)
def test_descriptions_that_do_not_hold(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save_model(tmp_path, small_encoder(), None, ModelSpec(FRONTEND))
    rewrite(tmp_path, **changes)
    with pytest.raises((IncompatibleError, NoInputError), match=message):
        load_model(tmp_path)


def test_damaged_description(tmp_path: Path) -> None:
    save_model(tmp_path, small_encoder(), None, ModelSpec(FRONTEND))
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(IncompatibleError, match="isn't readable as JSON"):
        load_model(tmp_path)


def test_weights_of_another_model(tmp_path: Path) -> None:
    save_model(tmp_path, small_encoder(), None, ModelSpec(FRONTEND))
    path = tmp_path / "encoder.safetensors"
    weights = read_weights(path)
    write_weights(path, {name: tensor for name, tensor in weights.items() if name != "layers.0.bias"})
    with pytest.raises(IncompatibleError, match=r"encoder\.safetensors lacks the tensor layers\.0\.bias"):
        load_model(tmp_path)
    write_weights(path, {**weights, "layers.0.bias": torch.zeros(5)})
    with pytest.raises(IncompatibleError, match=r"shape \(5,\).*asks for \(24,\)"):
        load_model(tmp_path)
    write_weights(path, {**weights, "extra": torch.zeros(5)})
    with pytest.raises(IncompatibleError, match="holds extra"):
        load_model(tmp_path)
