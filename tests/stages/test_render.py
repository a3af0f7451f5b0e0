"""`render`: what lies in the shards is the sound that the rows name, and one bad clip costs one clip."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from made_split import CLIPS, PITCH, RATE, make_split, row, tone, write_recording, write_split
from PIL import Image
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.shards import Shards
from birdssl.audio.augment import apply
from birdssl.audio.spectrogram import Frontend
from birdssl.errors import IncompatibleError, UsageError
from birdssl.evaluation.contact_sheet import frequency_ticks, time_ticks
from birdssl.settings.augment import AugmentSettings
from birdssl.settings.base import check
from birdssl.settings.render import RenderSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.augment import Augment
from birdssl.stages.render import Render, describe, file_names
from birdssl.stages.runner import Outcome, run

SMALL = {"n_fft": 256, "hop": 64, "n_mels": 64, "size": 48, "shard_rows": 16}


def render(source: Path, out: Path, jobs: int = 1, **settings: object) -> Outcome:
    options = RunOptions(jobs=jobs, quiet=True)
    return run(Render(RenderSettings(**{**SMALL, **settings}), [source], out, options))


def pictures(out: Path, rows: pl.DataFrame) -> np.ndarray:
    return Shards.of(open_artifact(out)).take(rows["shard"].to_numpy(), rows["row"].to_numpy())


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return make_split(tmp_path)


@pytest.fixture
def augmented(split: Path, tmp_path: Path) -> Path:
    out = tmp_path / "augmented"
    run(Augment(AugmentSettings(balance="max", views=2), [split], out, RunOptions(quiet=True)))
    return out


def test_each_row_s_picture_shows_its_own_sound(split: Path, tmp_path: Path) -> None:
    render(split, tmp_path / "out")
    artifact = open_artifact(tmp_path / "out")
    front = Frontend.from_dict(artifact.facts["frontend"])
    table = artifact.manifest()
    assert table.height == sum(CLIPS.values()) + len(CLIPS) + 3
    assert table["shard"].max() == 1
    for label, pitch in PITCH.items():
        rows = table.filter(pl.col("labels").list.contains(label))
        bright = pictures(tmp_path / "out", rows).mean(axis=(0, 2)).argmax()
        centres = np.interp(np.arange(48), np.linspace(0, 47, 64), front.mel_centres())[::-1]
        assert centres[bright] == pytest.approx(pitch, rel=0.08)


def test_pictures_are_those_of_the_frontend_on_the_clip(split: Path, tmp_path: Path) -> None:
    render(split, tmp_path / "out")
    artifact = open_artifact(tmp_path / "out")
    front = Frontend.from_dict(artifact.facts["frontend"])
    rows = artifact.manifest().filter(pl.col("recording") == "recordings/low.wav")
    wave = soundfile.read(split.parent / "recordings" / "low.wav", dtype="float32")[0].reshape(-1, RATE)
    np.testing.assert_array_equal(pictures(tmp_path / "out", rows), front(wave))
    assert artifact.facts["array"] == {"shape": [48, 48], "dtype": "uint8"}
    assert artifact.facts["classes"] == sorted(PITCH)


def test_copies_and_views_are_made_from_their_parents_sound(augmented: Path, tmp_path: Path) -> None:
    render(augmented, tmp_path / "out", kind="waveform")
    table = open_artifact(tmp_path / "out").manifest()
    waves = dict(zip(table["id"], pictures(tmp_path / "out", table), strict=True))
    children = table.filter(pl.col("role") != "original")
    assert set(children["role"]) == {"copy", "view"}
    for child in children.iter_rows(named=True):
        parent = waves[child["parent"]].astype(np.float32) / 32768
        made = apply(parent, RATE, json.loads(child["operations"]), child["seed"])
        np.testing.assert_allclose(waves[child["id"]] / 32768, np.clip(made, -1, 1), atol=2 / 32768)


def test_plans_and_written_audio_give_the_same_pictures(split: Path, augmented: Path, tmp_path: Path) -> None:
    """Written files have 16 bits and don't go beyond full scale, so pictures may differ by a grey level or two."""
    settings = AugmentSettings(balance="max", views=2, audio=True, noise=[10, 12])
    run(Augment(settings, [split], tmp_path / "written", RunOptions(quiet=True)))
    run(Augment(settings.model_copy(update={"audio": False}), [split], tmp_path / "plan", RunOptions(quiet=True)))
    for name in ("written", "plan"):
        render(tmp_path / name, tmp_path / f"{name}-shards", top_db=40)
    tables = [open_artifact(tmp_path / f"{name}-shards").manifest() for name in ("written", "plan")]
    assert tables[0]["id"].equals(tables[1]["id"])
    first, second = (pictures(tmp_path / f"{name}-shards", table).astype(int)
                     for name, table in zip(("written", "plan"), tables, strict=True))  # fmt: skip
    assert np.abs(first - second).max() <= 4


def test_same_bytes_with_one_and_two_workers(augmented: Path, tmp_path: Path) -> None:
    render(augmented, tmp_path / "one", jobs=1, png=True)
    render(augmented, tmp_path / "two", jobs=2, png=True)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


