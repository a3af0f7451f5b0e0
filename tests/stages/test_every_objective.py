"""Every objective from one command on waveforms: a model, and an interrupted run that goes on to the same bytes."""

from pathlib import Path

import polars as pl
import pytest
from tones import tone_clips
from toy import folder_bytes

from birdssl.cli.app import main
from birdssl.objectives.registry import OBJECTIVES
from birdssl.settings.names import OBJECTIVE_ENCODER, OBJECTIVE_NAMES, SUPERVISED
from birdssl.training import loop
from birdssl.training.saved_model import load_model

LINE = "--epochs 4 --validate-every 2 --batch-size 4 --crops 2 --threads 1 --precision fp32 --device cpu --quiet"
# what makes each encoder small on a second at 16 kHz
SMALL = {
    "simplecnn": "--preset quick --n-mels 104 --crop-seconds 1 --pool gap",
    "acoustic-ssm": "--size quick --preset quick",
    "resnet18-adapters": "--size quick --preset quick",
    "byol-a-cnn": "--size quick",
    "transformer": "--size quick",
}


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    tone_clips(folder / "clips", 12)
    command = ["render", str(folder / "clips"), "-o", str(folder / "waves"), "--kind", "waveform", "--sheet", "0"]
    assert main([*command, "--quiet"]) == 0
    return folder / "waves"


@pytest.mark.parametrize("objective", OBJECTIVE_NAMES)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    objective: str, waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    encoder = OBJECTIVE_ENCODER[objective]
    small = SMALL[encoder] + (" --projector-width 16" if objective in OBJECTIVES else "")
    command = ["pretrain", str(waves), "--objective", objective, *small.split(), *LINE.split(), "-o"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    model = load_model(tmp_path / "whole")
    assert model.encoder.name == encoder
    history = pl.read_csv(tmp_path / "whole" / "history.csv")
    assert history["epoch"].to_list() == [0, 1, 2, 3, 4]
    scored = history.filter(pl.col("validation_loss").is_not_null())
    assert scored["epoch"].to_list() == [0, 2, 4]
    assert {"loss", "effective_rank", "embedding_std", "neighbour_stability"} <= set(history.columns)
    assert ("retrieval" in history.columns) == (objective != SUPERVISED)
    trained = load_model(tmp_path / "whole").spec.provenance
    assert trained["objective"] == objective
    assert trained["best_epoch"] in (2, 4)

    saved = loop.save_checkpoint

    def stop_after_two(folder, progress, *rest):
        saved(folder, progress, *rest)
        if progress.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_checkpoint", stop_after_two)
    assert main([*command, str(tmp_path / "parts")]) == 130
    monkeypatch.setattr(loop, "save_checkpoint", saved)
    assert main([*command, str(tmp_path / "parts")]) == 0
    whole, resumed = folder_bytes(tmp_path / "whole"), folder_bytes(tmp_path / "parts")
    assert whole.keys() == resumed.keys()
    assert [name for name in whole if whole[name] != resumed[name]] == []
