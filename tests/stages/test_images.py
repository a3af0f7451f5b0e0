"""`render --kind image`: a folder of labelled images as grey pictures of one size."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.shards import Shards
from birdssl.errors import BadInput, NoInputError, UsageError
from birdssl.seeds import generator
from birdssl.settings.base import check
from birdssl.settings.render import RenderSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.images import grey_picture
from birdssl.stages.render import Render
from birdssl.stages.runner import Outcome, run


def render(inputs: list[Path], out: Path, options: dict | None = None, **settings: object) -> Outcome:
    chosen = check(RenderSettings, {"kind": "image", "size": 16, "shard_rows": 4, **settings})
    return run(Render(chosen, inputs, out, RunOptions(quiet=True, **(options or {}))))


def save(path: Path, pixels: np.ndarray, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures of each of two kinds, of many sizes, as PNG and JPEG."""
    draw = generator(1, "photos")
    for label in ("heron", "newt"):
        for number in range(5):
            pixels = draw.integers(0, 256, (20 + number, 33 - number, 3), dtype=np.uint8)
            save(tmp_path / "photos" / label / f"{number}.{('png', 'JPG')[number % 2]}", pixels, format=None)
    return tmp_path / "photos"


def test_each_image_is_a_row_of_its_own_labelled_by_its_folder(photos: Path, tmp_path: Path):
    outcome = render([photos], tmp_path / "out")
    assert outcome.exit_code == 0
    artifact = open_artifact(tmp_path / "out")
    table = artifact.manifest()
    assert table["recording"].to_list()[:2] == ["photos/heron/0.png", "photos/heron/1.JPG"]
    assert table["labels"].to_list() == [["heron"]] * 5 + [["newt"]] * 5
    assert table["origin"].n_unique() == table["id"].n_unique() == 10
    assert artifact.facts["classes"] == ["heron", "newt"]
    assert artifact.facts["frontend"] == {"kind": "image", "height": 16, "width": 16}
    assert (artifact.facts["sample_rate"], artifact.facts["clip_seconds"]) == (None, None)
    shards = Shards.of(artifact).take(table["shard"].to_numpy(), table["row"].to_numpy())
    assert table["shard"].max() == 2
    for row, found in zip(table.iter_rows(named=True), shards, strict=True):
        with Image.open(tmp_path / "out" / row["path"]) as image:
            expected = image.convert("L").resize((16, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(found, np.asarray(expected)), row["recording"]


def test_grey_is_luma_by_hand(tmp_path: Path):
    """ITU-R 601: .299 of red, .587 of green, .114 of blue."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:2, :, 0] = pixels[2:4, :, 1] = pixels[4:6, :, 2] = 255
    pixels[6:] = 200
    found = grey_picture(save(tmp_path / "colours.png", pixels), 8, 8)
    assert found[:, 0].tolist() == [76, 76, 150, 150, 29, 29, 200, 200]
    clear = np.dstack([pixels, np.full((8, 8), 7, np.uint8)])
    assert np.array_equal(grey_picture(save(tmp_path / "clear.png", clear), 8, 8), found)
    palette = Image.fromarray(pixels).quantize(4)
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(grey_picture(tmp_path / "palette.png", 8, 8), found)


def test_resizing_is_bilinear_by_hand(tmp_path: Path):
    """Halved, a triangle of four pixels: an edge from 0 to 200 gives one part and seven parts of eight between."""
    pixels = np.zeros((10, 16), np.uint8)
    pixels[:, 8:] = 200
    found = grey_picture(save(tmp_path / "edge.png", pixels), 10, 8)
    assert found.shape == (10, 8)
    assert found[3].tolist() == [0, 0, 0, 25, 175, 200, 200, 200]


def test_same_bytes_with_one_and_two_workers_and_after_an_update(photos: Path, tmp_path: Path):
    render([photos], tmp_path / "one", png=True)
    render([photos], tmp_path / "two", {"jobs": 2}, png=True)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    save(photos / "frog" / "0.png", np.full((30, 30), 9, np.uint8))
    render([photos], tmp_path / "two", {"update": True}, png=True)
    render([photos], tmp_path / "new", png=True)
    assert folder_bytes(tmp_path / "two") == folder_bytes(tmp_path / "new")
    assert len(list((tmp_path / "new" / "png").rglob("*.png"))) == 11


def test_a_bad_image_costs_itself_and_no_more(photos: Path, tmp_path: Path):
    whole = (photos / "newt" / "0.png").read_bytes()
    (photos / "newt" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "newt" / "text.jpg").write_text("no image")
    save(photos / "newt" / "deep.png", np.full((20, 20), 40_000, np.uint16))
    save(photos / "newt" / "gif.png", np.zeros((20, 20), np.uint8), format="GIF")
    outcome = render([photos, tmp_path / "gone.png"], tmp_path / "out")
    assert outcome.exit_code == 3
    artifact = open_artifact(tmp_path / "out")
    assert artifact.manifest().height == 10
    rejects = pl.read_parquet(tmp_path / "out" / "rejects.parquet")
    reasons = dict(zip(rejects["name"].to_list(), rejects["reason"].to_list(), strict=True))
    assert "can't be read (" in reasons["photos/newt/cut.png"]
    assert "more than 8 bits a channel (PIL's mode I;16); save it with 8" in reasons["photos/newt/deep.png"]
    for name in ("text.jpg", "gif.png"):
        assert "is no PNG or JPEG image, whatever its name says" in reasons[f"photos/newt/{name}"]
    assert any("no such file" in reason for reason in reasons.values())
    assert len(reasons) == 5


def test_damage_of_any_kind_is_a_reject_or_a_picture(tmp_path: Path):
    """Bytes changed at random must not come out as an error of any other kind."""
    draw = generator(3, "damage")
    pixels = draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    outcomes = set()
    for ending in ("png", "jpg"):
        whole = np.frombuffer(save(tmp_path / f"whole.{ending}", pixels).read_bytes(), np.uint8)
        for _ in range(300):
            bytes_ = whole.copy()
            places = draw.integers(0, len(whole), draw.integers(1, 9))
            bytes_[places] = draw.integers(0, 256, len(places))
            (tmp_path / "hit").write_bytes(bytes_.tobytes())
            try:
                assert grey_picture(tmp_path / "hit", 16, 16).shape == (16, 16)
                outcomes.add((ending, "picture"))
            except BadInput:
                outcomes.add((ending, "reject"))
    assert ("png", "reject") in outcomes
    assert len(outcomes) >= 3


def test_what_is_for_sound_is_refused_and_what_was_sought_is_named(tmp_path: Path):
    for name, value in (("n_fft", 512), ("sample_rate", 22050), ("sheet", 3)):
        flag = "--" + name.replace("_", "-")
        with pytest.raises(UsageError, match=f"{flag} is for sound; leave it out with --kind image"):
            check(RenderSettings, {"kind": "image", name: value})
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.wav").write_bytes(b"x")
    with pytest.raises(NoInputError, match=r"no images in .*empty: looked for \.png, \.jpg, \.jpeg .* found 1 \.wav"):
        render([tmp_path / "empty"], tmp_path / "out")
