"""wav2vec 2.0 (Baevski et al. 2020) and HuBERT (Hsu et al. 2021): torchaudio's networks on the waveform at 16 kHz.

- seven convolutions: a frame of 25 ms (400 samples) every 20 ms (320), so 24,180 samples make 75 frames;
- a transformer of 12 layers (base), whose input and 12 outputs are 13 hidden states;
- the hidden states' sum, weighted by a softmax over learnt scalars that start at 0 (SUPERB), then the mean over time;
- `layer="last"` takes the transformer's output alone, as MT-SLVR's few-shot evaluation does.

Both have one architecture; they differ in how they were pretrained, and their large sizes in small things. Random until
`birdssl.models.published` fills them: neither is pretrained here.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from birdssl.errors import UsageError
from birdssl.models.encoder import Encoder, Input

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

SAMPLE_RATE = 16_000  # Hz, of every published checkpoint of these networks
KERNELS = (10, 3, 3, 3, 3, 2, 2)  # of the seven convolutions, in frames of the one before
STRIDES = (5, 2, 2, 2, 2, 2, 2)
SHORTEST = 400  # samples: what one frame sees
POSITION_KERNEL, POSITION_GROUPS = 128, 16  # of the convolution that tells the transformer where a frame stands


@dataclass(frozen=True)
class Architecture:
    """Sizes of one published network.

    Attributes:
        width: values a frame, H.
        layers: of the transformer.
        heads: of its attention.
        hidden: width of its feed-forward layers.
        norm: "group_norm" on the first convolution, or "layer_norm" on all seven.
        norm_first: layer normalisation before attention and feed-forward instead of after.
        bias: of the convolutions.
        normalise: whether it was trained on waveforms of mean 0 and deviation 1.
        channels: of the convolutions.
    """

    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    norm: str = "group_norm"
    norm_first: bool = False
    bias: bool = False
    normalise: bool = False
    channels: int = 512


BASE = Architecture()
LARGE = Architecture(1024, 24, 16, 4096)
LARGE_FIRST = Architecture(1024, 24, 16, 4096, "layer_norm", True, False, True)
LARGE_BIAS = replace(LARGE_FIRST, bias=True)

# torchaudio 2.11's factories and bundles; "large-lv60k" is also the architecture of XLSR-53 and XLS-R 300M.
WAV2VEC2: dict[str, Architecture] = {
    "base": BASE,
    "large": LARGE,
    "large-lv60k": LARGE_BIAS,
    "xlsr-1b": replace(LARGE_BIAS, width=1280, layers=48, hidden=5120),
    "xlsr-2b": replace(LARGE_BIAS, width=1920, layers=48, hidden=7680),
}
HUBERT: dict[str, Architecture] = {
    "base": BASE,
    "large": LARGE_FIRST,
    "large-bias": LARGE_BIAS,  # as Hugging Face publishes it, with biases in its convolutions
    "xlarge": replace(LARGE_FIRST, width=1280, layers=48, hidden=5120),
}


def wav2vec2(
    *,
    size: Literal["base", "large", "large-lv60k", "xlsr-1b", "xlsr-2b"] = "base",
    layer: Literal["weighted", "last"] = "weighted",
    layers: int | None = None,
    width: int | None = None,
    channels: int | None = None,
) -> "SpeechEncoder":
    """wav2vec 2.0; `layers`, `width` (a multiple of 64) and `channels` make a smaller network than the published."""
    return SpeechEncoder("wav2vec2", WAV2VEC2, size, layer, layers, width, channels)


def hubert(
    *,
    size: Literal["base", "large", "large-bias", "xlarge"] = "base",
    layer: Literal["weighted", "last"] = "weighted",
    layers: int | None = None,
    width: int | None = None,
    channels: int | None = None,
) -> "SpeechEncoder":
    """HuBERT; `layers`, `width` (a multiple of 64) and `channels` make a smaller network than the published one."""
    return SpeechEncoder("hubert", HUBERT, size, layer, layers, width, channels)


class SpeechEncoder(Encoder):
    """A speech network and a learnt mixture of its hidden states.

    To train it frozen, freeze `frozen_parts()` and nothing else: the mixture's scalars still learn (SUPERB). The mean
    over time and the mixture change places freely, so a frozen network's `pooled_states` may be computed once for each
    clip and `mix` applied to them in every epoch.

    Attributes:
        net: torchaudio's network, without a pretraining head.
        scalars: (states,) whose softmax weighs the hidden states; zeros at first. Absent with `layer="last"`.
    """

    takes: ClassVar[Input] = "waveform"
    shortest = SHORTEST

    def __init__(
        self,
        name: str,
        sizes: dict[str, Architecture],
        size: str,
        layer: str,
        layers: int | None,
        width: int | None,
        channels: int | None,
    ) -> None:
        if size not in sizes:
            raise UsageError(f'{name} has no size "{size}"; it has {", ".join(sizes)}')
        if layer not in ("weighted", "last"):
            raise UsageError(f'{name} has no layer "{layer}"; use "weighted" or "last"')
        plan = _smaller(name, sizes[size], layers, width, channels)
        super().__init__(
            name, plan.width, (None,), size=size, layer=layer, layers=layers, width=width, channels=channels
        )
        self.plan = plan
        self.net = _network(plan)
        self.scalars = nn.Parameter(torch.zeros(plan.layers + 1)) if layer == "weighted" else None

    def frozen_parts(self) -> tuple[nn.Module, ...]:
        """What stays as it is, in eval mode, when the encoder is frozen: the network, and not the mixture."""
        return (self.net,)

    def encode(self, inputs: Tensor) -> Tensor:
        """(B, samples) at 16 kHz to (B, H)."""
        return self.mix(self.pooled_states(inputs))

    def frames(self, inputs: Tensor) -> Tensor:
        """(B, samples) at 16 kHz to (B, H, frames), a frame every 20 ms."""
        return self.mix(torch.stack(self.states(inputs), dim=1)).transpose(1, 2)

    def pooled_states(self, inputs: Tensor) -> Tensor:
        """(B, samples) at 16 kHz to each state's mean over time, (B, states, H). One state with `layer="last"`."""
        return torch.stack([state.mean(dim=1) for state in self.states(inputs)], dim=1)

    def mix(self, states: Tensor) -> Tensor:
        """(B, states, ...) to (B, ...): the sum weighted by the softmax of `scalars`, or the only state."""
        if self.scalars is None:
            return states[:, 0]
        weights = torch.softmax(self.scalars.float(), dim=0).to(states.dtype)
        return torch.einsum("s,bs...->b...", weights, states)

    def states(self, inputs: Tensor) -> list[Tensor]:
        """The transformer's input and its layers' outputs, each (B, frames, H); the last alone with `layer="last"`.

        The last one passes the network's final normalisation where it has one (`norm_first`), as the published
        evaluations take it. torchaudio's `extract_features` leaves it out, and gives no input of the first layer.
        Raises ValueError for fewer than 400 samples, which make no frame.
        """
        if inputs.shape[-1] < SHORTEST:
            raise ValueError(
                f"{self.name} needs at least {SHORTEST} samples (25 ms) and got {inputs.shape[-1]}; give longer clips"
            )
        x, _ = self.net.feature_extractor(standardised(inputs) if self.plan.normalise else inputs, None)
        x = self.net.encoder.feature_projection(x)
        transformer = self.net.encoder.transformer
        x = x + transformer.pos_conv_embed(x)
        if not self.plan.norm_first:
            x = transformer.layer_norm(x)
        found = [transformer.dropout(x)]
        for layer in transformer.layers:
            found.append(layer(found[-1])[0])
        if self.plan.norm_first:
            found[-1] = transformer.layer_norm(found[-1])
        return found if self.scalars is not None else found[-1:]


