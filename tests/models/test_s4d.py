"""S4D against values worked out by hand, a recurrence in a plain loop, and sums in float64."""

import math

import pytest
import torch
from torch import Tensor

from birdssl.errors import UsageError
from birdssl.models.causal_convolution import causal_convolution
from birdssl.models.initial import seeded_weights
from birdssl.models.s4d import S4D, Discretisation, Init, S4DBlock, discretised, initial_frequencies, taps

GOLDEN = {
    "zoh": [0.306117083, 0.309796697, 0.300821977, 0.280411456, 0.250800827, 0.214930658],
    "bilinear": [0.305052270, 0.308831247, 0.300241032, 0.280408825, 0.251455541, 0.216201824],
}


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(width: int = 6, state: int = 8, **options: object) -> S4D:
    with seeded_weights(4):
        return S4D(width, state, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
def test_taps_worked_out_in_the_reference(method: Discretisation) -> None:
    a = torch.tensor([[-0.5, -0.5 + 1j * math.pi]], dtype=torch.complex128)
    c = torch.tensor([[1, 0.5 - 0.5j]], dtype=torch.complex128)
    factor, weight = discretised(torch.tensor([0.1], dtype=torch.float64), a, method)
    expected = torch.tensor([GOLDEN[method]], dtype=torch.float64)
    torch.testing.assert_close(taps(factor, weight * c, 6), expected, rtol=0, atol=1e-8)


def test_hold_of_a_single_mode_by_hand() -> None:
    """A = -1, dt = ln 2: the factor a step is 1/2 and the input's weight (1/2 - 1) / -1 = 1/2; K_l = 2 * 2^-(l+1)."""
    a, dt = torch.tensor([[-1.0 + 0j]], dtype=torch.complex128), torch.tensor([math.log(2)], dtype=torch.float64)
    factor, weight = discretised(dt, a, "zoh")
    expected = torch.tensor([[1, 1 / 2, 1 / 4, 1 / 8, 1 / 16]], dtype=torch.float64)
    torch.testing.assert_close(taps(factor, weight, 5), expected)


def test_bilinear_factor_by_hand() -> None:
    """A = -1, dt = 1: (1 - 1/2) / (1 + 1/2) = 1/3, and the weight 1 / (3/2)."""
    factor, weight = discretised(torch.ones(1), torch.tensor([[-1.0 + 0j]]), "bilinear")
    assert float(torch.exp(factor).real) == pytest.approx(1 / 3)
    assert float(weight.real) == pytest.approx(2 / 3)


def test_a_small_step_keeps_its_digits_in_float32() -> None:
    """exp(x) - 1 would leave a relative error of 6e-5 at |x| = 5e-4."""
    a, dt = torch.tensor([[-0.5 + 0j]]), torch.tensor([1e-3])
    _, weight = discretised(dt, a, "zoh")
    _, exact = discretised(dt.double(), a.to(torch.complex128), "zoh")
    assert float((weight - exact).abs() / exact.abs()) < 2e-7


def test_starts_of_a() -> None:
    assert initial_frequencies(8, "lin").tolist() == pytest.approx([0, math.pi, 2 * math.pi, 3 * math.pi])
    expected = [8 / math.pi * (8 / odd - 1) for odd in (1, 3, 5, 7)]
    assert initial_frequencies(8, "inv").tolist() == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [{"state": 7}, {"state": 0}, {"init": "legs"}])
def test_starts_that_there_are_not(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"even|use"):
        S4D(4, **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="use"):
        discretised(torch.ones(1), torch.ones(1, 1) * (-1 + 0j), "euler")  # type: ignore[arg-type]


def test_sizes_and_starts_of_the_weights() -> None:
    module = layer(512, 64)
    counts = {name: weight.numel() for name, weight in module.named_parameters()}
    assert counts == {
        "log_dt": 512,
        "log_decay": 16_384,
        "frequency": 16_384,
        "c": 32_768,
        "d": 512,
        "mix.weight": 524_288,
        "mix.bias": 1024,
    }
    assert sum(counts.values()) == 591_872
    assert math.log(1e-3) <= float(module.log_dt.detach().min()) < float(module.log_dt.detach().max()) <= math.log(1e-1)
    assert float(module.log_decay.detach().exp().mean()) == pytest.approx(0.5)
    c = torch.view_as_complex(module.c.detach())
    assert float(c.abs().square().mean()) == pytest.approx(1, abs=0.05)  # complex N(0, 1): 1/2 in each part


