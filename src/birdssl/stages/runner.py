"""Runs any stage under the contract in docs/architecture.md: resumable, atomic, updatable, refusing what isn't its own.

stage.json   what made the directory; `state` becomes "complete" last
.work/       journal of finished units, the tables of the run before an update, scratch; gone when complete
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from birdssl import __version__
from birdssl.artifacts.artifact import (
    COMPLETE,
    INTERRUPTED,
    LOG,
    MANIFEST,
    RECORD,
    REJECTS,
    RUNNING,
    UNITS,
    StageRecord,
    read_record,
    table_digest,
)
from birdssl.artifacts.atomic import TEMPORARY, sync
from birdssl.errors import BirdsslError, IncompatibleError, UsageError
from birdssl.settings.run import RunOptions, reject_limit
from birdssl.stages.contract import WORK, Stage, Unit, relative
from birdssl.stages.journal import Journal, plan_digest
from birdssl.stages.progress import track
from birdssl.stages.workers import execute

log = logging.getLogger(__name__)

DONE, DONE_WITH_REJECTS = 0, 3


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code, what --json prints, and the text for a person."""

    exit_code: int
    summary: dict[str, Any]
    text: str = ""


def run(stage: Stage[Any], options: RunOptions | None = None, *, wait: bool = False) -> Outcome:
    """Bring `stage.out` to completion, or say that it's complete already.

    Where another process is writing `stage.out`, `wait` waits for it to end; otherwise that is a UsageError.

    Raises UsageError when OUT isn't ours or was made with other settings, IncompatibleError when the input has changed
    since, and KeyboardInterrupt (state saved) on SIGINT and SIGTERM.
    """
    options = options or stage.options
    reject_limit(options.max_rejects)
    existing = _examine(stage.out, stage.verb)
    units = stage.plan()
    _refuse_twins(units)
    if options.dry_run:
        anew = existing is not None and _begins_anew(existing, stage, units, options)
        return _dry_run(stage, units, None if anew else existing, options)
    stage.out.mkdir(parents=True, exist_ok=True)
    with _locked(stage.out, wait), _terminable():
        existing = _examine(stage.out, stage.verb)  # once more: another process may have written it meanwhile
        if existing is not None and _begins_anew(existing, stage, units, options):
            remove_artifact(stage.out, stage.owns)
            existing = None
        record = _new_record(stage, units)
        if existing:
            _refuse_other_settings(existing, record, stage.out)
            if not _must_work(existing, units, stage, options):
                # a run killed right after it had said that it's complete leaves its journal
                shutil.rmtree(stage.out / WORK, ignore_errors=True)
                return _outcome(stage, existing, options, "already complete; nothing to do")
        return _work(stage, units, record, existing, options)


def _examine(out: Path, verb: str) -> StageRecord | None:
    """The record of an earlier run in OUT; refuses anything that this verb didn't make."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise UsageError(f"-o {out} is a file; give a directory that doesn't exist yet")
    record = read_record(out)
    if record is None:
        # A run killed in its first write leaves only a temporary file of stage.json.
        if any(path.name != ".DS_Store" and not path.name.startswith(TEMPORARY) for path in out.iterdir()):
            raise UsageError(f"-o {out} holds files that birdssl didn't write; give an empty or a new directory")
        return None
    if record.verb != verb:
        raise UsageError(f"-o {out} was made by `birdssl {record.verb}`; give `birdssl {verb}` another directory")
    return record


def _refuse_twins(units: list[Unit]) -> None:
    seen: set[str] = set()
    for unit in units:
        if unit.key in seen:
            raise UsageError(f"{unit.key} occurs twice in the input; give each input once, under names that differ")
        seen.add(unit.key)


def _dry_run(stage: Stage[Any], units: list[Unit], existing: StageRecord | None, options: RunOptions) -> Outcome:
    """What the same command without --dry-run would do, or the error that it would end with."""
    left = units
    if existing:
        _refuse_other_settings(existing, _new_record(stage, units), stage.out)
        done = Journal(stage.out).known_units(complete=True) if existing.state == COMPLETE else {}
        if not _must_work(existing, units, stage, options):
            left = []
        elif done:
            left = [unit for unit in units if done.get(unit.key) != unit.identity]
        else:
            left = Journal(stage.out).pending(units)
    size = sum(unit.size for unit in left)
    summary = {"out": str(stage.out), "verb": stage.verb, "dry_run": True, "units": len(units), "units_left": len(left),
               "bytes": size}  # fmt: skip
    text = f"{stage.verb} -> {stage.out}: {len(left)} of {len(units)} units to do, about {_size(size)}; nothing written"
    return Outcome(DONE, summary, text)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


@contextlib.contextmanager
def _locked(out: Path, wait: bool) -> Iterator[None]:
    """Hold OUT for this process. The lock ends with the process, also when that is killed."""
    handle = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise UsageError(f"another birdssl process is writing {out}; wait for it, or give another -o") from None
            log.info("another birdssl process is writing %s; waiting for it", out)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM, which Slurm and shutdowns send, like Ctrl-C."""

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread, where signals can't be handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def remove_artifact(out: Path, owns: tuple[str, ...]) -> None:
    """Remove what a stage wrote in OUT, the record last; files that aren't the stage's stay where they are."""
    for name in (*owns, MANIFEST, REJECTS, UNITS, LOG, WORK, RECORD):
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    _sweep(out)


