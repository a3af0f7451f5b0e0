"""Settings of `birdssl ls`."""

from typing import ClassVar, Literal

from birdssl.settings.base import Settings, setting


class LsSettings(Settings):
    """Print the rows of a stage's directory, or list the stages below a folder.

    Rows go to stdout, remarks to stderr. The table leaves out empty columns and those for which the terminal has no
    room; the other formats have all of them. A directory that isn't finished shows what is done so far.
    """

    example: ClassVar[str] = "birdssl ls clips --where labels=wren --columns recording,start,labels -n 20"

    format: Literal["table", "tsv", "csv", "jsonl"] = setting("table", "How rows are written.", short="-f")
    columns: list[str] = setting([], "Only these columns, in this order.", short="-c", metavar="A,B")
    where: list[str] = setting(
        [],
        "Only rows where this holds; =, !=, <, <=, > and >= compare, a list fits when an item does, and nothing "
        "after = means an empty value. Repeat it for more conditions.",
        short="-w",
        metavar="COLUMN=VALUE",
        commas=False,
    )
    rows: int | None = setting(None, "At most this many rows.", ge=0, short="-n")
    rejects: bool = setting(False, "What was left out and why, instead of the rows.")
    stage: bool = setting(False, "What made the directory: verb, state, counts, settings and inputs.")
    json_summary: bool = setting(False, "The same as one JSON object.", key="json")
