"""`pretrain --objective supervised`: labels to an encoder, from clips or from images."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from chirps import HEIGHT, WIDTH, calls_of, clip_row, picture, rendered_labels, rendered_views, write_rendered
from PIL import Image
from safetensors.torch import load_file
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.cli.app import main
from birdssl.errors import IncompatibleError, UsageError
from birdssl.evaluation.lineage import learned_from, past, seen_unlabelled, start_of, taught_by
from birdssl.seeds import generator
from birdssl.settings.base import check
from birdssl.settings.fewshot import FewshotSettings
from birdssl.settings.pretrain import PretrainSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.pretrain import Pretrain
from birdssl.stages.runner import Outcome, run
from birdssl.training.saved_model import load_model

SMALL = {"objective": "supervised", "batch_size": 16, "epochs": 2, "precision": "fp32", "threads": 1}
FAST = {"optimiser": "adam", "learning_rate": 0.001}
LINE = "--batch-size 16 --precision fp32 --threads 1 --device cpu --quiet"


def pretrain(inputs: list[Path], out: Path, **settings: object) -> Outcome:
    chosen = check(PretrainSettings, {**SMALL, **settings})
    return run(Pretrain(chosen, inputs, out, RunOptions(device="cpu", quiet=True)))


def typed(line: str) -> int:
    return main([*line.split(), *LINE.split()])


def images(folder: Path, count: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    """Photographs in colour of rising and falling lines, rendered."""
    for number in range(count):
        label = number % 2
        grey = picture(calls_of(number, label), generator(5, "photo", number))
        path = folder / "photos" / ("fall", "rise")[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([grey, grey, grey], axis=2)).save(path)
    height, width = size
    line = f"render {folder}/photos -o {folder}/images --kind image --height {height} --width {width} --quiet"
    assert main(line.split()) == 0
    return folder / "images"


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_labels(tmp_path_factory.mktemp("render") / "labels", 96, folds=4, tests=12, copies=1)


@pytest.fixture(scope="module")
def taught(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("taught") / "encoder"
    pretrain([labels], out, epochs=25, fold=1, batch_size=8, **FAST)
    return out


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that has learnt from images."""
    folder = tmp_path_factory.mktemp("photographs")
    pretrain([images(folder, 64)], folder / "encoder", epochs=25, batch_size=8, **FAST)
    return folder / "encoder"


def test_it_learns_the_labels_of_originals_outside_the_test_part(taught: Path):
    artifact = open_artifact(taught, ("pretrain",))
    assert artifact.record.summary["validation_balanced_accuracy"] > 0.9  # chance is 0.5
    used = artifact.manifest()
    assert set(used["role"]) == {"original"}
    assert not used["test"].any()
    assert set(used.filter(pl.col("part") == "validation")["fold"]) == {1}
    assert 1 not in set(used.filter(pl.col("part") == "training")["fold"])


def test_the_epoch_of_the_lowest_validation_loss_is_kept_with_its_health(taught: Path):
    history = pl.read_csv(taught / "history.csv")
    assert history["epoch"].to_list() == list(range(26))
    best = history.filter(pl.col("epoch") > 0).sort("validation_loss").row(0, named=True)
    made = load_model(taught).spec.provenance
    assert made["best_epoch"] == best["epoch"]
    assert made["scores"]["validation_loss"] == best["validation_loss"]
    told = {"loss", "accuracy", "embedding_std", "effective_rank", "uniformity", "neighbour_stability"}
    assert told <= set(history.columns)
    assert not {"alignment", "retrieval"} & set(history.columns)


def test_the_head_lies_beside_the_encoder_and_not_in_it(taught: Path):
    model = load_model(taught)
    assert model.head is None
    assert model.classes == ()
    assert model.spec.provenance["taught"] == ["fall", "rise"]
    assert not any("head" in name for name in load_file(taught / "encoder.safetensors"))
    beside = load_file(taught / "network.safetensors")
    assert all(name.startswith("head.") for name in beside)
    assert beside["head.scores.weight"].shape == (2, 64)
    assert not (taught / "head.safetensors").exists()


