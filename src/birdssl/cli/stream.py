"""`birdssl embed --stream`: raw PCM on stdin, a line on stdout for each window."""

import json
import sys

from birdssl.cli.console import say
from birdssl.errors import NoInputError, UsageError
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.pcm import Intake, blocks, decoder
from birdssl.stages.streaming import Heard, listening


def stream(settings: EmbedSettings, options: RunOptions) -> int:
    """Hear stdin until it ends and print what the model makes of it. Raises NoInputError where nothing came."""
    source = sys.stdin
    if source is None or source.isatty():
        raise UsageError(
            "--stream reads sound on stdin, and nothing is piped in; give it raw PCM, as in "
            f"`{decoder(settings.stream_format, settings.stream_rate or 48000)}`"
        )
    assert settings.model is not None
    with listening(settings.model, settings.memory, settings.layer, settings.stream_hop, options.device) as listener:
        intake = Intake(settings.stream_rate or listener.frontend.sample_rate, listener.frontend.sample_rate)
        write = Writer(settings.stream_lines, listener.classes)
        for block in blocks(source.buffer, settings.stream_format, intake.rate):
            for heard in listener.push(intake.take(block)):
                write(heard)
        for heard in listener.push(intake.finish()):
            write(heard)
        for heard in listener.finish():
            write(heard)
    if not intake.seconds:
        raise NoInputError("--stream: stdin ended before the first sample; did what feeds it fail?")
    if not options.quiet:
        say(f"{write.count} windows of {intake.seconds:g} s of sound")
    return 0


class Writer:
    """Prints answers, each at once.

    Attributes:
        count: answers so far.
    """

    def __init__(self, lines: str, classes: tuple[str, ...]) -> None:
        self.lines, self.classes, self.count = lines, classes, 0

    def __call__(self, heard: Heard) -> None:
        """One line."""
        print(self._json(heard) if self.lines == "jsonl" else self._columns(heard), flush=True)
        self.count += 1

    def _json(self, heard: Heard) -> str:
        line: dict[str, object] = {"start": round(heard.start, 6), "end": round(heard.end, 6)}
        if heard.scores is not None:
            line["scores"] = dict(zip(self.classes, map(_number, heard.scores), strict=True))
        line["embedding"] = [_number(value) for value in heard.embedding]
        return json.dumps(line, ensure_ascii=False, allow_nan=False)

    def _columns(self, heard: Heard) -> str:
        scores = [] if heard.scores is None else [f"{value:.7g}" for value in heard.scores]
        embedding = ";".join(f"{value:.7g}" for value in heard.embedding)
        row = "\t".join([f"{heard.start:.6f}", f"{heard.end:.6f}", *scores, embedding])
        return row if self.count else "\t".join(["start", "end", *self.classes, "embedding"]) + "\n" + row


def _number(value: float) -> float:
    return float(f"{value:.7g}")