def test_one_bad_recording_costs_its_clips_and_no_more(augmented: Path, tmp_path: Path) -> None:
    (augmented.parent / "recordings" / "rare.wav").write_bytes(b"no audio")
    outcome = render(augmented, tmp_path / "out")
    artifact = open_artifact(tmp_path / "out")
    assert outcome.exit_code == 3
    assert artifact.counts["rejects"] == CLIPS["rare"] + 1  # one a clip, its views and copies with it
    assert artifact.rejects()["reason"].str.starts_with("../recordings/rare.wav: isn't readable").all()
    assert artifact.rejects()["reason"].str.contains("copies and views with it").sum() == CLIPS["rare"]
    table = artifact.manifest()
    assert set(table["recording"]) == {"recordings/high.wav", "recordings/low.wav", "recordings/unlabelled.flac"}
    assert pictures(tmp_path / "out", table).shape[0] == table.height
    assert not (tmp_path / "out" / "contact-sheets" / "rare.png").exists()


def test_waveforms_are_the_samples_at_16_bits(split: Path, tmp_path: Path) -> None:
    render(split, tmp_path / "out", kind="waveform")
    artifact = open_artifact(tmp_path / "out")
    rows = artifact.manifest().filter(pl.col("recording") == "recordings/high.wav")
    expected = soundfile.read(split.parent / "recordings" / "high.wav", dtype="int16")[0].reshape(-1, RATE)
    np.testing.assert_array_equal(pictures(tmp_path / "out", rows), expected)
    assert (artifact.facts["kind"], artifact.facts["frontend"]) == ("waveform", None)
    assert (tmp_path / "out" / "contact-sheets" / "high.png").exists()


def test_png_files_hold_the_same_pictures(augmented: Path, tmp_path: Path) -> None:
    render(augmented, tmp_path / "out", png=True)
    table = open_artifact(tmp_path / "out").manifest()
    files = {path.stem.split("_")[-1]: path for path in (tmp_path / "out" / "png").rglob("*.png")}
    assert files.keys() == set(table["id"])
    assert {path.parent.name for path in files.values()} == {*PITCH, "unlabelled"}
    for name, picture in zip(table["id"], pictures(tmp_path / "out", table), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(files[name])), picture)


def test_a_contact_sheet_for_each_class(augmented: Path, tmp_path: Path) -> None:
    outcome = render(augmented, tmp_path / "out", sheet=4)
    sheets = tmp_path / "out" / "contact-sheets"
    assert sorted(path.name for path in sheets.iterdir()) == ["high.png", "low.png", "rare.png", "unlabelled.png"]
    assert outcome.summary["contact_sheets"] == sorted(path.name for path in sheets.iterdir())
    assert "contact-sheets" in outcome.text
    picture = np.asarray(Image.open(sheets / "high.png"))
    assert picture.std() > 20
    render(augmented, tmp_path / "none", sheet=0)
    assert not (tmp_path / "none" / "contact-sheets").exists()


def test_axes_point_where_the_tone_is() -> None:
    front = Frontend(RATE, 1.0, n_fft=1024, hop=64, n_mels=64, height=640, width=500)
    for frequency, place in frequency_ticks(front):
        picture = front(tone(frequency)[None].astype(np.float32))[0]
        assert (picture.mean(axis=1).argmax() + 0.5) / 640 == pytest.approx(place, abs=0.012)
    click = np.zeros(RATE, np.float32)
    click[round(0.4 * RATE)] = 1
    picture = front(click[None])[0].astype(float).mean(axis=0)
    centre = (picture * np.arange(500)).sum() / picture.sum()
    assert dict(time_ticks(front))[0.4] == pytest.approx((centre + 0.5) / 500, abs=0.005)


def test_a_clip_of_another_length_is_left_out(tmp_path: Path) -> None:
    write_recording(tmp_path, "a.wav", tone(500, 3))
    split = write_split(tmp_path / "split", [row("a.wav", 0), {**row("a.wav", 1), "seconds": 2.0}])
    render(split, tmp_path / "out")
    artifact = open_artifact(tmp_path / "out")
    assert artifact.manifest().height == 1
    assert artifact.rejects()["reason"].to_list() == ["is 2 s long; the others are 1 s"]


def test_a_contradiction_shows_both_values(split: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match=r"--sample-rate 16000 contradicts .*split, which has 8000"):
        render(split, tmp_path / "out", sample_rate=16000)
    for settings, message in (
        ({"size": 64, "height": 32}, "--size sets height and width in one"),
        ({"png": True, "kind": "waveform"}, "--png draws spectrograms"),
        ({"hop": 4096}, "sound between windows would be lost"),
        ({"size": 4}, "at least 8"),
    ):
        with pytest.raises(UsageError, match=message):
            check(RenderSettings, settings)


def test_bands_that_stay_black_are_said_aloud(split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    render(split, tmp_path / "out", n_mels=200)
    assert "mel bands narrower than the transform's steps" in caplog.text


def test_words_and_names() -> None:
    plan = [{"name": "stretch", "rate": 0.7}, {"name": "pitch", "semitones": 3}, {"name": "noise", "snr_db": 6}]
    assert describe(plan) == "stretch 0.7, pitch +3 semitones, noise 6 dB"
    assert file_names(["A/b", "a b", "Grus grus"]) == {
        "A/b": "A-b.png",
        "a b": "a-b-2.png",
        "Grus grus": "Grus-grus.png",
    }
