"""Segment: which clips come out, what is in them, and what is said of what doesn't."""

import logging
import struct
import tracemalloc
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.audio.decode import ClipReader
from birdssl.audio.resample import resample
from birdssl.errors import NoInputError, UsageError
from birdssl.settings.base import check
from birdssl.settings.run import RunOptions
from birdssl.settings.segment import SegmentSettings
from birdssl.stages.runner import Outcome, run
from birdssl.stages.segment import Segment

RATE = 8000


def noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed).normal(0, 0.2, (round(seconds * rate), channels))
    return np.clip(draw, -0.99, 0.99).astype(np.float32)


def record(path: Path, seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, rate, channels, seed), rate, subtype="PCM_16")
    return path


def segment(out: Path, *inputs: Path, options: dict[str, Any] | None = None, **settings: Any) -> Outcome:
    values = {"sample_rate": RATE, **settings}
    return run(Segment(check(SegmentSettings, values), inputs, out, RunOptions(**(options or {}))))


def rows(out: Path) -> pl.DataFrame:
    return open_artifact(out, ("segment",)).manifest()


def labels(out: Path) -> list[list[str]]:
    return rows(out)["labels"].to_list()


def test_clips_every_three_seconds_with_the_rest_padded(tmp_path: Path) -> None:
    record(tmp_path / "in/pond/20190522_060000.wav", 8.0)
    assert segment(tmp_path / "out", tmp_path / "in").exit_code == 0
    table = rows(tmp_path / "out")
    assert table.select("start", "seconds", "padded").rows() == [(0.0, 3.0, 0.0), (3.0, 3.0, 0.0), (6.0, 3.0, 1.0)]
    assert table["recording"].to_list() == ["in/pond/20190522_060000.wav"] * 3
    assert table["origin"].to_list() == table["recording"].to_list()
    assert table["site"].to_list() == ["pond"] * 3
    assert table["time"].to_list() == [datetime(2019, 5, 22, 6, 0, second) for second in (0, 3, 6)]
    assert table["utc_offset"].to_list() == table["channel"].to_list() == table["fold"].to_list() == [None] * 3
    assert labels(tmp_path / "out") == [[], [], []]
    assert table["id"].n_unique() == 3


def test_at_its_own_rate_a_recording_comes_out_bit_for_bit(tmp_path: Path) -> None:
    whole, _ = soundfile.read(record(tmp_path / "in/a.wav", 7.5), dtype="int16")
    segment(tmp_path / "out", tmp_path / "in")
    pieces = [soundfile.read(tmp_path / "out" / path, dtype="int16")[0] for path in rows(tmp_path / "out")["path"]]
    joined = np.concatenate(pieces)
    assert np.array_equal(joined[: len(whole)], whole)
    assert not joined[len(whole) :].any()


def test_resampled_clips_are_slices_of_the_resampled_recording(tmp_path: Path) -> None:
    whole, _ = soundfile.read(record(tmp_path / "in/a.wav", 20.0, rate=11025), dtype="float32")
    segment(tmp_path / "out", tmp_path / "in", sample_rate=8000)
    expected = resample(whole, 11025, 8000)
    for row in rows(tmp_path / "out").iter_rows(named=True):
        samples, rate = soundfile.read(tmp_path / "out" / row["path"], dtype="float32")
        start, length = round(row["start"] * 8000), round((3 - row["padded"]) * 8000)
        assert (rate, len(samples)) == (8000, 24000)
        assert np.abs(samples[:length] - expected[start : start + length]).max() <= 1 / 32768


def test_references_read_as_the_files_do(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 10.0, rate=11025)
    segment(tmp_path / "files", tmp_path / "in")
    segment(tmp_path / "rows", tmp_path / "in", reference=True)
    files, references = rows(tmp_path / "files"), rows(tmp_path / "rows")
    assert files.drop("path", "offset").equals(references.drop("path", "offset"))
    assert not (tmp_path / "rows/clips").exists()
    with ClipReader(RATE) as reader:
        for one, other in zip(files.iter_rows(named=True), references.iter_rows(named=True), strict=True):
            samples, _ = soundfile.read(tmp_path / "files" / one["path"], dtype="float32")
            read = reader.read(tmp_path / "rows" / other["path"], other["offset"], 3.0, padded=other["padded"])
            assert np.abs(samples - read).max() < 2e-3


