"""`birdssl report`: evaluations joined, every number in a table, every clip to be heard."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from embeddings import CLASSES, FROG, RAIN, WREN, embedded, evaluate, head, metrics, table
from PIL import Image
from reports import HERTZ, evaluations, report
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.evaluation.metrics import ClassList
from birdssl.settings.report import ReportSettings
from birdssl.stages.clip_map import heard_in_words
from birdssl.stages.clip_media import clip_media
from birdssl.stages.portraits import Portraits


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return evaluations(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def made(scored: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = scored[0].parent / "report"
    report(scored, out, baseline="mel statistics")
    return out


def page_data(out: Path) -> dict:
    text = (out / "report.html").read_text()
    return json.loads(re.search(r'id="map-data">(.*?)</script>', text, re.S)[1])


def blob(out: Path, element: str) -> bytes:
    text = (out / "report.html").read_text()
    return base64.b64decode(re.search(rf'id="{element}">(.*?)</script>', text)[1])


def test_folds_that_were_scored_apart_are_one_system(scored, made, tmp_path):
    """The same numbers as when `evaluate` scores them in one go."""
    folder = scored[0].parent
    evaluate([folder / "mel", folder / "fold-0", folder / "fold-1"], tmp_path / "once", draws=200,
             name=["mel statistics", "VICReg", "VICReg"], baseline="mel statistics")  # fmt: skip
    apart, once = metrics(made), metrics(tmp_path / "once")
    for one, other in zip(apart["systems"], once["systems"], strict=True):
        assert {
            key: one[key] for key in ("name", "clips", "balanced_accuracy", "folds", "reliability", "silhouette")
        } == {key: other[key] for key in ("name", "clips", "balanced_accuracy", "folds", "reliability", "silhouette")}
        # classes stand in the order of a head's list, or of the alphabet where the first input has none
        assert sorted(one["recall"], key=lambda row: row["class"]) == sorted(
            other["recall"], key=lambda row: row["class"]
        )
    assert apart["comparisons"] == once["comparisons"]
    assert apart["systems"][1]["folds"]["fold"] == [0, 1]


def test_an_evaluation_twice_counts_once(scored, made, tmp_path):
    report([*scored, scored[1]], tmp_path / "twice", baseline="mel statistics")
    assert pl.read_csv(tmp_path / "twice" / "tables" / "scores.csv").equals(pl.read_csv(made / "tables" / "scores.csv"))


def test_every_table_is_csv_and_json_and_says_what_the_page_says(made):
    found = metrics(made)
    names = {path.stem for path in (made / "tables").iterdir()}
    assert {"study", "scores", "folds", "differences", "recall", "confusion", "reliability", "circumstances",
            "map"} <= names  # fmt: skip
    for name in names:
        rows = json.loads((made / "tables" / f"{name}.json").read_text())
        read = pl.read_csv(made / "tables" / f"{name}.csv", infer_schema_length=None)
        assert read.height == len(rows) > 0
        assert read.columns == list(rows[0])
    scores = pl.read_csv(made / "tables" / "scores.csv")
    assert scores["value"].to_list() == [system["balanced_accuracy"]["value"] for system in found["systems"]]
    counts = pl.read_csv(made / "tables" / "confusion.csv").filter(system="VICReg", truth=WREN)
    table_ = found["systems"][1]["confusion"]
    assert counts["answer"].to_list() == table_["columns"]
    assert counts["clips"].to_list() == table_["counts"][table_["rows"].index(WREN)]
    assert (made / "tables" / "study.tex").read_text().startswith(r"\begin{tabular}")


def test_every_figure_is_png_and_svg_and_lies_in_the_page(made):
    names = {path.name for path in (made / "figures").iterdir()}
    assert {"folds.png", "comparison.png", "01-mel-statistics-projection.png", "02-vicreg-by-site.png"} <= names
    assert {Path(name).stem for name in names if name.endswith("png")} == {
        Path(name).stem for name in names if name.endswith("svg")
    }
    text = (made / "report.html").read_text()
    for name in names:
        if name.endswith("png") and not name.endswith("recall.png"):  # the page has these numbers as a table
            assert base64.b64encode((made / "figures" / name).read_bytes()).decode() in text, name


def test_a_clip_is_seen_and_heard_as_it_was_recorded(made):
    """A class's tone at its pitch, raised to be audible, and a line at its place on the frequency axis."""
    data = page_data(made)
    for label, hertz in HERTZ.items():
        clip = data["id"][data["truth"].index(label)]
        wave, rate = soundfile.read(io.BytesIO(blob(made, f"sound-{clip}")))
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
        assert np.fft.rfftfreq(len(wave), 1 / rate)[spectrum.argmax()] == pytest.approx(hertz, abs=5)
        assert np.abs(wave).max() == pytest.approx(0.9, abs=0.1)  # it was .01
        picture = np.asarray(Image.open(io.BytesIO(blob(made, f"picture-{clip}"))).convert("L")).astype(float)
        line = (picture.mean(axis=1).argmax() + 0.5) / len(picture)
        marks = data["axes"]["hertz"]
        assert np.interp(hertz, *zip(*marks, strict=True)) == pytest.approx(line, abs=0.04)


