r"""Names of tensors in published checkpoints, and what they are called in our encoders.

Facts read in the publishers' code: nttcslab/byol-a, CHeggan/MT-SLVR, s3prl/s3prl, pytorch/audio,
facebookresearch/fairseq and huggingface/transformers. A rule is a regular expression that a published name must match
as a whole, and our name for it, in which \1 stands for the first group.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Rename = str | Callable[[re.Match[str]], str]


@dataclass(frozen=True)
class Layout:
    """How one publisher lays out one network.

    Attributes:
        name: whose layout it is, for messages.
        known_by: a file is of this layout when one of its names matches this.
        rules: published names and ours; the first that matches holds.
        left_out: what isn't part of the encoder, by the names of its tensors.
        wants: the frontend that the weights were made with, for messages.
    """

    name: str
    known_by: str
    rules: tuple[tuple[str, Rename], ...]
    left_out: dict[str, str]
    wants: str

    def fits(self, names: Iterable[str]) -> bool:
        """Whether a file with these names is of this layout."""
        return any(re.fullmatch(self.known_by, name) for name in names)

    def ours(self, name: str) -> str | None:
        """Our name of a published tensor; None for one that no rule names."""
        for pattern, rename in self.rules:
            if match := re.fullmatch(pattern, name):
                return match.expand(rename) if isinstance(rename, str) else rename(match)
        return None

    def leaves_out(self, name: str) -> str | None:
        """What a tensor that isn't part of the encoder belongs to; None for all others."""
        return next((what for pattern, what in self.left_out.items() if re.fullmatch(pattern, name)), None)


NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"  # of a batch normalisation

# --- BYOL-A: a plain state dict, or a training state with the online network in it --------------------------------
LEARNER = r"(?:learner\.online_encoder\.net\.|model\.)?"
BYOL_A = Layout(
    name="BYOL-A's",
    known_by=LEARNER + r"features\.0\.weight",
    rules=((LEARNER + r"features\.(.*)", r"convolutions.\1"), (LEARNER + r"fc\.(.*)", r"dense.\1")),
    left_out={r"learner\.(?!online_encoder\.net\.).*": "the projector, predictor and target network"},
    wants="log-mel of 64 bands from 60 to 7,800 Hz at 16 kHz (--preset byol-a)",
)


# --- MT-SLVR: the backbone, or a training state with heads beside it ----------------------------------------------
def _stage(match: re.Match[str]) -> tuple[str, str]:
    """List and number of the block in `layer<stage>.<block>`, and which of its two convolutions."""
    stage, block = int(match["stage"]), int(match["block"])
    place = f"shared.{block}" if stage == 1 else f"own.{2 * (stage - 2) + block}"
    return place, "first" if match["conv"] == "1" else "second"


def _adapted(part: str) -> Callable[[re.Match[str]], str]:
    return lambda match: ".".join([*_stage(match), match.expand(part)])


def _split(part: str) -> Callable[[re.Match[str]], str]:
    """In the plain network all blocks are shared."""

    def rename(match: re.Match[str]) -> str:
        place = f"shared.{2 * (int(match['stage']) - 1) + int(match['block'])}"
        return f"{place}.{match.expand(part)}"

    return rename