def test_an_mp3_is_cut_where_its_samples_end_not_where_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in/a.mp3", noise(10.0, 44100), 44100)
    for name, reference in (("files", False), ("rows", True)):
        segment(tmp_path / name, tmp_path / "in", sample_rate=44100, reference=reference)
    assert rows(tmp_path / "files").drop("path", "offset").equals(rows(tmp_path / "rows").drop("path", "offset"))


@pytest.mark.parametrize(("channel", "expected"), [("mix", [None]), ("1", [1]), ("each", [0, 1])])
def test_channels(tmp_path: Path, channel: str, expected: list[int | None]) -> None:
    whole, _ = soundfile.read(record(tmp_path / "in/a.wav", 3.0, channels=2), dtype="float32")
    segment(tmp_path / "out", tmp_path / "in", channel=channel)
    table = rows(tmp_path / "out")
    assert table["channel"].to_list() == expected
    assert table["id"].n_unique() == table["path"].n_unique() == len(expected)
    for row in table.iter_rows(named=True):
        samples, _ = soundfile.read(tmp_path / "out" / row["path"], dtype="float32")
        wanted = whole.mean(1) if row["channel"] is None else whole[:, row["channel"]]
        assert np.abs(samples - wanted).max() <= 1 / 32768


def test_recordings_that_differ_only_in_their_ending_keep_apart(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 3.0, seed=1)
    record(tmp_path / "in/a.flac", 3.0, seed=2)
    segment(tmp_path / "out", tmp_path / "in")
    assert rows(tmp_path / "out")["path"].n_unique() == 2


