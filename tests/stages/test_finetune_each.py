"""Fine-tuning on clips that have several classes at once, one, or none."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from chirps import rendered_labels, rendered_several
from sklearn.metrics import average_precision_score, f1_score
from toy import folder_bytes
from waves import rendered_waves

from birdssl.artifacts.artifact import MANIFEST, open_artifact
from birdssl.errors import IncompatibleError, UsageError
from birdssl.settings.base import check
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.run import RunOptions
from birdssl.stages import finetune as stage
from birdssl.stages.embed import Embed
from birdssl.stages.finetune import Finetune
from birdssl.stages.runner import Outcome, run
from birdssl.training.saved_model import load_model

SMALL = {"batch_size": 16, "epochs": 2, "precision": "fp32", "threads": 1, "several_labels": "each"}
LEARNING = {"epochs": 15, "optimiser": "adam", "learning_rate": 0.001}


def finetune(inputs: list[Path], out: Path, **settings) -> Outcome:
    return run(Finetune(check(FinetuneSettings, {**SMALL, **settings}), inputs, out, RunOptions(device="cpu")))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_several(tmp_path_factory.mktemp("render") / "clips", 72, folds=3, tests=8, unlabelled=5)


@pytest.fixture(scope="module")
def trained(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    out = tmp_path_factory.mktemp("finetune") / "out"
    return out, finetune([clips], out, fold=1, **LEARNING)


def held_out(clips: Path, model: Path, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores (clips, 2) of the labelled clips of fold 1."""
    run(Embed(EmbedSettings(model=model), [clips], folder, RunOptions(device="cpu")))
    rows = open_artifact(folder).manifest().filter((pl.col("fold") == 1) & (pl.col("labels").list.len() > 0))
    truth = [[label in labels for label in ("fall", "rise")] for labels in rows["labels"].to_list()]
    return np.array(truth), rows["scores"].to_numpy()


def test_each_class_is_told_by_itself(clips: Path, trained: tuple[Path, Outcome], tmp_path: Path):
    out, outcome = trained
    assert outcome.summary["validation_macro_average_precision"] > 0.9
    truth, scores = held_out(clips, out, tmp_path / "embedded")
    wanted = average_precision_score(truth, scores, average="macro")
    assert outcome.summary["validation_macro_average_precision"] == pytest.approx(wanted, abs=1e-3)
    history = pl.read_csv(out / "history.csv")
    best = history.filter(pl.col("epoch") > 0)["validation_macro_average_precision"]
    assert outcome.summary["best_epoch"] == int(best.arg_max()) + 1
    told = Finetune(check(FinetuneSettings, SMALL), [clips], out).report(outcome.summary)
    assert "has the best macro average precision" in told


def test_none_is_no_class_and_unlabelled_clips_are_left_out(clips: Path, trained: tuple[Path, Outcome]):
    out, outcome = trained
    assert load_model(out).classes == ("fall", "rise")
    assert load_model(out).spec.activation == "sigmoid"
    used = open_artifact(out).manifest()
    assert (used["labels"].list.len() > 0).all()
    assert not used["test"].any()
    assert used.height == 72 - 8
    nothing = used.filter(pl.col("labels").list.contains("none")).height
    assert (outcome.summary["none"], outcome.summary["unlabelled"]) == (nothing, 5)
    assert nothing > 10
    assert outcome.summary["training_clips"] == used.filter(pl.col("part") == "training").height


def test_thresholds_are_those_with_the_best_f1_on_held_out_clips(
    clips: Path, trained: tuple[Path, Outcome], tmp_path: Path
):
    out, _ = trained
    thresholds = load_model(out).spec.thresholds
    assert json.loads((out / "model.json").read_text())["thresholds"] == thresholds
    truth, scores = held_out(clips, out, tmp_path / "embedded")
    for place, label in enumerate(("fall", "rise")):
        reached = f1_score(truth[:, place], scores[:, place] >= thresholds[label])
        others = [f1_score(truth[:, place], scores[:, place] >= level) for level in scores[:, place]]
        assert reached == pytest.approx(max(others))


