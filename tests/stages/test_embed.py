"""Clips and shards through models to vectors."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from reading import read_clip
from tones import CLASSES, FRONT, RATE, SEVERAL, save_several_model, save_tones_model, tone_clips, write_artifact
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.artifacts.manifest import CLIP_SCHEMA
from birdssl.artifacts.shards import write_shard
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.base import check
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.run import RunOptions
from birdssl.stages import embed as stage
from birdssl.stages.embed import Embed
from birdssl.stages.runner import Outcome, run
from birdssl.training.saved_model import load_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tones_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return tone_clips(tmp_path / "clips")


def embed(inputs: list[Path], out: Path, settings: dict, **options) -> Outcome:
    return run(Embed(EmbedSettings(**settings), inputs, out, RunOptions(device="cpu", **options)))


def pictures(folder: Path) -> np.ndarray:
    paths = open_artifact(folder).manifest()["path"]
    return FRONT(np.stack([read_clip(folder / path, 0, 1.0, RATE) for path in paths]))


def render(clips: Path, folder: Path, waveform: bool = False, **facts: object) -> Path:
    """What `render` would leave: the clips in two shards, rows backwards."""
    table = open_artifact(clips).manifest()
    count = table.height
    arrays = pictures(clips)
    frontend: dict[str, object] = {"frontend": FRONT.to_dict()}
    if waveform:
        arrays = np.stack([read_clip(clips / path, 0, 1.0, RATE) for path in table["path"]])
        arrays = np.rint(arrays * 32768).astype(np.int16)
        frontend = {}
    for shard in range(2):
        write_shard(folder, shard, arrays[shard::2][::-1])
    rows = table.with_columns(
        pl.Series("shard", [n % 2 for n in range(count)], pl.Int32),
        pl.Series("row", [count // 2 - 1 - n // 2 for n in range(count)], pl.Int32),
    )
    array = {"shape": list(arrays.shape[1:]), "dtype": str(arrays.dtype)}
    known = {"sample_rate": RATE, "clip_seconds": 1.0, "array": array, **frontend, **facts}
    return write_artifact(folder, "render", rows, known)


def test_clips_become_vectors_and_keep_their_identity(clips: Path, tmp_path: Path, model: Path) -> None:
    outcome = embed([clips], tmp_path / "out", {"model": model})
    made, source = open_artifact(tmp_path / "out"), open_artifact(clips).manifest()
    table = made.manifest()
    assert outcome.exit_code == 0
    assert table.schema["embedding"] == pl.Array(pl.Float32, 64)
    assert table.schema["scores"] == pl.Array(pl.Float32, 3)
    kept = [name for name in CLIP_SCHEMA if name != "path"]
    assert table.select(kept).equals(source.select(kept))
    assert (tmp_path / "out" / table["path"][0]).resolve() == (clips / source["path"][0]).resolve()
    assert made.facts["classes"] == list(CLASSES)
    assert made.facts["scores"] == "softmax"
    assert (made.facts["layer"], made.facts["width"], made.facts["kind"]) == ("penultimate", 64, "embedding")
    assert made.facts["frontend"] == FRONT.to_dict()
    assert (made.facts["encoder"], made.facts["fold"]) == ("simplecnn", None)
    best = [CLASSES[index] for index in table["scores"].to_numpy().argmax(axis=1)]
    assert best == [labels[0] for labels in table["labels"]]
    np.testing.assert_allclose(table["scores"].to_numpy().sum(axis=1), 1, atol=1e-6)


def test_a_head_that_tells_each_class_by_itself_gives_sigmoids(clips: Path, tmp_path: Path) -> None:
    model = save_several_model(tmp_path / "model", {"high": 0.6, "low": 0.4})
    embed([clips], tmp_path / "out", {"model": model})
    made = open_artifact(tmp_path / "out")
    assert made.facts["classes"] == list(SEVERAL)
    assert made.facts["scores"] == "sigmoid"
    assert made.facts["thresholds"] == {"high": 0.6, "low": 0.4}
    table, saved = made.manifest(), load_model(model)
    with torch.inference_mode():
        wanted = torch.sigmoid(saved.head.classify(torch.from_numpy(table["embedding"].to_numpy().copy())))
    np.testing.assert_allclose(table["scores"].to_numpy(), wanted, atol=1e-6)
    assert [(row > 0.5).tolist() for row in wanted] == [[labels == ["high"], labels == ["low"]]
                                                        for labels in table["labels"].to_list()]  # fmt: skip


def test_vectors_are_those_of_the_model(clips: Path, tmp_path: Path, model: Path) -> None:
    saved = load_model(model)
    assert saved.head is not None
    with torch.inference_mode():
        flat = saved.encoder(saved.prepare(torch.from_numpy(pictures(clips))))
        penultimate = saved.head.penultimate(flat)
    for layer, expected in (("encoder", flat), ("penultimate", penultimate)):
        embed([clips], tmp_path / layer, {"model": model, "layer": layer})
        found = open_artifact(tmp_path / layer).manifest()["embedding"].to_numpy()
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("waveform", [False, True])
def test_shards_give_what_clips_give(clips: Path, tmp_path: Path, model: Path, waveform: bool) -> None:
    rendered = render(clips, tmp_path / "rendered", waveform)
    embed([clips], tmp_path / "one", {"model": model})
    embed([rendered], tmp_path / "two", {"model": model})
    one, two = (open_artifact(tmp_path / name) for name in ("one", "two"))
    assert one.manifest()["id"].equals(two.manifest()["id"])
    assert one.manifest()["embedding"].equals(two.manifest()["embedding"])
    assert "array" not in two.facts


def test_without_head_the_encoder_speaks_and_scores_nothing(clips: Path, tmp_path: Path) -> None:
    encoder = save_tones_model(tmp_path / "encoder", head=False)
    embed([clips], tmp_path / "out", {"model": encoder})
    made = open_artifact(tmp_path / "out")
    assert "scores" not in made.manifest().columns
    assert made.facts["layer"] == "encoder"
    assert made.facts["classes"] == ["high", "low"]  # the clips' own
    with pytest.raises(IncompatibleError, match="no head"):
        embed([clips], tmp_path / "other", {"model": encoder, "layer": "penultimate"})


def test_mel_statistics_by_hand(clips: Path, tmp_path: Path) -> None:
    rendered = render(clips, tmp_path / "rendered")
    embed([rendered], tmp_path / "out", {"features": "mel-statistics"})
    made = open_artifact(tmp_path / "out")
    found = made.manifest()["embedding"].to_numpy()
    grey = pictures(clips) / 255
    expected = np.concatenate([grey.mean(axis=2), grey.std(axis=2)], axis=1)
    assert found.shape == (6, 2 * FRONT.height)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert made.facts["model"] is None


def test_mel_statistics_of_clips_take_the_default_frontend(clips: Path, tmp_path: Path) -> None:
    embed([clips], tmp_path / "out", {"features": "mel-statistics"})
    made = open_artifact(tmp_path / "out")
    assert made.facts["frontend"]["sample_rate"] == RATE
    assert made.manifest().schema["embedding"] == pl.Array(pl.Float32, 512)


@pytest.mark.slow
def test_one_or_two_workers_and_units_of_any_size(
    clips: Path, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "UNIT_ROWS", 2)
    settings = {"model": model, "batch": 2}
    embed([clips], tmp_path / "one", settings)
    embed([clips], tmp_path / "two", settings, jobs=2)
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    assert open_artifact(tmp_path / "one").counts == {"units": 3, "rows": 6, "rejects": 0}
    assert embed([clips], tmp_path / "one", settings).summary["did_nothing"]


def test_a_broken_clip_costs_one_clip(clips: Path, tmp_path: Path, model: Path) -> None:
    table = open_artifact(clips).manifest()
    (clips / table["path"][2]).write_bytes(b"fLaC but no more")
    (clips / table["path"][4]).unlink()
    outcome = embed([clips], tmp_path / "out", {"model": model})
    made = open_artifact(tmp_path / "out")
    assert outcome.exit_code == 3
    assert made.manifest()["id"].to_list() == [table["id"][number] for number in (0, 1, 3, 5)]
    assert made.rejects()["name"].to_list() == ["card/low2.wav", "card/low4.wav"]
    assert made.rejects()["where"].to_list() == ["0 s", "0 s"]
    assert made.rejects()["reason"][1] == f"../clips/{table['path'][4]}: no such file"  # wherever the folder lies


def test_originals_only_unless_told(clips: Path, tmp_path: Path, model: Path) -> None:
    rendered = render(clips, tmp_path / "rendered")
    table = open_artifact(rendered).manifest()
    roles = pl.Series("role", ["original", "copy", "view"] * 2)
    write_artifact(rendered, "render", table.with_columns(roles), open_artifact(rendered).facts)
    embed([rendered], tmp_path / "out", {"model": model})
    assert open_artifact(tmp_path / "out").manifest()["role"].to_list() == ["original"] * 2
    embed([rendered], tmp_path / "all", {"model": model, "roles": ["original", "copy"]})
    assert open_artifact(tmp_path / "all").counts["rows"] == 4
    planned = write_artifact(tmp_path / "planned", "augment", table.with_columns(roles), open_artifact(clips).facts)
    with pytest.raises(IncompatibleError, match="birdssl render"):
        embed([planned], tmp_path / "other", {"model": model, "roles": ["copy"]})
    written = write_artifact(
        tmp_path / "clips", "augment", table.with_columns(roles), {**open_artifact(clips).facts, "audio": True}
    )
    embed([written], tmp_path / "audio", {"model": model, "roles": ["view"]})
    assert open_artifact(tmp_path / "audio").counts["rows"] == 2
    with pytest.raises(NoInputError, match=r"--model .*: no such directory; give the OUT of"):
        embed([clips], tmp_path / "none", {"model": tmp_path / "mistyped"})  # it was said to hold no model.json
    with pytest.raises(NoInputError, match="no rows of role view"):
        embed([tone_clips(tmp_path / "again")], tmp_path / "none", {"model": model, "roles": ["view"]})


def test_several_inputs_keep_their_order(clips: Path, tmp_path: Path, model: Path) -> None:
    other = tone_clips(tmp_path / "more" / "clips", count=2, card="other")
    embed([clips, other], tmp_path / "out", {"model": model})
    table = open_artifact(tmp_path / "out").manifest()
    expected = [*open_artifact(clips).manifest()["id"], *open_artifact(other).manifest()["id"]]
    assert table["id"].to_list() == expected


def test_the_same_clips_twice_are_refused(clips: Path, tmp_path: Path, model: Path) -> None:
    with pytest.raises(IncompatibleError, match="give each input once"):
        embed([clips, clips], tmp_path / "out", {"model": model})


def test_a_clip_of_one_channel_has_it_alone_in_its_file(clips: Path, tmp_path: Path, model: Path) -> None:
    artifact = open_artifact(clips)
    table = artifact.manifest().with_columns(pl.lit(1, pl.Int16).alias("channel"))
    write_artifact(clips, "segment", table, artifact.facts)
    embed([clips], tmp_path / "out", {"model": model})
    assert open_artifact(tmp_path / "out").counts["rows"] == 6


def test_contradictions_show_both_values(clips: Path, tmp_path: Path, model: Path) -> None:
    drawn = render(clips, tmp_path / "rendered", frontend={**FRONT.to_dict(), "n_mels": 64})
    with pytest.raises(IncompatibleError, match=r"n mels: 64 in .*rendered, 100 in training.*--n-mels 100"):
        embed([drawn], tmp_path / "out", {"model": model})
    facts = open_artifact(clips).facts
    table = open_artifact(clips).manifest()
    for name, value in (("clip_seconds", 3.0), ("sample_rate", 8000)):
        folder = write_artifact(tmp_path / name, "segment", table, {**facts, name: value})
        with pytest.raises(IncompatibleError, match=f"--{name.replace('_', '-')}"):
            embed([folder], tmp_path / "out", {"model": model})


def test_clips_of_a_higher_rate_are_resampled(clips: Path, tmp_path: Path, model: Path) -> None:
    facts = {**open_artifact(clips).facts, "sample_rate": 48_000}
    write_artifact(clips, "segment", open_artifact(clips).manifest(), facts)
    embed([clips], tmp_path / "out", {"model": model})
    assert open_artifact(tmp_path / "out").counts["rows"] == 6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either --model DIR or --features"),
        ({"model": "m", "features": "mel-statistics"}, "either --model DIR or --features"),
        ({"features": "mel-statistics", "layer": "encoder"}, "--layer is for --model"),
        ({"model": "m", "roles": "original,copies"}, "'copies'"),
    ],
)
def test_settings_that_do_not_fit_together(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check(EmbedSettings, given)
