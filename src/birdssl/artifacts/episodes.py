"""Few-shot episodes: which clips are learned from, which are asked about, and which are only heard. All pure functions.

An episode takes a group of classes, draws a few labelled clips of each (the support) and asks for the classes of others
(the queries); the pool is what an encoder may be pretrained on, without labels. Three protocols part them:

paper      P2's: the pool is all clips of the group but the support, and is the query set too (transductive).
inductive  Queries are set apart first, by whole origins; the rest is the pool, and the support is drawn from it.
own        A person's own set: every labelled clip is support, every clip is in the pool, and nothing is asked.

Draws depend on the ids, labels and origins of the clips, the seed, the group's name and the number of the draw; not on
the order of rows, and not on which other draws or groups are made.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import numpy.typing as npt

from birdssl.artifacts.folds import deal, hold_out
from birdssl.errors import IncompatibleError, UsageError
from birdssl.seeds import generator

Positions = npt.NDArray[np.int64]
Protocol = Literal["paper", "inductive", "own"]

TRIES = 200  # of a support that leaves every class a query of another origin


@dataclass(frozen=True)
class Clips:
    """What an episode is drawn from: a clip's id, its one label ("" for none) and its origin, in any order."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    origins: tuple[str, ...]

    def of(self, classes: Iterable[str]) -> Positions:
        """Positions of the clips of some classes, in order of their ids."""
        wanted = set(classes)
        found = [place for place, label in enumerate(self.labels) if label in wanted]
        return np.array(sorted(found, key=lambda place: self.ids[place]), dtype=np.int64)

    def label_array(self, places: Positions) -> npt.NDArray[np.object_]:
        return np.array([self.labels[place] for place in places], dtype=object)

    def origin_array(self, places: Positions) -> npt.NDArray[np.object_]:
        return np.array([self.origins[place] for place in places], dtype=object)


@dataclass(frozen=True)
class Group:
    """Classes that are told from each other."""

    name: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class EpisodePlan:
    """How episodes are drawn.

    Attributes:
        protocol: paper, inductive or own.
        shots: support clips of a class.
        seed: of all draws.
        disjoint: paper only: queries whose origin the support has too are left out. Inductive always is.
        query_share: inductive: share of a group's clips that is set apart as queries, by whole origins.
        pool_clips: most clips in the pool; None for all.
    """

    protocol: Protocol
    shots: int = 5
    seed: int = 0
    disjoint: bool = False
    query_share: float = 0.25
    pool_clips: int | None = None


@dataclass(frozen=True)
class Episode:
    """Positions of clips, each part in order of ids.

    Attributes:
        left_out: queries left out since the support has their origin.
        shared: queries that remain although the support has their origin.
    """

    group: Group
    draw: int
    support: Positions
    query: Positions
    pool: Positions
    left_out: int = 0
    shared: int = 0


def table_groups(pairs: Iterable[tuple[str, str]]) -> list[Group]:
    """Groups from (label, group) pairs, in the order in which groups first occur."""
    classes = dict[str, set[str]]()
    for label, group in pairs:
        classes.setdefault(group, set()).add(label)
    return [Group(name, tuple(sorted(labels))) for name, labels in classes.items()]


def check_groups(groups: Iterable[Group], known: Iterable[str]) -> None:
    """Raises IncompatibleError for a group with a class that no clip has, or of fewer than two classes.

    Left out, a misspelt class would make an easier task without a word.
    """
    have = sorted(set(known))
    for group in groups:
        for label in group.classes:
            if label not in have:
                near = "".join(f" (did you mean {name!r}?)" for name in get_close_matches(label, have, 1))
                listed = ", ".join(have[:12]) + (" and more" if len(have) > 12 else "")
                raise IncompatibleError(
                    f"group {group.name}: no clip of the input is labelled {label!r}{near}; its classes are "
                    f"{listed or 'none'}. Leave this one out of the group, or choose other groups by --only-groups"
                )
        if len(group.classes) < 2:
            raise IncompatibleError(
                f"group {group.name} ({', '.join(group.classes) or 'no class'}): at least two classes are needed; the "
                f"input's classes: {', '.join(have[:12]) or 'none'}"
            )


