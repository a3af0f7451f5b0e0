"""`birdssl report` of evaluations that tell each class by itself: the same page, of clips with several species."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from embeddings import SPECIES, embedded, evaluate, head, metrics, table
from reports import CALLS, evaluations_each, report
from toy import folder_bytes

from birdssl.errors import IncompatibleError
from birdssl.stages.clip_map import OTHER, common_sets


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return evaluations_each(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def made(scored: list[Path]) -> Path:
    out = scored[0].parent / "report"
    report(scored, out, baseline="mel statistics")
    return out


def page_data(out: Path) -> dict:
    return json.loads(re.search(r'id="map-data">(.*?)</script>', (out / "report.html").read_text(), re.S)[1])


def test_folds_that_were_scored_apart_are_one_system(scored, made, tmp_path):
    folder = scored[0].parent
    evaluate([folder / "fold-0", folder / "fold-1"], tmp_path / "once", draws=200, name=["VICReg", "VICReg"])
    (once,), apart = metrics(tmp_path / "once")["systems"], metrics(made)["systems"][1]
    for name in ("name", "macro_average_precision", "macro_auroc", "macro_f1", "folds", "classes"):
        assert apart[name] == once[name]
    assert apart["folds"]["fold"] == [0, 1]


def test_the_study_and_all_tables_say_what_the_page_says(made):
    found = metrics(made)
    names = {path.stem for path in (made / "tables").iterdir()}
    assert names == {"study", "scores", "folds", "differences", "classes", "map"}
    read = {name: pl.read_csv(made / "tables" / f"{name}.csv", infer_schema_length=None) for name in names}
    for name, frame in read.items():
        rows = json.loads((made / "tables" / f"{name}.json").read_text())
        assert frame.height == len(rows) > 0
        assert frame.columns == list(rows[0])
    assert read["scores"]["value"].to_list() == [
        system["macro_average_precision"]["value"] for system in found["systems"]
    ]
    assert read["scores"]["macro_f1"].to_list() == [system["macro_f1"] for system in found["systems"]]
    folds = read["folds"].filter(system="VICReg")["macro_average_precision"].to_list()
    study = {row["system"]: row for row in found["study"]["rows"]}["VICReg"]
    assert study["mean"] == pytest.approx(np.mean(folds), abs=1e-6)
    assert study["silhouette"] is None
    classes = read["classes"].filter(system="VICReg")
    assert classes["class"].to_list() == SPECIES
    for row, known in zip(classes.to_dicts(), found["systems"][1]["classes"], strict=True):
        assert row["precision"] == pytest.approx(row["right"] / (row["right"] + row["false_alarms"]), abs=1e-6)
        assert row["auroc"] == known["auroc"]["value"]
        assert row["average_precision_low"] == known["average_precision"]["low"]
    tex = (made / "tables" / "study.tex").read_text()
    assert r"Macro average precision (\%)" in tex
    assert f"{study['mean'] * 100:.1f} \\pm {study['deviation'] * 100:.1f}" in tex
    page = (made / "report.html").read_text()
    assert f"{study['mean'] * 100:.1f} ± {study['deviation'] * 100:.1f} %" in page
    assert "balanced accuracy" not in page.lower()
    figures = {path.name for path in (made / "figures").iterdir()}
    assert {"folds.png", "comparison.svg", "02-vicreg-classes.png", "02-vicreg-by-species.png"} <= figures


def test_a_clips_label_is_all_that_it_holds_and_right_is_the_very_same(made):
    data, rows = page_data(made), pl.read_parquet(made / "manifest.parquet")
    assert [system["name"] for system in data["systems"]] == ["mel statistics", "VICReg"]
    seen = set()
    for system in data["systems"]:
        answers = rows.filter(system=system["name"])
        if system["name"] == "VICReg":  # the plane is of the model of one fold
            answers = answers.filter(model_fold=int(re.search(r"model of fold (\d)", system["caption"])[1]))
        answers = {row["id"]: row for row in answers.to_dicts()}
        for clip, said, scores in zip(system["clips"], system["predicted"], system["score"], strict=True):
            row = answers[data["id"][clip]]
            assert data["truth"][clip] == (" + ".join(sorted(row["truth"])) or "none")
            assert said == (" + ".join(sorted(row["predicted"])) or "none")
            assert len(scores) == len(row["predicted"])
            assert (data["truth"][clip] == said) == (set(row["truth"]) == set(row["predicted"]))
            seen.add(len(row["truth"]))
            for name in SPECIES:
                assert data["columns"][f"with {name}"][clip] == ("yes" if name in row["truth"] else "no")
    assert {0, 1, 2} <= seen
    assert data["columns"]["species"] == data["truth"]  # few sets, so each has its colour


def test_a_clip_of_two_species_is_heard_with_both(made):
    data, text = page_data(made), (made / "report.html").read_text()
    clip = data["id"][data["truth"].index("frog + wren")]
    encoded = re.search(rf'id="sound-{clip}">(.*?)</script>', text)[1]
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    pitch = np.fft.rfftfreq(len(wave), 1 / rate)
    loud = {name: spectrum[np.abs(pitch - hertz) < 20].max() for name, hertz in CALLS.items()}
    assert min(loud["frog"], loud["wren"]) > 20 * loud["owl"]


def test_the_rarest_of_many_sets_are_coloured_as_one():
    """60 sets: the first six on two clips each, the rest on one; 55 keep their names, ties by the alphabet."""
    names = [f"set {number:02d}" for number in range(60)]
    found = common_sets(pl.Series("truth", names + names[:6]))
    assert found[:55] == names[:55]
    assert found[55:60] == [OTHER] * 5
    assert found[60:] == names[:6]
    assert common_sets(pl.Series("truth", names[:56])) == names[:56]


def test_groups_of_all_species_that_a_clip_holds(scored, tmp_path):
    groups = tmp_path / "groups.csv"
    pl.DataFrame({"label": SPECIES, "group": ["amphibian", "bird", "bird"]}).write_csv(groups)
    report(scored, tmp_path / "out", groups=groups, sounds=0)
    data = page_data(tmp_path / "out")
    pairs = dict(zip(data["truth"], data["columns"]["group"], strict=True))
    assert pairs["frog + wren"] == "amphibian + bird"
    assert pairs["owl + wren"] == "bird"
    assert pairs["none"] == "none"


def test_the_same_report_is_the_same_bytes(scored, made):
    again = made.parent / "again"
    report(scored, again, baseline="mel statistics")
    one, other = folder_bytes(made), folder_bytes(again)
    assert {name for name in one if one[name] != other[name]} == set()


def test_without_a_picture_there_is_no_map(scored, tmp_path):
    outcome = report(scored, tmp_path / "out", projection_clips=0)
    assert 'id="map-data"' not in (tmp_path / "out" / "report.html").read_text()
    assert "macro AP" in outcome.text
    assert "report.html" in outcome.text


def test_a_mixture_is_refused(scored, tmp_path):
    rows, vectors = table()
    evaluate([embedded(tmp_path / "embed", rows, vectors, head(rows, 0.6))], tmp_path / "single",
             projection_clips=0, circumstance_clips=0, draws=200)  # fmt: skip
    with pytest.raises(IncompatibleError, match=r"scores each class by itself, and .*single one label a clip"):
        report([*scored, tmp_path / "single"], tmp_path / "out")