def test_frozen_it_is_a_better_start_than_random_weights(taught: Path, tmp_path: Path):
    """On recordings that it never met."""
    pond = rendered_labels(tmp_path / "pond", 60, name="pond")
    pretrain([pond], tmp_path / "none", epochs=0, batch_size=2)
    scores = {}
    for name, start in (("taught", taught), ("random", tmp_path / "none")):
        out = tmp_path / f"from-{name}"
        more = "--freeze --epochs 60 --optimiser adam --learning-rate 0.001 --validation-fraction 0.5"
        assert typed(f"finetune {pond} -o {out} --start {start} {more}") == 0
        scores[name] = open_artifact(out).record.summary["validation_balanced_accuracy"]
    assert scores["taught"] > 0.9
    assert scores["taught"] > scores["random"] + 0.1


def test_an_encoder_of_images_starts_a_classifier_of_sounds(photographs: Path, labels: Path, tmp_path: Path):
    assert open_artifact(photographs).record.summary["validation_balanced_accuracy"] > 0.9
    assert load_model(photographs).frontend == {"kind": "image", "height": HEIGHT, "width": WIDTH}
    assert typed(f"finetune {labels} -o {tmp_path / 'out'} --start {photographs} --freeze --epochs 1 --fold 1") == 0
    model = load_model(tmp_path / "out")
    assert model.frontend == open_artifact(labels).facts["frontend"]
    before = load_file(photographs / "encoder.safetensors")
    assert all(torch.equal(before[name], value) for name, value in model.encoder.state_dict().items())
    assert typed_embed(labels, tmp_path / "out", tmp_path / "embedded") == 0


def typed_embed(shards: Path, model: Path, out: Path) -> int:
    return main(f"embed {shards} -o {out} --model {model} --device cpu --quiet".split())


