"""Tensors in and out of files, none of which can run code."""

import collections
import http.client
import pickle
import urllib.error
from pathlib import Path

import pytest
import torch

from birdssl.artifacts.weights import download_weights, read_weights, write_weights
from birdssl.errors import IncompatibleError, NoInputError, UnavailableError

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == WEIGHTS.keys() and all(torch.equal(found[name], WEIGHTS[name]) for name in WEIGHTS)


def test_safetensors_round_trip_gives_the_same_bytes(tmp_path: Path) -> None:
    write_weights(tmp_path / "one.safetensors", WEIGHTS)
    write_weights(tmp_path / "two.safetensors", WEIGHTS)
    assert same(read_weights(tmp_path / "one.safetensors"))
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_any_memory_layout_can_be_written(tmp_path: Path) -> None:
    kernel = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    write_weights(tmp_path / "w.safetensors", {"kernel": kernel})
    assert torch.equal(read_weights(tmp_path / "w.safetensors")["kernel"], kernel)


@pytest.mark.parametrize("wrapped", [False, True])
def test_torch_files(tmp_path: Path, wrapped: bool) -> None:
    ordered = collections.OrderedDict(WEIGHTS)
    torch.save({"state_dict": ordered, "epoch": 3} if wrapped else ordered, tmp_path / "w.pth")
    assert same(read_weights(tmp_path / "w.pth"))


class Malice:
    """Unpickled, it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.target)!r}, 'w')",))


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_file_that_would_run_code_is_refused(tmp_path: Path, with_torch: bool) -> None:
    path, target = tmp_path / "w.pth", tmp_path / "made"
    if with_torch:
        torch.save({"weight": Malice(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Malice(target), protocol=2))
    with pytest.raises(IncompatibleError, match="can't be read as torch weights"):
        read_weights(path)
    assert not target.exists()


@pytest.mark.parametrize(("name", "content"), [("w.safetensors", b"short"), ("w.pth", b""), ("w.pt", b"not weights")])
def test_broken_files_name_themselves(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IncompatibleError, match=name):
        read_weights(tmp_path / name)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_weights(path, {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IncompatibleError, match="cut short"):
        read_weights(path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"a": 3}])
def test_torch_files_of_other_things(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(IncompatibleError, match="expected a state dict"):
        read_weights(tmp_path / "w.pth")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="no such file"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no route"), RuntimeError("invalid hash value"), http.client.IncompleteRead(b"")]
)
def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(url: str, **options: object) -> None:
        assert options["weights_only"] is True
        raise failure

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    with pytest.raises(UnavailableError, match=r"can't be downloaded .* --weights resnet50\.pth"):
        download_weights("https://example.org/models/resnet50.pth")