def test_points_lead_to_their_own_clips(made):
    data, rows = page_data(made), pl.read_parquet(made / "manifest.parquet")
    assert [system["name"] for system in data["systems"]] == ["mel statistics", "VICReg"]
    for system in data["systems"]:
        answers = rows.filter(system=system["name"])
        for clip, answer in zip(system["clips"], system["predicted"], strict=True):
            mine = answers.filter(id=data["id"][clip])
            assert answer in mine["predicted"].to_list()
            assert mine["recording"][0] == data["recording"][clip]
            assert mine["truth"][0] == data["truth"][clip]
    assert set(data["columns"]["site"]) == {"north", "south"}


def test_the_same_report_is_the_same_bytes(scored, made):
    again = made.parent / "again"
    report(scored, again, baseline="mel statistics")
    one, other = folder_bytes(made), folder_bytes(again)
    assert {name for name in one if one[name] != other[name]} == set()


def test_groups_colour_the_map_and_have_a_picture(scored, tmp_path):
    groups = tmp_path / "groups.csv"
    pl.DataFrame({"group": ["amphibian", "bird", "weather", "other"], "label": [*CLASSES, "extra"]}).write_csv(groups)
    report(scored, tmp_path / "out", groups=groups)
    data = page_data(tmp_path / "out")
    pairs = set(zip(data["truth"], data["columns"]["group"], strict=True))
    assert pairs == {(FROG, "amphibian"), (WREN, "bird"), (RAIN, "weather")}
    assert (tmp_path / "out" / "figures" / "01-mel-statistics-by-group.svg").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no such file"),
        ("label,kind\nwren,bird\n", "has no column 'group'; its columns: 'label', 'kind'"),
        ("label,group\nwren,bird\n", "has no group for"),
        ("label,group\nwren,bird\nwren,passerine\n", "puts wren into several groups"),
    ],
)
def test_groups_that_do_not_fit_are_refused(scored, tmp_path, text, told):
    groups = tmp_path / "groups.csv"
    if text is not None:
        groups.write_text(text)
    with pytest.raises((IncompatibleError, NoInputError, UsageError), match=told):
        report(scored, tmp_path / "out", groups=groups)
    assert not (tmp_path / "out").exists()


def test_clips_whose_sound_is_gone_stay_on_the_map_and_say_so(tmp_path):
    scored = evaluations(tmp_path)
    (tmp_path / "sound" / f"{CLASSES.index(WREN)}.wav").unlink()
    report(scored, tmp_path / "out")
    data = page_data(tmp_path / "out")
    silent = {data["truth"][data["id"].index(clip)] for clip in data["missing"]}
    assert silent == {WREN}
    assert "can be heard" in (tmp_path / "out" / "report.html").read_text()
    assert (
        len(data["id"]) == len({*data["id"]}) == pl.read_parquet(tmp_path / "out" / "manifest.parquet")["id"].n_unique()
    )


