"""Names of encoders and objectives, known without building any (so that `--help` and usage errors need no torch).

A test holds these equal to the keys of `birdssl.models.registry.ENCODERS` and `birdssl.objectives.registry.OBJECTIVES`.
"""

from typing import Literal, get_args

EncoderName = Literal["simplecnn", "mobilenetv3-large", "resnet50", "inceptionv3"]
ObjectiveName = Literal["barlow-twins", "vicreg", "vicreg-algorithm1", "vicreg-equation"]

ENCODER_NAMES: tuple[str, ...] = get_args(EncoderName)
OBJECTIVE_NAMES: tuple[str, ...] = get_args(ObjectiveName)
