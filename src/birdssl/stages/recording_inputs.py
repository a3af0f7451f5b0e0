"""What the stages over recordings share: the record of their input, channels, and complaints about a file."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from birdssl.artifacts.recordings import Listing, Recording
from birdssl.errors import BadInput
from birdssl.stages.contract import Source


def recording_sources(inputs: Sequence[Path], listing: Listing) -> list[Source]:
    """The input folders, and the folder that all files given by name lie in, with a digest of all recordings."""
    folders = [path for path in inputs if path.is_dir()]
    files = [path.absolute().parent for path in inputs if not path.is_dir()]
    places = [*folders, *([Path(os.path.commonpath(files))] if files else [])]
    digest = hashlib.blake2b(digest_size=16)
    for recording in listing.recordings:
        digest.update(f"{recording.name}\t{recording.identity}\n".encode())
    return [Source(path, None, digest.hexdigest()) for path in places]


def chosen_channels(wanted: str, count: int, recording: Recording) -> list[int | None]:
    """The channels that `--channel` asks of a recording with `count`; None is the mean of all. Raises BadInput."""
    if wanted == "mix":
        return [None]
    if wanted == "each":
        return list(range(count))
    if int(wanted) >= count:
        raise BadInput(f"{recording.name}: has {count} channel(s), so no --channel {wanted} (0 is the first)")
    return [int(wanted)]


def complaint(error: BaseException | str, recording: Recording) -> str:
    """What is wrong with a recording or a table beside it, by the recording's name instead of its path.

    So rejects are the same however the path to the input was written.
    """
    text = str(error).replace(str(recording.path), recording.name)
    return text.replace(f"{recording.path.parent}{os.sep}", f"{'/'.join(recording.folders)}/")