def random_groups(clips: Clips, ways: int, count: int, least: int, seed: int) -> list[Group]:
    """`count` groups of `ways` classes each, named R1, R2 and so on, dealt like cards.

    No class comes twice before nearly all have come once: what is left of a deal is too little for a group. Classes
    with fewer than `least` clips aren't dealt. Raises IncompatibleError when fewer than `ways` are left.
    """
    sizes = {label: clips.labels.count(label) for label in set(clips.labels) if label}
    classes = sorted(label for label, size in sizes.items() if size >= least)
    if len(classes) < ways:
        raise IncompatibleError(
            f"{len(classes)} of {len(sizes)} classes have the {least} clips that are needed, and --ways {ways} asks "
            "for more; use fewer --ways or --shots, or label more clips"
        )
    deck, groups = list[str](), list[Group]()
    for number in range(count):
        if len(deck) < ways:
            deck = list(generator(seed, "random groups", number).permutation(classes))
        groups.append(Group(f"R{number + 1}", tuple(sorted(str(label) for label in deck[:ways]))))
        deck = deck[ways:]
    return groups


def choose_groups(groups: Sequence[Group], only: Sequence[str]) -> list[Group]:
    """The groups named in `only`, all where it's empty; raises UsageError for a name that there isn't."""
    names = [group.name for group in groups]
    for name in only:
        if name not in names:
            raise UsageError(f"--only-groups {name}: no such group; there are {', '.join(names)}")
    return [group for group in groups if not only or group.name in only]


def draw_episode(clips: Clips, group: Group, draw: int, plan: EpisodePlan) -> Episode:
    """One episode of a group. Raises IncompatibleError, with the numbers, for a set that is too small for the plan."""
    if plan.protocol == "own":
        support = clips.of(group.classes)
        return Episode(group, draw, support, support[:0], _pool(_every(clips), group, plan, clips))
    places = clips.of(group.classes)
    if plan.protocol == "inductive":
        query, rest = set_apart(clips, group, plan)
        support = _draw(clips, rest, group, plan, draw, 0)
        return Episode(group, draw, support, query, _pool(rest, group, plan, clips))
    _check_sizes(clips, places, group, plan, plan.shots + 1)
    return _paper(clips, places, group, draw, plan)


def set_apart(clips: Clips, group: Group, plan: EpisodePlan) -> tuple[Positions, Positions]:
    """(queries, rest) of the inductive protocol: the same for all draws, so one pretraining serves them all.

    About `query_share` of each class, by whole origins. Raises IncompatibleError where a class has a single origin, no
    query, or fewer clips left than shots.
    """
    places = clips.of(group.classes)
    _check_sizes(clips, places, group, plan, plan.shots + 1)
    labels, origins = clips.label_array(places), clips.origin_array(places)
    strata, codes = (np.unique(values.astype(str), return_inverse=True)[1] for values in (labels, origins))
    held = hold_out(strata, codes, plan.query_share, generator(plan.seed, "queries", group.name))
    for label in group.classes:
        own = labels == label
        apart, count = int(held[own].sum()), len(set(origins[own]))
        if not apart or int(own.sum()) - apart < plan.shots:
            raise IncompatibleError(
                f"group {group.name}: {label} has {own.sum()} clips of {count} origins; setting about "
                f"{plan.query_share:.0%} apart as queries, by whole origins, takes {apart} and leaves "
                f"{int(own.sum()) - apart}, and {plan.shots} shots and at least one query are needed. The set is too "
                "small for --protocol inductive: label recordings of more origins, or give another --query-share, "
                "fewer --shots, or --protocol paper"
            )
    return places[held], places[~held]


def shared_share(clips: Clips, episode: Episode) -> float:
    """Share of the queries whose origin the support has too; 0 where there are no queries."""
    return _shares(clips, episode.support, episode.query).sum() / max(len(episode.query), 1)


def support_folds(
    labels: Sequence[str], origins: Sequence[str], folds: int, seed: int
) -> tuple[Positions, tuple[str, ...]]:
    """Folds of a support for choosing among classifiers: (clips,) numbers from 0, and classes of a single origin.

    Whole origins are dealt, classes evenly. A class of a single origin can't be learned and asked about by origin, so
    its clips are dealt one by one: what its folds say flatters. Raises IncompatibleError for a class of one clip.
    """
    names = np.array(labels, dtype=object).astype(str)
    sources = np.array(origins, dtype=object).astype(str)
    classes, strata = np.unique(names, return_inverse=True)
    counts = np.bincount(strata)
    if counts.min() < 2:
        raise IncompatibleError(
            f"{classes[counts.argmin()]} has one labelled clip; choosing a classifier by folds takes two or more of "
            "each class: label another, or leave the class out by --group NAME=LABEL,LABEL"
        )
    lonely = tuple(str(label) for label in classes if len(set(sources[names == label])) == 1)
    parts = np.array([f"{place} {source}" if label in lonely else source
                      for place, (label, source) in enumerate(zip(names, sources, strict=True))])  # fmt: skip
    codes = np.unique(parts, return_inverse=True)[1].astype(np.int64)
    count = min(folds, int(codes.max()) + 1)
    return deal(strata.astype(np.int64), codes, count, generator(seed, "support folds")), lonely