def _sweep(folder: Path) -> None:
    """Remove temporary files that a killed process left directly in a folder."""
    for path in folder.glob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


def _new_record(stage: Stage[Any], units: list[Unit]) -> StageRecord:
    inputs = [
        {"path": relative(source.path, stage.out), "verb": source.verb, "digest": source.digest}
        for source in stage.sources()
    ]
    return StageRecord(
        verb=stage.verb,
        version=__version__,
        state=RUNNING,
        settings=stage.recorded_settings(),
        inputs=inputs,
        plan=plan_digest(units),
    )


def _begins_anew(existing: StageRecord, stage: Stage[Any], units: list[Unit], options: RunOptions) -> bool:
    return options.overwrite or _nothing_to_lose(existing, stage, units)


def _nothing_to_lose(existing: StageRecord, stage: Stage[Any], units: list[Unit]) -> bool:
    """Whether a run with other settings failed before any unit was done, so that their correction may begin anew."""
    journal = Journal(stage.out)
    begun = stage.scratch.exists() or journal.previous.exists() or any(journal.notes())
    if existing.state == COMPLETE or begun:
        return False
    return _comparable(existing) != _comparable(_new_record(stage, units))


def _refuse_other_settings(existing: StageRecord, new: StageRecord, out: Path) -> None:
    old_values, new_values = _comparable(existing), _comparable(new)
    changed = [
        f"  {name}: {old_values.get(name)!r} there, {new_values.get(name)!r} now"
        for name in sorted(old_values.keys() | new_values.keys())
        if old_values.get(name) != new_values.get(name)
    ]
    if changed:
        raise UsageError(
            "\n".join([f"-o {out} was made with other settings:", *changed])
            + "\ngive another -o, the same settings, or --overwrite"
        )


def _comparable(record: StageRecord) -> dict[str, Any]:
    return {**record.settings, "inputs": [item["path"] for item in record.inputs]}


def _must_work(existing: StageRecord, units: list[Unit], stage: Stage[Any], options: RunOptions) -> bool:
    """Whether there is anything to do in an OUT of the same settings; raises when its input has changed."""
    complete = existing.state == COMPLETE
    if existing.plan == plan_digest(units):
        return not complete
    journal = Journal(stage.out)
    known = journal.known_units(complete)
    if not known and not complete:
        return True  # it was stopped before its plan was written
    now = {unit.key: unit.identity for unit in units}
    missing = known.keys() - now.keys()
    rejected = sorted(missing & journal.rejected_units()) if complete else []  # nothing of them is in OUT
    gone = sorted(missing - set(rejected))
    new = sorted(now.keys() - known.keys())
    changed = sorted(key for key in known.keys() & now.keys() if known[key] != now[key])
    difference = "; ".join(
        f"{len(keys)} {what} (first: {keys[0]})"
        for keys, what in ((new, "new"), (changed, "changed"), (gone, "gone"), (rejected, "gone that were left out"))
        if keys
    )
    if options.update:
        if gone:
            raise IncompatibleError(
                f"{stage.out}: its input has lost units: {difference}; --update adds and renews but doesn't remove: "
                "put them back, or use --overwrite"
            )
        return True
    if complete and not changed and not gone:
        log.info("the input of %s has %s since it was made; --update brings it up to date", stage.out, difference)
        return False
    raise IncompatibleError(
        f"{stage.out}: its input has changed since: {difference or 'another order'}; "
        "--update brings it up to date, --overwrite starts anew"
    )