BACKBONE = r"(?:backbone\.)?"
BLOCK = BACKBONE + r"layer(?P<stage>[1-4])\.(?P<block>[01])\."
CONV = BLOCK + r"conv(?P<conv>[12])\."
TASK = r"(?P<task>\d+)\."
AROUND: tuple[tuple[str, Rename], ...] = (
    (BACKBONE + r"conv1\.weight", "stem.0.weight"),
    (BACKBONE + r"bn1\." + NORM, r"stem.1.\1"),
    (BACKBONE + r"fc_layers\.(\d+)\.(weight|bias)", r"dense.\1.\2"),
)
HEADS = {r"(?:cont|predict)_(?:projector|predictor)\..*": "the heads of pretraining"}
MT_SLVR_WANTS = "mel, magnitude and phase of 128 bands at 16 kHz (--preset mtslvr)"
MT_SLVR = Layout(
    name="MT-SLVR's",
    known_by=BACKBONE + r"layer1\.0\.conv1\.conv\.weight",
    rules=(
        *AROUND,
        (BACKBONE + r"end_bns\.(\d+)\.0\." + NORM, r"norms.\1.\2"),
        (CONV + r"conv\.weight", _adapted("conv.weight")),
        (CONV + r"parallel_conv\." + TASK + r"conv\.weight", _adapted(r"beside.\g<task>.weight")),
        (CONV + r"bns\." + TASK + r"0\.conv\.0\.(?P<part>.*)", _adapted(r"behind.\g<task>.0.\g<part>")),
        (CONV + r"bns\." + TASK + r"0\.conv\.1\.weight", _adapted(r"behind.\g<task>.1.weight")),
        (CONV + r"bns\." + TASK + r"1\.(?P<part>.*)", _adapted(r"norms.\g<task>.\g<part>")),
        (CONV + r"bns\." + TASK + r"(?P<part>[a-z_]+)", _adapted(r"norms.\g<task>.\g<part>")),
    ),
    left_out=HEADS,
    wants=MT_SLVR_WANTS,
)
MT_SPLIT = Layout(
    name="MT-SLVR's split",
    known_by=BACKBONE + r"layer1\.0\.conv1\.weight",
    rules=(
        *AROUND,
        (BLOCK + r"conv1\.weight", _split("first.conv.weight")),
        (BLOCK + r"conv2\.weight", _split("second.conv.weight")),
        (BLOCK + r"bn1\.(?P<part>.*)", _split(r"first.norms.0.\g<part>")),
        (BLOCK + r"bn2\.(?P<part>.*)", _split(r"second.norms.0.\g<part>")),
        (BLOCK + r"downsample\.(?P<part>.*)", _split(r"shortcut.\g<part>")),
    ),
    left_out=HEADS,
    wants=MT_SLVR_WANTS,
)

# --- Mockingjay and TERA in s3prl -----------------------------------------------------------------------------------
S3PRL_MODEL = r"(?:Transformer\.)?(?:module\.)?"
S3PRL_LAYER = S3PRL_MODEL + r"encoder\.layer\.(\d+)\."
SCALE, SHIFT = r"(?:weight|gamma)", r"(?:bias|beta)"  # of a layer normalisation; older files have BERT's first names


def _normed(where: str, ours: str) -> tuple[tuple[str, Rename], ...]:
    return ((where + r"LayerNorm\." + SCALE, ours + "weight"), (where + r"LayerNorm\." + SHIFT, ours + "bias"))


S3PRL = Layout(
    name="s3prl's Mockingjay and TERA",
    known_by=S3PRL_MODEL + r"input_representations\.spec_transform\.weight",
    rules=(
        (S3PRL_MODEL + r"input_representations\.spec_transform\.(weight|bias)", r"embed.\1"),
        *_normed(S3PRL_MODEL + r"input_representations\.", "norm."),
        (S3PRL_LAYER + r"attention\.self\.(query|key|value)\.(weight|bias)", r"layers.\1.\2.\3"),
        (S3PRL_LAYER + r"attention\.output\.dense\.(weight|bias)", r"layers.\1.joined.\2"),
        *_normed(S3PRL_LAYER + r"attention\.output\.", r"layers.\1.attention_norm."),
        (S3PRL_LAYER + r"intermediate\.dense\.(weight|bias)", r"layers.\1.network.0.\2"),
        (S3PRL_LAYER + r"output\.dense\.(weight|bias)", r"layers.\1.network.2.\2"),
        *_normed(S3PRL_LAYER + r"output\.", r"layers.\1.network_norm."),
    ),
    left_out={r"SpecHead\..*": "the head that rebuilds spectra", r"Config\.heads": "the number of heads"},
    wants="log-mel of 80 bands, 25 ms every 10 ms, at 16 kHz (--preset speech)",
)

# --- wav2vec 2.0 and HuBERT -----------------------------------------------------------------------------------------
WAVEFORM = "waveforms at 16 kHz"
POSITION = "net.encoder.transformer.pos_conv_embed.conv."
GAIN, DIRECTION = (
    r"(?:weight_g|parametrizations\.weight\.original0)",
    r"(?:weight_v|parametrizations\.weight\.original1)",
)