def test_images_of_another_size_or_kind_do_not_fit(
    photographs: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    def says(line: str, code: int, *words: str) -> None:
        options = "" if line.startswith("embed") else LINE
        assert main([*line.split(), *options.split(), "-o", str(tmp_path / "out")]) == code
        said = capsys.readouterr().err
        assert all(word in said for word in words), said
        assert not (tmp_path / "out").exists()

    made = photographs.parent / "images"
    small = images(tmp_path / "small", 12, (100, 40))
    pretrain([small], tmp_path / "narrow", epochs=0, batch_size=2)
    says(f"finetune {labels} --start {tmp_path / 'narrow'}", 5, "height is 104 and 100, width is 48 and 40")
    says(f"pretrain {made} --objective vicreg", 5, "holds images, of which only labels are learnt", "supervised")
    says(f"pretrain {made} {labels} --objective supervised", 5, "kind is 'image' and 'spectrogram'")
    says(f"finetune {made}", 5, "holds images, and a classifier is of sounds")
    says(f"pretrain {made} -O supervised --encoder acoustic-ssm", 5, "acoustic-ssm takes spectra")
    says(f"pretrain {made} -O supervised --n-mels 64", 2, "--n-mels is for waveforms")
    says(
        f"embed {labels} --model {photographs}", 5, "has learnt from images", "`birdssl finetune SHARDS --start MODEL`"
    )


def test_inputs_without_fitting_labels_are_refused(labels: Path, tmp_path: Path):
    bare = rendered_views(tmp_path / "bare", 8)
    with pytest.raises(IncompatibleError, match=r"none of 0 clips has a label.*other objectives of `birdssl pretrain`"):
        pretrain([bare], tmp_path / "out")
    rows = [clip_row("card", clip) | {"labels": ["frog"]} for clip in range(8)]
    drawn = [picture(calls_of(clip), generator(1, clip)) for clip in range(8)]
    one = write_rendered(tmp_path / "one", rows, drawn)
    with pytest.raises(IncompatibleError, match="the only label is 'frog'; --objective supervised needs two or more"):
        pretrain([one], tmp_path / "out")
    rows = [
        clip_row("card", clip) | {"labels": [["frog"], ["newt"], ["frog", "newt"]][clip // 2 % 3]} for clip in range(36)
    ]
    several = write_rendered(tmp_path / "several", rows, [drawn[0]] * 36)
    with pytest.raises(IncompatibleError, match=r"12 clips have several labels.*--several-labels leave-out"):
        pretrain([several], tmp_path / "out")
    pretrain([several], tmp_path / "out", several_labels="leave-out", epochs=0, batch_size=2)
    assert set(open_artifact(tmp_path / "out").manifest()["labels"].list.len()) == {1}
    with pytest.raises(IncompatibleError, match="--batch-size 74 or less"):
        pretrain([labels], tmp_path / "large", batch_size=80)


def test_settings_that_nothing_would_read_are_a_usage_error():
    for name, value in (("views", "crops"), ("shuffle_pairs", True)):
        with pytest.raises(UsageError, match="supervised learns from clips themselves, not views; leave it out"):
            check(PretrainSettings, {"objective": "supervised", name: value})
    with pytest.raises(UsageError, match=r"--projector-width belongs to .*supervised has no weights of its own"):
        check(PretrainSettings, {"objective": "supervised", "projector_width": 16})
    with pytest.raises(
        UsageError, match=r"--several-labels is for --objective supervised, and vicreg learns no labels"
    ):
        check(PretrainSettings, {"several_labels": "leave-out"})
    with pytest.raises(UsageError, match="--select health looks for a clip's other view, and supervised has none"):
        check(PretrainSettings, {"objective": "supervised", "select": "health"})
    with pytest.raises(UsageError, match=r"--objective 'supervised'.*choices: barlow-twins"):
        check(FewshotSettings, {"objective": "supervised", "groups": "random:1"})


def test_an_interrupted_run_goes_on_to_the_same_bytes(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SimpleCNN's head has dropout, whose draws must go on as well."""
    from birdssl.training import loop

    pretrain([labels], tmp_path / "whole", epochs=3, momentum=0.9)
    saved = loop.save_checkpoint

    def stop(folder, progress, *rest):
        if progress.epoch == 2:
            raise KeyboardInterrupt
        saved(folder, progress, *rest)

    monkeypatch.setattr(loop, "save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain([labels], tmp_path / "out", epochs=3, momentum=0.9)
    monkeypatch.setattr(loop, "save_checkpoint", saved)
    pretrain([labels], tmp_path / "out", epochs=3, momentum=0.9)
    assert folder_bytes(tmp_path / "whole") == folder_bytes(tmp_path / "out")


def test_its_labels_count_as_learned(taught: Path, labels: Path, tmp_path: Path):
    artifact = open_artifact(taught)
    assert taught_by(artifact).equals(learned_from(artifact))
    assert taught_by(artifact).height == artifact.record.summary["training_clips"]
    assert past(taught, head=False).taught_origins == frozenset(learned_from(artifact)["origin"])
    assert seen_unlabelled(artifact, learned_from(artifact)["id"].to_list()) == 0
    assert typed_embed(labels, taught, tmp_path / "embedded") == 0
    start = start_of(open_artifact(tmp_path / "embedded"))
    assert (start["way"], start["objective"], start["tuned"]) == ("pretrained", "supervised", False)


def test_origins_whose_labels_a_start_learned_are_not_scored(
    taught: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    """The classifier itself never saw them: its start, taught another fold's, did."""
    line = f"finetune {labels} -o {tmp_path / 'out'} --start {taught} --fold 0 --epochs 1 {LINE}"
    assert main(line.split()) == 5
    assert "was trained on" in capsys.readouterr().err
    assert main([*line.split(), "--allow-overlap"]) == 0
    assert typed_embed(labels, tmp_path / "out", tmp_path / "embedded") == 0
    score = f"evaluate {tmp_path / 'embedded'} -o {tmp_path / 'scores'} --draws 100 --projection-clips 0 --quiet"
    assert main([*score.split(), "--on", "validation"]) == 5
    assert "learned from" in capsys.readouterr().err
    assert main(score.split()) == 0  # of the test part nothing was learned
