"""Published checkpoints give tensors by name, and nothing in them runs."""

import argparse
import collections
import datetime
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor

from birdssl.artifacts.published import published_weights
from birdssl.artifacts.weights import write_weights
from birdssl.errors import IncompatibleError, NoInputError

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}


def same(found: dict[str, Tensor], expected: dict[str, Tensor] = WEIGHTS) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class of a package called fairseq, which is gone again when the file is read."""
    module = types.ModuleType("fairseq")

    class Dictionary:
        def __init__(self) -> None:
            self.symbols = ["a", "b"]

        def __setstate__(self, state: object) -> None:
            raise AssertionError("the publisher's code ran")

    Dictionary.__module__, Dictionary.__qualname__ = "fairseq", "Dictionary"
    module.Dictionary = Dictionary
    monkeypatch.setitem(sys.modules, "fairseq", module)
    return Dictionary


def test_safetensors(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.safetensors", WEIGHTS)
    assert same(published_weights(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("wrapper", ["", "model", "model_weight", "state_dict", "framework"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
def test_state_dicts_in_their_wrappers(tmp_path: Path, suffix: str, wrapper: str, new: bool) -> None:
    ordered = collections.OrderedDict(WEIGHTS)
    content = {wrapper: ordered, "epoch": 3, "optimizer_history": [{"lr": 0.1}]} if wrapper else ordered
    torch.save(content, tmp_path / f"w{suffix}", _use_new_zipfile_serialization=new)
    assert same(published_weights(tmp_path / f"w{suffix}"))


@pytest.mark.parametrize("new", [True, False])
def test_objects_of_the_publishers_code_are_passed_over(tmp_path: Path, foreign: type, new: bool) -> None:
    """fairseq: `args` is a Namespace, `task_state` holds its Dictionary. Neither class is imported to read them."""
    content = {
        "model": WEIGHTS,
        "args": argparse.Namespace(lr=[0.1], task="audio_pretraining"),
        "task_state": {"dictionaries": [foreign()]},
        "cfg": {"element": dict},
    }
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
    del sys.modules["fairseq"]
    assert same(published_weights(tmp_path / "w.pt"))
    assert "fairseq" not in sys.modules


@pytest.mark.parametrize("settings", ["Config", "Upstream_Config"])
def test_s3prl_keeps_two_state_dicts_and_its_settings(tmp_path: Path, settings: str) -> None:
    content = {
        "Optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": []},
        "Step": 200_000,
        "Args": argparse.Namespace(expdir="result"),
        "Transformer": {"encoder.weight": torch.ones(2)},
        "SpecHead": {"output.bias": torch.zeros(3)},
        settings: {"transformer": {"num_attention_heads": 12, "hidden_act": "gelu"}},
    }
    torch.save(content, tmp_path / "states-200000.ckpt")
    found = published_weights(tmp_path / "states-200000.ckpt")
    expected = {
        "Transformer.encoder.weight": torch.ones(2),
        "SpecHead.output.bias": torch.zeros(3),
        "Config.heads": torch.tensor(12),
    }
    assert same(found, expected)


class Malice:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.target)!r}, 'w')",))


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "w.pt", tmp_path / "made"
    content = {"model": WEIGHTS, "args": argparse.Namespace(a=1), "extra": Malice(target)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(IncompatibleError, match=r"w\.pt can't be read .* save its state dict alone"):
        published_weights(path)
    assert not target.exists()


class Reached:
    """Asks for a class of a listed package to be made, as a file may."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (argparse.FileType, ("r",))


def test_even_a_listed_package_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"model": WEIGHTS, "args": Reached()}, tmp_path / "w.pt")

    def fail(*_: object) -> None:
        raise AssertionError("the file ran something")

    monkeypatch.setattr(argparse.FileType, "__init__", fail)
    assert same(published_weights(tmp_path / "w.pt"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "holds a list; expected a state dict"),
        ({"weights": 3}, 'holds a int under "weights"; expected a state dict'),
        ({"model": {"a": "text"}}, 'holds a str under "a"'),
    ],
)
def test_files_of_other_things(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(IncompatibleError, match=message):
        published_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut short", b"\x80\x02}q\x00."])
def test_broken_files_name_themselves(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(IncompatibleError, match=r"w\.pth"):
        published_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
def test_files_cut_short(tmp_path: Path, kept: float, new: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1000)}, path, _use_new_zipfile_serialization=new)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(IncompatibleError, match=r"w\.pth"):
        published_weights(path)


@pytest.mark.parametrize("kind", [int, str, float, bool, dict, list, tuple, collections.defaultdict])
@pytest.mark.parametrize("new", [True, False])
def test_types_that_settings_refer_to_are_read_past(tmp_path: Path, kind: type, new: bool) -> None:
    """omegaconf keeps the type of its elements, and `int` is `__builtin__ long` in a file."""
    torch.save({"model": WEIGHTS, "cfg": {"type": kind}}, tmp_path / "w.pt", _use_new_zipfile_serialization=new)
    assert same(published_weights(tmp_path / "w.pt"))


@pytest.mark.parametrize("new", [True, False])
def test_lightnings_settings_are_read_as_a_dictionary(
    tmp_path: Path, new: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "pytorch_lightning.utilities.parsing"
    attributes = type("AttributeDict", (dict,), {"__module__": name})
    with monkeypatch.context() as patch:  # Lightning isn't there where the file is read
        for module in ("pytorch_lightning", "pytorch_lightning.utilities", name):
            patch.setitem(sys.modules, module, types.ModuleType(module))
        patch.setattr(sys.modules[name], "AttributeDict", attributes, raising=False)
        content = {"state_dict": WEIGHTS, "hyper_parameters": attributes(rate=1.0, name="x")}
        torch.save(content, tmp_path / "w.ckpt", _use_new_zipfile_serialization=new)
    assert same(published_weights(tmp_path / "w.ckpt"))


def test_what_a_refused_file_names_is_said_in_plain_letters(tmp_path: Path) -> None:
    torch.save({"model": WEIGHTS, "when": datetime.timedelta(1)}, tmp_path / "w.pt")
    with pytest.raises(IncompatibleError, match=r"It names datetime\.timedelta, which might run code") as caught:
        published_weights(tmp_path / "w.pt")
    assert "\x1b" not in str(caught.value)
    assert "can still be loaded" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no such file"):
        published_weights(tmp_path / "w.pth")