def _position(where: str) -> tuple[tuple[str, Rename], ...]:
    """The convolution of positions, whose weight is kept as gain and direction (weight normalisation)."""
    return (
        (where + GAIN, POSITION + "parametrizations.weight.original0"),
        (where + DIRECTION, POSITION + "parametrizations.weight.original1"),
        (where + r"bias", POSITION + "bias"),
    )


AUDIO = r"(?:model\.|wav2vec2\.)?"
TORCHAUDIO = Layout(
    name="torchaudio's",
    known_by=AUDIO + r"encoder\.transformer\.layer_norm\.weight",
    rules=(
        *_position(AUDIO + r"encoder\.transformer\.pos_conv_embed\.conv\."),
        (AUDIO + r"(feature_extractor\..*|encoder\..*)", r"net.\1"),
    ),
    left_out={
        AUDIO + r"aux\..*": "the output layer for letters",
        r"(?:mask_generator|logit_generator)\..*": "the heads of pretraining",
    },
    wants=WAVEFORM,
)

W2V = r"(?:w2v_encoder\.)?(?:w2v_model\.)?"
FAIR_LAYER = W2V + r"encoder\.layers\.(\d+)\."
NET_LAYER = r"net.encoder.transformer.layers.\1."
FAIRSEQ = Layout(
    name="fairseq's",
    known_by=W2V + r"post_extract_proj\.weight",
    rules=(
        (W2V + r"feature_extractor\.conv_layers\.(\d+)\.0\.(.*)", r"net.feature_extractor.conv_layers.\1.conv.\2"),
        # one group normalisation in the first layer, or a layer normalisation between transpositions in all
        (W2V + r"feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?(weight|bias)",
         r"net.feature_extractor.conv_layers.\1.layer_norm.\2"),
        (W2V + r"post_extract_proj\.(.*)", r"net.encoder.feature_projection.projection.\1"),
        (W2V + r"layer_norm\.(.*)", r"net.encoder.feature_projection.layer_norm.\1"),
        *_position(W2V + r"encoder\.pos_conv\.0\."),
        (W2V + r"encoder\.layer_norm\.(.*)", r"net.encoder.transformer.layer_norm.\1"),
        (FAIR_LAYER + r"self_attn\.(.*)", NET_LAYER + r"attention.\2"),
        (FAIR_LAYER + r"self_attn_layer_norm\.(.*)", NET_LAYER + r"layer_norm.\2"),
        (FAIR_LAYER + r"fc1\.(.*)", NET_LAYER + r"feed_forward.intermediate_dense.\2"),
        (FAIR_LAYER + r"fc2\.(.*)", NET_LAYER + r"feed_forward.output_dense.\2"),
        (FAIR_LAYER + r"final_layer_norm\.(.*)", NET_LAYER + r"final_layer_norm.\2"),
    ),
    left_out={
        W2V + r"mask_emb": "the mask of pretraining",
        W2V + r"(?:quantizer|project_q|final_proj|target_glu)\..*": "the heads of pretraining",
        W2V + r"label_embs_concat": "the heads of pretraining",
        r"(?:w2v_encoder\.)?proj\..*": "the output layer for letters",
    },
    wants=WAVEFORM,
)  # fmt: skip

HF = r"(?:wav2vec2\.|hubert\.)?"
HUGGING_FACE = Layout(
    name="Hugging Face's",
    known_by=HF + r"feature_projection\.projection\.weight",
    rules=(
        (HF + r"(feature_extractor\..*)", r"net.\1"),
        (HF + r"(feature_projection\..*)", r"net.encoder.\1"),
        *_position(HF + r"encoder\.pos_conv_embed\.conv\."),
        (HF + r"encoder\.((?:layers|layer_norm)\..*)", r"net.encoder.transformer.\1"),
    ),
    left_out={
        HF + r"masked_spec_embed": "the mask of pretraining",
        r"(?:quantizer|project_hid|project_q)\..*": "the heads of pretraining",
        r"(?:lm_head|projector|classifier)\..*|layer_weights": "the output layers",
    },
    wants=WAVEFORM,
)

SPEECH = (TORCHAUDIO, FAIRSEQ, HUGGING_FACE)
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "byol-a-cnn": (BYOL_A,),
    "resnet18-adapters": (MT_SLVR, MT_SPLIT),
    "transformer": (S3PRL,),
    "wav2vec2": SPEECH,
    "hubert": SPEECH,
}
