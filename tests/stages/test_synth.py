"""`birdssl synth`: files and truth as recorders and annotators leave them."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from birdssl.artifacts.artifact import open_artifact
from birdssl.errors import UsageError
from birdssl.settings.run import RunOptions
from birdssl.settings.synth import SynthSettings
from birdssl.stages.runner import run
from birdssl.stages.synth import COLUMNS, Synth

TINY = SynthSettings(hours=0.05, recording_minutes=0.25, sample_rate=24000, species=6, sites=3, calls_per_minute=20)


def synth(out: Path, settings: SynthSettings = TINY, **options: object) -> Path:
    chosen = RunOptions(**options)
    assert run(Synth(settings, [], out, chosen), chosen).exit_code == 0
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "run.log"
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(tmp_path_factory.mktemp("synth") / "out")


def test_the_manifest_has_a_row_a_recording(made: Path) -> None:
    artifact = open_artifact(made, ("synth",))
    table = artifact.manifest()
    assert len(table) == 12
    assert table["recording"].is_sorted()
    assert set(table["site"]) == {"site-01", "site-02", "site-03"}
    assert table["recorder"].str.contains("AudioMoth").sum() == 4
    for row in table.iter_rows(named=True):
        info = soundfile.info(made / row["path"])
        assert (info.samplerate, info.frames, info.subtype) == (24000, 360_000, "PCM_16")


def test_the_tables_are_ravens(made: Path) -> None:
    table = pl.read_parquet(made / "manifest.parquet")
    for row in table.iter_rows(named=True):
        path = (made / row["path"]).with_suffix(".Table.1.selections.txt")
        with path.open(encoding="utf-8") as file:
            lines = list(csv.DictReader(file, delimiter="\t"))
        assert len(lines) == row["calls"]
        assert sorted({line["Species"] for line in lines}) == row["species"]
        for number, line in enumerate(lines, start=1):
            assert tuple(line) == COLUMNS
            assert int(line["Selection"]) == number
            assert 0 <= float(line["Begin Time (s)"]) < float(line["End Time (s)"]) <= row["seconds"]
            assert 0 < float(line["Low Freq (Hz)"]) < float(line["High Freq (Hz)"]) < 12000
            assert line["Individual"].startswith(f"{row['site']}-{line['Species']}-")
            assert float(line["SNR (dB)"]) >= -6.05


def test_two_workers_write_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert digests(synth(tmp_path / "two", jobs=2)) == digests(made)


def test_another_seed_is_another_survey(made: Path, tmp_path: Path) -> None:
    other = synth(tmp_path / "other", TINY.model_copy(update={"seed": 7}))
    first = sorted(made.rglob("*.WAV"))[0].relative_to(made)
    assert (made / first).read_bytes() != (other / first).read_bytes()


def test_more_hours_begin_with_the_same_recordings(made: Path, tmp_path: Path) -> None:
    longer = digests(synth(tmp_path / "longer", TINY.model_copy(update={"hours": 0.1})))
    recordings = {name: digest for name, digest in digests(made).items() if name.startswith("recordings/")}
    assert recordings.items() <= longer.items()


def test_faint_calls_sound_but_stay_out_of_the_table(made: Path, tmp_path: Path) -> None:
    strict = synth(tmp_path / "strict", TINY.model_copy(update={"min_snr": 15.0}))
    here, there = pl.read_parquet(made / "manifest.parquet"), pl.read_parquet(strict / "manifest.parquet")
    assert there["calls"].sum() < here["calls"].sum()
    assert (there["calls"] + there["faint_calls"]).equals(here["calls"] + here["faint_calls"])
    name = here["path"][0]
    np.testing.assert_array_equal(soundfile.read(made / name)[0], soundfile.read(strict / name)[0])


def test_a_thousand_hours_are_planned_at_once_and_cost_nothing(tmp_path: Path) -> None:
    options = RunOptions(dry_run=True)
    outcome = run(Synth(SynthSettings(hours=1000), [], tmp_path / "huge", options), options)
    assert outcome.summary["units"] == 60_000
    assert outcome.summary["bytes"] == 1000 * 3600 * 48000 * 2
    assert not (tmp_path / "huge").exists()


def test_an_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reads nothing"):
        Synth(TINY, [tmp_path], tmp_path / "out")
