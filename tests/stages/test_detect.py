"""A classifier of tones over recordings whose tones are known."""

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from tones import RATE, save_several_model, save_tones_model, sound, write_sound
from toy import folder_bytes

from birdssl.artifacts.annotations import is_raven, read_raven
from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.detect import DetectSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.detect import Detect, offset_text
from birdssl.stages.runner import Outcome, run

TONES = [("low", 6.0, 8.0), ("high", 14.0, 16.5), ("low", 16.5, 17.5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tones_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    write_sound(tmp_path / "card" / "A_20260312_053000+0100.wav", sound(20.0, TONES))
    write_sound(tmp_path / "card" / "deep" / "quiet.wav", sound(5.5, []))
    return tmp_path / "card"


def detect(inputs: list[Path], out: Path, model: Path, settings: dict | None = None, **options) -> Outcome:
    chosen = DetectSettings(model=model, **(settings or {}))
    return run(Detect(chosen, inputs, out, RunOptions(device="cpu", **options)))


def test_tones_are_found_at_their_times(card: Path, tmp_path: Path, model: Path) -> None:
    outcome = detect([card], tmp_path / "out", model, {"hop_seconds": 0.5})
    found = open_artifact(tmp_path / "out").manifest()
    assert outcome.exit_code == 0
    assert outcome.summary["detections"] == {"low": 2, "high": 1}
    assert set(found["recording"]) == {"card/A_20260312_053000+0100.wav"}
    for (label, start, end), row in zip(TONES, found.iter_rows(named=True), strict=True):
        assert row["label"] == label
        assert abs(row["start"] - start) <= 0.75
        assert abs(row["end"] - end) <= 0.75
        assert row["score"] > 0.5
        assert row["time"] == datetime.datetime(2026, 3, 12, 5, 30) + datetime.timedelta(seconds=row["start"])
        assert row["utc_offset"] == 60


def test_two_at_once_are_both_found_from_each_class_s_own_threshold(tmp_path: Path) -> None:
    write_sound(tmp_path / "card" / "both.wav", sound(8.0, [("low", 2.0, 5.0), ("high", 3.0, 6.0)]))
    model = save_several_model(tmp_path / "model", {"high": 0.6, "low": 0.4})
    detect([tmp_path / "card"], tmp_path / "out", model)
    made = open_artifact(tmp_path / "out")
    found = made.manifest()
    assert list(found.select("label", "start", "end").iter_rows()) == [("low", 2, 5), ("high", 3, 6)]
    assert made.facts["thresholds"] == {"high": 0.6, "low": 0.4}
    shutil.rmtree(tmp_path / "out")
    best = dict(found.select("label", "score").iter_rows())
    save_several_model(model, {"high": (best["high"] + 1) / 2, "low": 0.4})
    detect([tmp_path / "card"], tmp_path / "out", model)
    assert open_artifact(tmp_path / "out").manifest()["label"].to_list() == ["low"]


def test_the_tables_say_the_same(card: Path, tmp_path: Path, model: Path) -> None:
    detect([card], tmp_path / "out", model)
    found = open_artifact(tmp_path / "out").manifest()
    table = pl.read_csv(tmp_path / "out" / "detections.csv")
    assert table.columns == found.columns
    assert table["start"].to_list() == found["start"].to_list()
    assert table["utc_offset"].to_list() == ["+01:00"] * found.height
    assert table["time"][0] == "2026-03-12T05:30:06.000"
    raven = tmp_path / "out" / "raven" / "card" / "A_20260312_053000+0100.wav.Table.1.selections.txt"
    assert is_raven(raven.read_text())
    marks = read_raven(raven).annotations
    assert [(mark.label, mark.start, mark.end) for mark in marks] == list(
        found.select("label", "start", "end").iter_rows()
    )
    assert (marks[0].low, marks[0].high) == (0, RATE / 2)
    nothing = tmp_path / "out" / "raven" / "card" / "deep" / "quiet.wav.Table.1.selections.txt"
    assert nothing.read_text().count("\n") == 1


def test_other_rates_and_formats_give_the_same(tmp_path: Path, model: Path) -> None:
    rates = {"a.wav": RATE, "b.flac": 48_000, "c.ogg": 22_050}
    for name, rate in rates.items():
        path = tmp_path / "card" / name
        samples = sound(10.0, [("low", 2, 4), ("high", 7, 8)], rate=rate)
        if name.endswith("ogg"):
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, samples, rate)
        else:
            write_sound(path, samples, rate)
    detect([tmp_path / "card"], tmp_path / "out", model)
    found = open_artifact(tmp_path / "out").manifest()
    spans = found.group_by("recording", maintain_order=True).agg("label", "start", "end")
    assert spans["recording"].to_list() == ["card/a.wav", "card/b.flac", "card/c.ogg"]
    assert all(row[1:] == (["low", "high"], [2, 7], [4, 8]) for row in spans.iter_rows())


@pytest.mark.slow
def test_one_or_two_workers_give_the_same_bytes(card: Path, tmp_path: Path, model: Path) -> None:
    write_sound(card / "bad.wav", sound(1.0, [])).write_bytes(b"RIFF of nothing")
    one = detect([card], tmp_path / "one", model)
    two = detect([card], tmp_path / "two", model, jobs=2)
    assert one.exit_code == two.exit_code == 3
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    rejects = open_artifact(tmp_path / "one").rejects()
    assert rejects["name"].to_list() == ["card/bad.wav"]
    assert detect([card], tmp_path / "one", model).summary["did_nothing"]


def test_an_update_leaves_what_a_fresh_run_makes(card: Path, tmp_path: Path, model: Path) -> None:
    detect([card], tmp_path / "out", model)
    (card / "A_20260312_053000+0100.wav").write_bytes(b"RIFF of nothing")
    write_sound(card / "new.wav", sound(3.0, [("high", 1.0, 2.0)]))
    detect([card], tmp_path / "out", model, update=True)
    detect([card], tmp_path / "fresh", model)
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "fresh")


