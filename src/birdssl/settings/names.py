"""Names of encoders, objectives and probes, known without building any (`--help` and usage errors need no torch).

A test holds these equal to the keys of `birdssl.models.registry.ENCODERS` and `birdssl.training.methods.METHODS`, and
what is said of them here to what they say themselves. `supervised`, which learns labels, is no method of that kind.
"""

from typing import Literal, get_args

EncoderName = Literal[
    "simplecnn",
    "mobilenetv3-large",
    "resnet50",
    "inceptionv3",
    "acoustic-ssm",
    "adapted-cnn",
    "resnet18-adapters",
    "byol-a-cnn",
    "transformer",
    "wav2vec2",
    "hubert",
]
UnlabelledObjectiveName = Literal[
    "barlow-twins",
    "vicreg",
    "vicreg-algorithm1",
    "vicreg-equation",
    "cola",
    "clar",
    "simclr",
    "mt-slvr",
    "byol-a",
    "mockingjay",
    "tera",
]
ObjectiveName = Literal[UnlabelledObjectiveName, "supervised"]
PresetName = Literal["p2", "clar", "mtslvr", "exact", "byol-a", "speech", "quick"]
ViewsName = Literal["stored", "crops", "clar", "mt-slvr", "byol-a", "one"]
InputName = Literal["picture", "spectra", "waveform"]
ProbeName = Literal["linear", "knn", "centroid"]

ENCODER_NAMES: tuple[str, ...] = get_args(EncoderName)
SUPERVISED = "supervised"
UNLABELLED_OBJECTIVES: tuple[str, ...] = get_args(UnlabelledObjectiveName)
OBJECTIVE_NAMES: tuple[str, ...] = get_args(ObjectiveName)
# classifiers on fixed vectors, as tables call them
PROBES: dict[str, str] = {"linear": "linear", "knn": "k-NN", "centroid": "nearest centroid"}

# what each encoder takes, and the frontend it is given where nothing else is said (docs/papers.md)
ENCODER_INPUT: dict[str, InputName] = {
    "simplecnn": "picture",
    "mobilenetv3-large": "picture",
    "resnet50": "picture",
    "inceptionv3": "picture",
    "acoustic-ssm": "spectra",
    "adapted-cnn": "spectra",
    "resnet18-adapters": "spectra",
    "byol-a-cnn": "spectra",
    "transformer": "spectra",
    "wav2vec2": "waveform",
    "hubert": "waveform",
}
ENCODER_PRESET: dict[str, PresetName] = {
    "resnet18-adapters": "mtslvr",
    "byol-a-cnn": "byol-a",
    "transformer": "speech",
}

# the encoder an objective trains where none is named: the one of its paper, and SimpleCNN for P1's
OBJECTIVE_ENCODER: dict[str, EncoderName] = {
    "barlow-twins": "simplecnn",
    "vicreg": "simplecnn",
    "vicreg-algorithm1": "simplecnn",
    "vicreg-equation": "simplecnn",
    "cola": "acoustic-ssm",
    "clar": "acoustic-ssm",
    "simclr": "acoustic-ssm",
    "mt-slvr": "resnet18-adapters",
    "byol-a": "byol-a-cnn",
    "mockingjay": "transformer",
    "tera": "transformer",
    "supervised": "simplecnn",
}
# the views of waveforms that an objective is shown where nothing else is said
OBJECTIVE_VIEWS: dict[str, ViewsName] = {
    "barlow-twins": "crops",
    "vicreg": "crops",
    "vicreg-algorithm1": "crops",
    "vicreg-equation": "crops",
    "cola": "crops",
    "clar": "clar",
    "simclr": "clar",
    "mt-slvr": "mt-slvr",
    "byol-a": "byol-a",
    "mockingjay": "one",
    "tera": "one",
}
