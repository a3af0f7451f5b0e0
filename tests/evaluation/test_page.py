import copy
import re
from html.parser import HTMLParser

import pytest

from birdssl.evaluation.page import render_page

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (960).to_bytes(4, "big") + (480).to_bytes(4, "big")
NAMES = ["plain", '"><img src=x onerror=alert(1)>']


def interval(value, low=None, high=None, why=None):
    return {"value": value, "low": low, "high": high} | ({"why_no_interval": why} if why else {})


def system(name, value, **changes):
    return {
        "name": name, "baseline": False, "clips": 20, "origins": 9, "balanced_accuracy": interval(value, 0.3, 0.8),
        "draws_without_a_class": 0, "how": ["By hand & by <eye>."],
        "folds": {"fold": [None], "balanced_accuracy": [value], "mean": value, "deviation": None, "same_clips": True},
        "recall": [{"class": "wren", "clips": 20, "origins": 9, **interval(value, 0.3, 0.8)},
                   {"class": "owl", "clips": 0, "origins": 0, **interval(None, why="no clips")}],
        "confusion": {"rows": ["wren", "owl"], "columns": ["wren", "owl"], "counts": [[20, 0], [0, 0]]},
        "silhouette": {"value": -0.25, "reason": None, "clips": 20},
        "circumstances": [
            {"name": "site", "clips": 20, "origins": 9, "classes": 2, "chance": 0.5, "told": True,
             **interval(0.9, 0.8, 0.97)},
            {"name": "recorder", "why": "not known of any clip"},
        ],
        "projection": {"shown": 9, "of": 20, "perplexity": 3.0, "model": "", "reason": None},
        "reliability": {"said": 0.8, "right": 0.6, "error": 0.21},
        "figures": {"reliability": "r.png", "recall": "r.png", "confusion": "c.png", "projection": "p.png"}, **changes,
    }  # fmt: skip


def results(*systems, **changes):
    return {
        "birdssl": "0.1.0", "on": "test", "checked": True, "shared": False,
        "settings": {"seed": 0, "draws": 100, "level": 0.9},
        "chance": {"balanced_accuracy": 0.5, "classes": 2}, "systems": list(systems), "comparisons": [],
        "pretraining": [], "notes": [],
        "left_out": [], "figures": {"comparison": "all.png"},
        "data": {"clips": 20, "origins": 9, "other_answers": [],
                 "classes": [{"class": "wren", "clips": 20, "origins": 9}, {"class": "owl", "clips": 0, "origins": 0}]},
        **changes,
    }  # fmt: skip


def page(found):
    pictures = dict.fromkeys(("all.png", "r.png", "c.png", "p.png"), PNG)
    return render_page(found, pictures, {"command": "birdssl evaluate 'a b' -o again", "inputs": []})


def words(text):
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", text, flags=re.S)).split())


class Tags(HTMLParser):
    """Names of all attributes, and the number of pictures."""

    def __init__(self):
        super().__init__()
        self.attributes, self.images = [], 0

    def handle_starttag(self, tag, attrs):
        self.attributes += [name for name, _ in attrs]
        self.images += tag == "img"


def test_hostile_names_stay_text():
    found = results(*(system(name, 0.5) for name in NAMES), notes=["<script>1</script>"])
    found["data"]["classes"][0]["class"] = found["systems"][0]["recall"][0]["class"] = "</style><script>2</script>"
    text = page(found)
    assert "<script" not in text
    assert text.count("<style>") == text.count("</style>") == 1
    tags = Tags()
    tags.feed(text)
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert tags.images == 7  # the comparison, and three pictures a system: none from a name
    assert "&lt;script&gt;1&lt;/script&gt;" in text


def test_one_system_is_told_in_a_sentence():
    text = words(page(results(system("VICReg", 0.512))))
    assert "VICReg reaches a balanced accuracy of 51.2 % (30.0 to 80.0 %); chance is 50.0 %." in text
    assert "Scored on 20 held-out test clips from 9 origins, in 1 class." in text
    assert "90 % interval" in text
    assert "−0.250" in text
    assert "t-SNE of 9 of 20 clips" in text
    assert "By hand &amp; by &lt;eye&gt;." in text


def test_what_is_missing_is_said_and_not_left_blank():
    bare = system("a", 1.0, balanced_accuracy=interval(1.0, why="all 9 origins agree"))
    bare["projection"] = {"shown": 0, "of": 3, "perplexity": 0.0, "model": "", "reason": "too few"}
    bare["silhouette"] = {"value": None, "reason": "needs two classes", "clips": 3}
    bare["figures"] = {**bare["figures"], "projection": None}
    text = words(page(results(bare)))
    for sentence in ("none: all 9 origins agree", "needs two classes", "too few.", "none: no clips"):
        assert sentence in text


@pytest.mark.parametrize(
    ("verdict", "low", "high", "shown"),
    [("b above a by 9.0 points (+1.0 to +17.0)", 0.01, 0.17, True),
     ("no difference shown between b and a: +3.0 points (-1.0 to +7.0)", -0.01, 0.07, False)],
)  # fmt: skip
def test_verdicts_stand_first_and_shown_differences_stand_out(verdict, low, high, shown):
    pair = {"first": "b", "second": "a", "clips": 20, "origins": 9, "difference": interval(0.05, low, high),
            "verdict": verdict, "folds": None}  # fmt: skip
    text = page(results(system("a", 0.4), system("b", 0.45), comparisons=[pair]))
    assert ('<li class="shown">' in text) is shown
    assert verdict[1:8] in words(text)
    assert "−1.0 to +7.0" in text or shown
    assert "not what another run of training would" in words(text)


