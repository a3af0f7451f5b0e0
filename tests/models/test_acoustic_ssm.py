"""AcousticSSM and Adapted CNN: the reference's sizes and shapes, causality, and frames one by one."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.acoustic_ssm import SIZES, AcousticSSM, acoustic_ssm, adapted_cnn
from birdssl.models.causal_convolution import causal_convolution
from birdssl.models.frequency_cnn import FrequencyCNN, ResidualBlock, halved
from birdssl.models.initial import seeded_weights
from birdssl.training.loop import make_fabric

TINY = {"widths": [8, 16], "ssm_layers": 2, "state": 8}


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def spectra(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5))


def tiny(**options: object) -> AcousticSSM:
    """A small encoder whose batch statistics are not those of a fresh one."""
    with seeded_weights(2):
        encoder = acoustic_ssm(channels=3, bins=16, **{**TINY, **options})  # type: ignore[arg-type]
    encoder.train()
    for _ in range(3):
        encoder(2 * spectra(4, 3, 16, 20) + 1)
    return encoder.eval()


@pytest.mark.parametrize(("state", "expected"), [(64, 7_402_176), (32, 7_205_568), (16, 7_107_264)])
def test_the_papers_size(state: int, expected: int) -> None:
    assert parameters(acoustic_ssm(channels=3, bins=128, state=state)) == expected


def test_adapted_cnn_is_the_same_without_the_state_spaces() -> None:
    cnn, whole = adapted_cnn(channels=3, bins=128), acoustic_ssm(channels=3, bins=128)
    assert parameters(cnn) == 3_844_800
    assert set(cnn.state_dict()) == {name for name in whole.state_dict() if not name.startswith("blocks.")}
    assert cnn.options.keys() < whole.options.keys()


@pytest.mark.parametrize(
    ("strided", "expected"),
    [
        (True, [(64, 32), (64, 32), (128, 16), (256, 8), (512, 4)]),
        (False, [(64, 64), (64, 64), (128, 64), (256, 64), (512, 64)]),
    ],
)
def test_shapes_of_every_stage(strided: bool, expected: list[tuple[int, int]]) -> None:
    cnn = FrequencyCNN(3, (64, 128, 256, 512), strided)
    shapes: list[tuple[int, ...]] = []
    cnn.blocks[0].register_forward_pre_hook(lambda _module, inputs: shapes.append(tuple(inputs[0].shape[1:])))
    for module in cnn.blocks:
        module.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    frames = cnn(spectra(2, 3, 128, 5))
    assert shapes[:1] + shapes[2::2] == [(*shape, 5) for shape in expected]
    assert sum(isinstance(module, ResidualBlock) for module in cnn.blocks) == 8
    assert frames.shape == (2, 5, 512)


@pytest.mark.parametrize("bins", [1, 2, 7, 8])
@pytest.mark.parametrize("ties", [False, True])
def test_pooling_is_the_librarys(bins: int, ties: bool) -> None:
    maps = spectra(2, 3, bins, 5).contiguous(memory_format=torch.channels_last)
    maps = (maps.round() if ties else maps).requires_grad_()
    found, expected = halved(maps), functional.max_pool2d(maps, (3, 1), (2, 1), (1, 0))
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    upstream = spectra(*found.shape)
    (given,) = torch.autograd.grad(found, maps, upstream)
    torch.testing.assert_close(given, *torch.autograd.grad(expected, maps, upstream))


def test_embedding_is_the_mean_of_the_frames() -> None:
    encoder = tiny()
    clips = spectra(2, 3, 16, 9)
    with torch.no_grad():
        assert encoder.frames(clips).shape == (2, 16, 9)
        torch.testing.assert_close(encoder(clips), encoder.frames(clips).mean(2))
        assert encoder(spectra(2, 3, 16, 40)).shape == (2, 16)  # any number of frames
        with pytest.raises(ValueError, match=r"3, 16"):
            encoder(spectra(2, 3, 17, 9))


def test_the_network_over_frequency_never_mixes_frames() -> None:
    cnn = tiny().cnn
    clips = spectra(2, 3, 16, 40)
    changed = clips.clone()
    changed[..., 30:] = 7
    with torch.no_grad():
        before, after = cnn(clips), cnn(changed)
    assert torch.equal(before[:, :30], after[:, :30])
    assert (before[:, 30:] != after[:, 30:]).any()


def test_no_frame_hears_the_future() -> None:
    encoder = tiny()
    clips = spectra(2, 3, 16, 40)
    changed = clips.clone()
    changed[..., 30:] = 7
    with torch.no_grad():
        before, after = encoder.frames(clips), encoder.frames(changed)
    torch.testing.assert_close(before[..., :30], after[..., :30], rtol=0, atol=1e-5)
    assert (before[..., 30:] - after[..., 30:]).abs().max() > 0.1


def test_every_frame_hears_the_past() -> None:
    encoder = tiny()
    clips = spectra(1, 3, 16, 40).requires_grad_()
    encoder.frames(clips)[:, 3, -1].sum().backward()
    assert clips.grad is not None
    assert (clips.grad.abs().amax((0, 1, 2)) > 0).all()


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
@pytest.mark.parametrize("init", ["lin", "inv"])
def test_frame_by_frame_equals_the_whole_clip(init: str, discretisation: str) -> None:
    encoder = tiny(init=init, discretisation=discretisation)
    clips = spectra(2, 3, 16, 200)
    with torch.inference_mode():
        whole = encoder.frames(clips)
        state, heard = encoder.initial_state(2, "cpu"), []
        for frame in clips.unbind(-1):
            features, state = encoder.step(frame, state)
            heard.append(features)
    torch.testing.assert_close(torch.stack(heard, -1), whole, rtol=0, atol=1e-4)


def test_several_frames_at_once_go_on_from_a_state() -> None:
    encoder, clips = tiny(), spectra(2, 3, 16, 90)
    with torch.inference_mode():
        features = encoder.cnn(clips)
        state, heard = encoder.initial_state(2, "cpu"), []
        for part in features.split([1, 30, 7, 52], dim=1):
            made, state = encoder.advance(part, state)
            heard.append(made)
        torch.testing.assert_close(torch.cat(heard, 1), encoder.over_time(features), rtol=0, atol=1e-4)


def test_adapted_cnn_goes_frame_by_frame_without_a_state() -> None:
    encoder = adapted_cnn(channels=1, bins=16, widths=[8, 16]).eval()
    clips = spectra(2, 1, 16, 3)
    with torch.no_grad():
        features, state = encoder.step(clips[..., 1], encoder.initial_state(2, "cpu"))
        torch.testing.assert_close(features, encoder.frames(clips)[..., 1])
    assert state == []


def test_frames_one_by_one_need_eval_mode() -> None:
    encoder = tiny().train()
    with pytest.raises(ValueError, match="eval"):
        encoder.step(spectra(2, 3, 16), encoder.initial_state(2, "cpu"))


def test_the_group_for_state_spaces() -> None:
    encoder = acoustic_ssm(channels=3, bins=16, **TINY)  # type: ignore[arg-type]
    names = {id(weight): name for name, weight in encoder.named_parameters()}
    special = [names[id(weight)] for weight in encoder.ssm_parameters()]
    assert len(special) == 6
    assert {name.rpartition(".")[2] for name in special} == {"log_dt", "log_decay", "frequency"}
    assert adapted_cnn(channels=3, bins=16).ssm_parameters() == []


@pytest.mark.parametrize("size", SIZES)
def test_named_sizes_build_again_from_their_options(size: str) -> None:
    encoder = acoustic_ssm(channels=1, bins=64, **SIZES[size])
    again = acoustic_ssm(**encoder.options)
    assert again.options == encoder.options
    again.load_state_dict(encoder.state_dict())
    assert encoder.features == SIZES[size]["widths"][-1]


@pytest.mark.parametrize("wrong", [{"widths": []}, {"widths": [0]}, {"ssm_layers": 0}, {"state": 7}, {"init": "legs"}])
def test_sizes_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"got|use"):
        acoustic_ssm(channels=3, bins=16, **{**TINY, **wrong})  # type: ignore[arg-type]


def test_channels_last_is_a_layout_and_nothing_else() -> None:
    encoder, clips = tiny(), spectra(2, 3, 16, 9)
    with torch.no_grad():
        plain = encoder(clips)
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(encoder(clips), plain)
        torch.testing.assert_close(encoder(clips.contiguous(memory_format=torch.channels_last)), plain)


def test_bfloat16_trains_close_to_float32() -> None:
    """Through Fabric, as training does: loss and gradients, without dropout, in each precision."""
    clips, towards = spectra(8, 3, 32, 30), spectra(8, 32)
    found: dict[str, list[Tensor]] = {}
    for precision in ("fp32", "bf16"):
        with seeded_weights(2):
            encoder = acoustic_ssm(channels=3, bins=32, widths=[16, 32], ssm_layers=2, state=16, dropout=0)
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fabric = make_fabric(torch.device("cpu"), precision)
        network, optimiser = fabric.setup(encoder, torch.optim.Adam(encoder.parameters()))
        embeddings = network(clips)
        assert embeddings.dtype == torch.float32
        fabric.backward((embeddings * towards).sum())
        found[precision] = [embeddings.detach(), *(weight.grad for weight in encoder.parameters())]
        optimiser.step()
        assert all(weight.isfinite().all() for weight in encoder.parameters())
    for exact, near in zip(found["fp32"], found["bf16"], strict=True):
        assert near.dtype == torch.float32
        similarity = torch.cosine_similarity(exact.flatten(), near.flatten(), dim=0)
        assert float(similarity) > (0.999 if exact is found["fp32"][0] else 0.95)


def test_training_twice_gives_the_same_bits() -> None:
    def trained() -> list[Tensor]:
        with seeded_weights(2):
            encoder = acoustic_ssm(channels=3, bins=16, **TINY)  # type: ignore[arg-type]
            optimiser = torch.optim.Adam(encoder.parameters(), 1e-3)
            for _ in range(2):
                encoder(spectra(4, 3, 16, 20)).square().sum().backward()
                optimiser.step()
                optimiser.zero_grad()
        return list(encoder.state_dict().values())

    assert all(map(torch.equal, trained(), trained()))


def test_all_is_made_where_the_weights_are() -> None:
    """On torch's "meta" device, which refuses to meet tensors of another: a stand-in for a GPU."""
    encoder = acoustic_ssm(channels=3, bins=16, **TINY).to("meta")  # type: ignore[arg-type]
    frames = encoder.cnn(torch.empty(2, 3, 16, 20, device="meta"))
    layer = encoder._blocks()[0].layer  # its forward can't be called whole: there is no autocast on "meta" to turn off
    convolved = causal_convolution(frames, layer.kernel(20))
    layer._mixed(convolved).sum().backward()
    assert all(weight.grad is not None for module in (encoder.cnn, layer) for weight in module.parameters())
    features, after = encoder.eval().step(torch.empty(2, 3, 16, device="meta"), encoder.initial_state(2, "meta"))
    assert [value.device.type for value in (features, *after)] == ["meta"] * 3
