"""Did pretraining help? Each pretrained encoder in each of its uses, beside what would have done without pretraining.

A score alone doesn't say: a network that was never trained, or two numbers a mel band, may do as well. Nor does one use
alone: a linear probe may rank encoders otherwise than fine-tuning or neighbours do. What each system started from and
how its answers came about is read from the runs that made it (`evaluation.lineage.start_of`), not from its name.

Three kinds of system stand beside a pretrained one, of those that were scored together:
    random     the random start of the same encoder, in the same use: it decides whether pretraining helped
    plain      mel statistics, by the same classifier; beside a trained head, whichever classifier does best on them
    reference  ImageNet's or published weights of any encoder, in the same use: told where there are some, and no more
All learned from the same share of the labels and, where there are such, held out the same folds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from birdssl.evaluation.lineage import IMAGENET, PLAIN, PRETRAINED, PUBLISHED, RANDOM
from birdssl.settings.names import PROBES

REFERENCE = "reference"
KINDS = {RANDOM: (RANDOM,), PLAIN: (PLAIN,), REFERENCE: (IMAGENET, PUBLISHED)}
WORDS = {
    RANDOM: "a random start",
    PLAIN: "plain features (mel statistics)",
    IMAGENET: "a reference encoder (ImageNet weights)",
    PUBLISHED: "a reference encoder (published weights)",
}
OVER = {RANDOM: "random start", PLAIN: "plain features", REFERENCE: "reference encoder"}  # a table's columns
WORST_FIRST: tuple[bool | None, ...] = (False, None, True)  # below, not told apart, above
CURES = {RANDOM: "`birdssl finetune` without --start, or `birdssl pretrain --epochs 0` where it is frozen",
         PLAIN: "`birdssl embed --features mel-statistics`"}  # fmt: skip
ALONE = "not known: no random start of its network stands beside it"
HEAD = "head"
# (fine-tuned, answers by) to what a use is called, and how a sentence goes on with it
USES = {
    (True, HEAD): ("fine-tuned", "when fine-tuned"),
    (False, "linear"): ("linear probe", "by a linear probe"),
    (False, "knn"): ("k-NN", "by k-NN"),
    (False, "centroid"): ("nearest centroid", "by nearest centroid"),
    (False, HEAD): ("head on the frozen encoder", "by a head on the frozen encoder"),
    **{(True, kind): (f"fine-tuned, then {name}", f"by {name} after fine-tuning") for kind, name in PROBES.items()},
}
EXPECTED = [USES[use] for use in list(USES)[:4]]  # an answer should rest on these four


class Systems(Protocol):
    """Systems that were scored together, by name: what is asked of them whatever the score is."""

    def folds(self, name: str) -> frozenset[int | None]:
        """The folds that its models held out."""
        ...

    def score(self, name: str) -> float:
        """Its score, a share."""
        ...

    def compare(self, couples: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """The first less the second of each couple, with the tests over folds judged together."""
        ...


def starts_of(told: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each system started from, with `by`, what answers, and the share of `labels` that it learned from.

    `told` has for each input its `system`, `start` and `models`. A frozen network's labels are its probe's. Systems
    whose models started differently are left out.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for item in told:
        for model in item.get("models") or [{}]:
            found.setdefault(item["system"], []).append(_start(item["start"], model))
    return {name: starts[0] for name, starts in found.items() if all(start == starts[0] for start in starts)}


def _start(start: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    by = model.get("kind", HEAD)
    found = {**start, "by": by, "labels": start.get("labels", 1.0)}
    if by == HEAD:
        found.pop("layer", None)  # heads answer the same whichever layer was written
        return found
    taught = model.get("labels", 1.0)
    if not start["tuned"] and "layer" not in start:
        return {**found, "labels": taught}  # what a head beside it learned, this layer doesn't know
    return {**found, "taught": taught}


def did_it_help(systems: Systems, starts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each pretrained encoder: whether pretraining helped, in all uses that are among the systems.

    `starts` are those of `starts_of`. A row is an encoder with its objective: `name`, `answer` (the answer of its one
    use, or all of them in a sentence), `caution` (a sentence on uses that weren't looked at), `not_looked_at`,
    and `uses`. Each of these has the `system`, its `use` and `score` (as `systems` are scored), `answer`, `words`,
    `comparisons` and the kinds that are `missing`. Of several systems of a kind the one that does best decides
    (`decides` among the comparisons). Tests over folds are judged together, those beside references apart.
    """
    asked = [name for name, start in starts.items() if start["way"] == PRETRAINED]
    folds = {name: systems.folds(name) for name in starts}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
    for kinds in ((RANDOM, PLAIN), (REFERENCE,)):
        couples = [(name, kind, other) for name in asked for kind in kinds
                   for other in _controls(starts, folds, name, kind)]  # fmt: skip
        compared = systems.compare([(name, other) for name, _, other in couples])
        for (name, kind, other), item in zip(couples, compared, strict=True):
            found[name].append({"against": kind, "same_folds": folds[other] == folds[name], **item})
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in asked:
        start = starts[name]
        groups.setdefault(tuple(start.get(part) for part in ("encoder", "objective", "pretraining", "labels")),
                          []).append(name)  # fmt: skip
    rows = []
    for names in groups.values():
        names = sorted(names, key=lambda name: list(USES).index(_use(starts[name])))
        rows.append(_encoder([(starts[name], _row(name, starts, round(systems.score(name), 6), found[name]))
                              for name in names]))  # fmt: skip
    called = [row["name"] for row in rows]
    return [{**row, "name": row["uses"][0]["system"]} if called.count(row["name"]) > 1 else row for row in rows]


