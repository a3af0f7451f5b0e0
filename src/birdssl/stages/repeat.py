"""How a page says that it can be made again."""

import shlex
from pathlib import Path
from typing import Any

from birdssl.evaluation.lineage import lineage
from birdssl.stages.contract import Stage, relative


def how_to_repeat(stage: Stage[Any]) -> dict[str, Any]:
    """`command`, the line that makes a stage's OUT again, with paths as seen from the folder that holds OUT; `inputs`,
    what it was made from."""
    home = stage.out.parent
    parts = [relative(path, home) for path in stage.inputs]
    for name, field in type(stage.settings).model_fields.items():
        value = getattr(stage.settings, name)
        if value != field.default:
            items = value if isinstance(value, list) else [value]
            words = [relative(item, home) if isinstance(item, Path) else str(item) for item in items]
            parts += [stage.settings.flag(name), ",".join(words)]
    return {"command": " ".join([f"birdssl {stage.verb}", *(shlex.quote(part) for part in parts), "-o again"]),
            "inputs": lineage(stage.inputs, home)}  # fmt: skip