def _paper(clips: Clips, places: Positions, group: Group, draw: int, plan: EpisodePlan) -> Episode:
    for attempt in range(TRIES if plan.disjoint else 1):
        support = _draw(clips, places, group, plan, draw, attempt)
        pool = np.setdiff1d(places, support)
        pool = pool[np.argsort([clips.ids[place] for place in pool])]
        shares = _shares(clips, support, pool)
        if not plan.disjoint:
            return Episode(group, draw, support, pool, _pool(pool, group, plan, clips), shared=int(shares.sum()))
        query = pool[~shares]
        full = len(support) == plan.shots * len(group.classes)
        if full and set(clips.label_array(query)) == set(group.classes):
            return Episode(group, draw, support, query, _pool(pool, group, plan, clips), left_out=int(shares.sum()))
    counts = {label: len(set(clips.origin_array(clips.of([label])))) for label in group.classes}
    label = min(counts, key=lambda name: counts[name])
    raise IncompatibleError(
        f"group {group.name}: no draw of {plan.shots} support clips a class leaves a query of another origin in every "
        f"class; {label} has {counts[label]} origins ({TRIES} draws tried). Label recordings of more origins, use "
        "fewer --shots, or leave --disjoint-origins out and read the score as flattering"
    )


def _draw(clips: Clips, places: Positions, group: Group, plan: EpisodePlan, draw: int, attempt: int) -> Positions:
    """`shots` clips of each class, in order of ids. Attempts after the first hold one origin of each class back."""
    keys: tuple[str | int, ...] = (plan.seed, "support", group.name, draw) + ((attempt,) if attempt else ())
    random = generator(int(keys[0]), *keys[1:])
    labels, origins = clips.label_array(places), clips.origin_array(places)
    free = np.ones(len(places), dtype=np.bool_)
    if attempt:
        for label in group.classes:
            free &= origins != random.choice(sorted(set(origins[labels == label])))
    chosen = list[int]()
    for label in group.classes:
        own = places[(labels == label) & free]
        chosen += [int(place) for place in random.permutation(own)[: plan.shots]]
        if len(own) < plan.shots and not attempt:
            raise IncompatibleError(f"group {group.name}: {label} has {len(own)} clips for {plan.shots} shots")
    return np.array(sorted(chosen, key=lambda place: clips.ids[place]), dtype=np.int64)


def _shares(clips: Clips, support: Positions, others: Positions) -> npt.NDArray[np.bool_]:
    """Which of `others` have an origin that the support has."""
    return np.isin(clips.origin_array(others).astype(str), clips.origin_array(support).astype(str))


def _pool(places: Positions, group: Group, plan: EpisodePlan, clips: Clips) -> Positions:
    """At most `pool_clips` of these, drawn."""
    if plan.pool_clips is None or len(places) <= plan.pool_clips:
        return places
    order = generator(plan.seed, "pool", group.name).permutation(len(places))
    return places[np.sort(order[: plan.pool_clips])]


def _every(clips: Clips) -> Positions:
    return np.array(sorted(range(len(clips.ids)), key=lambda place: clips.ids[place]), dtype=np.int64)


def _check_sizes(clips: Clips, places: Positions, group: Group, plan: EpisodePlan, least: int) -> None:
    labels = clips.label_array(places)
    for label in group.classes:
        count = int((labels == label).sum())
        if count < least:
            raise IncompatibleError(
                f"group {group.name}: {label} has {count} clip{'' if count == 1 else 's'}, and {plan.shots} shots with "
                f"at least one query take {least}; label more, use fewer --shots, leave the class out by "
                "--group NAME=LABEL,LABEL, or use --protocol own to learn from all clips"
            )
