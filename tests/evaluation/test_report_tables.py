"""Numbers of a report as tables."""

from birdssl.evaluation.report_tables import report_tables

EMPTY = {"systems": [], "chance": {"balanced_accuracy": 0.5}, "study": {"rows": []}, "comparisons": [], "health": []}


def test_a_row_for_each_use_of_a_pretrained_encoder_beside_the_best_of_each_kind():
    def beside(kind: str, decides: bool, value: float) -> dict:
        return {"against": kind, "decides": decides, "difference": {"value": value, "low": value - 0.1, "high": None}}

    found = [beside("random", True, 0.25), beside("plain", False, 0.5), beside("plain", True, -0.5)]
    use = {"use": "k-NN", "system": "ours (k-NN)", "score": 0.5, "answer": "yes", "comparisons": found}
    other = {**use, "use": "fine-tuned", "comparisons": [{**beside("random", True, 0.0), "difference": None}]}
    (frame,) = report_tables({**EMPTY, "pretraining": [{"name": "simplecnn (vicreg)", "uses": [use, other]}]}).values()
    assert frame.rows(named=True)[0] == {
        "encoder": "simplecnn (vicreg)", "use": "k-NN", "system": "ours (k-NN)", "score": 0.5,
        "answer": "yes", "over_random": 0.25, "over_random_low": 0.15, "over_random_high": None,
        "over_plain": -0.5, "over_plain_low": -0.6, "over_plain_high": None,
        "over_reference": None, "over_reference_low": None, "over_reference_high": None,
    }  # fmt: skip
    assert frame["over_random"].to_list() == [0.25, None]