def standardised(waves: Tensor) -> Tensor:
    """(B, samples) to mean 0 and deviation 1 of each clip; twice is the same as once.

    torchaudio's bundles take one mean and deviation of the whole batch, so that a clip's answer depends on the others;
    the published code runs them clip by clip.
    """
    return functional.layer_norm(waves, waves.shape[-1:])


def frame_count(samples: int) -> int:
    """Frames of a waveform of `samples` samples: 75 of 24,180; 0 of fewer than 400."""
    count = samples
    for kernel, stride in zip(KERNELS, STRIDES, strict=True):
        count = max((count - kernel) // stride + 1, 0)
    return count


def _smaller(
    name: str, plan: Architecture, layers: int | None, width: int | None, channels: int | None
) -> Architecture:
    """`plan` with other sizes where they are given; heads stay 64 wide and feed-forward layers four times the width."""
    if width is not None:
        if width < 64 or width % 64:
            raise UsageError(f"{name}: width {width} must be a multiple of 64, the width of an attention head")
        plan = replace(plan, width=width, heads=width // 64, hidden=4 * width)
    if layers is not None:
        if layers < 1:
            raise UsageError(f"{name}: layers {layers} must be at least 1")
        plan = replace(plan, layers=layers)
    if channels is not None:
        if channels < 1:
            raise UsageError(f"{name}: channels {channels} must be at least 1")
        plan = replace(plan, channels=channels)
    return plan


def _network(plan: Architecture) -> "Wav2Vec2Model":
    """torchaudio's network of these sizes, with the dropout of the published ones."""
    convolutions = [(plan.channels, kernel, stride) for kernel, stride in zip(KERNELS, STRIDES, strict=True)]
    from torchaudio.models import wav2vec2_model  # here alone: other encoders do without torchaudio

    return wav2vec2_model(
        extractor_mode=plan.norm,
        extractor_conv_layer_config=convolutions,
        extractor_conv_bias=plan.bias,
        encoder_embed_dim=plan.width,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=POSITION_KERNEL,
        encoder_pos_conv_groups=POSITION_GROUPS,
        encoder_num_layers=plan.layers,
        encoder_num_heads=plan.heads,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=plan.hidden,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.1,
        encoder_layer_norm_first=plan.norm_first,
        encoder_layer_drop=0.0,  # a layer left out would leave its hidden state out
        aux_num_out=None,
    )