@pytest.mark.parametrize(("minutes", "text"), [(60, "+01:00"), (-210, "-03:30"), (0, "+00:00"), (None, None)])
def test_utc_offsets_are_written_as_iso_8601_has_them(minutes: int | None, text: str | None) -> None:
    table = pl.DataFrame({"utc_offset": [minutes]}, schema={"utc_offset": pl.Int16})
    assert table.select(offset_text()).item() == text


def test_threshold_is_given_or_the_models(card: Path, tmp_path: Path) -> None:
    strict = save_tones_model(tmp_path / "strict", thresholds={"low": 1.0, "high": 0.5})
    assert detect([card], tmp_path / "own", strict).summary["detections"] == {"high": 1}
    given = detect([card], tmp_path / "given", strict, {"threshold": 0.5})
    assert given.summary["detections"] == {"high": 1, "low": 2}
    assert open_artifact(tmp_path / "given").facts["thresholds"] == {"high": 0.5, "low": 0.5}


def test_windows_stay_apart_when_told(card: Path, tmp_path: Path, model: Path) -> None:
    detect([card], tmp_path / "out", model, {"merge": False})
    found = open_artifact(tmp_path / "out").manifest()
    assert set(found["windows"]) == {1}
    assert ((found["end"] - found["start"]) == 1.0).all()


def test_ignored_classes_are_no_detections(card: Path, tmp_path: Path, model: Path) -> None:
    counts = detect([card], tmp_path / "out", model, {"ignore": ["low"]}).summary["detections"]
    assert counts["high"] == 1
    assert counts["none"] > 0
    assert "low" not in counts
    with pytest.raises(UsageError, match=r"'wolf'.*high, low, none"):
        detect([card], tmp_path / "other", model, {"ignore": ["wolf"]})


def test_channels_are_listened_to_apart(tmp_path: Path, model: Path) -> None:
    left, right = sound(4.0, [("low", 1.0, 2.0)]), sound(4.0, [("high", 2.0, 3.0)])
    write_sound(tmp_path / "card" / "stereo.wav", np.stack([left, right], axis=1))
    detect([tmp_path / "card"], tmp_path / "out", model, {"channel": "each"})
    found = open_artifact(tmp_path / "out").manifest()
    assert found.select("channel", "label", "start").rows() == [(0, "low", 1.0), (1, "high", 2.0)]
    assert detect([tmp_path / "card"], tmp_path / "three", model, {"channel": "2"}).exit_code == 3


def test_recordings_below_the_models_rate_are_said(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file of half the rate was scored, with confidence, by what it can't hold."""
    write_sound(tmp_path / "card" / "full.wav", sound(5.0, []))
    soundfile.write(tmp_path / "card" / "half.wav", np.zeros(RATE // 2 * 5, np.float32), RATE // 2)
    detect([tmp_path / "card"], tmp_path / "out", model)
    (said,) = [record.getMessage() for record in caplog.records if "was trained at" in record.getMessage()]
    assert said.startswith(f"1 of 2 recordings have {RATE // 2} Hz and the model was trained at {RATE} Hz")


def test_a_few_shot_run_is_pointed_to_its_classifier(card: Path, tmp_path: Path, model: Path) -> None:
    shutil.copytree(model, tmp_path / "few" / "classifier")
    with pytest.raises(NoInputError, match=r"few/classifier, which is one"):
        detect([card], tmp_path / "out", tmp_path / "few")


def test_an_encoder_alone_is_refused(card: Path, tmp_path: Path) -> None:
    encoder = save_tones_model(tmp_path / "encoder", head=False)
    with pytest.raises(IncompatibleError, match=r"has no head.*birdssl finetune"):
        detect([card], tmp_path / "out", encoder)
    with pytest.raises(NoInputError, match="nowhere: no such directory; give the OUT of"):
        detect([card], tmp_path / "out", tmp_path / "nowhere")


def test_a_hop_that_leaves_gaps_is_refused(card: Path, tmp_path: Path, model: Path) -> None:
    with pytest.raises(UsageError, match=r"--hop-seconds 2 is longer than the model's clips of 1 s"):
        detect([card], tmp_path / "out", model, {"hop_seconds": 2})


def test_another_model_at_the_same_path_is_noticed(card: Path, tmp_path: Path) -> None:
    folder = save_tones_model(tmp_path / "model")
    detect([card], tmp_path / "out", folder)
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, "provenance": {"epoch": 2}}))
    with pytest.raises(IncompatibleError, match="changed"):
        detect([card], tmp_path / "out", folder)
