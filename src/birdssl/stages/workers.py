"""Runs units in one process or several, one numeric thread each, so that the bytes do not depend on how many."""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

from threadpoolctl import threadpool_limits

from birdssl.artifacts.artifact import LOG
from birdssl.artifacts.atomic import sync
from birdssl.errors import BadInput, BirdsslError
from birdssl.stages.contract import Stage, Unit
from birdssl.stages.journal import Journal, reject_unit

_stage: Stage[Any] | None = None  # a worker process holds the one stage it serves


def execute(stage: Stage[Any], units: list[Unit], jobs: int) -> Iterator[Unit]:
    """Do the units and journal each; yields a unit when it's done, in the order of completion."""
    if not stage.parallel:
        for unit in units:
            yield do_unit(stage, unit)
    elif jobs == 1 or len(units) <= 1:  # none are left when only the joining was interrupted
        with threadpool_limits(1):
            for unit in units:
                yield do_unit(stage, unit)
    else:
        yield from _execute_in_processes(stage, units, min(jobs, len(units)))


def do_unit(stage: Stage[Any], unit: Unit) -> Unit:
    """Do one unit and journal it; a unit whose input can't be used is journalled as a reject."""
    try:
        result = stage.work(unit)
    except BadInput as error:
        result = reject_unit(unit, str(error))
    sync()  # the payload must be on the disk before the journal says so
    Journal(stage.out).write(unit, result)
    return unit


def _execute_in_processes(stage: Stage[Any], units: list[Unit], jobs: int) -> Iterator[Unit]:
    context = multiprocessing.get_context("spawn")  # forking a process with threads of polars or torch may hang
    waiting = iter(units)
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(stage,)) as pool:
        running: set[Future[Unit]] = set()
        try:
            while True:
                # A few units ahead of the workers: a plan of millions must not be queued at once.
                for unit in waiting:
                    running.add(pool.submit(_work, unit))
                    if len(running) >= 2 * jobs:
                        break
                if not running:
                    return
                finished = next(as_completed(running))
                running.discard(finished)
                yield finished.result()
        except BrokenProcessPool:
            raise BirdsslError(
                "a worker process was ended from outside, often for want of memory; what is done is kept: "
                f"give the same command again, with fewer --jobs than {jobs}"
            ) from None
        except BaseException:
            # Units are atomic, so a worker can be ended in the middle of one.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _start_worker(stage: Stage[Any]) -> None:
    global _stage
    _stage = stage
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)
    file = logging.FileHandler(stage.out / LOG, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.INFO, handlers=[file, console])


def _end_with_parent() -> None:
    """End this worker when its parent is killed, so that it never writes beside the run that takes over."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _work(unit: Unit) -> Unit:
    assert _stage is not None, "the pool's initializer has set it"
    return do_unit(_stage, unit)
