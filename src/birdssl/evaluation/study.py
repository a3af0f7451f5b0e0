"""A study as P1's Table 3 shows it: each encoder from each start, with silhouette and score over folds."""

from collections.abc import Mapping, Sequence
from typing import Any

from birdssl.evaluation.fewshot_table import NOT_AT_HAND
from birdssl.evaluation.lineage import IMAGENET, OTHER_LABELS, PLAIN, PRETRAINED, PUBLISHED, RANDOM, UNKNOWN
from birdssl.evaluation.measure import BALANCED_ACCURACY
from birdssl.evaluation.score_table import escaped
from birdssl.evaluation.starts import USES, use_of
from birdssl.settings.names import SUPERVISED

STARTS = {RANDOM: "random", IMAGENET: "ImageNet", PUBLISHED: "published weights", UNKNOWN: "not known",
          PLAIN: "plain features"}  # fmt: skip
OBJECTIVES = {
    "barlow-twins": "Barlow Twins",
    "vicreg": "VICReg",
    "vicreg-algorithm1": "VICReg (algorithm 1)",
    "vicreg-equation": "VICReg (equation)",
    "cola": "COLA",
    "clar": "CLAR",
    "simclr": "SimCLR",
    "mt-slvr": "MT-SLVR",
    "byol-a": "BYOL-A",
    "mockingjay": "Mockingjay",
    "tera": "TERA",
    SUPERVISED: "supervised",
    OTHER_LABELS: "other labels",
}
UNUSED = "not known"
USED = [*dict.fromkeys(word for word, _ in USES.values()), UNUSED]
ORDER = (RANDOM, IMAGENET, PUBLISHED, PRETRAINED, UNKNOWN, PLAIN)  # P1's, with what it doesn't have behind


def start_word(start: Mapping[str, Any] | None) -> str:
    """What a system started from, in a word or two: an objective's name for what was pretrained here."""
    if start is None:
        return STARTS[UNKNOWN]
    if start["way"] == PRETRAINED:
        return OBJECTIVES.get(str(start.get("objective")), str(start.get("objective") or "pretrained"))
    return STARTS[start["way"]]


def study_rows(
    systems: Sequence[Mapping[str, Any]], starts: Mapping[str, Mapping[str, Any]], absent: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a system, by use, start and encoder in P1's order, then those that are absent.

    Each has use, start, encoder, system, silhouette, mean, deviation (null for one model), folds, and `best`: whether
    its mean is the highest of its encoder's in that use. Scores are shares; the silhouette is of the fold that did best
    on validation. P1 has one use, fine-tuned.
    """
    rows = []
    for system in systems:
        start, folds = starts.get(system["name"]), system["folds"]
        rows.append({
            "use": UNUSED if start is None or start["way"] == UNKNOWN else use_of(start),
            "start": start_word(start),
            "encoder": (start or {}).get("encoder"),
            "system": system["name"],
            "silhouette": system["silhouette"]["value"],
            "mean": folds["mean"],
            "deviation": folds["deviation"],
            "folds": len(folds["fold"]),
            "way": (start or {}).get("way", UNKNOWN),
        })  # fmt: skip
    encoders = list(dict.fromkeys(row["encoder"] for row in rows))
    words = list(dict.fromkeys(row["start"] for row in rows))
    rows.sort(
        key=lambda row: (
            USED.index(row["use"]),
            ORDER.index(row["way"]),
            words.index(row["start"]),
            encoders.index(row["encoder"]),
        )
    )
    for row in rows:
        same = (row["encoder"], row["use"])
        rivals = [
            other["mean"] for other in rows if (other["encoder"], other["use"]) == same and other["mean"] is not None
        ]
        row["best"] = len(rivals) > 1 and row["mean"] == max(rivals)
        del row["way"]
    return [*rows, *({"system": name, "why": NOT_AT_HAND} for name in absent)]


def names_needed(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether use, start and encoder don't tell all rows apart, so that systems' names must stand beside."""
    keys = [(row.get("use"), row.get("start"), row.get("encoder")) for row in rows if "why" not in row]
    return len(set(keys)) < len(keys)


def study_latex(rows: Sequence[Mapping[str, Any]], words: str = BALANCED_ACCURACY.words) -> str:
    """The rows as a LaTeX `tabular` with booktabs rules, ready to \\input; the best of each encoder in bold.

    `words` name the score. A use has its own head line where there are several.
    """
    named = names_needed(rows)
    heads = ["Start", "Encoder", *(["System"] if named else []), "Silhouette", rf"{words.capitalize()} (\%)"]
    lines = [rf"\begin{{tabular}}{{{'l' * (len(heads) - 2)}rr}}", r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
    before = use = None
    several = len({row["use"] for row in rows if "why" not in row}) > 1
    for row in rows:
        if several and row.get("use") != use and "why" not in row:
            lines += [
                *([r"\midrule"] if use else []),
                rf"\multicolumn{{{len(heads)}}}{{l}}{{\emph{{{row['use']}}}}} \\",
            ]
            before, use = None, row["use"]
        if "why" in row:
            span = rf"\multicolumn{{{len(heads) - 2}}}{{l}}{{{escaped(row['system'])}}}"
            lines.append(rf"{span} & \multicolumn{{2}}{{r}}{{{row['why']}}} \\")
            continue
        cells = [row["start"] if row["start"] != before else "", escaped(row["encoder"] or "--")]
        cells += [escaped(row["system"])] if named else []
        cells += ["--" if row["silhouette"] is None else f"${row['silhouette']:.4f}$", _score(row)]
        before = row["start"]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _score(row: Mapping[str, Any]) -> str:
    if row["mean"] is None:
        return "--"
    spread = "" if row["deviation"] is None else rf" \pm {row['deviation'] * 100:.1f}"
    value = f"{row['mean'] * 100:.1f}{spread}"
    return rf"$\mathbf{{{value}}}$" if row["best"] else f"${value}$"