def _work(
    stage: Stage[Any], units: list[Unit], record: StageRecord, existing: StageRecord | None, options: RunOptions
) -> Outcome:
    journal = Journal(stage.out)
    changed = existing is not None and existing.plan != record.plan
    if changed and existing is not None and existing.state == COMPLETE:
        journal.keep_previous()
    if changed:
        shutil.rmtree(stage.scratch, ignore_errors=True)  # a checkpoint of other inputs must not be resumed
    record.write(stage.out)
    journal.write_plan(units)
    with _logged_to(stage.out / LOG):
        try:
            _sweep_owned(stage)
            _do_units(stage, journal, units, options)
            rows, rejects = journal.join(units, stage.schema)
            record.facts = stage.facts()
            record.summary = stage.finish(pl.scan_parquet(stage.out / MANIFEST))
        except KeyboardInterrupt:
            record.state = INTERRUPTED
            record.write(stage.out)
            log.warning("interrupted; the same command goes on from here")
            raise
        except BirdsslError as error:
            log.debug("failed: %s", error)
            raise
        record.counts = {"units": len(units), "rows": rows, "rejects": rejects}
        record.digest = _digest(stage.out, record)
        record.state = COMPLETE
        sync()
        record.write(stage.out)
        shutil.rmtree(stage.out / WORK, ignore_errors=True)
        return _outcome(stage, record, options, "")


def _sweep_owned(stage: Stage[Any]) -> None:
    """Remove temporary files of a killed run from everything that the stage owns."""
    _sweep(stage.out)
    for name in stage.owns:
        if (stage.out / name).is_dir():
            for path in (stage.out / name).rglob(f"{TEMPORARY}*"):
                path.unlink(missing_ok=True)


def _do_units(stage: Stage[Any], journal: Journal, units: list[Unit], options: RunOptions) -> None:
    pending = journal.pending(units)
    done = len(units) - len(pending)
    if done:
        log.info("%s: %d of %d units are done already", stage.verb, done, len(units))
    started = time.monotonic()
    quiet = options.quiet or not stage.parallel
    for _ in track(execute(stage, pending, options.jobs), stage.verb, len(units), done, quiet):
        pass
    log.debug("%d units took %.1f s", len(pending), time.monotonic() - started)


def _digest(out: Path, record: StageRecord) -> str:
    """Digest of what later stages read: rows, the identities behind the payload, facts and settings."""
    values = {"settings": record.settings, "facts": record.facts, "manifest": table_digest(out / MANIFEST),
              "units": table_digest(out / UNITS)}  # fmt: skip
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


@contextlib.contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Append this run's messages, its command line and its environment to run.log."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.setLevel(logging.DEBUG)
    root = logging.getLogger("birdssl")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        log.debug("birdssl %s, python %s, %s; %s", __version__, platform.python_version(), platform.platform(),
                  " ".join(sys.argv))  # fmt: skip
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


def _outcome(stage: Stage[Any], record: StageRecord, options: RunOptions, note: str) -> Outcome:
    limit, percent = reject_limit(options.max_rejects)
    counts = record.counts
    allowed = limit / 100 * counts["units"] if percent else limit
    code = DONE if counts["rejects"] <= allowed else DONE_WITH_REJECTS
    summary = {"out": str(stage.out), "verb": stage.verb, "state": record.state, "did_nothing": bool(note),
               "exit_code": code, **counts, **record.summary}  # fmt: skip
    rows, units = _count(counts["rows"], "row"), _count(counts["units"], "unit")
    line = f"{stage.verb} -> {stage.out}: {rows} from {units}"
    if counts["rejects"]:
        line += f", {counts['rejects']} left out (see `birdssl ls {stage.out} --rejects`)"
    log.info("%s%s", line, f"; {note}" if note else "")
    if code == DONE_WITH_REJECTS:
        log.warning("left out more than --max-rejects %s allows: exit code %d", options.max_rejects, code)
    return Outcome(code, summary, stage.report(record.summary))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