def test_one_bad_file_costs_one_file_and_leaves_nothing(tmp_path: Path) -> None:
    record(tmp_path / "in/good.wav", 3.0)
    record(tmp_path / "in/short.wav", 0.5)
    (tmp_path / "in/empty.wav").touch()
    (tmp_path / "in/text.flac").write_text("not audio at all")
    flac = record(tmp_path / "in/cut.flac", 60.0).read_bytes()
    (tmp_path / "in/cut.flac").write_bytes(flac[: len(flac) // 2])
    (tmp_path / "in/a.aiff").touch()
    outcome = segment(tmp_path / "out", tmp_path / "in", tmp_path / "in/a.aiff")
    assert outcome.exit_code == 3
    assert rows(tmp_path / "out")["recording"].unique().to_list() == ["in/good.wav"]
    rejects = open_artifact(tmp_path / "out").rejects()
    reasons = dict(rejects.select("name", "reason").iter_rows())
    names = ["in/cut.flac", "in/empty.wav", "in/short.wav", "in/text.flac"]
    assert sorted(reasons) == sorted([*names, str(tmp_path / "in/a.aiff")])
    assert "too short: the shortest clip is 1 s" in reasons["in/short.wav"]
    assert "'.aiff'; expected one of .wav" in reasons[str(tmp_path / "in/a.aiff")]
    assert [path.name for path in (tmp_path / "out/clips/in").iterdir()] == ["good.wav"]


def test_a_channel_that_a_recording_lacks(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 3.0)
    assert segment(tmp_path / "out", tmp_path / "in", channel="1").exit_code == 3
    assert "no --channel 1" in open_artifact(tmp_path / "out").rejects()["reason"][0]


def test_upsampling_is_said_once_a_rate_with_a_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, rate in enumerate((8000, 8000, 11025, 16000, 22050)):
        record(tmp_path / f"in/{number}.wav", 3.0, rate=rate)
    segment(tmp_path / "out", tmp_path / "in", sample_rate=16000)
    said = [item.getMessage() for item in caplog.records if "upsampled" in item.getMessage()]
    assert len(said) == 2
    assert said[0].startswith("2 of 5 recordings are upsampled from 8000 Hz to 16000 Hz: they hold nothing above 4000")
    assert said[1].startswith("1 of 5 recordings are upsampled from 11025 Hz")


def test_labels_from_folders(tmp_path: Path) -> None:
    record(tmp_path / "in/owl/1.wav", 3.0)
    record(tmp_path / "in/frog/1.wav", 3.0)
    segment(tmp_path / "out", tmp_path / "in", label_from="folder")
    assert labels(tmp_path / "out") == [["frog"], ["owl"]]
    assert open_artifact(tmp_path / "out").facts["classes"] == ["frog", "owl"]
    assert rows(tmp_path / "out")["site"].to_list() == [None, None]


def test_the_folder_that_gives_the_label_gives_no_site(tmp_path: Path) -> None:
    record(tmp_path / "in/pond/owl/20190522_060000.wav", 3.0)
    segment(tmp_path / "out", tmp_path / "in", label_from="folder")
    assert rows(tmp_path / "out")["site"].to_list() == ["pond"]


def raven(path: Path, *marks: str) -> None:
    path.write_text("\n".join(["Begin Time (s)\tEnd Time (s)\tSpecies", *marks]) + "\n")


def test_labels_from_raven_with_none_where_nothing_was_marked(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 15.0)
    record(tmp_path / "in/b.wav", 3.0)
    raven(tmp_path / "in/a.Table.1.selections.txt", "0.5\t1\towl", "2.9\t7\tfrog")
    outcome = segment(tmp_path / "out", tmp_path / "in", label_from="raven", mark_none=True)
    assert labels(tmp_path / "out") == [["owl"], ["frog"], ["frog"], ["none"], ["none"], []]
    assert open_artifact(tmp_path / "out").facts["classes"] == ["frog", "owl"]
    assert (outcome.summary["annotations"], outcome.summary["unlabelled"]) == (2, 1)


def test_a_clip_that_a_call_grazes_is_neither_labelled_nor_none(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 9.0)
    raven(tmp_path / "in/a.txt", "2.9\t6\tfrog")
    segment(tmp_path / "out", tmp_path / "in", label_from="raven", mark_none=True)
    assert labels(tmp_path / "out") == [[], ["frog"], ["none"]]


def test_labels_from_audacity(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 6.0)
    (tmp_path / "in/a.txt").write_text("4.0\t4.5\tnewt\n")
    segment(tmp_path / "out", tmp_path / "in", label_from="audacity")
    assert labels(tmp_path / "out") == [[], ["newt"]]


def test_a_csv_of_whole_files_labels_every_piece_and_carries_origin_and_fold(tmp_path: Path) -> None:
    record(tmp_path / "in/dog/1.wav", 5.0)
    record(tmp_path / "in/cat/2.wav", 3.0)
    (tmp_path / "t.csv").write_text("path,label,fold,recording,site\ndog/1.wav,dog,1,7,pond\ncat/2.wav,cat,2,8,\n")
    segment(tmp_path / "out", tmp_path / "in", label_from="csv", labels=str(tmp_path / "t.csv"))
    found = rows(tmp_path / "out").select(pl.col("labels").list.first(), "origin", "fold", "padded", "site").rows()
    assert found == [("cat", "8", 2, 0.0, None), ("dog", "7", 1, 0.0, "pond"), ("dog", "7", 1, 1.0, "pond")]


def test_rows_that_mean_no_recording_are_counted_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path / "in/a.wav", 3.0)
    record(tmp_path / "in/b.wav", 3.0)
    (tmp_path / "t.csv").write_text("path,start,end,label\na.wav,1,2,owl\nlost.wav,1,2,owl\na.wav,1,2,\n")
    outcome = segment(tmp_path / "out", tmp_path / "in", label_from="csv", labels=str(tmp_path / "t.csv"))
    table = pl.read_parquet(tmp_path / "out/annotations.parquet")
    assert table.select("recording", "named", "source", "unmatched").rows() == [
        ("in/a.wav", "a.wav", "t.csv:2", None),
        (None, "lost.wav", "t.csv:3", "names no recording of the input"),
    ]
    assert outcome.summary["annotations_without_recording"] == 1
    assert "1 annotations mean no recording of the input (first: t.csv:3, lost.wav" in caplog.text
    assert "1 rows of the tables have no label" in caplog.text
    assert "1 of 2 recordings have no annotation" in caplog.text


def test_marks_that_can_label_nothing_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Marks after a recording's end, as from a Raven table over several files, and a column of labels of an unusual
    name cost all labels without a reason."""
    record(tmp_path / "in/a.wav", 3.0)
    table = tmp_path / "t.csv"
    table.write_text("path,start,end,label\na.wav,1,2,owl\na.wav,3,4,owl\n")
    segment(tmp_path / "out", tmp_path / "in", label_from="csv", labels=str(table))
    assert "1 annotations begin after their recording has ended" in caplog.text
    assert "(first: t.csv:3, at 3 s)" in caplog.text
    table.write_text("path,start,end,bird\na.wav,1,2,owl\n")
    segment(tmp_path / "other", tmp_path / "in", label_from="csv", labels=str(table))
    assert "no column of labels is known: name it with --label-column" in caplog.text


def test_a_table_with_none_of_the_recordings_stops_before_writing(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 3.0)
    (tmp_path / "t.csv").write_text("path,label\nlost.wav,owl\n")
    with pytest.raises(NoInputError, match="none of the 1 annotations"):
        segment(tmp_path / "out", tmp_path / "in", label_from="csv", labels=str(tmp_path / "t.csv"))
    assert not (tmp_path / "out").exists()


def test_a_broken_table_beside_a_recording_costs_that_recording(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 3.0)
    record(tmp_path / "in/b.wav", 3.0)
    raven(tmp_path / "in/a.txt", "1\t2\towl")
    raven(tmp_path / "in/b.txt", "1\tthree\towl")
    assert segment(tmp_path / "out", tmp_path / "in", label_from="raven").exit_code == 3
    assert "b.txt:2: 'three' isn't a number" in open_artifact(tmp_path / "out").rejects()["reason"][0]


def test_bytes_do_not_depend_on_how_the_input_s_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "in/deep/good.wav", 3.0)
    record(tmp_path / "in/deep/tabled.wav", 3.0)
    record(tmp_path / "in/short.wav", 0.5)
    raven(tmp_path / "in/deep/good.txt", "1\t2\towl")
    raven(tmp_path / "in/deep/tabled.txt", "1\tthree\towl")
    (tmp_path / "in/text.flac").write_text("not audio at all")
    segment(tmp_path / "out", tmp_path / "in", label_from="raven")
    monkeypatch.chdir(tmp_path / "in")
    segment(tmp_path / "again", Path("../in"), label_from="raven")
    assert open_artifact(tmp_path / "out").rejects().height == 3
    assert folder_bytes(tmp_path / "out") == folder_bytes(tmp_path / "again")


def test_changed_labels_are_taken_in_by_update(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 6.0)
    record(tmp_path / "in/b.wav", 3.0)
    raven(tmp_path / "in/a.txt", "1\t2\towl")
    segment(tmp_path / "out", tmp_path / "in", label_from="raven")
    raven(tmp_path / "in/a.txt", "1\t2\towl", "4\t5\tfrog")
    segment(tmp_path / "out", tmp_path / "in", label_from="raven", options={"update": True})
    assert labels(tmp_path / "out") == [["owl"], ["frog"], []]


def test_a_recording_that_became_shorter_leaves_no_old_clips(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 9.0)
    segment(tmp_path / "out", tmp_path / "in")
    record(tmp_path / "in/a.wav", 3.0, seed=5)
    segment(tmp_path / "out", tmp_path / "in", options={"update": True})
    assert len(list((tmp_path / "out/clips/in/a.wav").iterdir())) == 1


def test_bytes_are_foretold_within_a_factor_of_two(tmp_path: Path) -> None:
    record(tmp_path / "in/a.wav", 30.0)
    told = segment(tmp_path / "out", tmp_path / "in", options={"dry_run": True}).summary["bytes"]
    segment(tmp_path / "out", tmp_path / "in")
    written = sum(path.stat().st_size for path in (tmp_path / "out/clips").rglob("*.flac"))
    assert 0.5 < told / written < 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channel": "left"}, "--channel 'left': must be mix, each, or a number"),
        ({"clip_seconds": 1, "min_last": 2}, "--min-last 2 is longer than --clip-seconds 1"),
        ({"labels": "x.csv"}, "--labels needs --label-from raven, audacity or csv"),
        ({"label_from": "folder", "label": "x"}, "--label needs --label-from"),
        ({"mark_none": True}, "--mark-none needs annotations"),
        ({"label_from": "csv"}, "--labels FILE.csv"),
        ({"label_from": "raven", "label": "x", "label_column": "y"}, "exclude each other"),
        ({"sample_rate": 10}, "--sample-rate 10: must be a whole number, at least 1000"),
        ({"label_from": "ravens"}, "did you mean 'raven'"),
    ],
)
def test_settings_that_contradict_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(SegmentSettings, settings)


def long_wav(path: Path, minutes: int) -> Path:
    """A stereo WAV at 48 kHz, written in blocks."""
    with soundfile.SoundFile(path, "w", 48_000, 2, subtype="PCM_16") as file:
        block = np.random.default_rng(1).integers(-99, 99, (48_000 * 10, 2), dtype=np.int16)
        for _ in range(minutes * 6):
            file.write(block)
    return path


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Peak of numpy's and Python's memory while a unit is cut: 5 minutes against 1, resampled, stereo to mono."""
    peaks = []
    for minutes in (1, 5):
        stage = Segment(SegmentSettings(), [long_wav(tmp_path / "a.wav", minutes)], tmp_path / f"out{minutes}")
        unit = stage.plan()[0]
        tracemalloc.start()
        result = stage.work(unit)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert result.rows is not None
        assert result.rows.height == 20 * minutes
    assert peaks[1] < 1.25 * peaks[0] < 20e6


def test_a_recorder_that_lost_power_is_told_of(tmp_path: Path) -> None:
    """Its header still holds the zeros that were to become the length."""
    path = record(tmp_path / "in/a.wav", 3.0)
    record(tmp_path / "in/b.wav", 3.0)
    data = bytearray(path.read_bytes()[:44])
    data[40:44] = struct.pack("<I", 0)
    path.write_bytes(bytes(data))
    assert segment(tmp_path / "out", tmp_path / "in").exit_code == 3
    assert "lost power" in open_artifact(tmp_path / "out").rejects()["reason"][0]


def test_real_recordings_with_raven_and_audacity_labels_agree(tmp_path: Path, shared_data: Path) -> None:
    """The mosaic's calls are placed every ten seconds or so, so most clips hold none."""
    mosaic = shared_data / "field/long/mosaic_20190522_060000.flac"
    for kind in ("raven", "audacity"):
        segment(tmp_path / kind, mosaic, sample_rate=22050, reference=True, label_from=kind, mark_none=True)
    table = rows(tmp_path / "raven")
    assert table["labels"].to_list() == rows(tmp_path / "audacity")["labels"].to_list()
    assert table["labels"][1].to_list() == ["corvus_corone"]  # 4 to 9 s
    assert table["labels"][3].to_list() == ["none"]  # 9 to 12 s
    assert (table.height, table["site"][0], table["time"][1]) == (120, "mosaic", datetime(2019, 5, 22, 6, 0, 3))


def test_real_birds(tmp_path: Path, shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        outcome = segment(tmp_path / "out", shared_data / "field/birds", sample_rate=44100, label_from="folder")
    assert outcome.exit_code == 0
    assert (outcome.summary["recordings"], len(outcome.summary["labels"])) == (61, 8)
    assert "2 of 61 recordings are upsampled from 32000 Hz" in caplog.text
