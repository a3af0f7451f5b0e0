"""Names as recorders write them, and metadata built byte by byte."""

import struct
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdssl.audio.recorders import Provenance, from_metadata, from_name, provenance

SIX = datetime(2019, 5, 22, 6, 0, 0)


@pytest.mark.parametrize(
    ("name", "site", "offset"),
    [
        ("20190522_060000.WAV", None, None),
        ("20190522_060000T.WAV", None, None),
        ("PLOT-7_20190522_060000.wav", "PLOT-7", None),
        ("my_site_20190522_060000.wav", "my_site", None),
        ("S4A03895_20190522_060000.wav", "S4A03895", None),
        ("A_20190522_060000+0100.wav", "A", 60),
        ("ARIZONA-1_0+1_20190522$060000.wav", "ARIZONA-1", None),
        ("ARIZONA__0__20190522_060000.wav", "ARIZONA", None),
        ("SITE_1_20190522_060000.wav", "SITE_1", None),
        ("20190522T060000+1000_REC.flac", None, 600),
        ("20190522T060000Z_REC [-27.38+153.11].wav", None, 0),
        ("S1091802_20190522_060000-0330.wav", "S1091802", -210),
        ("20190522060000.wav", None, None),
        ("garden 2019-05-22 06-00-00.mp3", "garden", None),
        ("A_20190522_060000-2.wav", "A", None),  # a number of a copy is no zone
        ("A_20190522_060000+9900.wav", "A", None),
    ],
)
def test_names_of_recorders_give_site_and_clock(name: str, site: str | None, offset: int | None) -> None:
    found = from_name(name)
    assert (found.site, found.time, found.utc_offset) == (site, SIX, offset)


def test_a_hexadecimal_name_is_seconds_since_1970_in_utc() -> None:
    assert from_name("5CE4F2A0.WAV") == Provenance(None, "AudioMoth", datetime(2019, 5, 22, 6, 56, 32), 0)


@pytest.mark.parametrize(
    "name",
    ["XC1067905.mp3", "20190522.wav", "12345678.wav", "DEADBEEF.wav", "20191340_060000.wav", "1.wav", "_.wav",
     "20190522_060000_to_20190522_070000.wav", "120190522_0600001.wav"],
)  # fmt: skip
def test_names_that_hold_no_single_time_give_nothing(name: str) -> None:
    assert from_name(name) == Provenance()


def test_a_song_meter_serial_is_its_recorder() -> None:
    assert from_name("S4A03895_20190522_060000.wav").recorder == "Song Meter S4A03895"
    assert from_name("MARSH_20190522_060000.wav").recorder is None


@given(st.text(max_size=40))
def test_any_name_is_survived(name: str) -> None:
    from_name(name)


def wav(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    """A WAV file of ten silent samples, with chunks after its samples."""
    body = b"WAVE"
    for name, data in ((b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)), (b"data", bytes(20)), *chunks):
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def comment(text: str) -> tuple[bytes, bytes]:
    data = text.encode() + b"\0" * 5
    return b"LIST", b"INFO" + b"ICMT" + struct.pack("<I", len(data)) + data


@pytest.mark.parametrize(
    ("zone", "minutes"), [(" (UTC)", 0), (" (UTC+1)", 60), (" (UTC-4:30)", -270), ("", None), (" (UTC+5:45)", 345)]
)
def test_audiomoth_comments_of_several_firmwares(tmp_path: Path, zone: str, minutes: int | None) -> None:
    text = f"Recorded at 06:00:00 22/05/2019{zone} by AudioMoth 0FE081F80FE081F0 at gain setting 2 and 4.3V"
    found = from_metadata(wav(tmp_path / "a.WAV", comment(text)))
    assert found == Provenance(None, "AudioMoth 0FE081F80FE081F0", SIX, minutes)


def test_an_audiomoth_deployment_comment_names_no_device(tmp_path: Path) -> None:
    text = "Recorded at 06:00:00.250 22/05/2019 (UTC+2) during deployment 001A2B3C4D5E6F70 at low-medium gain"
    assert from_metadata(wav(tmp_path / "a.wav", comment(text))) == Provenance(None, None, SIX, 120)


def test_guano_gives_recorder_time_zone_and_prefix(tmp_path: Path) -> None:
    text = (
        "GUANO|Version: 1.0\nTimestamp: 2019-05-22 06:00:00-05:00\nMake: Wildlife Acoustics, Inc.\n"
        "Model: Song Meter Mini\nSerial: SMM01234\nWA|Song Meter|Prefix: MARSH\na line without a colon\n"
    )
    found = from_metadata(wav(tmp_path / "a.wav", (b"guan", text.encode())))
    assert found == Provenance("MARSH", "Wildlife Acoustics, Inc. Song Meter Mini SMM01234", SIX, -300)


def test_a_timestamp_that_guano_cannot_read_is_unknown(tmp_path: Path) -> None:
    found = from_metadata(wav(tmp_path / "a.wav", (b"guan", b"GUANO|Version: 1.0\nTimestamp: yesterday\n")))
    assert (found.time, found.utc_offset) == (None, None)


@pytest.mark.parametrize("keep", [0, 3, 12, 15, 20, 44, 60, 70, 90])
def test_a_cut_off_file_gives_what_is_there(tmp_path: Path, keep: int) -> None:
    path = wav(tmp_path / "a.wav", comment("Recorded at 06:00:00 22/05/2019 (UTC) by AudioMoth 0FE081F80FE081F0"))
    path.write_bytes(path.read_bytes()[:keep])
    assert from_metadata(path).recorder is None


def test_what_the_recorder_wrote_beats_the_name(tmp_path: Path) -> None:
    text = "Recorded at 06:00:00 22/05/2019 (UTC+1) by AudioMoth 0FE081F80FE081F0"
    path = wav(tmp_path / "20190522_050000.WAV", comment(text))
    found = provenance(path, ("survey", "pond"))
    assert found == Provenance("pond", "AudioMoth 0FE081F80FE081F0", SIX, 60)


@pytest.mark.parametrize(
    ("name", "folders", "site_from", "site"),
    [
        ("20190522_060000.WAV", ("survey", "pond"), "auto", "pond"),
        ("20190522_060000.WAV", ("survey", "pond", "Data"), "auto", "pond"),
        ("20190522_060000.WAV", ("pond", "20190522"), "auto", "pond"),
        ("M1_20190522_060000.WAV", ("survey", "pond"), "auto", "M1"),
        ("M1_20190522_060000.WAV", ("survey", "pond"), "folder", "pond"),
        ("XC1067905.wav", ("birds", "buteo_buteo"), "auto", None),
        ("XC1067905.wav", ("birds", "pond"), "folder", "pond"),
        ("20190522_060000.WAV", ("survey", "pond"), "name", None),
        ("M1_20190522_060000.WAV", ("survey", "pond"), "none", None),
    ],
)
def test_site(tmp_path: Path, name: str, folders: tuple[str, ...], site_from: str, site: str | None) -> None:
    assert provenance(wav(tmp_path / name), folders, site_from).site == site


def test_a_real_audiomoth_file(shared_data: Path) -> None:
    found = from_metadata(shared_data / "field/long/opensoundscape_1min/1min.wav")
    assert found == Provenance(None, "AudioMoth 0FE081F80FE081F0", datetime(2018, 5, 4, 9, 32), 0)
