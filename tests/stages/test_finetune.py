"""Fine-tuning on drawn clips, through the stage contract."""

from pathlib import Path

import polars as pl
import pytest
import torch
from chirps import rendered_labels, rendered_views
from safetensors.torch import load_file, save_file
from torchvision.models import mobilenet_v3_large
from toy import folder_bytes

from birdssl.artifacts.artifact import MANIFEST, open_artifact
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.base import check
from birdssl.settings.finetune import FinetuneSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.finetune import Finetune
from birdssl.stages.pretrain import Pretrain
from birdssl.stages.runner import Outcome, run
from birdssl.training import loop
from birdssl.training.saved_model import load_model

SMALL = {"batch_size": 16, "epochs": 2, "precision": "fp32", "threads": 1}


def finetune(inputs: list[Path], out: Path, **settings) -> Outcome:
    chosen = check(FinetuneSettings, {**SMALL, **settings})
    return run(Finetune(chosen, inputs, out, RunOptions(device="cpu")))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_labels(tmp_path_factory.mktemp("render") / "labels", 60, folds=3, tests=6, copies=3, balance=30)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder pretrained on other recordings."""
    folder = tmp_path_factory.mktemp("pretrain")
    views = rendered_views(folder / "views", 20, name="pond")
    settings = check(
        PretrainSettings, {"projector_width": 16, "batch_size": 8, "epochs": 1, "precision": "fp32", "threads": 1}
    )
    run(Pretrain(settings, [views], folder / "encoder", RunOptions(device="cpu")))
    return folder / "encoder"


def test_a_classifier_learns_from_the_other_folds_and_their_copies(labels: Path, tmp_path: Path):
    outcome = finetune([labels], tmp_path / "out", fold=1, epochs=12, optimiser="adam", learning_rate=0.001)
    assert outcome.summary["validation_balanced_accuracy"] > 0.9
    model = load_model(tmp_path / "out")
    assert model.classes == ("fall", "rise")
    used = open_artifact(tmp_path / "out").manifest()
    training, validation = (used.filter(pl.col("part") == part) for part in ("training", "validation"))
    assert set(validation["fold"]) == {1}
    assert set(validation["role"]) == {"original"}
    assert 1 not in set(training["fold"])
    assert not used["test"].any()
    assert not set(training["origin"]) & set(validation["origin"])
    counts = dict(training.group_by(pl.col("labels").list.first()).agg(pl.col("uses").sum()).iter_rows())
    assert counts == {"fall": 30, "rise": 30}


def test_the_last_epoch_is_kept_where_it_is_asked_for(labels: Path, tmp_path: Path):
    outcome = finetune([labels], tmp_path / "out", epochs=3, select="last")
    assert outcome.summary["best_epoch"] == 3
    assert "epoch 3 of 3 has a balanced accuracy" in outcome.text
    assert "flatters" not in outcome.text
    with pytest.raises(UsageError, match=r"--select 'health'.*choices: score, last"):
        check(FinetuneSettings, {"select": "health"})


def test_a_classifier_of_another_set_is_a_start(labels: Path, tmp_path: Path):
    """Supervised pretraining, as P1's of SimpleCNN: the encoder goes on, the head begins anew."""
    finetune([rendered_labels(tmp_path / "pond", 24, name="pond")], tmp_path / "elsewhere", epochs=1)
    finetune([labels], tmp_path / "out", start=str(tmp_path / "elsewhere"), epochs=1, freeze=True)
    before, after = load_model(tmp_path / "elsewhere"), load_model(tmp_path / "out")
    assert all(
        torch.equal(before.encoder.state_dict()[name], value) for name, value in after.encoder.state_dict().items()
    )
    assert not all(
        torch.equal(before.head.state_dict()[name], value) for name, value in after.head.state_dict().items()
    )


