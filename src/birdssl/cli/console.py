"""What reaches the terminal: data on stdout, messages on stderr."""

import json
import logging
import os
import sys
from typing import Any


class Plain(logging.Formatter):
    """Messages without decoration; warnings and errors say what they are."""

    def format(self, record: logging.LogRecord) -> str:
        """`info` as it is, the rest with its level in front."""
        text = record.getMessage()
        return text if record.levelno == logging.INFO else f"{record.levelname.lower()}: {text}"


class ToStderr(logging.Handler):
    """Writes to the stderr of the moment, so that a progress bar, which stands in for it, can make way."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        say(self.format(record))


def log_to_stderr(quiet: bool) -> None:
    """Send birdssl's messages to stderr, once a process."""
    logger = logging.getLogger("birdssl")
    for known in [known for known in logger.handlers if isinstance(known, ToStderr)]:
        logger.removeHandler(known)
    handler = ToStderr()
    handler.setFormatter(Plain())
    handler.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


def say(text: str) -> None:
    """One message on stderr."""
    print(text, file=sys.stderr)


def print_data(value: Any, text: str, as_json: bool) -> None:
    """The result on stdout: one JSON object, or the text for a person when there is one."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False, allow_nan=False))
    elif text:
        print(text)


def open_streams() -> None:
    """Where the caller closed stdout or stderr (`>&-`), Python has none: what is printed then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def discard_stdout() -> None:
    """Let whatever is still to be printed go nowhere: the reader of the pipe has left, which is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
