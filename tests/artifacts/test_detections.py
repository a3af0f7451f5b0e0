"""Windows, joining and Raven's table by hand."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from birdssl.artifacts.detections import Detection, merge, raven_table, window_starts


@pytest.mark.parametrize(
    ("seconds", "length", "hop", "expected"),
    [
        (9, 3, 3, [0, 3, 6]),
        (10, 3, 3, [0, 3, 6, 9]),  # the last window is padded
        (2, 3, 3, [0]),
        (6, 3, 1.5, [0, 1.5, 3]),
        (6.4, 3, 1.5, [0, 1.5, 3, 4.5]),
        (0.3, 0.1, 0.1, [0, 0.1, 0.2]),  # 3 * 0.1 is more than 0.3 in floats
    ],
)
def test_windows(seconds: float, length: float, hop: float, expected: list[float]) -> None:
    assert window_starts(seconds, length, hop) == pytest.approx(expected)


@given(st.floats(0.1, 100), st.floats(0.5, 5), st.floats(0.1, 1))
def test_windows_cover_the_recording_and_no_more(seconds: float, length: float, share: float) -> None:
    hop = length * share
    starts = window_starts(seconds, length, hop)
    assert starts[-1] + length >= seconds - 1e-5
    assert all(start < seconds for start in starts)
    assert len(starts) == 1 or starts[-2] + length < seconds


def test_windows_that_touch_become_one() -> None:
    found = [Detection(0, 3, "frog", 0.7), Detection(3, 6, "frog", 0.9), Detection(9, 12, "frog", 0.8)]
    assert merge(found, gap=0) == [Detection(0, 6, "frog", 0.9, windows=2), Detection(9, 12, "frog", 0.8)]
    assert merge(found, gap=2.9) == merge(found, gap=0)
    assert merge(found, gap=3) == [Detection(0, 12, "frog", 0.9, windows=3)]


def test_classes_and_channels_stay_apart() -> None:
    found = [
        Detection(1.5, 4.5, "bird", 0.6),
        Detection(0, 3, "frog", 0.7),
        Detection(1.5, 4.5, "frog", 0.8),
        Detection(0, 3, "frog", 0.7, channel=1),
    ]
    assert merge(found, gap=0) == [
        Detection(0, 4.5, "frog", 0.8, windows=2),
        Detection(0, 3, "frog", 0.7, channel=1),
        Detection(1.5, 4.5, "bird", 0.6),
    ]


def test_raven_table() -> None:
    table = raven_table([Detection(0, 4.5, "frog", 0.81234), Detection(3, 6, "a\tb", 1, channel=1)], 50, 22050)
    assert table.endswith("\n")
    rows = list(csv.DictReader(io.StringIO(table), delimiter="\t"))
    assert rows[0] == {
        "Selection": "1",
        "View": "Spectrogram 1",
        "Channel": "1",
        "Begin Time (s)": "0.000000",
        "End Time (s)": "4.500000",
        "Low Freq (Hz)": "50.0",
        "High Freq (Hz)": "22050.0",
        "Label": "frog",
        "Score": "0.8123",
    }
    assert (rows[1]["Channel"], rows[1]["Label"]) == ("2", "a b")
    assert raven_table([], 0, 1).count("\n") == 1
