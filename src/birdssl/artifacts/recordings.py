"""Finding recordings: folders are walked, files are taken as given, and each gets a name that no other has.

A recording is named by its input folder and its path in it, `<folder>/<path>`, since memory cards repeat file names.
"""

import hashlib
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from birdssl.artifacts.artifact import RECORD, read_record
from birdssl.errors import IncompatibleError, NoInputError, UsageError

log = logging.getLogger(__name__)

Passed = dict[str, list[Path]]  # what was passed over, by what it is

SAMPLED = 1 << 16  # bytes at either end that identify a recording: reading terabytes to name them would cost hours


@dataclass(frozen=True)
class Recording:
    """An audio file as it lies on disk."""

    name: str  # <input folder>/<path in it>, with "/" on every system
    path: Path
    size: int  # bytes
    identity: str  # 32 hex digits, from the size and both ends of its bytes

    @property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders it lies in, the input folder first."""
        return tuple(self.name.split("/")[:-1])


@dataclass(frozen=True)
class Refused:
    """An input that was named but can't be a recording."""

    name: str
    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """What was found, sorted by name, and what was named but can't be used."""

    recordings: list[Recording]
    refused: list[Refused]


def list_recordings(inputs: Sequence[Path], suffixes: Sequence[str], what: str = "recordings") -> Listing:
    """Find the recordings in folders and among files, by name endings such as ".wav" in upper or lower case.

    `what` names them in complaints: images are found the same way.

    Hidden files, `._x.wav` files that macOS leaves on cards, and birdssl's own directories are passed over, counted
    and named in the log; a folder that can't be opened is refused. Two input folders of one name are told apart by the
    folders they lie in; a file that's reached twice is listed once. Raises NoInputError when nothing is found, and says
    what was looked for and what was there.
    """
    folders = [path for path in inputs if path.is_dir()]
    files = [path for path in inputs if not path.is_dir()]
    names = _folder_names([*folders, *{file.absolute().parent: None for file in files if file.is_file()}])
    passed: Passed = defaultdict(list)
    closed: list[OSError] = []
    endings: Counter[str] = Counter()
    found: dict[str, tuple[str, Path]] = {}  # real path -> (name, path as given)
    refused: list[Refused] = []
    for folder in folders:
        for path in _walk(folder, passed, closed):
            if path.suffix.lower() not in suffixes:
                endings[path.suffix.lower() or "no ending"] += 1
                continue
            name = f"{names[_key(folder)]}/{path.relative_to(folder).as_posix()}"
            _take(found, name, path, passed)
        refused += [_closed(error, folder, names[_key(folder)]) for error in closed]
        closed.clear()
    for file in files:
        reason = _complaint(file, suffixes)
        if reason:
            refused.append(Refused(_shown(str(file)), file, _shown(reason)))
        else:
            _take(found, f"{names[_key(file.absolute().parent)]}/{file.name}", file, passed)
    for what, paths in sorted(passed.items()):
        log.info("passed over: %d %s (first: %s)", len(paths), what, _shown(str(paths[0])))
    if not found:
        raise NoInputError(_nothing(inputs, suffixes, endings, passed, refused, what))
    unreadable = [Refused(_shown(name), path, f"{_shown(str(path))}: its name isn't valid UTF-8; rename the file")
                  for name, path in found.values() if not _is_text(name)]  # fmt: skip
    recordings = [_recording(name, path) for name, path in sorted(found.values()) if _is_text(name)]
    return Listing(recordings, sorted([*refused, *unreadable], key=lambda item: item.name))


def _key(path: Path) -> str:
    return os.path.realpath(path)


def _folder_names(folders: Sequence[Path]) -> dict[str, str]:
    """A name for each folder, by its real path: its own, with as many of its parents' as tell it from the others."""
    parts = {_key(folder): Path(os.path.abspath(folder)).parts[1:] or ("root",) for folder in folders}
    depth = dict.fromkeys(parts, 1)
    while True:
        names = {key: "/".join(parts[key][-depth[key] :]) for key in parts}
        counts = Counter(names.values())
        twins = [key for key in parts if counts[names[key]] > 1 and depth[key] < len(parts[key])]
        if not twins:
            break
        for key in twins:
            depth[key] += 1
    if len(set(names.values())) < len(names):
        raise UsageError(f"input folders can't be told apart by name: {', '.join(sorted(parts))}; rename one of them")
    return names


def _walk(folder: Path, passed: Passed, closed: list[OSError]) -> Iterator[Path]:
    """Yield the plain files below a folder that aren't hidden; linked folders are followed, but never twice.

    What can't be opened is added to `closed`; `os.walk` by itself would pass over it in silence.
    """
    seen: set[str] = set()
    for place, subfolders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        if RECORD in files and place != str(folder) and not _holds_recordings(Path(place)):
            passed["birdssl directories"].append(Path(place))
            subfolders.clear()
            continue
        for name in sorted(subfolders):
            if name.startswith("."):
                passed["hidden folders"].append(Path(place) / name)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                passed["hidden files"].append(Path(place) / name)
            else:
                yield Path(place) / name


def _closed(error: OSError, folder: Path, name: str) -> Refused:
    """A folder below an input that can't be opened, as a refusal."""
    path = Path(error.filename)
    inside = path.relative_to(folder).as_posix()
    reason = f"{path}: the folder can't be opened ({error.strerror}), so nothing in it was read; check who may read it"
    return Refused(_shown(name if inside == "." else f"{name}/{inside}"), path, _shown(reason))


def _holds_recordings(folder: Path) -> bool:
    """Whether a directory that birdssl made holds recordings, as those of `synth` do, and not clips."""
    try:
        record = read_record(folder)
    except IncompatibleError:
        return False
    return record is not None and record.verb == "synth"


def _take(found: dict[str, tuple[str, Path]], name: str, path: Path, passed: Passed) -> None:
    key = os.path.realpath(path)
    if key in found:
        passed["files that were reached a second time"].append(path)
    else:
        found[key] = (name, path)


def _complaint(file: Path, suffixes: Sequence[str]) -> str:
    """Why a file that was named can't be a recording, or an empty text."""
    if not file.exists():
        return f"{file}: no such file or folder"
    if file.suffix.lower() not in suffixes:
        return f"{file}: its name ends in {file.suffix or 'nothing'!r}; expected one of {', '.join(suffixes)}"
    return ""


def _nothing(
    inputs: Sequence[Path],
    suffixes: Sequence[str],
    endings: Counter[str],
    passed: Passed,
    refused: list[Refused],
    what: str,
) -> str:
    if not inputs:
        return f"no input: give folders or files with {what}"
    if refused and not endings:
        return "\n".join(item.reason for item in refused[:5])
    kinds = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5)) or "no other files"
    skipped = "".join(f"; passed over {len(paths)} {what}" for what, paths in sorted(passed.items()))
    places = ", ".join(str(path) for path in inputs[:3]) + (" and more" if len(inputs) > 3 else "")
    return f"no {what} in {places}: looked for {', '.join(suffixes)} in any case, and found {kinds}{skipped}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """A name that can be printed and stored, with a question mark for each byte that is no text."""
    return name.encode(errors="replace").decode()


def _recording(name: str, path: Path) -> Recording:
    """Identify a file by its size and ends; one that can't be opened is listed, and fails when it's read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            digest.update(str(size).encode() + b"\0" + handle.read(SAMPLED))
            handle.seek(max(handle.tell(), size - SAMPLED))
            digest.update(handle.read(SAMPLED))
    except OSError as error:
        size = 0
        digest.update(f"unreadable: {error.strerror}".encode())
    return Recording(name, path, size, digest.hexdigest())