def compared(number: int, low: float, high: float, second: str = "mel") -> dict:
    return {"first": f"s{number}", "second": second, "clips": 20, "origins": 9, "difference": interval(0.0, low, high),
            "verdict": f"verdict {number}", "folds": None}  # fmt: skip


def in_short(text: str) -> str:
    return text.split("<details>", 1)[0]


def test_of_many_comparisons_the_few_that_show_a_difference_stand_apart():
    pairs = [compared(0, 0.01, 0.1), compared(1, -0.2, -0.1), *(compared(n, -0.1, 0.1) for n in range(2, 12))]
    text = page(results(system("a", 0.4), comparisons=pairs))
    shown = in_short(text)
    assert "12 comparisons over recordings with mel: 1 above it, 1 below it, 10 without a difference shown." in words(
        shown
    )
    assert [n for n in range(12) if f"verdict {n}." in shown] == [0, 1]
    assert all(f"verdict {n}." in text for n in range(12))


def test_many_differences_are_counted_and_folded_away():
    pairs = [compared(n, -0.2, -0.1, f"t{n}") for n in range(12)]
    text = page(results(system("a", 0.4), comparisons=pairs))
    assert "12 comparisons over recordings: 0 above the other, 12 below the other, 0 without a" in words(in_short(text))
    assert "verdict" not in in_short(text).split("</style>")[1].replace('class="verdicts"', "")
    assert all(f"verdict {n}." in text for n in range(12))


def test_many_systems_leave_the_list_of_links_short():
    few, many = (page(results(*(system(f"s{n}", 0.4) for n in range(count)))) for count in (2, 9))
    assert few.count('href="#system-') == 2
    assert 'href="#system-' not in many


def test_folds_and_their_tests_are_shown_where_there_are_some():
    both = []
    for name in ("a", "b"):
        made = system(name, 0.4)
        made["folds"] = {
            "fold": [0, 1],
            "balanced_accuracy": [0.3, 0.5],
            "mean": 0.4,
            "deviation": 0.1414,
            "same_clips": True,
        }
        both.append(made)
    pair = {"first": "b", "second": "a", "clips": 20, "origins": 9, "difference": interval(0.0, -0.1, 0.1),
            "verdict": "no difference shown between b and a: +0.0 points (-10.0 to +10.0)",
            "folds": {"folds": 2, "difference": 0.0, "t": -0.8, "freedom": 1, "p": 0.5, "p_corrected": None,
                      "p_adjusted": None, "effect": -0.57, "verdict": "too little to tell b from a"}}  # fmt: skip
    text = words(page(results(*both, comparisons=[pair])))
    assert "40.0 ± 14.1 % (2)" in text
    assert "Over folds Too little to tell" in text or "Over folds too little to tell" in text
    assert "−0.80 (1)" in text
    assert "0.500 – – −0.57" in text
    assert "not what another run of training would" not in text  # the folds are other runs


def test_what_else_an_embedding_tells_is_shown_or_why_not():
    text = words(page(results(system("a", 0.4))))
    assert "Is it the animal, or the microphone?" in text
    assert "site 2 of them 90.0 % 80.0 to 97.0 % 50.0 % 20 9" in text
    assert "recorder not known of any clip" in text
    assert "microphone" not in words(page(results(system("a", 0.4, circumstances=[]))))


def test_whether_pretraining_helped_stands_in_front():
    gap = {"value": 0.03, "low": 0.01, "high": 0.05}
    beside = [{"against": "random", "decides": True, "difference": gap},
              {"against": "plain", "decides": False, "difference": interval(0.2, why="one origin")},
              {"against": "plain", "decides": True, "difference": interval(-0.1, why="one origin")}]  # fmt: skip
    use = {"system": "a", "use": "fine-tuned", "score": 0.4, "comparisons": beside,
           "words": ["Beside a random start: a above b by 3 points"]}  # fmt: skip
    helped = {"name": "a", "answer": "yes, beside a random start", "caution": "Looked at <once>.", "uses": [use],
              "not_looked_at": ["k-NN"]}  # fmt: skip
    text = words(page(results(system("a", 0.4), pretraining=[helped])))
    assert "In short Did pretraining help a? Yes, beside a random start. Looked at &lt;once&gt;." in text
    assert "Did pretraining help? a: yes, beside a random start Looked at &lt;once&gt;. used score" in text
    assert "fine-tuned 40.0 % +3.0 +1.0 to +5.0 −10.0 – In words Beside a random start: a above b by 3 points." in text
    assert "over reference encoder" not in text
    other = {"against": "reference", "decides": True, "difference": gap}
    helped |= {"uses": [use, use | {"system": "c", "use": "k-NN", "comparisons": [other]}]}
    text = words(page(results(system("a", 0.4), pretraining=[helped])))
    assert "over random start over plain features over reference encoder" in text
    assert "k-NN c 40.0 % – – +3.0 +1.0 to +5.0" in text
    assert "Did pretraining help" not in words(page(results(system("a", 0.4))))


def test_confidence_is_told_beside_what_it_is_worth():
    text = words(page(results(system("a", 0.4))))
    assert "a probability of 80.0 % on average, and 60.0 % of them were right" in text
    assert "lets through more errors than it seems to" in text
    modest = system("a", 0.4, reliability={"said": 0.6, "right": 0.6, "error": 0.0})
    assert "lets through" not in words(page(results(modest)))


def test_a_result_without_a_part_is_an_error_not_a_blank():
    broken = copy.deepcopy(results(system("a", 0.4)))
    del broken["systems"][0]["silhouette"]
    with pytest.raises(Exception, match="silhouette"):
        page(broken)