def test_a_page_without_sound_is_small_and_says_that_it_was_asked_for(scored, made, tmp_path):
    report(scored, tmp_path / "out", sounds=0)
    text = (tmp_path / "out" / "report.html").read_text()
    assert 'id="sound-' not in text
    assert "No sound lies in this page, as it was asked for." in text


def test_answers_that_contradict_each_other_are_refused(tmp_path):
    rows, vectors = table()
    for number in (0, 1):
        evaluate([embedded(tmp_path / f"e{number}", rows, vectors, head(rows, 0.5, seed=number))],
                 tmp_path / f"s{number}", name=["ours"], draws=200)  # fmt: skip
    with pytest.raises(IncompatibleError, match=r"answers clip \w+ in two inputs, and differently"):
        report([tmp_path / "s0", tmp_path / "s1"], tmp_path / "out")


def test_a_report_needs_an_evaluation_and_a_baseline_that_is_there(scored, tmp_path):
    with pytest.raises(IncompatibleError, match="expected a directory made by"):
        report([scored[0].parent / "mel"], tmp_path / "out")
    with pytest.raises(UsageError, match="did you mean 'VICReg'"):
        report(scored, tmp_path / "out", baseline="vicreg")


def test_systems_that_are_expected_have_a_row(scored, tmp_path):
    report(scored, tmp_path / "out", expected=["VICReg", "VICReg from ImageNet"], projection_clips=0)
    rows = json.loads((tmp_path / "out" / "tables" / "study.json").read_text())
    assert [row["system"] for row in rows if row.get("why")] == ["VICReg from ImageNet"]
    assert "weights not at hand" in (tmp_path / "out" / "report.html").read_text()


def test_of_probes_on_one_embedding_the_first_is_looked_at_each_time(tmp_path):
    """Mel statistics taught by two folds' runs answer each clip twice, and not always alike."""
    folder = embedded(tmp_path / "mel", *table())
    rows = pl.DataFrame({"id": [f"{clip % 300:04}" for clip in range(600)], "input": [0] * 600,
                         "model_fold": [0] * 300 + [1] * 300,
                         "predicted": ["first"] * 300 + ["second"] * 300})  # fmt: skip
    look = Portraits(ClassList((WREN,), ()), [folder], ReportSettings(), "test").look(rows)
    assert look.fold == 0
    assert set(look.rows["predicted"]) == {"first"}


@pytest.mark.parametrize(
    ("rate", "slowed", "ceiling", "words"),
    [
        (22050, 1, None, ""),
        (96_000, 1, 24_000, "without what lies above 24 kHz"),
        (250_000, 10, None, "10 times slower"),
    ],
)
def test_what_a_page_loses_of_a_sound_is_said(tmp_path, rate, slowed, ceiling, words):
    rows, vectors = table(recordings=5, clips_each=1)
    (tmp_path / "sound").mkdir()
    soundfile.write(tmp_path / "sound" / "a.wav", 0.1 * np.sin(np.arange(rate) * 0.3), rate)
    rows = rows.with_columns(path=pl.lit("../sound/a.wav"), offset=pl.lit(0, pl.Int64), seconds=pl.lit(1.0),
                             padded=pl.lit(0.0))  # fmt: skip
    found = clip_media(open_artifact(embedded(tmp_path / "e", rows, vectors, sound=(rate, 1.0))), rows["id"][:1])
    assert (found.slowed, found.ceiling) == (slowed, ceiling)
    assert words in heard_in_words(found, 1)
    (sound,) = found.sounds.values()
    heard, played = soundfile.read(io.BytesIO(sound))
    assert len(heard) / played == pytest.approx(slowed, rel=0.1)
