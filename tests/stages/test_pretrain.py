"""Pretraining on drawn clips, through the stage contract."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from chirps import clip_row, picture, rendered_labels, rendered_views, write_rendered
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import BirdsslError, IncompatibleError, UsageError
from birdssl.settings.base import check
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.pretrain import Pretrain
from birdssl.stages.runner import Outcome, run
from birdssl.training import loop
from birdssl.training.saved_model import load_model

SMALL = {"projector_width": 16, "batch_size": 8, "epochs": 2, "precision": "fp32", "threads": 1}


def pretrain(inputs: list[Path], out: Path, options: dict | None = None, **settings) -> Outcome:
    chosen = check(PretrainSettings, {**SMALL, **settings})
    return run(Pretrain(chosen, inputs, out, RunOptions(device="cpu", **(options or {}))))


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_views(tmp_path_factory.mktemp("render") / "views", 40, folds=4, tests=8)


def test_a_model_comes_out_and_test_clips_stay_out(views: Path, tmp_path: Path):
    outcome = pretrain([views], tmp_path / "out")
    assert outcome.exit_code == 0
    artifact = open_artifact(tmp_path / "out", ("pretrain",))
    model = load_model(tmp_path / "out")
    assert model.frontend == open_artifact(views).facts["frontend"]
    assert model.head is None
    used = artifact.manifest()
    assert not used["test"].any()
    assert used.height == 64
    sides = used.group_by("origin").agg(pl.col("part").n_unique())
    assert set(sides["part"]) == {1}
    assert set(used["part"]) == {"training", "validation"}
    history = pl.read_csv(tmp_path / "out" / "history.csv")
    assert history["epoch"].to_list() == [0, 1, 2]
    assert "seconds" not in history.columns
    assert {"loss", "validation_loss", "invariance", "effective_rank", "alignment", "retrieval"} <= set(history.columns)
    assert outcome.summary["validation_loss"] == history["validation_loss"][1:].min()
    assert not (tmp_path / "out" / ".work").exists()


def test_a_fold_is_the_validation_part(views: Path, tmp_path: Path):
    pretrain([views], tmp_path / "out", fold=1, epochs=1)
    used = open_artifact(tmp_path / "out").manifest()
    assert set(used.filter(pl.col("part") == "validation")["fold"]) == {1}
    assert set(used.filter(pl.col("part") == "training")["fold"]) == {0, 2, 3}
    with pytest.raises(IncompatibleError, match=r"--fold 9.*the folds are 0, 1, 2, 3"):
        pretrain([views], tmp_path / "other", fold=9)


def test_no_epoch_saves_the_random_start(views: Path, tmp_path: Path):
    outcome = pretrain([views], tmp_path / "out", epochs=0)
    assert outcome.summary["best_epoch"] == 0
    assert outcome.summary["retrieval"] == outcome.summary["retrieval_before"]
    assert load_model(tmp_path / "out").encoder.name == "simplecnn"


def test_an_interrupted_run_goes_on_to_the_same_bytes(views: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = {"epochs": 4, "optimiser": "adam", "learning_rate": 0.001}
    pretrain([views], tmp_path / "whole", **settings)
    saved = loop.save_checkpoint

    def stop_after_two(folder, progress, *rest):
        saved(folder, progress, *rest)
        if progress.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        pretrain([views], tmp_path / "out", **settings)
    with pytest.raises(IncompatibleError, match="isn't finished"):
        open_artifact(tmp_path / "out")
    monkeypatch.setattr(loop, "save_checkpoint", saved)
    pretrain([views], tmp_path / "out", **settings)
    whole, resumed = folder_bytes(tmp_path / "whole"), folder_bytes(tmp_path / "out")
    assert "encoder.safetensors" in whole
    assert whole == resumed


def test_the_seed_decides_the_weights(views: Path, tmp_path: Path):
    weights = []
    for name, seed in (("one", 1), ("again", 1), ("two", 2)):
        pretrain([views], tmp_path / name, epochs=1, seed=seed)
        weights.append((tmp_path / name / "encoder.safetensors").read_bytes())
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_images_from_files_give_the_weights_of_images_in_memory(views: Path, tmp_path: Path):
    for name, budget in (("memory", 1.0), ("files", 0.0)):
        pretrain([views], tmp_path / name, epochs=1, memory_budget=budget)
    one, two = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in ("memory", "files"))
    assert one == two


def test_several_directories_are_joined_and_held_out_origins_stay_out_of_all(views: Path, tmp_path: Path):
    more = rendered_views(tmp_path / "more", 20, name="pond")
    same = rendered_views(tmp_path / "same", 40)  # the first one's recordings, with neither test part nor folds
    pretrain([views, more, same], tmp_path / "out", fold=0, epochs=1)
    used = open_artifact(tmp_path / "out").manifest()
    assert set(used["source"]) == {0, 1, 2}
    held = open_artifact(views).manifest().filter(pl.col("test") | (pl.col("fold") == 0))["origin"].unique()
    training = used.filter(pl.col("part") == "training")
    assert not training["origin"].is_in(held.to_list()).any()
    assert training.filter(pl.col("source") == 1).height == 40
    with pytest.raises(UsageError, match="given twice"):
        pretrain([views, views], tmp_path / "twice")


def test_inputs_that_cannot_serve_are_refused(views: Path, tmp_path: Path):
    labels = rendered_labels(tmp_path / "labels", 12)
    with pytest.raises(IncompatibleError, match=r"labels has no views.*birdssl augment --views 2"):
        pretrain([labels], tmp_path / "out")
    with pytest.raises(IncompatibleError, match="--batch-size 28 or less"):
        pretrain([views], tmp_path / "out", batch_size=64)
    other = rendered_views(tmp_path / "other", 4)
    record = (other / "stage.json").read_text()
    (other / "stage.json").write_text(record.replace('"hop": 256', '"hop": 128'))
    with pytest.raises(IncompatibleError, match="hop is 256 and 128"):
        pretrain([views, other], tmp_path / "out")
    waves = rendered_views(tmp_path / "waves", 4)
    (waves / "stage.json").write_text(record.replace('"kind": "spectrogram"', '"kind": "waveform"'))
    with pytest.raises(IncompatibleError, match="0 clips of the input can be learnt from"):
        pretrain([waves], tmp_path / "out")


def test_byols_loss_does_not_choose_the_epoch():
    kept = {name: check(PretrainSettings, {"objective": name}).selected for name in ("byol-a", "cola")}
    assert kept == {"byol-a": "last", "cola": "score"}
    assert check(PretrainSettings, {"objective": "byol-a", "select": "loss"}).selected == "score"


def test_each_way_to_select_keeps_its_epoch(views: Path, tmp_path: Path):
    """From one history, three epochs; and the weights are those of a run that ended there."""
    settings = {"epochs": 6, "optimiser": "adam", "learning_rate": 0.003, "seed": 2, "validation_fraction": 0.3}
    kept = {}
    for name in ("loss", "health", "last"):
        pretrain([views], tmp_path / name, select=name, **settings)
        kept[name] = load_model(tmp_path / name).spec.provenance["best_epoch"]
    histories = {(tmp_path / name / "history.csv").read_bytes() for name in kept}
    assert len(histories) == 1
    history = pl.read_csv(tmp_path / "loss" / "history.csv").filter(pl.col("epoch") > 0)
    by = ["retrieval", "encoder_rank", "epoch"]
    assert kept["loss"] == history.sort("validation_loss", "epoch")["epoch"][0]
    assert kept["health"] == history.sort(by, descending=[True, True, False])["epoch"][0]
    assert kept["last"] == 6
    assert kept["health"] < kept["loss"]
    pretrain([views], tmp_path / "short", select="last", **{**settings, "epochs": kept["health"]})
    short, chosen = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in ("short", "health"))
    assert short == chosen


def test_health_is_told_of_every_epoch(views: Path, tmp_path: Path):
    """What a choice without labels may rest on."""
    pretrain([views], tmp_path / "out")
    history = pl.read_csv(tmp_path / "out" / "history.csv")
    terms = {"invariance", "variance", "covariance"}
    health = {"embedding_std", "effective_rank", "encoder_rank", "alignment", "uniformity", "retrieval"}
    assert {*terms, *(f"validation_{name}" for name in terms), *health, "neighbour_stability"} <= set(history.columns)
    assert not history.select(*health).null_count().sum_horizontal().item()
    assert history["neighbour_stability"].is_null().to_list() == [True, False, False]


def test_settings_that_nothing_would_read_are_a_usage_error():
    with pytest.raises(UsageError, match=r"--redundancy belongs to barlow-twins;.*vicreg has .*--invariance"):
        check(PretrainSettings, {"objective": "vicreg", "redundancy": 0.1})
    with pytest.raises(UsageError, match="--warmup-epochs is for --schedule cosine"):
        check(PretrainSettings, {"warmup_epochs": 3})


def test_a_loss_that_runs_away_names_the_epoch_and_what_to_try(views: Path, tmp_path: Path):
    with pytest.raises(BirdsslError, match=r"in epoch \d.*--learning-rate"):
        pretrain([views], tmp_path / "out", learning_rate=1e18, epochs=5)


def test_one_recording_is_parted_in_time_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows, pictures = [], []
    for clip in range(20):
        parent = clip_row("card", clip, per_origin=20)
        for number in (1, 2):
            rows.append({**parent, "id": f"{clip}-{number}", "role": "view", "parent": parent["id"], "number": number})
            pictures.append(picture([], np.random.default_rng(clip)))
    folder = write_rendered(tmp_path / "one", rows, pictures)
    pretrain([folder], tmp_path / "out", epochs=0, validation_fraction=0.2)
    held = open_artifact(tmp_path / "out").manifest().filter(pl.col("part") == "validation")
    assert sorted(set(held["start"])) == [16, 17, 18, 19]
    assert "all clips come from one recording" in caplog.text
