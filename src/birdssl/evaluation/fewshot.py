"""Few-shot answers to accuracies: one for each cell, intervals over draws, seeds and groups, and paired differences.

A cell is a (group, draw of the support, pretraining seed); a system is what answers in it: features (an encoder's
embeddings, mel statistics, or both) and a classifier. Accuracy is the mean of the classes' recalls, which is the plain
one where classes have equally many queries, as in P2; so chance is one over the number of classes whatever their sizes.

Within a group, draws and seeds are crossed: each seed's encoder meets the same draws. The variance of the mean is
estimated from both (`crossed`). Over groups the interval is Student's over the groups' means, with one degree of
freedom less than groups: what another set of classes would give. Groups that share classes count as fewer
(`independent_groups`). All intervals are conditional on the recordings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from birdssl.evaluation.intervals import Interval
from birdssl.evaluation.metrics import Floats
from birdssl.settings.names import PROBES

QUERY, FOLDS = "query", "folds"  # parts: answers to queries; answers inside the support, each fold by the others
PRETRAINED, RANDOM, MEL = "pretrained", "random", "mel"
WITH_MEL = "+mel"
FINETUNE, CHOSEN = "finetune", "chosen"
FEATURES = (PRETRAINED, PRETRAINED + WITH_MEL, RANDOM, RANDOM + WITH_MEL, MEL)  # in a table's order
CLASSIFIERS = (CHOSEN, FINETUNE, "linear", "knn", "centroid")
WORDS = {CHOSEN: "chosen on the support set", FINETUNE: "fine-tuned", **PROBES}
AND = " and "  # between the methods that share a control, where nothing shorter names it
Shares = Mapping[str, Sequence[str]]  # the name of a control to the methods that share it
NOBODY: Shares = {}
LEVEL = 0.95
SAME = "the same value in every cell"
CERTAINTY_DIGITS = 9  # of the mean probability given to the truth: ties shouldn't hang on the order of a sum

# Columns of an answer: one row for each system and clip of a cell.
ANSWERS: dict[str, Any] = {
    "group": pl.String,
    "draw": pl.Int32,
    "seed": pl.Int32,
    "part": pl.String,
    "features": pl.String,
    "classifier": pl.String,
    "id": pl.String,
    "recording": pl.String,
    "origin": pl.String,
    "truth": pl.String,
    "predicted": pl.String,
    "certainty": pl.Float32,  # probability that was given to the truth
}
CELL = ("group", "draw", "seed")
SYSTEM = ("method", "features", "classifier")


@dataclass(frozen=True, order=True)
class System:
    """What answers: a method's name, features and a classifier.

    Controls (random starts, mel statistics) have an empty name, or that of the run that they stand beside.
    """

    method: str
    features: str
    classifier: str

    @property
    def control(self) -> bool:
        """Whether no pretraining went into it."""
        return PRETRAINED not in self.features and self.classifier != CHOSEN

    def beside(self, method: str, shares: Shares = NOBODY) -> bool:
        """Whether a control stands beside a method: it is nobody's, or its own, or shared by it."""
        return self.method in ("", method) or method in shares.get(self.method, ())

    def words(self) -> str:
        """As a table's row names it: "AcousticSSM1 + mel statistics, linear"."""
        if self.classifier == CHOSEN:
            return f"{self.method}, {WORDS[CHOSEN]}" if self.method else WORDS[CHOSEN]
        return f"{self.source()}{' + mel statistics' if self._with_mel else ''}, {WORDS[self.classifier]}"

    def two_lines(self) -> tuple[str, str]:
        """As a picture names it, where lines are short: source, and what answers on it."""
        if self.classifier == CHOSEN:
            return (self.method, WORDS[CHOSEN]) if self.method else ("chosen", "on the support set")
        return self.source(), f"{WORDS[self.classifier]}{', with mel statistics' if self._with_mel else ''}"

    @property
    def _with_mel(self) -> bool:
        return self.features.endswith(WITH_MEL)

    def source(self) -> str:
        """Where its features come from."""
        beside = f" of {self.method}" if self.method else ""
        base = self.features.removesuffix(WITH_MEL)
        return {PRETRAINED: self.method, RANDOM: f"random start{beside}", MEL: f"mel statistics{beside}"}[base]