def test_the_same_settings_give_the_same_bytes_after_an_interruption(clips: Path, tmp_path: Path, monkeypatch):
    finetune([clips], tmp_path / "whole", fold=0)
    saved = stage.save_model
    monkeypatch.setattr(stage, "save_model", lambda *parts: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finetune([clips], tmp_path / "out", fold=0)
    monkeypatch.setattr(stage, "save_model", saved)
    finetune([clips], tmp_path / "out", fold=0)
    assert folder_bytes(tmp_path / "whole") == folder_bytes(tmp_path / "out")


def test_a_class_without_a_held_out_clip_keeps_the_default_threshold(tmp_path: Path, caplog):
    folder = rendered_several(tmp_path / "clips", 24, folds=3)
    table = pl.read_parquet(folder / MANIFEST)
    held = (pl.col("fold") == 0) & pl.col("labels").list.contains("rise")
    only = pl.when(held).then(pl.lit(["fall"])).otherwise("labels").alias("labels")
    table.with_columns(only).write_parquet(folder / MANIFEST)
    with caplog.at_level("INFO", "birdssl"):
        finetune([folder], tmp_path / "out", fold=0, epochs=1)
    assert "no held-out clip of rise to choose a threshold by: it stays at 0.5" in caplog.text
    assert load_model(tmp_path / "out").spec.thresholds["rise"] == 0.5
    quiet = pl.when(pl.col("fold") == 0).then(pl.lit(["none"])).otherwise("labels").alias("labels")
    table.with_columns(quiet).write_parquet(folder / MANIFEST)
    with pytest.raises(IncompatibleError, match=r"all 8 held-out clips are labelled \"none\".*another --fold"):
        finetune([folder], tmp_path / "other", fold=0)


def test_without_folds_recordings_are_held_out_though_each_has_a_mixture_of_its_own(clips: Path, tmp_path: Path):
    finetune([clips], tmp_path / "out", validation_fraction=0.25, epochs=0)
    used = open_artifact(tmp_path / "out").manifest()
    training, validation = (used.filter(pl.col("part") == part) for part in ("training", "validation"))
    assert not set(training["origin"]) & set(validation["origin"])
    assert 0.15 < validation.height / used.height < 0.35
    for part in (training, validation):
        assert {"fall", "rise", "none"} <= set(part["labels"].explode())


def test_a_share_is_drawn_of_each_clip_s_rarest_label(clips: Path, tmp_path: Path):
    finetune([clips], tmp_path / "out", fold=0, train_fraction=0.5, epochs=0)
    used = open_artifact(tmp_path / "out").manifest().filter(pl.col("part") == "training")
    every = open_artifact(clips).manifest().filter((pl.col("fold") > 0) & (pl.col("labels").list.len() > 0))
    assert used.height == pytest.approx(every.height / 2, abs=2)
    assert {"fall", "rise", "none"} <= set(used["labels"].explode())


def test_copies_are_left_out_since_they_balance_one_label_a_clip(tmp_path: Path, caplog):
    folder = rendered_labels(tmp_path / "labels", 24, folds=3, copies=2, balance=20)
    with caplog.at_level("INFO", "birdssl"):
        finetune([folder], tmp_path / "out", fold=0, epochs=0)
    assert "48 copies are left out" in caplog.text
    used = open_artifact(tmp_path / "out").manifest()
    assert set(used["role"]) == {"original"}
    assert used["uses"].max() == 1
    with pytest.raises(UsageError, match="--balance is for one label a clip"):
        check(FinetuneSettings, {"several_labels": "each", "balance": "max"})


def test_one_class_is_enough_and_no_class_is_not(tmp_path: Path):
    folder = rendered_several(tmp_path / "clips", 24, folds=3)
    record = (folder / "stage.json").read_text()
    (folder / "stage.json").write_text(record.replace('"fall",\n', "").replace('"rise"', '"fall"'))
    table = pl.read_parquet(folder / MANIFEST)
    one = pl.when(pl.col("labels").list.contains("fall")).then(pl.lit(["fall"])).otherwise(pl.lit(["none"]))
    table.with_columns(one.alias("labels")).write_parquet(folder / MANIFEST)
    finetune([folder], tmp_path / "out", fold=0, epochs=0)
    assert load_model(tmp_path / "out").classes == ("fall",)
    (folder / "stage.json").write_text((folder / "stage.json").read_text().replace('"fall"', ""))
    table.with_columns(labels=pl.lit(["none"])).write_parquet(folder / MANIFEST)
    with pytest.raises(IncompatibleError, match='every label is "none"'):
        finetune([folder], tmp_path / "other", fold=0)


def test_a_head_on_a_frozen_encoder_is_chosen_and_given_thresholds_too(clips: Path, tmp_path: Path):
    finetune([clips], tmp_path / "start", fold=1, epochs=0)
    outcome = finetune([clips], tmp_path / "out", fold=1, start=str(tmp_path / "start"), freeze=True, epochs=3)
    before, after = (load_model(tmp_path / name) for name in ("start", "out"))
    assert all(value.equal(after.encoder.state_dict()[name]) for name, value in before.encoder.state_dict().items())
    truth, scores = held_out(clips, tmp_path / "out", tmp_path / "embedded")
    wanted = average_precision_score(truth, scores, average="macro")
    assert outcome.summary["validation_macro_average_precision"] == pytest.approx(wanted, abs=1e-3)
    assert set(after.spec.thresholds) == {"fall", "rise"}


def test_models_of_sound_are_validated_on_the_crops_that_embed_takes(tmp_path: Path):
    waves = rendered_waves(tmp_path / "waves", each=8, labels=("bass", "alto"), unlabelled=2)
    sound = {"encoder": "acoustic-ssm", "size": "quick", "preset": "quick", "crops": 3, "crop_seconds": 0.5}
    outcome = finetune([waves], tmp_path / "out", validation_fraction=0.4, epochs=2, **sound)
    run(Embed(EmbedSettings(model=tmp_path / "out"), [waves], tmp_path / "embedded", RunOptions(device="cpu")))
    part = open_artifact(tmp_path / "out").manifest().filter(pl.col("part") == "validation")
    rows = open_artifact(tmp_path / "embedded").manifest().join(part.select("id"), on="id", how="semi")
    truth = [[label in labels for label in ("alto", "bass")] for labels in rows["labels"].to_list()]
    wanted = average_precision_score(truth, rows["scores"].to_numpy(), average="macro")
    assert outcome.summary["validation_macro_average_precision"] == pytest.approx(wanted, abs=1e-3)
    assert outcome.summary["unlabelled"] == 2
