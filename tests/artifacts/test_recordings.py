"""Cards, folders and lists as people have them."""

import logging
import os
from pathlib import Path

import pytest

from birdssl.artifacts.artifact import StageRecord
from birdssl.artifacts.recordings import list_recordings
from birdssl.errors import NoInputError

SUFFIXES = (".wav", ".mp3")


def touch(*paths: Path, text: str = "x") -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(*inputs: Path) -> list[str]:
    return [item.name for item in list_recordings(inputs, SUFFIXES).recordings]


def test_folders_are_walked_and_sorted_whatever_the_case_of_the_ending(tmp_path: Path) -> None:
    touch(tmp_path / "cards/b/1.WAV", tmp_path / "cards/a.Mp3", tmp_path / "cards/notes.txt")
    assert names(tmp_path / "cards") == ["cards/a.Mp3", "cards/b/1.WAV"]


def test_hidden_files_and_those_of_macos_are_counted_not_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(*(tmp_path / "card" / name for name in ("a.wav", "._a.wav", ".b.wav", ".trash/c.wav")))
    with caplog.at_level(logging.INFO):
        assert names(tmp_path / "card") == ["card/a.wav"]
    assert "2 hidden files" in caplog.text
    assert "1 hidden folders" in caplog.text


def test_folders_of_one_name_take_their_parents_names(tmp_path: Path) -> None:
    touch(tmp_path / "pond/Data/1.wav", tmp_path / "hill/Data/1.wav", tmp_path / "birds/1.wav")
    found = names(tmp_path / "pond/Data", tmp_path / "hill/Data", tmp_path / "birds")
    assert found == ["birds/1.wav", "hill/Data/1.wav", "pond/Data/1.wav"]


def test_the_current_folder_has_a_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "marsh/1.wav")
    monkeypatch.chdir(tmp_path / "marsh")
    assert names(Path()) == ["marsh/1.wav"]
    assert names(Path("1.wav")) == ["marsh/1.wav"]


def test_a_file_that_is_reached_twice_is_listed_once(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.wav")
    (tmp_path / "a/link.wav").symlink_to(tmp_path / "a/1.wav")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")
    assert names(tmp_path / "a", tmp_path / "a", tmp_path / "a/1.wav") == ["a/1.wav"]


def test_the_output_of_a_stage_holds_no_recordings(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.wav", tmp_path / "a/out/stage.json", tmp_path / "a/out/clips/1.wav")
    assert names(tmp_path / "a") == ["a/1.wav"]
    synth = StageRecord(verb="synth", version="0", state="complete", settings={}, inputs=[], plan="")
    synth.write(tmp_path / "a/out")
    assert names(tmp_path / "a") == ["a/1.wav", "a/out/clips/1.wav"]


def test_what_was_named_but_cannot_be_used_is_refused_with_a_reason(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.wav", tmp_path / "a/2.aiff")
    listing = list_recordings([tmp_path / "a/1.wav", tmp_path / "a/2.aiff", tmp_path / "a/3.wav"], SUFFIXES)
    assert [item.name for item in listing.recordings] == ["a/1.wav"]
    assert ["'.aiff'" in listing.refused[0].reason, "no such file" in listing.refused[1].reason] == [True, True]


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such names")
def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.wav")
    try:
        Path(os.fsdecode(bytes(tmp_path / "a") + b"/\xff.wav")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only text for names")
    listing = list_recordings([tmp_path / "a"], SUFFIXES)
    assert len(listing.recordings) == len(listing.refused) == 1


def test_a_folder_that_cannot_be_opened_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walking left out whole folders without a word where their permissions were wrong, and the exit code was 0."""
    touch(tmp_path / "card/a/1.wav", tmp_path / "card/b/2.wav")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # root, who runs tests in containers, may open anything
    listing = list_recordings([tmp_path / "card"], SUFFIXES)
    assert [item.name for item in listing.recordings] == ["card/a/1.wav"]
    assert [item.name for item in listing.refused] == ["card/b"]
    assert "can't be opened (Permission denied)" in listing.refused[0].reason
    with pytest.raises(NoInputError, match="can't be opened"):
        names(tmp_path / "card/b")


def test_what_is_passed_over_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log gave a count alone, so that nobody could tell which folder had been taken for a stage's."""
    touch(tmp_path / "a/1.wav", tmp_path / "a/out/stage.json", tmp_path / "a/out/clips/1.wav")
    with caplog.at_level(logging.INFO):
        names(tmp_path / "a")
    assert f"1 birdssl directories (first: {tmp_path / 'a/out'})" in caplog.text


def test_nothing_found_says_what_was_looked_for_and_what_is_there(tmp_path: Path) -> None:
    touch(tmp_path / "a/1.txt", tmp_path / "a/2.txt", tmp_path / "a/3", tmp_path / "a/._4.wav")
    with pytest.raises(
        NoInputError, match=r"looked for \.wav, \.mp3 in any case, and found 2 \.txt, 1 no ending; .*hidden"
    ):
        names(tmp_path / "a")
    with pytest.raises(NoInputError, match="no such file or folder"):
        names(tmp_path / "b")
    with pytest.raises(NoInputError, match="give folders or files"):
        names()


def test_identity_follows_contents_not_place_or_time(tmp_path: Path) -> None:
    long = "y" * 200_000
    touch(tmp_path / "a/1.wav", tmp_path / "a/2.wav", tmp_path / "a/3.wav", text=long)
    touch(tmp_path / "a/3.wav", text=long[:-1] + "z")
    touch(tmp_path / "a/4.wav", tmp_path / "a/5.wav", text="short")
    identities = [item.identity for item in list_recordings([tmp_path / "a"], SUFFIXES).recordings]
    assert identities[0] == identities[1] != identities[2]
    assert identities[3] == identities[4]