def use_of(start: Mapping[str, Any]) -> str:
    """What the use of a system is called: fine-tuned, linear probe and so on; of plain features by their classifier."""
    return USES[_use(start)][0]


def _use(start: Mapping[str, Any]) -> tuple[bool, str]:
    return bool(start["tuned"]), start.get("by", HEAD)


def _controls(
    starts: Mapping[str, Mapping[str, Any]], folds: Mapping[str, frozenset[Any]], name: str, kind: str
) -> list[str]:
    """The systems of a kind that stand beside one, in the same use, of as many labels."""
    own = starts[name]
    alike: tuple[str, ...] = ("tuned", "by", "layer", "labels", "taught")
    if kind == RANDOM:
        alike = ("encoder", *alike)
    elif kind == PLAIN:
        alike = ("labels", "by") if not own["tuned"] and own.get("by", HEAD) != HEAD else ("labels",)
    same = [other for other, start in starts.items()
            if start["way"] in KINDS[kind] and all(start.get(part) == own.get(part) for part in alike)]  # fmt: skip
    return [other for other in same if folds[other] == folds[name]] or same


def deciding(row: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    """The comparison with the best system of a kind, of one use of an encoder; None where there is none."""
    return next((item for item in row["comparisons"] if item["decides"] and item["against"] == kind), None)


def columns(row: Mapping[str, Any]) -> dict[str, str]:
    """What an encoder's table compares its uses with, and what that is called: references where there are some."""
    beside = {item["against"] for use in row["uses"] for item in use["comparisons"]}
    return {kind: words for kind, words in OVER.items() if kind != REFERENCE or kind in beside}


def _row(
    name: str, starts: Mapping[str, Mapping[str, Any]], score: float, found: list[dict[str, Any]]
) -> dict[str, Any]:
    """One use of an encoder: what it is worth, and what it is worth beside the others."""
    for kind in KINDS:
        of_kind = [item for item in found if item["against"] == kind]
        for item in of_kind:
            item["decides"] = item is min(of_kind, key=_standing)
    missing = [kind for kind in CURES if all(item["against"] != kind for item in found)]
    told = [item for item in found if item["decides"] or item["against"] == REFERENCE]
    words = [f"Beside {WORDS[starts[item['second']]['way']]}: {item['verdict']}" for item in told]
    words += [f"Over folds: {item['folds']['verdict']}" for item in told if item["folds"]]
    words += [f"{item['second']} held out other folds, so it learned from other labels: see `birdssl evaluate --fold`"
              for item in told if item["against"] == PLAIN and not item["same_folds"]]  # fmt: skip
    words += [f"Not beside {WORDS[kind]}, which would tell: add {_cure(kind, starts[name])}"
              for kind in missing]  # fmt: skip
    return {"system": name, "use": USES[_use(starts[name])][0], "score": score, "answer": _answer(found),
            "words": words, "comparisons": found, "missing": missing}  # fmt: skip


def _cure(kind: str, start: Mapping[str, Any]) -> str:
    by = start.get("by", HEAD)
    return CURES[kind] + (f", scored by --probe {by}" if by != HEAD else "")


def _answer(found: Sequence[Mapping[str, Any]]) -> str:
    """Yes, no, or why not, of one use, in a few words."""
    beside = _deciding(found)
    if RANDOM not in beside:
        return ALONE
    if beside[RANDOM] is None:
        return "not shown"
    if not beside[RANDOM]:
        return "no: it did harm, beside a random start"
    if PLAIN not in beside:
        return "yes, beside a random start"
    plain = {True: ", and beside plain features", None: "; not shown beside plain features",
             False: "; yet plain features do better"}[beside[PLAIN]]  # fmt: skip
    return f"yes, beside a random start{plain}"


def _encoder(uses: Sequence[tuple[Mapping[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    """An encoder's uses together: one sentence, and which uses weren't looked at."""
    start, rows = uses[0][0], [row for _, row in uses]
    phrases = [USES[_use(each)][1] for each, _ in uses]
    absent = [(label, phrase) for label, phrase in EXPECTED if phrase not in phrases]
    same = {"encoder": start["encoder"], "objective": start.get("objective"), "labels": start.get("labels", 1.0)}
    if len(rows) == 1:
        name, answer = rows[0]["system"], rows[0]["answer"]
    else:
        share = "" if same["labels"] == 1 else f", {same['labels'] * 100:g} % of the labels"
        name = f"{same['encoder']} ({same['objective'] or 'pretrained'}{share})"
        twice = {phrase for phrase in phrases if phrases.count(phrase) > 1}
        answer = _sentence([(f"{phrase} ({row['system']})" if phrase in twice else phrase, row)
                            for phrase, row in zip(phrases, rows, strict=True)])  # fmt: skip
    return {
        "name": name,
        **same,
        "answer": answer,
        "caution": _caution(phrases, [phrase for _, phrase in absent], rows),
        "not_looked_at": [label for label, _ in absent],
        "uses": rows,
    }


def _caution(phrases: Sequence[str], absent: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Which uses weren't looked at, where there is an answer that they might change; empty where all four were."""
    if not absent or all(RANDOM in row["missing"] for row in rows):
        return ""
    others = _listed(absent, "or")
    return (
        f"Not looked at {others}."
        if len(rows) > 1
        else f"Looked at {phrases[0]} only, which may mislead: not {others}."
    )


def _sentence(told: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The answers of several uses, such as "yes when fine-tuned and by k-NN; not shown by a linear probe"."""
    if all(RANDOM in row["missing"] for _, row in told):
        return ALONE
    beside = [(phrase, _deciding(row["comparisons"])) for phrase, row in told]
    parts = {
        "yes": [phrase for phrase, found in beside if found.get(RANDOM)],
        "not shown": [phrase for phrase, found in beside if RANDOM in found and found[RANDOM] is None],
        "no, it did harm": [phrase for phrase, found in beside if found.get(RANDOM) is False],
        "not known for want of a random start": [phrase for phrase, found in beside if RANDOM not in found],
        "no difference from plain features shown": [
            phrase for phrase, found in beside if found.get(RANDOM) and PLAIN in found and found[PLAIN] is None
        ],
        "yet plain features do better": [phrase for phrase, found in beside if found.get(PLAIN) is False],
    }
    return "; ".join(f"{words} {_listed(phrases)}" for words, phrases in parts.items() if phrases)


def _deciding(found: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """Of each kind, whether the system is above the best of them."""
    return {item["against"]: _above(item) for item in found if item["decides"]}


def _standing(item: Mapping[str, Any]) -> tuple[int, float]:
    """Sorts comparisons: the control that leaves least of a difference first."""
    return WORST_FIRST.index(_above(item)), item["difference"]["value"] if item["difference"] else 0.0


def _above(item: Mapping[str, Any]) -> bool | None:
    """Whether the first is above the second over recordings; None where no difference is shown."""
    gap = item["difference"]
    if gap is None or gap["low"] is None or gap["low"] <= 0 <= gap["high"]:
        return None
    return bool(gap["low"] > 0)


def _listed(words: Sequence[str], last: str = "and") -> str:
    """Words as a list in a sentence."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
