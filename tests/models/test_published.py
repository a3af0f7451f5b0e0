"""Published checkpoints, restated as state dicts of their publishers' names and shapes, in our encoders.

The names and shapes were read in nttcslab/byol-a (byol_a/models.py, v2/byol_a2/models.py), CHeggan/MT-SLVR
(Models_/residual_adapter.py, split_resnet.py), s3prl/s3prl (upstream/mockingjay/model.py), torchaudio 2.11,
facebookresearch/fairseq (models/wav2vec/wav2vec2.py) as torchaudio imports it, and huggingface/transformers. What they
mean is restated below, or torchaudio's own import says it.
"""

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    adaptive_avg_pool2d,
    batch_norm,
    conv2d,
    gelu,
    layer_norm,
    linear,
    max_pool2d,
    relu,
    softmax,
)
from torchaudio.models import Wav2Vec2Model, wav2vec2_model
from torchaudio.models.wav2vec2.utils import import_huggingface_model
from torchaudio.models.wav2vec2.utils.import_fairseq import _convert_state_dict

from birdssl.errors import IncompatibleError, UsageError
from birdssl.models.encoder import Encoder
from birdssl.models.layouts import LAYOUTS
from birdssl.models.published import load_published, published_options
from birdssl.models.registry import build_encoder

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, Tensor]


def filled(shapes: Shapes) -> Weights:
    """Numbers that keep a network's values near 1: small weights, gains near 1, positive variances."""
    generator = torch.Generator().manual_seed(11)
    found: Weights = {}
    for name, shape in shapes.items():
        drawn = torch.randn(shape, generator=generator)
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(100)
        elif name.endswith("running_var"):
            found[name] = 0.5 + drawn.square()
        elif len(shape) == 1:
            found[name] = (1 if name.endswith(("weight", "gamma")) else 0) + 0.1 * drawn
        else:
            found[name] = drawn / math.sqrt(math.prod(shape[1:]))
    return found


def size(shapes: Shapes) -> int:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(buffers))


def norm(name: str, width: int) -> Shapes:
    """A batch normalisation."""
    parts = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (width,))
    return {f"{name}.{part}": shape for part, shape in {**parts, "num_batches_tracked": ()}.items()}


