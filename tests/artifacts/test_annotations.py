"""Tables as Raven, Audacity, R and spreadsheets write them."""

from pathlib import Path

import pytest

from birdssl.artifacts.annotations import (
    Annotation,
    Columns,
    FileRow,
    is_audacity,
    is_raven,
    read_audacity,
    read_csv,
    read_raven,
)
from birdssl.errors import BadInput, UsageError

RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"


def table(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_a_raven_table_row_by_row(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.Table.1.selections.txt", RAVEN + "1\tSpectrogram 1\t1\t4.5\t6\t100\t11025\tcorvus_corone\n"
    )
    assert read_raven(path).annotations == [
        Annotation(None, "corvus_corone", 4.5, 6.0, 100.0, 11025.0, "a.Table.1.selections.txt:2")
    ]


def test_a_selection_in_two_views_is_one_annotation_with_the_spectrogram_frequencies(tmp_path: Path) -> None:
    rows = "1\tWaveform 1\t1\t1\t2\t\t\tx\n1\tSpectrogram 1\t1\t1\t2\t300\t900\tx\n2\tWaveform 1\t1\t5\t6\t\t\ty\n"
    found = read_raven(table(tmp_path / "a.txt", RAVEN + rows)).annotations
    assert [(mark.label, mark.start, mark.low) for mark in found] == [("x", 1, 300), ("y", 5, None)]


def test_selections_of_two_tables_pasted_together_keep_apart(tmp_path: Path) -> None:
    rows = "1\tSpectrogram 1\t1\t1\t2\t1\t2\tx\n1\tSpectrogram 1\t1\t8\t9\t1\t2\tx\n"
    assert len(read_raven(table(tmp_path / "a.txt", RAVEN + rows)).annotations) == 2


def test_a_table_over_several_files_counts_from_each_files_start(tmp_path: Path) -> None:
    text = (
        "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tAnnotation\n"
        "1\t130.0\t131.5\tb.wav\t10.0\tx\n"
    )
    mark = read_raven(table(tmp_path / "a.txt", text)).annotations[0]
    assert (mark.recording, mark.start, mark.end) == ("b.wav", 10.0, 11.5)


def test_several_files_without_offsets_are_refused(tmp_path: Path) -> None:
    text = "Begin Time (s)\tEnd Time (s)\tBegin File\tAnnotation\n1\t2\ta.wav\tx\n5\t6\tb.wav\tx\n"
    with pytest.raises(BadInput, match=r"File Offset \(s\)"):
        read_raven(table(tmp_path / "a.txt", text))


def test_decimal_commas_and_windows_texts_are_read(tmp_path: Path) -> None:
    text = RAVEN + "1\tSpectrogram 1\t1\t1,5\t2,25\t100\t200\tMöwe\n"
    for encoding in ("cp1252", "utf-16", "utf-8-sig"):
        mark = read_raven(table(tmp_path / "a.txt", text.replace("\n", "\r\n"), encoding)).annotations[0]
        assert (mark.label, mark.start, mark.end) == ("Möwe", 1.5, 2.25)


def test_quotation_marks_swallow_nothing(tmp_path: Path) -> None:
    rows = '1\tS\t1\t1\t2\t1\t2\tthe "owl\n2\tS\t1\t3\t4\t1\t2\tx\n'
    found = read_raven(table(tmp_path / "a.txt", RAVEN + rows)).annotations
    assert [mark.label for mark in found] == ['the "owl', "x"]


def test_columns_may_have_names_of_any_script(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "path,種,Espèce\na.wav,梟,chouette\n")
    assert read_csv(path, Columns(label_column="種")).annotations[0].label == "梟"
    assert read_csv(path, Columns(label_column="espèce")).annotations[0].label == "chouette"


def test_labels_come_from_the_column_that_is_named(tmp_path: Path) -> None:
    text = "Begin Time (s)\tEnd Time (s)\tSpecies\tCall\n1\t2\towl\thoot\n"
    path = table(tmp_path / "a.txt", text)
    assert read_raven(path).annotations[0].label == "owl"
    assert read_raven(path, Columns(label_column="call")).annotations[0].label == "hoot"
    assert read_raven(path, Columns(label="bird")).annotations[0].label == "owl"
    bare = table(tmp_path / "b.txt", "Begin Time (s)\tEnd Time (s)\tNote\n1\t2\tx\n")
    assert read_raven(bare, Columns(label="bird")).annotations[0].label == "bird"


def test_a_table_without_labels_lists_its_columns_and_the_cures(tmp_path: Path) -> None:
    path = table(tmp_path / "a.txt", "Begin Time (s)\tEnd Time (s)\tNote\n1\t2\tx\n")
    with pytest.raises(UsageError, match=r"'begin time s', 'end time s', 'note'.*--label-column.*--label TEXT"):
        read_raven(path)
    with pytest.raises(UsageError, match="has no column 'Kind'"):
        read_raven(path, Columns(label_column="Kind"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1\tS\t1\tone\t2\t1\t2\tx", "a.txt:2: 'one' isn't a number"),
        ("1\tS\t1\t5\t2\t1\t2\tx", "a.txt:2: runs from 5 s to 2 s"),
        ("1\tS\t1\t-1\t2\t1\t2\tx", "a.txt:2: runs from -1 s"),
        ("1\tS\t1\tnan\t2\t1\t2\tx", "isn't a number"),
        ("1\tS\t1", "isn't a number"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_raven(table(tmp_path / "a.txt", RAVEN + row + "\n"))


def test_rows_without_a_label_are_counted(tmp_path: Path) -> None:
    found = read_raven(table(tmp_path / "a.txt", RAVEN + "1\tS\t1\t1\t2\t1\t2\t\n2\tS\t1\t1\t2\t1\t2\tx\n"))
    assert (len(found.annotations), found.unlabelled) == (1, 1)


def test_audacity_labels_with_and_without_frequencies(tmp_path: Path) -> None:
    text = "1.0\t2.5\towl\n\\\t300.0\t900.0\n4.0\t4.0\ttwo words\n\\\t-1.0\t-1.0\n\n"
    found = read_audacity(table(tmp_path / "a.txt", text)).annotations
    assert found == [
        Annotation(None, "owl", 1.0, 2.5, 300.0, 900.0, "a.txt:1"),
        Annotation(None, "two words", 4.0, 4.0, None, None, "a.txt:3"),
    ]
    with pytest.raises(BadInput, match=r"a\.txt:2: 'nonsense' isn't start, end and label"):
        read_audacity(table(tmp_path / "a.txt", "1\t2\tx\nnonsense\n"))


def test_the_kinds_tell_themselves_apart() -> None:
    assert is_raven(RAVEN)
    assert not is_audacity(RAVEN)
    assert is_audacity("1.0\t2.0\tx\n")
    assert not is_raven("1.0\t2.0\tx\n")
    assert not is_audacity("some notes\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_of_whole_files_with_origin_and_fold(tmp_path: Path, delimiter: str) -> None:
    text = "path,label,fold,recording\ndog/1.flac,dog,1,100032\ndog/2.flac,dog,,\n".replace(",", delimiter)
    found = read_csv(table(tmp_path / "labels.csv", text))
    assert found.annotations[0] == Annotation("dog/1.flac", "dog", None, None, None, None, "labels.csv:2")
    assert found.files == [
        FileRow("dog/1.flac", "100032", 1, None, "labels.csv:2"),
        FileRow("dog/2.flac", None, None, None, "labels.csv:3"),
    ]


def test_which_columns_were_taken_is_said(tmp_path: Path) -> None:
    found = read_csv(table(tmp_path / "m.csv", "Path,Species,Recording,Site\na.wav,owl,1,pond\n"))
    assert found.chosen == {"label": "species", "origin": "recording", "site": "site"}
    assert found.files[0].site == "pond"


def test_a_csv_of_marks(tmp_path: Path) -> None:
    text = 'recording,start,end,label,low,high\n"a, b.wav",1,2.5,owl,300,900\n'
    found = read_csv(table(tmp_path / "m.csv", text))
    assert found.annotations == [Annotation("a, b.wav", "owl", 1.0, 2.5, 300.0, 900.0, "m.csv:2")]
    assert found.files[0].origin is None  # `recording` is the file here, so it can't be the origin


def test_a_csv_with_durations(tmp_path: Path) -> None:
    mark = read_csv(table(tmp_path / "m.csv", "file,start,duration,label\na.wav,1,2.5,x\n")).annotations[0]
    assert (mark.start, mark.end) == (1.0, 3.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,start,label\na.wav,1,x\n", "neither an end nor a duration"),
        ("file,end,label\na.wav,1,x\n", "an end but no start"),
        ("file,fold,label\na.wav,one,x\n", "m.csv:2: 'one' isn't a number"),
        ("file,fold,label\na.wav,1.5,x\n", "isn't a fold"),
        ("file,label\n,x\n", "its file is empty"),
    ],
)
def test_csv_rows_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_csv(table(tmp_path / "m.csv", text))


def test_a_csv_without_files_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'name', 'label'; name it with --file-column"):
        read_csv(table(tmp_path / "m.csv", "name,label\na.wav,x\n"))
    found = read_csv(table(tmp_path / "m.csv", "name,label\na.wav,x\n"), Columns(file_column="name"))
    assert found.annotations[0].recording == "a.wav"


def test_real_tables(shared_data: Path) -> None:
    long = shared_data / "field/long"
    raven = read_raven(long / "mosaic_20190522_060000.Table.1.selections.txt").annotations
    audacity = read_audacity(long / "mosaic_20190522_060000.audacity.txt").annotations
    assert len(raven) == len(audacity) == 30
    for one, other in zip(raven, audacity, strict=True):
        assert one.label == other.label
        assert one.start == pytest.approx(other.start, abs=1e-3)
        assert one.end == pytest.approx(other.end, abs=1e-3)


def test_real_tables_from_raven_and_r_agree(shared_data: Path) -> None:
    """R's frequencies are in kHz, and its times from each file's start; Raven's from the start of all files as one."""
    long, green_hermit = shared_data / "field/long", Columns(label="Phaethornis guy")
    raven = read_raven(long / "Phaethornis-guy-2022.Table.1.selections.txt", green_hermit).annotations
    warbler = read_csv(long / "annotations_p_guy.csv", green_hermit).annotations
    assert len(raven) == len(warbler) == 25
    for one, other in zip(raven, warbler, strict=True):
        assert one.recording == other.recording
        assert (one.start, one.end, one.low, one.high) == pytest.approx((other.start, other.end, other.low, other.high))


def test_an_unclosed_quotation_mark_is_an_error_and_not_a_label(tmp_path: Path) -> None:
    """All rows after it became one label of several lines."""
    with pytest.raises(BadInput, match="can't be read as a table"):
        read_csv(table(tmp_path / "a.csv", 'file,start,end,label\na.wav,0,1,"owl\na.wav,2,3,newt\n'))


def test_an_empty_csv_is_called_empty(tmp_path: Path) -> None:
    """It was said to lack a column among its columns, of which none were listed."""
    with pytest.raises(UsageError, match=r"a\.csv: is empty; expected a line of column names"):
        read_csv(table(tmp_path / "a.csv", ""))
