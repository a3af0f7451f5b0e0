"""P1's Table 3: order, the best of each encoder, and LaTeX."""

import re
from typing import Any

from birdssl.evaluation.study import names_needed, study_latex, study_rows


def system(name: str, scores: list[float], silhouette: float | None = 0.125) -> dict[str, Any]:
    mean = sum(scores) / len(scores)
    deviation = (sum((score - mean) ** 2 for score in scores) / (len(scores) - 1)) ** 0.5 if len(scores) > 1 else None
    return {"name": name, "silhouette": {"value": silhouette},
            "folds": {"fold": list(range(len(scores))), "balanced_accuracy": scores, "mean": mean,
                      "deviation": deviation}}  # fmt: skip


STARTS = {
    "V": {"way": "pretrained", "objective": "vicreg", "encoder": "resnet50", "tuned": True},
    "R": {"way": "random", "encoder": "resnet50", "tuned": True},
    "S": {"way": "random", "encoder": "simple_cnn", "tuned": True},
    "mel": {"way": "plain", "encoder": None, "tuned": False, "by": "linear"},
    "I": {"way": "imagenet", "encoder": "resnet50", "tuned": True},
}
SYSTEMS = [system("mel", [0.9]), system("V", [0.5, 0.7]), system("S", [0.55, 0.65]), system("I", [0.7, 0.8], None),
           system("R", [0.4, 0.6])]  # fmt: skip


def test_rows_stand_in_the_papers_order_with_the_best_of_each_encoder():
    rows = study_rows(SYSTEMS, STARTS, ["inception from imagenet"])
    assert [(row.get("start"), row.get("encoder")) for row in rows] == [
        ("random", "resnet50"), ("random", "simple_cnn"), ("ImageNet", "resnet50"), ("VICReg", "resnet50"),
        ("plain features", None), (None, None),
    ]  # fmt: skip
    # only ResNet-50 has several starts, and ImageNet's is its best
    assert [row["system"] for row in rows if row.get("best")] == ["I"]
    assert rows[-1] == {"system": "inception from imagenet", "why": "weights not at hand"}
    assert not names_needed(rows)


def test_uses_stand_apart_and_each_has_its_best():
    """A frozen encoder's probe is no rival of the fine-tuned network."""
    frozen = {name: {**STARTS[name[0]], "tuned": False, "by": "knn"} for name in ("R, k-NN", "V, k-NN")}
    more = [*SYSTEMS, system("R, k-NN", [0.3]), system("V, k-NN", [0.2])]
    rows = study_rows(more, {**STARTS, **frozen}, [])
    assert [row["use"] for row in rows] == ["fine-tuned"] * 4 + ["linear probe"] + ["k-NN"] * 2
    assert [row["system"] for row in rows if row["best"]] == ["I", "R, k-NN"]
    assert not names_needed(rows)
    text = study_latex(rows)
    assert text.index(r"\emph{fine-tuned}") < text.index(r"\emph{linear probe}") < text.index(r"\emph{k-NN}")


def test_names_stand_beside_where_start_and_encoder_are_not_enough():
    halves = [system("V, all labels", [0.5]), system("V, half of them", [0.4])]
    rows = study_rows(halves, {name["name"]: STARTS["V"] for name in halves}, [])
    assert names_needed(rows)
    assert "V, half of them" in study_latex(rows)


def test_a_start_that_is_not_known_says_so():
    (row,) = study_rows([system("found", [0.5])], {}, [])
    assert (row["start"], row["encoder"]) == ("not known", None)


def test_latex_has_as_many_cells_a_line_as_columns_and_escapes_names():
    text = study_latex(study_rows(SYSTEMS, STARTS, ["50 % of_it"]))
    lines = text.splitlines()
    columns = len(re.search(r"\{tabular\}\{(\w+)\}", lines[0])[1])
    assert columns == 4
    body = [line for line in lines if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in body} == {columns - 1}
    assert r"random & resnet50 & $0.1250$ & $50.0 \pm 14.1$ \\" in lines
    assert r"ImageNet & resnet50 & -- & $\mathbf{75.0 \pm 7.1}$ \\" in lines
    assert r"simple\_cnn" in text
    assert r"50 \% of\_it" in text
