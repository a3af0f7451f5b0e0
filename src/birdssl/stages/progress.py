"""Progress on stderr: a bar on a terminal, now and then a line in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = logging.getLogger(__name__)
T = TypeVar("T")

LINE_EVERY = 30.0  # s between lines where there is no terminal


def track(items: Iterable[T], what: str, total: int, done: int = 0, quiet: bool = False) -> Iterator[T]:
    """Yield the items; show how many of `total` are done, `done` of them before this run."""
    if quiet:
        yield from items
    elif sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total, completed=done)
            for item in items:
                yield item
                bar.advance(task)
    else:
        said = time.monotonic()
        for count, item in enumerate(items, start=done + 1):
            yield item
            if time.monotonic() - said > LINE_EVERY:
                log.info("%s: %d of %d", what, count, total)
                said = time.monotonic()
