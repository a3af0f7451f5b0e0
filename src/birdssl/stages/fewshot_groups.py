"""Which classes `birdssl fewshot` tells from each other: all, random ones, or groups that are given."""

from collections.abc import Sequence
from pathlib import Path

from birdssl.artifacts.episodes import Clips, Group, check_groups, choose_groups, random_groups, table_groups
from birdssl.artifacts.text_tables import label_groups
from birdssl.errors import NoInputError
from birdssl.settings.fewshot import FewshotSettings


def groups_path(settings: FewshotSettings) -> Path | None:
    """The table of groups, where --groups names one."""
    return None if settings.group or settings.every_class or settings.random_groups else Path(settings.groups)


def wanted_groups(settings: FewshotSettings, clips: Clips) -> list[Group]:
    """The groups to run. Raises what `choose_groups` and `check_groups` do, and NoInputError for an empty table."""
    found = choose_groups(_every_group(settings, clips), settings.only_groups)
    check_groups(found, filter(None, clips.labels))
    return found


def _every_group(settings: FewshotSettings, clips: Clips) -> list[Group]:
    if settings.group:
        given = [text.partition("=") for text in settings.group]
        pairs = [(label.strip(), name.strip()) for name, _, labels in given for label in labels.split(",")]
        return table_groups([pair for pair in pairs if pair[0]])
    if settings.random_groups is not None:
        least = 2 if settings.protocol == "own" else settings.shots + 1
        return random_groups(clips, settings.ways, settings.random_groups, least, settings.seed)
    table = groups_path(settings)
    if table is not None:
        return table_groups(_pairs(table))
    assert settings.every_class is not None
    return [Group(settings.every_class, tuple(sorted({label for label in clips.labels if label})))]


def _pairs(path: Path) -> Sequence[tuple[str, str]]:
    """(label, group) of each line of a table."""
    if not path.is_file():
        raise NoInputError(f"--groups {path}: no such table; give all, random:N, or a CSV with columns label and group")
    found = label_groups(path)
    if not found:
        raise NoInputError(f"--groups {path}: no row with a label and a group; write one for each class")
    return found
