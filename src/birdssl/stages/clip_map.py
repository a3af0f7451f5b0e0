"""The map of `birdssl report`: the clips behind the systems' planes, what is known of them, and their media."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.text_tables import label_groups
from birdssl.errors import IncompatibleError, NoInputError
from birdssl.evaluation.album import MOST_KINDS
from birdssl.evaluation.circumstances import HOUR, RECORDER, SITE, values_of
from birdssl.evaluation.report_page import ClipMap, MapSystem
from birdssl.stages.clip_media import Media, clip_media
from birdssl.stages.each_portraits import in_a_word
from birdssl.stages.portraits import Portraits, Shown

SPECIES, GROUP, OTHER = "species", "group", "other"
DIGITS = 3  # of places on the plane, whose units mean nothing


def read_groups(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """The group of each class, from a CSV table with columns label and group; other columns and classes don't matter.

    Raises NoInputError where there is no such file, UsageError where it lacks a column, and IncompatibleError where it
    lacks a class, or gives a class two groups.
    """
    if not path.is_file():
        raise NoInputError(f"--groups {path}: no such file; give a CSV table with columns label and group")
    found: dict[str, str] = {}
    for label, group in label_groups(path):
        if label in classes and found.setdefault(label, group) != group:
            raise IncompatibleError(f"--groups {path} puts {label} into several groups; give each class one")
    if absent := [label for label in classes if label not in found]:
        raise IncompatibleError(f"--groups {path} has no group for {', '.join(absent)}; add a row for each")
    return found


def clip_map(portraits: Portraits, groups: dict[str, str], sounds: int) -> ClipMap:
    """The planes of all systems, over the clips that any of them shows, with media of at most `sounds` of these."""
    views = {name: shown for name, shown in portraits.shown.items() if shown.view and shown.view.points is not None}
    rows = pl.concat([shown.rows[shown.view.rows] for shown in views.values() if shown.view]) if views else None
    if rows is None:
        return ClipMap({}, {}, [], {}, {}, {}, {}, "")
    rows = rows.unique("id", keep="first").sort("id")
    number = {clip: place for place, clip in enumerate(rows["id"])}
    media = _media(portraits, views, rows["id"].gather_every(-(-rows.height // sounds)).to_list() if sounds else [])
    return ClipMap(
        clips={
            "id": rows["id"].to_list(),
            "recording": rows["recording"].to_list(),
            "start": [round(start, 3) for start in rows["start"]],
            "truth": rows["truth"].to_list(),
            "time": [None if time is None else f"{time:%Y-%m-%d %H:%M:%S}" for time in rows["time"]],
        },
        columns=_columns(rows, groups, portraits.sets),
        holds=_holds(rows, portraits.classes.scored) if portraits.sets else {},
        systems=[_system(name, shown, number, portraits.sets) for name, shown in views.items()],
        pictures=media.pictures,
        sounds=media.sounds,
        missing=media.missing,
        axes=media.axes,
        heard=heard_in_words(media, rows.height),
    )


def _columns(rows: pl.DataFrame, groups: dict[str, str], sets: bool) -> dict[str, list[str | None]]:
    """What points can be coloured by: species, and of the rest what differs between clips."""
    held = rows["held"].to_list() if sets else [[truth] for truth in rows["truth"]]
    species: list[str | None] = common_sets(rows["truth"]) if sets else rows["truth"].to_list()
    rest: dict[str, list[Any]] = {
        GROUP: [in_a_word({groups[label] for label in labels}) if groups else None for labels in held]
    }
    rest |= {name: values_of(rows, name) for name in (SITE, RECORDER, HOUR)}
    varied = {name: values for name, values in rest.items() if len(set(values)) > 1}
    return {SPECIES: species, **varied}


def common_sets(sets: pl.Series) -> list[str | None]:
    """Sets of classes as they are, but the rarest as "other" where they are more than a picture can tell apart."""
    counts = sets.value_counts(sort=False, name="count").sort("count", sets.name, descending=[True, False])
    if counts.height <= MOST_KINDS:
        return sets.to_list()
    kept = set(counts[sets.name].head(MOST_KINDS - 1))
    return [name if name in kept else OTHER for name in sets]


def _holds(rows: pl.DataFrame, classes: Sequence[str]) -> dict[str, list[str]]:
    """Whether clips hold each class, "yes" or "no", where some do and some don't."""
    columns = {f"with {name}": ["yes" if name in held else "no" for held in rows["held"]] for name in classes}
    return {name: values for name, values in columns.items() if len(set(values)) > 1}


def _system(name: str, shown: Shown, number: dict[str, int], sets: bool) -> MapSystem:
    assert shown.view is not None
    points = shown.view.points
    assert points is not None
    rows = shown.rows[shown.view.rows]
    fold = rows["model_fold"][0]
    model = "" if fold is None else f", as the model of fold {fold} sees them"
    return MapSystem(
        name,
        [number[clip] for clip in rows["id"]],
        points[:, 0].round(DIGITS).tolist(),
        points[:, 1].round(DIGITS).tolist(),
        rows["predicted"].to_list(),
        rows["score"].to_list() if sets else rows["score"].cast(pl.Float64).round(4).to_list(),
        f"{name}: t-SNE of {rows.height} of {shown.rows.height} clips{model}, perplexity {shown.view.perplexity:.3g}.",
    )


def _media(portraits: Portraits, views: dict[str, Shown], wanted: Sequence[str]) -> Media:
    """Media of clips, from the first system's embeddings that have them."""
    found = Media()
    left = list(wanted)
    for shown in views.values():
        if not left:
            break
        artifact = open_artifact(portraits.inputs[shown.input])
        mine = set(shown.rows["id"].to_list())
        more = clip_media(artifact, [clip for clip in left if clip in mine])
        axes = found.axes or more.axes
        found = Media(found.pictures | more.pictures, found.sounds | more.sounds, found.missing | more.missing,
                      more.slowed, more.ceiling, axes)  # fmt: skip
        left = [clip for clip in left if clip not in mine]
    return found


def heard_in_words(media: Media, clips: int) -> str:
    """What is heard, in a sentence or two."""
    if not media.sounds:
        why = next(iter(media.missing.values()), None)
        return "No sound lies in this page" + (f": {why}." if why else ", as it was asked for.")
    told = f"{len(media.sounds)} of {clips} clips can be heard, each as loud as the others"
    told += f", {media.slowed} times slower than it was" if media.slowed > 1 else ""
    told += f", without what lies above {media.ceiling / 1000:g} kHz" if media.ceiling else ""
    if media.missing:
        told += f"; of {len(media.missing)} the sound can't be read, such as: {next(iter(media.missing.values()))}"
    return told + "."