@dataclass(frozen=True)
class Spread:
    """A mean with the variance of that mean and its degrees of freedom; variance None with the reason."""

    mean: float
    variance: float | None
    freedom: float
    reason: str | None = None

    def interval(self, level: float = LEVEL) -> Interval:
        """Student's interval."""
        if self.variance is None:
            return Interval(self.mean, None, None, self.reason)
        if self.variance < 1e-24:
            return Interval(self.mean, None, None, SAME)
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.variance**0.5
        return Interval(self.mean, self.mean - half, self.mean + half)


def cells(answers: pl.DataFrame, method: str, controls: str = "") -> pl.DataFrame:
    """A row for each system and cell of a run, pretrained ones named `method`, the others `controls`.

    Columns of SYSTEM and CELL, then `accuracy`, `queries` (how many), `asked` (a number that is the same for the same
    queries, or for the same support where there are none), `folds_accuracy` and `folds_certainty`; null where there are
    none.
    """
    keys = ["features", "classifier", *CELL]
    right = (pl.col("truth") == pl.col("predicted")).cast(pl.Float64)
    by_class = answers.group_by([*keys, "part", "truth"]).agg(
        right.mean().alias("recall"), pl.col("certainty").cast(pl.Float64).mean(), pl.len().alias("clips"),
        pl.col("id").sort().hash(seed=0).sum().alias("asked"))  # fmt: skip
    both = by_class.group_by([*keys, "part"]).agg(
        pl.col("recall").sort().mean(), pl.col("certainty").sort().mean().round(CERTAINTY_DIGITS),
        pl.col("clips").sum(), pl.col("asked").sum())  # fmt: skip
    asked = both.filter(pl.col("part") == QUERY).select(
        *keys, pl.col("recall").alias("accuracy"), pl.col("clips").cast(pl.Int64).alias("queries"), "asked"
    )
    inside = both.filter(pl.col("part") == FOLDS).select(
        *keys, pl.col("recall").alias("folds_accuracy"), pl.col("certainty").alias("folds_certainty"),
        pl.col("asked").alias("learned"))  # fmt: skip
    found = asked.join(inside, on=keys, how="full", coalesce=True).with_columns(pl.coalesce("asked", "learned"))
    pretrained = pl.col("features").str.contains(PRETRAINED, literal=True)
    name = pl.when(pretrained).then(pl.lit(method)).otherwise(pl.lit(controls))
    return found.select(name.alias("method"), *keys, "accuracy", "queries", "asked", "folds_accuracy",
                        "folds_certainty").sort(*SYSTEM, *CELL)  # fmt: skip


def best_inside(
    found: pl.DataFrame, among: Sequence[str] = (), where: pl.DataFrame | None = None, shares: Shares = NOBODY
) -> pl.DataFrame:
    """In each cell the row of the system that did best inside the support.

    Never looks at queries: by `folds_accuracy`, ties by the mean probability given to the truth, then by name. Random
    starts are controls and stand for no choice. `among` names methods; all where it's empty. `where` are the
    cells (CELL) in which there is a choice; all by default. `shares` says whose the controls are (`merge_controls`).
    Systems that weren't tried inside the support are passed over; no rows where none was.
    """
    candidates = found.filter(
        ~pl.col("features").str.starts_with(RANDOM)
        & (pl.col("classifier") != CHOSEN)
        & pl.col("folds_accuracy").is_not_null()
    )
    if among:
        names = candidates["method"].unique().to_list()
        allowed = [name for name in names if not name or set(among) & {name, *shares.get(name, ())}]
        candidates = candidates.filter(pl.col("method").is_in(allowed))
    if where is not None:
        candidates = candidates.join(where, on=CELL, how="semi")
    ordered = candidates.sort(
        [*CELL, "folds_accuracy", "folds_certainty", *SYSTEM],
        descending=[False] * len(CELL) + [True, True] + [False] * len(SYSTEM),
    )
    return ordered.group_by(CELL, maintain_order=True).first().select(found.columns)


