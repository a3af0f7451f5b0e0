"""Pictures, waveforms and what may be asked of each: wrong uses are refused before training, with the cure."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from chirps import rendered_labels, rendered_views
from tones import save_tones_model, tone_clips

from birdssl.artifacts.artifact import open_artifact
from birdssl.cli.app import main
from birdssl.training.saved_model import load_model

SMALL = "--epochs 0 --batch-size 4 --threads 1 --precision fp32 --device cpu --quiet"
QUICK = "--size quick --preset quick --crops 2"


def run(line: str, folder: Path, out: Path) -> int:
    """`birdssl` with a line whose directories lie in `folder`."""
    made = {path.name: str(path) for path in folder.iterdir()}
    return main([*line.format(**made).split(), "-o", str(out), *SMALL.split()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Waveforms of a second at 16 kHz, pictures, views, and models of sound and of pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    tone_clips(folder / "clips", 12)
    render = ["render", str(folder / "clips"), "--kind", "waveform", "--sheet", "0", "--quiet", "-o"]
    assert main([*render, str(folder / "waves")]) == 0
    shutil.copytree(folder / "waves", folder / "slow")
    record = (folder / "slow" / "stage.json").read_text()
    (folder / "slow" / "stage.json").write_text(record.replace('"sample_rate": 16000', '"sample_rate": 8000'))
    rendered_views(folder / "views", 24)
    rendered_labels(folder / "labels", 24)
    save_tones_model(folder / "drawn")
    assert run(f"pretrain {{waves}} --objective cola {QUICK}", folder, folder / "heard") == 0
    return folder


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("pretrain {views} -O cola", 5, "acoustic-ssm takes spectra made of waveforms, and the input holds pictures; "
         "run `birdssl render --kind waveform`"),
        ("pretrain {views} -E hubert", 5, "hubert takes waveforms, and the input holds pictures; run `birdssl render"),
        ("pretrain {views} -O mockingjay", 5, "views of kind one, which are made of sound; run `birdssl render --kind"),
        ("pretrain {views} --views crops", 5, "views holds pictures, whose views are stored"),
        ("pretrain {views} --preset quick", 2, "--preset is for waveforms, and"),
        ("pretrain {views} --gain 3", 2, "--gain is for waveforms, and"),
        ("pretrain {waves} --views stored", 5, "waves holds waveforms, whose views are made as they are needed"),
        ("pretrain {waves} -O mockingjay --views crops", 5, "mockingjay learns from views of kind one"),
        ("pretrain {waves} {views}", 5, "kind is 'waveform' and 'spectrogram'; run `birdssl render`"),
        ("pretrain {waves} {slow} -O cola", 5, "sample_rate is 16000 and 8000"),
        ("pretrain {waves} -E simplecnn --channels mel,phase", 5, "gives mel, phase; give --channels mel"),
        ("pretrain {waves} -E simplecnn --preset quick", 2, "at least 100 x 32 pixels (height x width) and got 64 x "
         "32; make larger ones"),
        ("pretrain {waves} -O cola --crop-seconds 1.5", 2, "--crop-seconds 1.5 is longer than the clips, which are 1 s;"
         " give less, or cut longer clips"),
        ("pretrain {waves} -O byol-a --crop-seconds 0.05", 5, "a crop of 0.05 s makes 6 frames, and byol-a-cnn needs 8"
         "; give a longer --crop-seconds"),
        ("pretrain {waves} -O cola -E hubert --size quick --crop-seconds 0.02", 5, "320 samples, and hubert needs 400"),
        ("pretrain {waves} -O cola -E hubert --n-mels 64", 2, "--n-mels is for spectra, and hubert takes sound itself"),
        ("pretrain {waves} -O cola --size huge", 2, 'acoustic-ssm has no size "huge"; it has full, small, quick'),
        ("pretrain {waves} -E simplecnn --ssm-layers 2", 2, "--ssm-layers isn't for simplecnn; it has --pool"),
        ("pretrain {waves} -O cola --layer-mix last", 2, "--layer-mix isn't for acoustic-ssm; it has --widths, "
         "--ssm-layers, --ssm-state, --size"),
        ("pretrain {waves} -O mt-slvr -E acoustic-ssm", 2, "use --encoder resnet18-adapters"),
        ("pretrain {waves} -O tera -E acoustic-ssm --size quick", 2, "give --channels mel"),
        ("pretrain {waves} -O cola --f-max 9000", 5, "the band from 0 to 9000 Hz doesn't fit"),
        ("pretrain {waves} -O cola --preset exact --n-mels 64", 5, "have 128 bins, and there are 64 mel bands"),
        ("finetune {labels} -E acoustic-ssm", 5, "acoustic-ssm takes spectra made of waveforms"),
        ("finetune {labels} --hop 100", 2, "--hop is for waveforms"),
        ("finetune {labels} --start {heard}", 5, "labels holds pictures, and"),
        ("finetune {waves} --start {drawn}", 5, "drawn takes pictures, and the input holds waveforms; run"),
        ("finetune {waves} --start {heard} --preset quick", 2, "--preset: the start"),
        ("finetune {waves} --start {heard} --crop-seconds 1", 2, "brings its own frontend; leave it out"),
        ("finetune {waves} --start {heard} --ssm-state 64", 5, "--ssm-state 64 contradicts the start"),
        ("finetune {slow} --start {heard}", 5, "sample_rate is 8000 and 16000"),
        ("finetune {waves} -E byol-a-cnn --hop 5000", 5, "makes 4 frames, and byol-a-cnn needs 8"),
    ],
    ids=lambda value: "" if value in (2, 5) or not value.startswith(("pretrain", "finetune")) else value,
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, line: str, code: int, words: str
):
    out = tmp_path / "out"
    assert run(line, folder, out) == code
    said = capsys.readouterr().err
    assert words in said
    assert not out.exists()
    assert run(line + " --dry-run", folder, out) == code, "a dry run must say it, too"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("embed {labels} --model {heard}", "labels holds pictures, and the model takes sound; embed the clips that it"),
        ("embed {slow} --model {heard}", "sample rate: 8000 in"),
        ("embed {waves} --model {slow_model}", "sample rate: 16000 in"),
        ("detect {clips} --model {heard}", "has no head, so it names no classes; run `birdssl finetune`"),
    ],
)
def test_models_of_sound_refuse_what_they_cannot_hear(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, line: str, words: str
):
    slow = tmp_path / "slow_model"
    assert run(f"pretrain {{slow}} --objective cola {QUICK}", folder, slow) == 0
    made = {path.name: str(path) for path in [*folder.iterdir(), slow]}
    code = main([*line.format(**made).split(), "-o", str(tmp_path / "out"), "--device", "cpu", "--quiet"])
    assert (code, words in capsys.readouterr().err) == (5, True)


def test_channels_may_be_named_in_any_order(folder: Path, tmp_path: Path):
    assert run(f"pretrain {{waves}} -O cola {QUICK} --channels phase,mel", folder, tmp_path / "out") == 0
    model = load_model(tmp_path / "out")
    assert model.frontend["channels"] == ["mel", "phase"]
    assert model.encoder.options["channels"] == 2


def test_a_model_carries_its_frontend_on(folder: Path, tmp_path: Path):
    """A start's frontend stays, statistics and all, but for the number of test crops."""
    assert run("finetune {waves} --start {heard} --crops 5", folder, tmp_path / "out") == 0
    before, after = load_model(folder / "heard"), load_model(tmp_path / "out")
    assert after.frontend == {**before.frontend, "crops": 5}
    assert len(before.frontend["mean"]) == 3
    assert after.classes == ("high", "low")
    for name, value in before.encoder.state_dict().items():
        assert value.equal(after.encoder.state_dict()[name]), name


def test_waveforms_from_files_train_as_those_in_memory(folder: Path, tmp_path: Path):
    line = f"pretrain {{waves}} -O cola {QUICK}"
    made = {path.name: str(path) for path in folder.iterdir()}
    words = [*line.format(**made).split(), *SMALL.replace("--epochs 0", "--epochs 2").split()]
    for name, given in (("one", "0"), ("two", "1")):
        assert main([*words, "-o", str(tmp_path / name), "--memory-budget", given]) == 0
    one, two = ((tmp_path / name / "encoder.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_every_pretraining_row_is_an_original_and_validation_shares_no_origin(folder: Path):
    used = open_artifact(folder / "heard").manifest()
    assert set(used["role"]) == {"original"}
    training, validation = (used.filter(pl.col("part") == part) for part in ("training", "validation"))
    assert training.height + validation.height == 12
    assert not set(training["origin"]) & set(validation["origin"])
