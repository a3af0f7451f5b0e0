"""How a stage is run: options common to all verbs that never change an artifact's bytes."""

from birdssl.settings.base import Settings, setting


class RunOptions(Settings):
    """Options of every verb that change how the work is done, not what comes out."""

    jobs: int = setting(1, "Worker processes; the bytes that come out are the same for any number.", ge=1, short="-j")
    device: str = setting("auto", "Where networks run: auto, cpu, cuda, cuda:N or mps.")
    update: bool = setting(False, "Add what has appeared in the input since OUT was made.")
    overwrite: bool = setting(False, "Remove OUT first, when it's an artifact of this verb.")
    dry_run: bool = setting(False, "Say what would be done, in how many units and bytes, and write nothing.")
    max_rejects: str = setting("0", "How many inputs may be left out before the exit code is 3: a count or N%.")
    json_summary: bool = setting(False, "Print one JSON object on stdout instead of text.")
    quiet: bool = setting(False, "Only warnings and errors on stderr.", short="-q")