def choose(
    found: pl.DataFrame,
    method: str,
    among: Sequence[str] = (),
    where: pl.DataFrame | None = None,
    shares: Shares = NOBODY,
) -> pl.DataFrame:
    """What `best_inside` finds, as one more system of the name `method`, with `choice` the words of what was chosen."""
    rows = best_inside(found, among, where, shares)
    words = [System(*row).words() for row in rows.select(SYSTEM).iter_rows()]
    return rows.with_columns(
        pl.lit(method).alias("method"),
        pl.lit("").alias("features"),
        pl.lit(CHOSEN).alias("classifier"),
        pl.Series("choice", words, pl.String),
    )


def merge_controls(
    found: pl.DataFrame, labels: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """Cells in which controls that several methods have alike are one, and the methods that share each name.

    Random starts differ between encoders, and mel statistics between sample rates; controls are alike where they agree
    in every cell that both have, and have one in common. One that all methods share is nobody's (""). Others are named
    by what tells them apart, as `labels` have it: for RANDOM and MEL a word for each method, such as its encoder; or
    after all their methods, where a word stands for two different controls.
    """
    shares: dict[str, list[str]] = {}
    own = pl.col("features").str.contains(PRETRAINED, literal=True) | (pl.col("classifier") == CHOSEN)
    parts = [found.filter(own)]
    for (features, _), rows in found.filter(~own).group_by("features", "classifier", maintain_order=True):
        kinds: dict[tuple[str, ...], pl.DataFrame] = {}
        for (method,), mine in rows.group_by("method", maintain_order=True):
            names = next((names for names, cells_ in kinds.items() if _alike(cells_, mine)), None)
            if names is None:
                kinds[(str(method),)] = mine
            else:
                both = pl.concat([kinds.pop(names), mine]).unique(CELL, keep="first", maintain_order=True)
                kinds[(*names, str(method))] = both
        words = (labels or {}).get(str(features).removesuffix(WITH_MEL), {})
        short = {names: {words.get(name, name) for name in names} for names in kinds}
        for names, cells_ in kinds.items():
            alone = len(short[names]) == 1 and all(short[names] != short[other] for other in kinds if other != names)
            name = "" if len(kinds) == 1 else next(iter(short[names])) if alone else AND.join(names)
            if name:
                shares[name] = list(dict.fromkeys([*shares.get(name, []), *names]))
            parts.append(cells_.with_columns(pl.lit(name).alias("method")))
    return pl.concat(parts).sort(*SYSTEM, *CELL), shares


def _alike(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    both = one.join(other, on=CELL, suffix="_other")
    same = (pl.col(name).eq_missing(pl.col(f"{name}_other")) for name in ("accuracy", "asked", "folds_accuracy"))
    return not both.is_empty() and bool(both.select(pl.all_horizontal(*same).all()).item())


def systems(found: pl.DataFrame) -> list[System]:
    """Systems of a table of cells: methods in the order in which they come, then controls by kind."""
    rows = [System(*row) for row in found.select(SYSTEM).unique(maintain_order=True).iter_rows()]
    methods = list(dict.fromkeys(row.method for row in rows))
    features = ["", *FEATURES]

    def place(row: System) -> tuple[Any, ...]:
        source = (methods.index(row.method), features.index(row.features))
        return row.control, *(reversed(source) if row.control else source), CLASSIFIERS.index(row.classifier)

    return sorted(rows, key=place)


def of_system(found: pl.DataFrame, system: System) -> pl.DataFrame:
    """One system's cells."""
    return found.filter(
        (pl.col("method") == system.method)
        & (pl.col("features") == system.features)
        & (pl.col("classifier") == system.classifier)
    )


def crossed(values: Floats) -> Spread:
    """Mean of (draws, seeds) values, every draw with every seed, and the variance of that mean.

    Two crossed random effects and a rest: with mean squares of draws, seeds and the rest, Var = (M_draws + M_seeds -
    M_rest) / (draws x seeds), never less than either part alone; degrees of freedom by Satterthwaite (1946) from the
    parts that are used. With one seed it's the usual s^2 / draws over draws, which says nothing of other seeds; with
    one draw the other way round; with one value there is none.
    """
    draws, seeds = values.shape
    mean, count = float(values.mean()), values.size
    if count == 1:
        return Spread(mean, None, 0, "one draw and one seed")
    if draws == 1 or seeds == 1:
        return Spread(mean, float(values.var(ddof=1)) / count, count - 1)
    by_draw, by_seed = values.mean(axis=1), values.mean(axis=0)
    rest = values - by_draw[:, None] - by_seed[None, :] + mean
    freedom = np.array([draws - 1, seeds - 1, (draws - 1) * (seeds - 1)], float)
    squares = np.array([by_draw.var(ddof=1) * seeds, by_seed.var(ddof=1) * draws, (rest**2).sum() / freedom[2]])
    signed = squares * [1, 1, -1] / count
    larger = int(squares[1] > squares[0])
    if signed.sum() <= squares[larger] / count:
        return Spread(mean, float(squares[larger] / count), float(freedom[larger]))
    total = float(signed.sum())
    return Spread(mean, total, float(max(total**2 / (signed**2 / freedom).sum(), min(freedom[:2]))))


def of_group(found: pl.DataFrame, column: str = "accuracy") -> Spread:
    """One group's values of one system, as `crossed` has them; the mean alone where draws lack some of the seeds."""
    table = found.pivot(on="seed", index="draw", values=column).sort("draw").drop("draw")
    if table.drop_nulls().height < table.height:
        return Spread(float(found[column].mean()), None, 0, "some draws lack a seed")  # type: ignore[arg-type]
    return crossed(table.to_numpy())


def independent_groups(groups: Mapping[str, Sequence[str]]) -> int:
    """How many groups of other classes these are worth: all of them where no class is in two.

    Classes that are dealt again and again (--groups random:N) make ever more groups and no new classes; as many groups
    count as the classes would fill once.
    """
    if not groups:
        return 0
    distinct = {label for classes in groups.values() for label in classes}
    return min(len(groups), len(distinct) * len(groups) // sum(map(len, groups.values())))


def over_groups(
    found: pl.DataFrame, column: str = "accuracy", independent: int | None = None
) -> tuple[Spread, dict[str, Spread]]:
    """The mean of the groups' means, and each group's own. With one group, both are the same.

    `independent` is what the groups are worth (`independent_groups`), all of them by default: the variance of the mean
    is that of so many groups.
    """
    names = found["group"].unique(maintain_order=True).to_list()
    each = {str(name): of_group(found.filter(pl.col("group") == name), column) for name in names}
    means = np.array([spread.mean for spread in each.values()])
    if len(means) == 1:
        return next(iter(each.values())), each
    worth = len(means) if independent is None else min(independent, len(means))
    if worth < 2:
        return Spread(float(means.mean()), None, 0, "the groups share their classes"), each
    return Spread(float(means.mean()), float(means.var(ddof=1)) / worth, worth - 1), each


def gaps(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Accuracy of one system less another's in each cell that both have, on the same queries: CELL, then `gap`.

    Raises ValueError when both have a cell with other queries in it: such numbers can't be set side by side.
    """
    both = first.join(second.select(*CELL, "accuracy", "asked"), on=CELL, suffix="_other").drop_nulls("accuracy")
    if (both["asked"] != both["asked_other"]).any():
        raise ValueError("paired differences need the same queries in every cell")
    return both.select(*CELL, (pl.col("accuracy") - pl.col("accuracy_other")).alias("gap")).drop_nulls().sort(*CELL)