def dense(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def normed(name: str, width: int) -> Shapes:
    """A layer normalisation."""
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


# --- BYOL-A -----------------------------------------------------------------------------------------------------------
def byol_a(bins: int, features: int, version: int = 1) -> Shapes:
    shapes: Shapes = {}
    for block in range(3 if version == 1 else 2):
        shapes |= {f"features.{4 * block}.weight": (64, 64 if block else 1, 3, 3)}
        shapes |= {f"features.{4 * block}.bias": (64,)} | norm(f"features.{4 * block + 1}", 64)
    values = 64 * (bins // (8 if version == 1 else 4))
    if version == 1:
        return shapes | dense("fc.0", features, values) | dense("fc.3", features, features)
    return shapes | dense("fc.0", 2048, values) | dense("fc.3", features - values, 2048)


def normalised(x: Tensor, weights: Weights, name: str) -> Tensor:
    parts = [weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return batch_norm(x, *parts, training=False)


def byol_a_says(weights: Weights, x: Tensor, version: int) -> Tensor:
    for block in range(3 if version == 1 else 2):
        at = 4 * block
        x = conv2d(x, weights[f"features.{at}.weight"], weights[f"features.{at}.bias"], padding=1)
        x = max_pool2d(relu(normalised(x, weights, f"features.{at + 1}")), 2)
    batch, channels, mels, times = x.shape
    x = x.permute(0, 3, 2, 1).reshape(batch, times, mels * channels)
    made = relu(linear(x, weights["fc.0.weight"], weights["fc.0.bias"]))
    made = relu(linear(made, weights["fc.3.weight"], weights["fc.3.bias"]))
    x = made if version == 1 else torch.cat([x, made], dim=-1)
    return x.max(dim=1).values + x.mean(dim=1)


@pytest.mark.parametrize(("features", "millions"), [(512, 0.60), (1024, 1.65), (2048, 5.32)])
def test_byol_a_has_the_published_sizes(features: int, millions: float) -> None:
    assert size(byol_a(64, features)) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("prefix", ["", "model.", "learner.online_encoder.net."])
@pytest.mark.parametrize(("version", "features"), [(1, 24), (2, 300)])
def test_byol_a(version: int, features: int, prefix: str) -> None:
    weights = filled(byol_a(16, features, version))
    given = {prefix + name: tensor for name, tensor in weights.items()}
    if prefix.startswith("learner"):
        given |= {f"learner.target_encoder.net.{name}": torch.zeros(1) for name in weights}
        given |= {"learner.online_predictor.net.0.weight": torch.zeros(1)}
    options = published_options("byol-a-cnn", given, "w.pth")
    assert options == {"version": version, "features": features}
    encoder = build_encoder("byol-a-cnn", channels=1, bins=16, **options).eval()
    said = load_published(encoder, given, "w.pth")
    assert said.startswith(f"w.pth: {len(weights)} tensors read in BYOL-A's layout")
    assert ("target network" in said) is prefix.startswith("learner")
    assert "--preset byol-a" in said
    x = torch.randn(2, 1, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), byol_a_says(weights, x, version))


# --- MT-SLVR ----------------------------------------------------------------------------------------------------------
def mt_slvr(kind: str, channels: int = 3, tasks: int = 2) -> Shapes:
    shapes: Shapes = {"conv1.weight": (64, channels, 7, 7)} | norm("bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            for conv in (1, 2):
                taken = inputs if conv == 1 else width
                name = f"layer{stage}.{block}.conv{conv}"
                shapes |= task_conv(name, kind, taken, width, 1 if stage == 1 else tasks)
            inputs = width
    for task in range(tasks):
        shapes |= norm(f"end_bns.{task}.0", 512) | dense(f"fc_layers.{task}", 1000 // tasks, 512)
    return shapes


def task_conv(name: str, kind: str, inputs: int, width: int, tasks: int) -> Shapes:
    shapes: Shapes = {f"{name}.conv.weight": (width, inputs, 3, 3)}
    for task in range(tasks):
        if kind == "parallel":
            shapes[f"{name}.parallel_conv.{task}.conv.weight"] = (width, inputs, 1, 1)
        if kind == "series":
            shapes |= norm(f"{name}.bns.{task}.0.conv.0", width)
            shapes[f"{name}.bns.{task}.0.conv.1.weight"] = (width, width, 1, 1)
        shapes |= norm(f"{name}.bns.{task}" + (".1" if kind == "series" else ""), width)
    return shapes


def split(channels: int = 3, tasks: int = 2) -> Shapes:
    shapes: Shapes = {"conv1.weight": (64, channels, 7, 7)} | norm("bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (width, inputs, 3, 3), f"{name}.conv2.weight": (width, width, 3, 3)}
            shapes |= norm(f"{name}.bn1", width) | norm(f"{name}.bn2", width)
            if inputs != width:
                shapes |= {f"{name}.downsample.0.weight": (width, inputs, 1, 1)} | norm(f"{name}.downsample.1", width)
            inputs = width
    for task in range(tasks):
        shapes |= dense(f"fc_layers.{task}", 1000 // tasks, 512)
    return shapes


def stem_says(weights: Weights, x: Tensor) -> Tensor:
    x = relu(normalised(conv2d(x, weights["conv1.weight"], stride=2, padding=3), weights, "bn1"))
    return max_pool2d(x, 3, stride=2, padding=1)


def blocks() -> Iterator[tuple[int, int, int]]:
    """Stage, block, and stride of the block's first convolution."""
    for stage in range(1, 5):
        for block in range(2):
            yield stage, block, 2 if stage > 1 and block == 0 else 1


def task_conv_says(weights: Weights, name: str, kind: str, x: Tensor, stride: int, task: int) -> Tensor:
    y = conv2d(x, weights[f"{name}.conv.weight"], stride=stride, padding=1)
    if kind == "parallel":
        y = y + conv2d(x, weights[f"{name}.parallel_conv.{task}.conv.weight"], stride=stride)
    if kind == "series":
        adapted = normalised(y, weights, f"{name}.bns.{task}.0.conv.0")
        y = y + conv2d(adapted, weights[f"{name}.bns.{task}.0.conv.1.weight"])
        return normalised(y, weights, f"{name}.bns.{task}.1")
    return normalised(y, weights, f"{name}.bns.{task}")


def mt_slvr_says(weights: Weights, kind: str, x: Tensor, task: int) -> Tensor:
    x = stem_says(weights, x)
    for stage, block, stride in blocks():
        name, own = f"layer{stage}.{block}", 0 if stage == 1 else task
        y = relu(task_conv_says(weights, f"{name}.conv1", kind, x, stride, own))
        y = task_conv_says(weights, f"{name}.conv2", kind, y, 1, own)
        if stride == 2:
            pooled = adaptive_avg_pool2d(x, y.shape[-2:])
            x = torch.cat([pooled, torch.zeros_like(pooled)], dim=1)
        x = relu(y + x)
    x = relu(normalised(x, weights, f"end_bns.{task}.0")).mean(dim=(2, 3))
    return linear(x, weights[f"fc_layers.{task}.weight"], weights[f"fc_layers.{task}.bias"])


def split_says(weights: Weights, x: Tensor, task: int) -> Tensor:
    x = stem_says(weights, x)
    for stage, block, stride in blocks():
        name = f"layer{stage}.{block}"
        y = relu(
            normalised(conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1), weights, f"{name}.bn1")
        )
        y = normalised(conv2d(y, weights[f"{name}.conv2.weight"], padding=1), weights, f"{name}.bn2")
        if stride == 2:
            shortcut = conv2d(x, weights[f"{name}.downsample.0.weight"], stride=2)
            x = normalised(shortcut, weights, f"{name}.downsample.1")
        x = relu(y + x)
    return linear(x.mean(dim=(2, 3)), weights[f"fc_layers.{task}.weight"], weights[f"fc_layers.{task}.bias"])


@pytest.mark.parametrize(("kind", "parameters"), [("bn", 11_524_904), ("series", 14_308_648), ("parallel", 13_949_736)])
def test_mt_slvr_has_the_published_sizes(kind: str, parameters: int) -> None:
    assert size(mt_slvr(kind)) == parameters


@pytest.mark.parametrize("kind", ["parallel", "series", "bn", "none"])
def test_mt_slvr(kind: str) -> None:
    weights = filled(split() if kind == "none" else mt_slvr(kind))
    given = weights if kind == "bn" else {f"backbone.{name}": tensor for name, tensor in weights.items()}
    if kind != "bn":
        given |= {"cont_projector.0.weight": torch.zeros(1), "predict_projector.fc1.weight": torch.zeros(1)}
    options = published_options("resnet18-adapters", given, "w.pt")
    assert options == {"adapters": kind, "tasks": 2}
    encoder = build_encoder("resnet18-adapters", channels=3, bins=32, **options).eval()
    said = load_published(encoder, given, "w.pt")
    assert f"{len(weights)} tensors read" in said
    assert ("the heads of pretraining" in said) is (kind != "bn")
    x = torch.randn(2, 3, 32, 21)
    with torch.no_grad():
        expected = [
            split_says(weights, x, task) if kind == "none" else mt_slvr_says(weights, kind, x, task) for task in (0, 1)
        ]
        torch.testing.assert_close(encoder(x), torch.cat(expected, dim=1), atol=1e-4, rtol=1e-4)


# --- Mockingjay and TERA ----------------------------------------------------------------------------------------------
def s3prl(layers: int, width: int, hidden: int, bins: int, targets: int) -> Shapes:
    front = "Transformer.input_representations"
    shapes = dense(f"{front}.spec_transform", width, bins) | normed(f"{front}.LayerNorm", width)
    for layer in range(layers):
        name = f"Transformer.encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= dense(f"{name}.attention.{part}", width, width)
        shapes |= normed(f"{name}.attention.output.LayerNorm", width) | normed(f"{name}.output.LayerNorm", width)
        shapes |= dense(f"{name}.intermediate.dense", hidden, width) | dense(f"{name}.output.dense", width, hidden)
    head = dense("SpecHead.dense", width, width) | normed("SpecHead.LayerNorm", width)
    return shapes | head | dense("SpecHead.output", targets, width)


def s3prl_says(weights: Weights, x: Tensor, heads: int) -> Tensor:
    """(B, 1, bins, T) to the mean over time of the last layer."""

    def apply(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[f"Transformer.{name}.weight"], weights[f"Transformer.{name}.bias"])

    def settle(name: str, x: Tensor) -> Tensor:
        gain, shift = weights[f"Transformer.{name}.LayerNorm.weight"], weights[f"Transformer.{name}.LayerNorm.bias"]
        return layer_norm(x, x.shape[-1:], gain, shift, 1e-12)

    x = apply("input_representations.spec_transform", x[:, 0].transpose(1, 2))
    width = x.shape[-1]
    angles = [[t / 10000 ** (2 * (i // 2) / width) for i in range(width)] for t in range(x.shape[1])]
    places = torch.tensor([[math.cos(a) if i % 2 else math.sin(a) for i, a in enumerate(row)] for row in angles])
    x = settle("input_representations", x + places)
    for layer in range(sum(name.endswith("self.query.weight") for name in weights)):
        name = f"encoder.layer.{layer}"
        query, key, value = (
            apply(f"{name}.attention.self.{part}", x).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        scores = softmax(query @ key.transpose(-1, -2) / math.sqrt(width // heads), dim=-1)
        attended = (scores @ value).transpose(1, 2).flatten(2)
        x = settle(f"{name}.attention.output", x + apply(f"{name}.attention.output.dense", attended))
        x = settle(f"{name}.output", x + apply(f"{name}.output.dense", gelu(apply(f"{name}.intermediate.dense", x))))
    return x.mean(dim=1)


def test_s3prl_has_the_published_sizes() -> None:
    shapes = s3prl(3, 768, 3072, 80, 80)
    head = {name: shape for name, shape in shapes.items() if name.startswith("SpecHead")}
    assert size(shapes) - size(head) == 21_327_360
    assert size(head) == 653_648
    large = s3prl(12, 768, 3072, 80, 201)
    assert sum(math.prod(shape) for name, shape in large.items() if name.startswith("T")) / 1e6 == pytest.approx(
        85.1, 0.001
    )


@pytest.mark.parametrize("old", [False, True])
def test_s3prl(old: bool) -> None:
    weights = filled(s3prl(2, 24, 40, 16, 20))
    given = {**weights, "Config.heads": torch.tensor(3)}
    if old:
        old_names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        for new, was in old_names.items():
            given = {name.replace(new, was): tensor for name, tensor in given.items()}
    options = published_options("transformer", given, "states-1.ckpt")
    assert options == {"layers": 2, "width": 24, "feedforward": 40, "heads": 3}
    encoder = build_encoder("transformer", channels=1, bins=16, **options).eval()
    said = load_published(encoder, given, "states-1.ckpt")
    assert "the head that rebuilds spectra" in said
    x = torch.randn(2, 1, 16, 30)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), s3prl_says(weights, x, heads=3), atol=1e-5, rtol=1e-4)


def test_heads_that_no_shape_shows() -> None:
    weights = {**filled(s3prl(1, 24, 40, 16, 20)), "Config.heads": torch.tensor(3)}
    encoder = build_encoder("transformer", channels=1, bins=16, layers=1, width=24, feedforward=40, heads=4)
    with pytest.raises(IncompatibleError, match=r"3 attention heads, expected 4\. .* with heads 3: take that one"):
        load_published(encoder, weights, "states-1.ckpt")


# --- wav2vec 2.0 and HuBERT -------------------------------------------------------------------------------------------
SMALL = {"layers": 2, "width": 64, "channels": 16}
KERNELS = (10, 3, 3, 3, 3, 2, 2)
LEFT = {  # of pretraining, beside the encoder (wav2vec 2.0 base)
    "fairseq": {"mask_emb": (64,), "quantizer.vars": (1, 640, 128), "quantizer.weight_proj.weight": (640, 16),
                "project_q.weight": (256, 256), "final_proj.weight": (256, 64)},
    "hf": {"wav2vec2.masked_spec_embed": (64,), "quantizer.codevectors": (1, 640, 128), "project_hid.weight": (256, 64),
           "quantizer.weight_proj.weight": (640, 16), "project_q.weight": (256, 256)},
}  # fmt: skip


def fairseq(first: bool) -> Shapes:
    """Base (one group normalisation, normalised after), or `first`: the large ones' layers at a small size."""
    shapes: Shapes = {}
    for layer, kernel in enumerate(KERNELS):
        name = f"feature_extractor.conv_layers.{layer}"
        shapes[f"{name}.0.weight"] = (16, 16 if layer else 1, kernel)
        if first:
            shapes |= {f"{name}.0.bias": (16,)} | normed(f"{name}.2.1", 16)
        elif layer == 0:
            shapes |= normed(f"{name}.2", 16)
    shapes |= normed("layer_norm", 16) | dense("post_extract_proj", 64, 16) | normed("encoder.layer_norm", 64)
    shapes |= {"encoder.pos_conv.0.bias": (64,), "encoder.pos_conv.0.weight_g": (1, 1, 128)}
    shapes |= {"encoder.pos_conv.0.weight_v": (64, 4, 128)}
    for layer in range(2):
        name = f"encoder.layers.{layer}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= dense(f"{name}.self_attn.{part}", 64, 64)
        shapes |= normed(f"{name}.self_attn_layer_norm", 64) | normed(f"{name}.final_layer_norm", 64)
        shapes |= dense(f"{name}.fc1", 256, 64) | dense(f"{name}.fc2", 64, 256)
    return shapes


def hugging_face(first: bool) -> Shapes:
    shapes: Shapes = {}
    for layer, kernel in enumerate(KERNELS):
        name = f"feature_extractor.conv_layers.{layer}"
        shapes[f"{name}.conv.weight"] = (16, 16 if layer else 1, kernel)
        if first:
            shapes[f"{name}.conv.bias"] = (16,)
        if first or layer == 0:
            shapes |= normed(f"{name}.layer_norm", 16)
    shapes |= normed("feature_projection.layer_norm", 16) | dense("feature_projection.projection", 64, 16)
    shapes |= {"encoder.pos_conv_embed.conv.bias": (64,), "encoder.pos_conv_embed.conv.weight_g": (1, 1, 128)}
    shapes |= {"encoder.pos_conv_embed.conv.weight_v": (64, 4, 128)} | normed("encoder.layer_norm", 64)
    for layer in range(2):
        name = f"encoder.layers.{layer}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            shapes |= dense(f"{name}.attention.{part}", 64, 64)
        shapes |= normed(f"{name}.layer_norm", 64) | normed(f"{name}.final_layer_norm", 64)
        shapes |= dense(f"{name}.feed_forward.intermediate_dense", 256, 64)
        shapes |= dense(f"{name}.feed_forward.output_dense", 64, 256)
    return shapes


def plan(first: bool) -> dict[str, Any]:
    """torchaudio's arguments for the networks above."""
    convolutions = [(16, kernel, stride) for kernel, stride in zip(KERNELS, (5, 2, 2, 2, 2, 2, 2), strict=True)]
    return {
        "extractor_mode": "layer_norm" if first else "group_norm", "extractor_conv_layer_config": convolutions,
        "extractor_conv_bias": first, "encoder_embed_dim": 64, "encoder_projection_dropout": 0.1,
        "encoder_pos_conv_kernel": 128, "encoder_pos_conv_groups": 16, "encoder_num_layers": 2, "encoder_num_heads": 1,
        "encoder_attention_dropout": 0.1, "encoder_ff_interm_features": 256, "encoder_ff_interm_dropout": 0.0,
        "encoder_dropout": 0.1, "encoder_layer_norm_first": first, "encoder_layer_drop": 0.05, "aux_num_out": None,
    }  # fmt: skip


def same_as(encoder: Encoder, net: Wav2Vec2Model, first: bool) -> None:
    clips = 0.1 * torch.randn(2, 3000)
    given = layer_norm(clips, clips.shape[-1:]) if first else clips
    with torch.no_grad():
        expected, _ = net.eval()(given)
        torch.testing.assert_close(encoder.eval()(clips), expected.mean(dim=1), atol=1e-5, rtol=1e-4)


def small_speech(name: str, first: bool) -> Encoder:
    return build_encoder(name, size="large-lv60k" if first else "base", layer="last", **SMALL)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("tuned", [False, True])
def test_fairseq_as_torchaudio_imports_it(first: bool, tuned: bool) -> None:
    weights = filled(fairseq(first))
    given = {f"w2v_encoder.w2v_model.{name}": tensor for name, tensor in weights.items()} if tuned else dict(weights)
    left = {"w2v_encoder.proj.weight": (32, 64), "w2v_encoder.proj.bias": (32,)} if tuned else LEFT["fairseq"]
    encoder = small_speech("wav2vec2", first)
    said = load_published(encoder, given | filled(left), "wav2vec_small.pt")
    assert f"{len(weights)} tensors read in fairseq's layout; {len(left)} left out" in said
    net = wav2vec2_model(**plan(first))
    net.load_state_dict(_convert_state_dict(weights))
    same_as(encoder, net, first)


class Tree(nn.Module):
    """Parameters under dotted names."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        for part in dict.fromkeys(name.split(".")[0] for name in weights):
            if part in weights:
                self.register_parameter(part, nn.Parameter(weights[part]))
            else:
                below = {name.removeprefix(part + "."): t for name, t in weights.items() if name.startswith(part + ".")}
                self.add_module(part, Tree(below))


class Wav2Vec2Model_(Tree):
    pass


Wav2Vec2Model_.__name__ = "Wav2Vec2Model"  # torchaudio goes by the class's name


@pytest.mark.parametrize("first", [False, True])
def test_hugging_face_as_torchaudio_imports_it(first: bool) -> None:
    weights = filled(hugging_face(first))
    original = Wav2Vec2Model_(weights)
    original.config = SimpleNamespace(
        feat_extract_norm="layer" if first else "group", conv_dim=[16] * 7, conv_kernel=KERNELS,
        conv_stride=(5, 2, 2, 2, 2, 2, 2), conv_bias=first, hidden_size=64, feat_proj_dropout=0.1,
        num_conv_pos_embeddings=128, num_conv_pos_embedding_groups=16, num_hidden_layers=2, num_attention_heads=1,
        attention_dropout=0.1, intermediate_size=256, activation_dropout=0.0, hidden_dropout=0.1,
        do_stable_layer_norm=first, layerdrop=0.05,
    )  # fmt: skip
    given = {f"wav2vec2.{name}": tensor for name, tensor in weights.items()} | filled(LEFT["hf"])
    encoder = small_speech("wav2vec2", first)
    said = load_published(encoder, given, "model.safetensors")
    assert f"{len(weights)} tensors read in Hugging Face's layout; 5 left out" in said
    same_as(encoder, import_huggingface_model(original), first)


def test_hugging_face_hubert_has_no_prefix_or_its_own() -> None:
    weights = filled(hugging_face(first=False))
    for prefix in ("", "hubert."):
        encoder = build_encoder("hubert", **SMALL)
        load_published(encoder, {prefix + name: tensor for name, tensor in weights.items()}, "pytorch_model.bin")
        name = "feed_forward.output_dense.bias"
        found = encoder.state_dict()[f"net.encoder.transformer.layers.1.{name}"]
        torch.testing.assert_close(found, weights[f"encoder.layers.1.{name}"])


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("prefix", ["", "model.", "wav2vec2."])
def test_torchaudios_own_files(published: bool, prefix: str) -> None:
    """Its files are older than its code: they name the weight of the position's convolution by `weight_g` and `_v`."""
    net = wav2vec2_model(**plan(False))
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    if published:
        for new, old in {
            "parametrizations.weight.original0": "weight_g",
            "parametrizations.weight.original1": "weight_v",
        }.items():
            weights = {name.replace(new, old): tensor for name, tensor in weights.items()}
        net.load_state_dict(weights)  # torchaudio takes the old names, too
    left = {"wav2vec2.": "mask_generator.mask_embedding", "model.": "model.aux.weight", "": "aux.weight"}[prefix]
    given = {prefix + name: tensor for name, tensor in weights.items()} | {left: torch.zeros(64)}
    encoder = small_speech("hubert", False)
    said = load_published(encoder, given, "hubert_fairseq_base_ls960.pth")
    assert f"{len(weights)} tensors read in torchaudio's layout; 1 left out" in said
    same_as(encoder, net, False)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert"])
@pytest.mark.parametrize("wanted", ["base", "large"])
def test_the_size_of_a_speech_file_shows(name: str, wanted: str) -> None:
    with torch.device("meta"):
        weights = build_encoder(name, size=wanted).net.state_dict()
    assert published_options(name, weights, "w.pth") == {"size": wanted}


def test_the_mixture_starts_as_it_is() -> None:
    encoder = build_encoder("wav2vec2", **SMALL)
    load_published(encoder, filled(fairseq(False)), "w.pt")
    assert encoder.scalars.tolist() == [0, 0, 0]


# --- what doesn't fit -------------------------------------------------------------------------------------------------
def small_byol() -> Encoder:
    return build_encoder("byol-a-cnn", channels=1, bins=16, features=24)


def refusal(weights: Weights, encoder: Encoder | None = None) -> str:
    encoder = encoder or small_byol()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(IncompatibleError) as refused:
        load_published(encoder, weights, "w.pth")
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert "w.pth" in str(refused.value)
    return str(refused.value)


def test_a_missing_tensor() -> None:
    weights = filled(byol_a(16, 24))
    del weights["fc.3.bias"]
    said = refusal(weights)
    assert "1 tensors are missing (first dense.3.bias)" in said
    assert "Give the whole file as it was published" in said


def test_a_count_of_batches_may_be_missing() -> None:
    weights = filled(byol_a(16, 24))
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    assert f"{len(kept)} tensors read" in load_published(small_byol(), kept, "w.pth")


def test_an_unknown_tensor() -> None:
    assert "1 are unknown (first head.weight)" in refusal(filled(byol_a(16, 24)) | {"head.weight": torch.zeros(2)})


def test_a_tensor_of_no_layer_here() -> None:
    said = refusal(filled(byol_a(16, 24)) | {"features.12.weight": torch.zeros(2)})
    assert "1 are unknown (first convolutions.12.weight)" in said


def test_another_size_says_which() -> None:
    said = refusal(filled(byol_a(16, 32)))
    assert "(first dense.0.weight: (32, 128), expected (24, 128))" in said
    assert "The file is of an encoder with features 32: take that one" in said


def test_another_frontend_says_which() -> None:
    said = refusal(filled(byol_a(32, 24)))
    assert "(first dense.0.weight: (24, 256), expected (24, 128))" in said
    assert "log-mel of 64 bands from 60 to 7,800 Hz at 16 kHz (--preset byol-a)" in said


def test_a_file_for_another_encoder_says_which() -> None:
    said = refusal(filled(s3prl(1, 24, 40, 16, 20)))
    assert "holds no weights of byol-a-cnn" in said
    assert "It looks like one for transformer" in said


def test_a_file_of_nothing_known() -> None:
    assert "Give a file that these codes publish" in refusal({"a": torch.zeros(1)})
    assert "the first of its 0 tensors is none" in refusal({})


def test_the_other_speech_network() -> None:
    hubert = filled(fairseq(False)) | {"label_embs_concat": torch.zeros(504, 256)}
    assert "choose --encoder hubert" in refusal(hubert, build_encoder("wav2vec2", **SMALL))
    wav2vec = filled(fairseq(False)) | {"quantizer.vars": torch.zeros(1, 640, 128)}
    assert "choose --encoder wav2vec2" in refusal(wav2vec, build_encoder("hubert", **SMALL))


def test_layers_normalised_before_are_refused() -> None:
    """s3prl's `pre_layer_norm` adds a normalisation of each output, which our transformer doesn't have."""
    weights = filled(s3prl(1, 24, 40, 16, 20)) | filled(normed("Transformer.encoder.LayerNorm.0", 24))
    encoder = build_encoder("transformer", channels=1, bins=16, layers=1, width=24, feedforward=40, heads=4)
    assert "unknown (first Transformer.encoder.LayerNorm.0.weight)" in refusal(weights, encoder)


def test_encoders_without_published_checkpoints() -> None:
    encoder = build_encoder("simplecnn", height=128, width=128)
    with pytest.raises(UsageError, match="no published checkpoints are known for simplecnn; there are for byol-a-cnn"):
        load_published(encoder, {}, "w.pth")


def test_no_two_layouts_of_an_encoder_fit_one_file() -> None:
    files = [byol_a(16, 24), mt_slvr("parallel"), mt_slvr("series"), split(), s3prl(1, 24, 40, 16, 20), fairseq(False)]
    files += [hugging_face(True), dict.fromkeys(wav2vec2_model(**plan(False)).state_dict(), ())]
    for layouts in LAYOUTS.values():
        for names in files:
            assert sum(layout.fits(names) for layout in layouts) <= 1


def test_the_large_hubert_of_hugging_face_has_biases_in_its_convolutions() -> None:
    """fairseq's and torchaudio's have none, and a file with seven tensors more was refused."""
    with torch.device("meta"):
        weights = build_encoder("hubert", size="large-bias").net.state_dict()
    assert published_options("hubert", weights, "w.pth") == {"size": "large-bias"}
    assert "feature_extractor.conv_layers.0.conv.bias" in weights