def test_an_interrupted_run_goes_on_to_the_same_bytes(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SimpleCNN's head has dropout and SGD here has momentum: both must survive."""
    settings = {"epochs": 4, "momentum": 0.9, "fold": 0}
    finetune([labels], tmp_path / "whole", **settings)
    saved = loop.save_checkpoint

    def stop(folder, progress, *rest):
        if progress.epoch == 3:
            raise KeyboardInterrupt
        saved(folder, progress, *rest)

    monkeypatch.setattr(loop, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune([labels], tmp_path / "out", **settings)
    monkeypatch.setattr(loop, "save_checkpoint", saved)
    finetune([labels], tmp_path / "out", **settings)
    assert folder_bytes(tmp_path / "whole") == folder_bytes(tmp_path / "out")


def test_a_pretrained_start_is_kept_whole_when_frozen(labels: Path, encoder: Path, tmp_path: Path):
    outcome = finetune([labels], tmp_path / "out", start=str(encoder), freeze=True)
    before, after = (load_file(folder / "encoder.safetensors") for folder in (encoder, tmp_path / "out"))
    assert all(before[name].equal(after[name]) for name in before)
    assert outcome.summary["overlap"] == 0
    finetune([labels], tmp_path / "files", start=str(encoder), freeze=True, memory_budget=0)  # nothing is held
    held, read = (pl.read_csv(tmp_path / name / "history.csv") for name in ("out", "files"))
    assert held["validation_loss"].to_list() == pytest.approx(read["validation_loss"].to_list(), rel=1e-3)
    free = finetune([labels], tmp_path / "free", start=str(encoder))
    assert free.exit_code == 0
    moved = load_file(tmp_path / "free" / "encoder.safetensors")
    assert any(not before[name].equal(moved[name]) for name in before)


def test_batches_are_the_paper_s_which_are_smaller_after_pretraining(labels: Path, encoder: Path, tmp_path: Path):
    starts = {"random": 80, "imagenet": 80, str(encoder): 50}
    for start, batch in starts.items():
        assert Finetune(check(FinetuneSettings, {"start": start}), [labels], tmp_path / "out").batch == batch
    residual = check(FinetuneSettings, {"encoder": "resnet50"})
    assert Finetune(residual, [labels], tmp_path / "out").batch == 30


def test_imagenet_weights_come_from_a_file(labels: Path, tmp_path: Path):
    weights = {name: value.contiguous() for name, value in mobilenet_v3_large().state_dict().items()}
    save_file(weights, tmp_path / "mobile.safetensors")
    given = {"encoder": "mobilenetv3-large", "weights": tmp_path / "mobile.safetensors", "epochs": 0}
    finetune([labels], tmp_path / "out", start="imagenet", **given)
    found = load_model(tmp_path / "out").encoder.state_dict()
    assert found["net.features.0.0.weight"].equal(weights["features.0.0.weight"])
    with pytest.raises(UsageError, match="no ImageNet weights for simplecnn"):
        finetune([labels], tmp_path / "other", start="imagenet")
    with pytest.raises(NoInputError, match="no such file"):
        finetune([labels], tmp_path / "other", start="imagenet", encoder="resnet50", weights=tmp_path / "none.pth")
    with pytest.raises(UsageError, match="--weights is for --start imagenet"):
        check(FinetuneSettings, {"weights": "x"})


def test_the_ablation_of_mobilenet_s_input_goes_with_its_encoder(labels: Path, tmp_path: Path):
    views = rendered_views(tmp_path / "views", 20, name="pond")
    given = {"encoder": "mobilenetv3-large", "double_rescale": True, "batch_size": 8, "epochs": 0}
    run(Pretrain(check(PretrainSettings, given), [views], tmp_path / "encoder", RunOptions(device="cpu")))
    finetune([labels], tmp_path / "out", start=str(tmp_path / "encoder"), epochs=0)
    assert load_model(tmp_path / "out").encoder.options["double_rescale"] is True
    with pytest.raises(IncompatibleError, match="--double-rescale False contradicts the start"):
        finetune([labels], tmp_path / "other", start=str(tmp_path / "encoder"), double_rescale=False)
    finetune([labels], tmp_path / "plain", encoder="simplecnn", double_rescale=False, imagenet_norm=False, epochs=0)
    with pytest.raises(UsageError, match="--double-rescale isn't for simplecnn; it has --pool"):
        finetune([labels], tmp_path / "wrong", encoder="simplecnn", double_rescale=True)
    assert not (tmp_path / "wrong").exists()


def test_a_start_that_saw_held_out_clips_is_refused(labels: Path, encoder: Path, tmp_path: Path):
    seen = tmp_path / "seen"
    seen.mkdir()
    for path in encoder.iterdir():
        (seen / path.name).write_bytes(path.read_bytes())
    held = open_artifact(labels).manifest().filter((pl.col("fold") == 2) & (pl.col("role") == "original"))
    table = pl.read_parquet(seen / MANIFEST).head(4)
    table.with_columns(held["id"].head(4).alias("parent")).with_columns(part=pl.lit("training")).write_parquet(
        seen / MANIFEST
    )
    with pytest.raises(IncompatibleError, match=r"trained on 4 of .*--allow-overlap"):
        finetune([labels], tmp_path / "out", start=str(seen), fold=2)
    outcome = finetune([labels], tmp_path / "out", start=str(seen), fold=2, allow_overlap=True, epochs=0)
    assert outcome.summary["overlap"] == 4
    assert finetune([labels], tmp_path / "other", start=str(seen), fold=1, epochs=0).exit_code == 0
    pond = rendered_labels(tmp_path / "pond", 24, name="pond")
    finetune([pond], tmp_path / "between", start=str(seen), epochs=0)
    with pytest.raises(IncompatibleError, match=r"between was trained on 4 of .*--allow-overlap"):
        finetune([labels], tmp_path / "later", start=str(tmp_path / "between"), fold=2)


def test_a_share_is_drawn_from_each_class_before_balancing(labels: Path, tmp_path: Path):
    finetune([labels], tmp_path / "out", fold=0, train_fraction=0.5, epochs=0)
    used = open_artifact(tmp_path / "out").manifest().filter(pl.col("part") == "training")
    every = open_artifact(labels).manifest().filter((pl.col("fold") > 0) & (pl.col("role") == "original"))
    label = pl.col("labels").list.first().alias("label")
    whole = dict(every.group_by(label).len().iter_rows())
    share = dict(used.filter(pl.col("role") == "original").group_by(label).len().iter_rows())
    assert share == {name: round(count / 2) for name, count in whole.items()}
    assert dict(used.group_by(label).agg(pl.col("uses").sum()).iter_rows()) == dict.fromkeys(whole, 15) | {
        name: count for name, count in share.items() if count > 15
    }
    chosen = set(used.filter(pl.col("role") == "original")["id"])
    assert set(used.filter(pl.col("role") == "copy")["parent"]) <= chosen


def test_rows_without_a_label_are_left_out_and_several_labels_refused(labels: Path, tmp_path: Path, caplog):
    some = rendered_labels(tmp_path / "some", 24)
    table = pl.read_parquet(some / MANIFEST)
    empty = pl.when(pl.col("row") < 3).then([]).otherwise("labels").cast(pl.List(pl.String)).alias("labels")
    table.with_columns(empty).write_parquet(some / MANIFEST)
    with caplog.at_level("INFO", "birdssl"):
        finetune([some], tmp_path / "out", epochs=0)
    assert "6 clips without a label are left out" in caplog.text
    assert open_artifact(tmp_path / "out").counts["rows"] == 18
    two = pl.when(pl.col("row") == 3).then(pl.lit(["fall", "rise"])).otherwise("labels").alias("labels")
    table.with_columns(two).write_parquet(some / MANIFEST)
    with pytest.raises(IncompatibleError, match=r"2 clips have several labels.*fall, rise"):
        finetune([some], tmp_path / "other")
    finetune([some], tmp_path / "without", epochs=0, several_labels="leave-out")
    assert open_artifact(tmp_path / "without").counts["rows"] == 22
    table.with_columns(labels=pl.lit([], pl.List(pl.String))).write_parquet(some / MANIFEST)
    with pytest.raises(IncompatibleError, match=r"none of 24 clips has a label.*--label-from"):
        finetune([some], tmp_path / "other")


def test_a_class_without_held_out_clips_is_no_trouble(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = rendered_labels(tmp_path / "labels", 24, folds=3)
    table = pl.read_parquet(folder / MANIFEST)
    rare = pl.when(pl.col("fold") == 1, pl.col("row") == 2).then(pl.lit(["rare"])).otherwise("labels").alias("labels")
    table.with_columns(rare).write_parquet(folder / MANIFEST)
    with caplog.at_level("INFO", "birdssl"):
        finetune([folder], tmp_path / "out", fold=0, epochs=1)
    assert "no held-out clip of rare" in caplog.text
    assert load_model(tmp_path / "out").classes == ("fall", "rare", "rise")


def test_a_start_for_other_pictures_is_refused(labels: Path, encoder: Path, tmp_path: Path):
    other = rendered_labels(tmp_path / "labels", 12)
    record = (other / "stage.json").read_text()
    (other / "stage.json").write_text(record.replace('"hop": 256', '"hop": 128'))
    with pytest.raises(IncompatibleError, match="hop is 128 and 256"):
        finetune([other], tmp_path / "out", start=str(encoder))
    with pytest.raises(IncompatibleError, match=r"--encoder resnet50 contradicts the start .* has simplecnn"):
        finetune([labels], tmp_path / "out", start=str(encoder), encoder="resnet50")
    with pytest.raises(NoInputError, match="--start nowhere: no such directory"):
        finetune([labels], tmp_path / "out", start="nowhere")
