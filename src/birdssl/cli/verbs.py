"""What can be typed: every stage verb and tool with its settings, and how its code is found when it's run.

A loader imports its stage when called, so that help and usage errors start without numpy or torch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from birdssl.settings.augment import AugmentSettings
from birdssl.settings.base import Settings
from birdssl.settings.compare import CompareSettings
from birdssl.settings.demo import DemoSettings
from birdssl.settings.detect import DetectSettings
from birdssl.settings.doctor import DoctorSettings
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.fewshot import FewshotSettings
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.ls import LsSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.recipe import RecipeSettings, own_recipes
from birdssl.settings.render import RenderSettings
from birdssl.settings.report import ReportSettings
from birdssl.settings.segment import SegmentSettings
from birdssl.settings.split import SplitSettings
from birdssl.settings.synth import SynthSettings


@dataclass(frozen=True)
class Verb:
    """A stage on the command line."""

    settings: type[Settings]
    stage: Callable[[], type[Any]]  # imports and returns the Stage class
    inputs: str  # metavar of the inputs; empty when the verb has none
    lists: bool = False  # whether it reads --files-from
    about: str = ""  # help of the inputs, where the usual words don't fit
    stream: Callable[[], Callable[..., int]] | None = None  # what runs instead, without inputs and OUT, with --stream


@dataclass(frozen=True)
class Tool:
    """A command that writes no stage directory.

    `main` imports and returns a function of (settings, inputs=..., out=..., options=...) that returns an exit code;
    it's handed only what the tool declares here.
    """

    settings: type[Settings]
    main: Callable[[], Callable[..., int]]
    inputs: str = ""  # the inputs as usage shows them, such as "[DIR]"; empty when it has none
    about: str = ""  # help of the inputs
    inputs_are: str = "directory"  # or "file", for completion
    names: Callable[[], Iterable[str]] = tuple  # what completion offers for the first input beside paths
    out: str = ""  # help of -o; empty when it has none
    options: bool = False  # whether it takes RunOptions


def _synth() -> type[Any]:
    from birdssl.stages.synth import Synth

    return Synth


def _segment() -> type[Any]:
    from birdssl.stages.segment import Segment

    return Segment


def _split() -> type[Any]:
    from birdssl.stages.split import Split

    return Split


def _augment() -> type[Any]:
    from birdssl.stages.augment import Augment

    return Augment


def _render() -> type[Any]:
    from birdssl.stages.render import Render

    return Render


def _pretrain() -> type[Any]:
    from birdssl.stages.pretrain import Pretrain

    return Pretrain


def _finetune() -> type[Any]:
    from birdssl.stages.finetune import Finetune

    return Finetune


def _embed() -> type[Any]:
    from birdssl.stages.embed import Embed

    return Embed


def _stream() -> Callable[..., int]:
    from birdssl.cli.stream import stream

    return stream


def _evaluate() -> type[Any]:
    from birdssl.stages.evaluate import Evaluate

    return Evaluate


def _fewshot() -> type[Any]:
    from birdssl.stages.fewshot import Fewshot

    return Fewshot


def _compare() -> type[Any]:
    from birdssl.stages.compare import Compare

    return Compare


def _report() -> type[Any]:
    from birdssl.stages.report import Report

    return Report


def _detect() -> type[Any]:
    from birdssl.stages.detect import Detect

    return Detect


VERBS: dict[str, Verb] = {
    "synth": Verb(SynthSettings, _synth, ""),
    "segment": Verb(SegmentSettings, _segment, "RECORDING", lists=True),
    "split": Verb(SplitSettings, _split, "DIR"),
    "augment": Verb(AugmentSettings, _augment, "DIR"),
    "render": Verb(
        RenderSettings,
        _render,
        "DIR",
        about="Directories that earlier stages made; with --kind image, folders of images.",
    ),
    "pretrain": Verb(PretrainSettings, _pretrain, "DIR"),
    "finetune": Verb(FinetuneSettings, _finetune, "DIR"),
    "embed": Verb(EmbedSettings, _embed, "DIR", stream=_stream),
    "evaluate": Verb(EvaluateSettings, _evaluate, "DIR"),
    "fewshot": Verb(FewshotSettings, _fewshot, "DIR"),
    "compare": Verb(CompareSettings, _compare, "DIR"),
    "report": Verb(ReportSettings, _report, "DIR"),
    "detect": Verb(DetectSettings, _detect, "RECORDING", lists=True),
}


def _run() -> Callable[..., int]:
    from birdssl.stages.recipe_run import run_recipe

    return partial(run_recipe, verbs=VERBS)


def _demo() -> Callable[..., int]:
    from birdssl.stages.demo import demo

    return partial(demo, verbs=VERBS)


def _ls() -> Callable[..., int]:
    from birdssl.cli.listing import ls

    return ls


def _doctor() -> Callable[..., int]:
    from birdssl.cli.checkup import doctor

    return doctor


TOOLS: dict[str, Tool] = {
    "demo": Tool(DemoSettings, _demo, out="Folder of the runs; birdssl-demo where not given.", options=True),
    "run": Tool(
        RecipeSettings,
        _run,
        inputs="RECIPE [INPUT]",
        about="A TOML file that describes the stages, and what its first stage reads where it says `input`.",
        inputs_are="file",
        names=own_recipes,
        out="Folder of the runs.",
        options=True,
    ),
    "ls": Tool(LsSettings, _ls, "[DIR]", "A stage's directory, or a folder that holds some."),
    "doctor": Tool(DoctorSettings, _doctor),
}
