"""Which recording a mark means, and which clips it labels."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdssl.artifacts.annotations import Annotation, Columns
from birdssl.artifacts.labelling import label_clips, read_labels
from birdssl.artifacts.recordings import Recording, list_recordings
from birdssl.errors import BadInput, NoInputError, UsageError

THREE = [(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]
COLUMNS = Columns()


def mark(start: float | None, end: float | None, label: str = "owl") -> Annotation:
    return Annotation(None, label, start, end, None, None, "t:1")


def labels_of(*marks: Annotation) -> list[list[str]]:
    return label_clips(THREE, marks, 0.5, 0.5)[0]


def test_half_a_second_of_a_long_call_is_enough() -> None:
    assert labels_of(mark(2.5, 8.0)) == [["owl"], ["owl"], ["owl"]]
    assert labels_of(mark(2.6, 8.0)) == [[], ["owl"], ["owl"]]


def test_a_short_call_counts_where_at_least_half_of_it_lies() -> None:
    assert labels_of(mark(4.0, 4.1)) == [[], ["owl"], []]
    assert labels_of(mark(2.95, 3.15)) == [[], ["owl"], []]
    assert labels_of(mark(2.9, 3.1)) == [["owl"], ["owl"], []]


def test_a_mark_without_length_counts_where_its_moment_lies() -> None:
    assert labels_of(mark(3.0, 3.0)) == [[], ["owl"], []]
    assert labels_of(mark(9.0, 9.0)) == [[], [], []]


def test_labels_of_whole_files_are_labels_of_all_clips_and_come_sorted_once() -> None:
    assert labels_of(mark(None, None), mark(0, 3, "ant"), mark(0, 3, "ant")) == [["ant", "owl"], ["owl"], ["owl"]]


def test_a_clip_that_a_mark_only_grazes_is_touched_but_not_labelled() -> None:
    labels, touched = label_clips(THREE, [mark(2.9, 8.0)], 0.5, 0.5)
    assert (labels[0], touched[0]) == ([], True)


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 10)), max_size=8),
    st.floats(0.5, 5),
    st.floats(0.5, 5),
    st.floats(0.01, 3),
    st.floats(0.01, 1),
)
def test_the_quick_search_finds_what_comparing_all_pairs_finds(
    spans: list[tuple[float, float]], seconds: float, hop: float, overlap: float, fraction: float
) -> None:
    clips = [(index * hop, index * hop + seconds) for index in range(20)]
    marks = [mark(start, start + length, str(number)) for number, (start, length) in enumerate(spans)]
    single = [
        [label for one in marks for label in label_clips([clip], [one], overlap, fraction)[0][0]] for clip in clips
    ]
    assert label_clips(clips, marks, overlap, fraction)[0] == [sorted(found) for found in single]


def recordings(folder: Path, *names: str) -> list[Recording]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return list_recordings([folder], (".wav", ".mp3")).recordings


def raven(path: Path, *rows: str, head: str = "Begin Time (s)\tEnd Time (s)\tSpecies") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    "name", ["1.Table.1.selections.txt", "1.selections.txt", "1.txt", "1.WAV.Table.1.selections.txt"]
)
def test_tables_beside_recordings_of_repeated_names_belong_to_their_neighbours(tmp_path: Path, name: str) -> None:
    found = recordings(tmp_path / "in", "pond/1.WAV", "hill/1.WAV")
    raven(tmp_path / "in/pond" / name, "1\t2\tfrog")
    raven(tmp_path / "in/hill" / name, "1\t2\towl")
    labels = read_labels("raven", None, found, COLUMNS)
    assert {key: [mark.label for mark in marks] for key, marks in labels.marks.items()} == {
        "in/hill/1.WAV": ["owl"],
        "in/pond/1.WAV": ["frog"],
    }


def test_a_table_of_other_files_in_the_folder_is_left_unread(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav")
    raven(tmp_path / "in/1.txt", "1\t2\tx")
    raven(tmp_path / "in/survey.txt", "1\t2\t9.wav", head="Begin Time (s)\tEnd Time (s)\tBegin File")
    labels = read_labels("raven", None, found, COLUMNS)
    assert ([path.name for path in labels.orphans], labels.classes) == (["survey.txt"], ["x"])


def test_a_table_over_several_files_beside_them(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav", "2.mp3")
    head = "Begin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies"
    raven(tmp_path / "in/survey.txt", "1\t2\t1.wav\t1\tx", "61\t62\t2.wav\t1\ty", "99\t100\t3.wav\t1\tz", head=head)
    labels = read_labels("raven", None, found, COLUMNS)
    assert {name: marks[0].label for name, marks in labels.marks.items()} == {"in/1.wav": "x", "in/2.mp3": "y"}
    assert (len(labels.unmatched), labels.by_name_only) == (1, 1)


def test_the_longest_name_has_the_table(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "a.wav", "a.2.wav")
    raven(tmp_path / "in/a.2.Table.1.selections.txt", "1\t2\tx")
    assert list(read_labels("raven", None, found, COLUMNS).marks) == ["in/a.2.wav"]


def test_a_folder_of_tables_elsewhere(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "pond/1.wav", "hill/1.wav", "2.wav")
    raven(tmp_path / "tables/pond/1.txt", "1\t2\tfrog")
    raven(tmp_path / "tables/2.txt", "1\t2\tnewt")
    raven(tmp_path / "tables/3.txt", "1\t2\tlost")
    labels = read_labels("raven", tmp_path / "tables", found, COLUMNS)
    assert sorted(labels.marks) == ["in/2.wav", "in/pond/1.wav"]
    assert [path.name for path in labels.orphans] == ["3.txt"]
    assert not labels.unmatched
    with pytest.raises(NoInputError, match=r"3 tables, but none belongs to one of the 1 recordings"):
        read_labels("raven", tmp_path / "tables", recordings(tmp_path / "other", "7.wav"), COLUMNS)


def test_an_empty_table_says_that_somebody_looked(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav", "2.wav")
    raven(tmp_path / "in/1.txt")
    labels = read_labels("raven", None, found, COLUMNS)
    assert (labels.annotated, labels.classes) == ({"in/1.wav"}, [])


def test_a_broken_table_costs_its_recording_alone(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav", "2.wav")
    raven(tmp_path / "in/1.txt", "one\t2\tx")
    raven(tmp_path / "in/2.txt", "1\t2\tx")
    labels = read_labels("raven", None, found, COLUMNS)
    assert list(labels.marks) == ["in/2.wav"]
    assert "'one' isn't a number" in labels.unusable["in/1.wav"]


@pytest.mark.parametrize("content", ["", "heavy rain\n", "Selection,View,Channel,Begin Time (s)\n"])
def test_a_file_with_raven_s_name_and_no_table_costs_its_recording(tmp_path: Path, content: str) -> None:
    """It was taken for a note, and only a count of recordings without annotation told of it."""
    found = recordings(tmp_path / "in", "1.wav", "2.wav")
    (tmp_path / "in/1.Table.1.selections.txt").write_text(content)
    raven(tmp_path / "in/2.txt", "1\t2\tx")
    labels = read_labels("raven", None, found, COLUMNS)
    assert list(labels.marks) == ["in/2.wav"]
    assert "1.Table.1.selections.txt: " in labels.unusable["in/1.wav"]


def test_audacity_tables_are_told_from_raven_ones_and_from_notes(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav")
    raven(tmp_path / "in/1.Table.1.selections.txt", "1\t2\traven")
    (tmp_path / "in/1.audacity.txt").write_text("1\t2\taudacity\n")
    (tmp_path / "in/1.txt").write_text("heavy rain\n")
    assert read_labels("raven", None, found, COLUMNS).classes == ["raven"]
    assert read_labels("audacity", None, found, COLUMNS).classes == ["audacity"]


def csv_labels(folder: Path, found: list[Recording], *rows: str, head: str = "path,label") -> dict[str, list[str]]:
    (folder / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    labels = read_labels("csv", folder / "labels.csv", found, COLUMNS)
    return {name: [mark.label for mark in marks] for name, marks in sorted(labels.marks.items())}


def test_files_are_matched_by_as_much_of_their_path_as_agrees(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "pond/1.wav", "hill/1.wav", "2.mp3")
    rows = ["pond/1.wav,frog", "C:\\data\\hill\\1.wav,owl", "/elsewhere/2.wav,newt"]
    assert csv_labels(tmp_path, found, *rows) == {
        "in/2.mp3": ["newt"],
        "in/hill/1.wav": ["owl"],
        "in/pond/1.wav": ["frog"],
    }


def test_a_name_that_several_recordings_have_means_none_of_them(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "pond/1.wav", "hill/1.wav", "2.wav")
    (tmp_path / "labels.csv").write_text("path,label\n1.wav,x\n2.wav,y\n")
    labels = read_labels("csv", tmp_path / "labels.csv", found, COLUMNS)
    assert labels.classes == ["y"]
    assert "means 2 recordings; write the folder" in labels.unmatched[0][1]


def test_a_card_that_repeats_a_name_does_not_lend_its_labels(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "pond/1.wav")
    assert csv_labels(tmp_path, found, "pond/1.wav,frog", "hill/1.wav,owl") == {"in/pond/1.wav": ["frog"]}


def test_a_table_without_any_of_the_recordings_is_refused(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav")
    with pytest.raises(NoInputError, match=r"none of the 1 annotations.*7\.wav.*first recording is in/1\.wav"):
        csv_labels(tmp_path, found, "7.wav,x")


def test_two_folds_for_one_file_are_refused(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav")
    with pytest.raises(BadInput, match="different origins, folds or sites"):
        csv_labels(tmp_path, found, "1.wav,x,1", "1.wav,y,2", head="path,label,fold")


def test_missing_tables_say_what_was_expected(tmp_path: Path) -> None:
    found = recordings(tmp_path / "in", "1.wav")
    with pytest.raises(NoInputError, match=r"X\.Table\.1\.selections\.txt"):
        read_labels("raven", None, found, COLUMNS)
    (tmp_path / "in/1.Table.1.selections.txt").write_text("Begin Time (s),End Time (s),Species\n1,2,owl\n")
    with pytest.raises(
        NoInputError, match=r"beside the recordings: .* by tabs \(.*in/1\.Table\.1.* is no such table\)"
    ):
        read_labels("raven", None, found, COLUMNS)  # a table with commas was passed over without a word
    with pytest.raises(NoInputError, match="no such file"):
        read_labels("audacity", tmp_path / "no", found, COLUMNS)
    with pytest.raises(UsageError, match=r"--labels FILE\.csv"):
        read_labels("csv", None, found, COLUMNS)
