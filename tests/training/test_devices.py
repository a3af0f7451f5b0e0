"""The device asked for, or a sentence that says why not."""

import pytest
import torch

from birdssl.errors import UsageError
from birdssl.training.devices import choose_device


def test_the_processor_is_always_there(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert choose_device("cpu") == torch.device("cpu")
    assert "device: cpu" in caplog.text


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda:0"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_prefers_accelerators(monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a graphics card")
    assert choose_device("auto") == torch.device(expected)


@pytest.mark.parametrize("wanted", ["gpu", "cuda:x", "cpu:1", "", "mps:0"])
def test_other_words_are_refused(wanted: str) -> None:
    with pytest.raises(UsageError, match="choose auto, cpu, cuda, cuda:N or mps"):
        choose_device(wanted)


def test_an_explicit_device_that_is_missing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a graphics card")
    assert choose_device("cuda") == torch.device("cuda:0")
    with pytest.raises(UsageError, match="--device cuda:1: torch finds 1 CUDA devices"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device mps"):
        choose_device("mps")
