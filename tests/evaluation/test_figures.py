import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from birdssl.evaluation import album, figures
from birdssl.evaluation.figures import Bar, in_lines

HARD_NAMES = [
    "$x^2$",
    "_under",
    "a<b>&c",
    "鳥 <no glyph>",
    "a name that is much too long for any legend to hold it all",
]


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


def test_pictures_take_any_name_without_a_warning():
    """Warnings are errors here: mathematics, hidden legend entries and missing glyphs would each raise one."""
    bars = [Bar(name, 0.5, 0.2, 0.9, "3 clips", (0.4, 0.6)) for name in HARD_NAMES]
    truth = np.arange(50) % 5
    for drawing in (
        figures.comparison(bars, 0.2),
        figures.recall(bars),
        figures.confusion(np.eye(5, 6, dtype=np.int64), HARD_NAMES, [*HARD_NAMES, "rain"]),
        figures.scatter(np.random.default_rng(0).normal(size=(50, 2)), truth, HARD_NAMES),
    ):
        assert drawing.png.startswith(b"\x89PNG")
        assert ElementTree.fromstring(drawing.svg).tag.endswith("svg")


@pytest.mark.parametrize(
    ("name", "lines"),
    [("mel statistics", "mel statistics"), ("", ""),
     ("frozen mobilenetv3-large from barlow-twins (k-NN)", "frozen mobilenetv3-large from\nbarlow-twins (k-NN)"),
     ("a" * 40, "a" * 30 + "\n" + "a" * 10),
     ("four " * 20, "four four four four four four\nfour four four four four four…")],
)  # fmt: skip
def test_long_names_take_a_second_line(name: str, lines: str):
    assert in_lines(name, 30) == lines


def test_the_same_picture_is_the_same_bytes():
    bars = [Bar("a", 0.5, 0.2, 0.9)]
    assert figures.comparison(bars, 0.2) == figures.comparison(bars, 0.2)


def test_the_files_of_a_picture_say_nothing_of_when_they_were_made():
    drawing = figures.recall([Bar("a", 0.5, 0.2, 0.9)])
    assert list(drawing.files("figures/recall")) == ["figures/recall.png", "figures/recall.svg"]
    assert b"date" not in drawing.svg.lower()
    assert b"http://www.w3.org/2000/svg" in drawing.svg


def test_values_that_are_missing_leave_gaps():
    assert figures.recall([Bar("no clips", float("nan")), Bar("one origin", 1.0)])
    assert figures.comparison([Bar("a", 0.5)], float("nan"))
    assert figures.confusion(np.zeros((2, 2), np.int64), ["a", "b"], ["a", "b"])


@pytest.mark.parametrize("classes", [2, 12, 50])
def test_a_confusion_matrix_grows_with_its_classes_and_its_diagonal_is_dark(classes):
    names = [f"c{number}" for number in range(classes)]
    png = figures.confusion(7 * np.eye(classes, dtype=np.int64), names, names).png
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert size(png)[0] >= 720
    assert (grey < 60).mean() > 0.4 / classes * 0.3


def test_more_classes_than_colours_change_their_markers():
    count = len(figures.COLOURS) + 3
    png = figures.scatter(
        np.random.default_rng(0).normal(size=(count, 2)), np.arange(count), [str(n) for n in range(count)]
    ).png
    assert png.startswith(b"\x89PNG")


def test_the_palette_has_no_two_colours_of_one_lightness_and_hue():
    """Okabe and Ito's set: any two differ by far more than a printed grey or a colour-blind eye would merge."""
    values = np.array([[int(colour[place : place + 2], 16) for place in (1, 3, 5)] for colour in figures.COLOURS])
    apart = np.linalg.norm(values[:, None] - values[None].astype(float), axis=2)
    assert apart[~np.eye(len(values), dtype=bool)].min() > 50


@pytest.mark.parametrize(
    ("name", "file"),
    [("VICReg, 20 %", "02-vicreg-20"), ("../etc", "02-etc"), ("鳥", "02"), ("a" * 99, "02-" + "a" * 57)],
)
def test_file_names_of_systems_are_plain(name, file):
    assert album.slug(name, 2) == file


# Machado, Oliveira and Fernandes (2009): linear RGB as seen without one kind of cone
SEEN = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
JUST_NOTICEABLE = 2.3  # CIE 1976 difference


def lab(colours: tuple[str, ...], matrix: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of hex colours seen through a matrix on linear RGB."""
    rgb = np.array([[int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)] for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(matrix).T, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = seen @ np.array(to_xyz).T / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_differ_for_all_eyes_and_markers_tell_what_is_close(eyes: str):
    """Every pair is told apart several times over; the two nearest have different markers as well."""
    places = lab(figures.COLOURS, SEEN[eyes])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    for one, other in zip(*np.triu_indices(len(places), 1), strict=True):
        assert gaps[one, other] > 6 * JUST_NOTICEABLE, (eyes, figures.COLOURS[one], figures.COLOURS[other])
        close = gaps[one, other] < 10 * JUST_NOTICEABLE
        assert not close or figures.MARKERS[one % 7] != figures.MARKERS[other % 7]
    pairs = {(kind % len(figures.COLOURS), kind % len(figures.MARKERS)) for kind in range(album.MOST_KINDS)}
    assert len(pairs) == album.MOST_KINDS
