"""Fixed numerics."""

import pytest
import torch

from birdssl.training.precision import choose_precision, fixed_numerics


def test_what_is_fixed_inside_is_as_it_was_outside():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with fixed_numerics(1):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
        torch.rand(3)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_follows_the_processor_and_the_encoder(native: bool, expected: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu, "resnet50") == expected
    assert choose_precision("auto", cpu, "mobilenetv3-large") == "fp32"
    assert [choose_precision(name, cpu, "mobilenetv3-large") for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert choose_precision("auto", torch.device("mps"), "resnet50") == "fp32"