def recurrence(module: S4D, signals: Tensor) -> Tensor:
    """h <- factor h + weight u, y = 2 Re sum h + D u, frame after frame in Python: (B, T, H) float64."""
    a = torch.complex(-module.log_decay.exp(), module.frequency)
    factor, weight = discretised(module.log_dt.exp(), a, module.discretisation)
    factor, weight = factor.exp(), weight * torch.view_as_complex(module.c)
    h = torch.zeros(signals.shape[0], *a.shape, dtype=torch.complex128)
    outputs = []
    for u in signals.unbind(1):
        h = factor * h + weight * u[:, :, None]
        outputs.append(2 * h.real.sum(-1) + module.d * u)
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 50, 119])
@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize("init", ["lin", "inv"])
def test_convolution_is_the_recurrence(init: Init, method: Discretisation, length: int) -> None:
    module = layer(init=init, discretisation=method).double()
    signals = torch.randn(3, length, 6, dtype=torch.float64, generator=draws())
    with torch.no_grad():
        found = causal_convolution(signals, module.kernel(length))
        torch.testing.assert_close(found, recurrence(module, signals), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["zoh", "bilinear"])
@pytest.mark.parametrize("init", ["lin", "inv"])
def test_steps_are_the_whole(init: Init, method: Discretisation) -> None:
    module = layer(init=init, discretisation=method).eval()
    signals = torch.randn(2, 300, 6, generator=draws())
    with torch.no_grad():
        state, outputs = module.initial_state(2), []
        for frame in signals.unbind(1):
            output, state = module.step(frame, state)
            outputs.append(output)
        torch.testing.assert_close(torch.stack(outputs, 1), module(signals), rtol=0, atol=2e-5)


def naive(module: S4D, length: int) -> Tensor:
    """The kernel as its formula says, every power of every mode, in the module's own precision."""
    a = torch.complex(-module.log_decay.exp(), module.frequency)
    factor, weight = discretised(module.log_dt.exp(), a, module.discretisation)
    powers = torch.exp(factor[:, :, None] * torch.arange(length))
    made = 2 * ((weight * torch.view_as_complex(module.c))[:, :, None] * powers).real.sum(1)
    return torch.cat((made[:, :1] + module.d[:, None], made[:, 1:]), 1)


@pytest.mark.parametrize("length", [1, 60, 119, 1000])
def test_kernel_in_float32_is_the_formula_in_float64(length: int) -> None:
    """At the paper's size. Phases reach a thousand radians; the decay keeps what they lose below 1e-5 of the kernel."""
    module = layer(512, 64)
    found = module.kernel(length).detach().double()
    exact = naive(module.double(), length).detach()
    assert float((found - exact).abs().max() / exact.abs().max()) < 1e-5


def test_gradients_in_float32_are_those_of_the_formula_in_float64() -> None:
    module = layer(64, 64)
    upstream = torch.randn(64, 119, dtype=torch.float64, generator=draws())
    (module.kernel(119) * upstream.float()).sum().backward()
    found = {name: weight.grad for name, weight in module.named_parameters()}
    exact_module = layer(64, 64).double()
    (naive(exact_module, 119) * upstream).sum().backward()
    for name, weight in exact_module.named_parameters():
        if weight.grad is not None:
            given = found[name]
            assert given is not None
            error = (given - weight.grad).abs().max() / weight.grad.abs().max()
            assert float(error) < 2e-5, name
    assert sum(weight.grad is not None for weight in exact_module.parameters()) == 5


def test_group_for_the_optimiser() -> None:
    module = layer()
    group = {id(weight) for weight in module.ssm_parameters()}
    assert group == {id(module.log_dt), id(module.log_decay), id(module.frequency)}


def test_dropout_takes_a_channel_out_of_all_frames() -> None:
    module = layer(64, 8, dropout=0.5).train()
    with torch.no_grad():
        module.mix.weight.zero_()
        module.mix.bias.zero_()
        module.mix.weight[:64] = torch.eye(64)  # the value, half of which passes the gate sigmoid(0)
    kept = module(1 + torch.rand(3, 40, 64, generator=draws())) != 0
    assert torch.equal(kept.all(1), kept.any(1))
    assert 0.3 < float(kept.float().mean()) < 0.7
    assert (module.eval()(torch.ones(1, 4, 64)) != 0).all()


def test_block_is_normalised_after_its_residual() -> None:
    with seeded_weights(1):
        block = S4DBlock(6, 8, 0.0).eval()
    frames = torch.randn(2, 9, 6, generator=draws())
    with torch.no_grad():
        sums = frames + block.layer(frames)
        torch.testing.assert_close(block(frames), torch.nn.functional.layer_norm(sums, (6,)))


def test_bfloat16_is_near_and_its_kernel_is_not_bfloat16() -> None:
    with seeded_weights(1):
        block = S4DBlock(64, 16).eval()
    frames = torch.randn(2, 60, 64, generator=draws())
    with torch.no_grad():
        exact = block(frames)
        with torch.autocast("cpu", torch.bfloat16):
            kernel, found = block.layer.kernel(60), block(frames)
    assert kernel.dtype == torch.float32
    assert float((found - exact).abs().max()) < 0.1  # of values around 1: bfloat16 keeps 8 bits
    assert float((found - exact).square().mean().sqrt()) < 0.01
