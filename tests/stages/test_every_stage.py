"""Every verb is held to the stage contract, through the command line, on a chain that it makes itself.

`COMMANDS` has one line or more for each verb; `{name}` stands for the directory of the stage of that name. A new verb
fails `test_every_verb_is_here` until it has a line.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import soundfile
from toy import folder_bytes

from birdssl.artifacts.artifact import open_artifact
from birdssl.cli.app import main
from birdssl.cli.verbs import VERBS

COMMANDS = {
    "synth": "synth --hours 0.1 --recording-minutes 0.5 --species 2 --sites 2 --sample-rate 22050 "
    "--calls-per-minute 15",
    "segment": "segment {synth}/recordings --label-from raven --sample-rate 22050",
    "split": "split {segment} --test-fraction 0.25 --folds 2",
    "augment": "augment {split} --views 2 --balance 12",
    "render": "render {augment} --height 128 --width 64 --n-mels 64 --shard-rows 64 --sheet 2",
    "waves": "render {segment} --kind waveform --shard-rows 64 --sheet 2",
    "pretrain": "pretrain {render} --encoder simplecnn --objective vicreg --projector-width 16 --epochs 2 "
    "--batch-size 16 --fold 0",
    "finetune": "finetune {render} --start {pretrain} --epochs 2 --batch-size 16 --fold 0 --several-labels leave-out",
    "embed": "embed {split} --model {finetune}",
    "evaluate": "evaluate {embed} --draws 200 --projection-clips 0 --several-labels leave-out",
    "fewshot": "fewshot {waves} --several-labels leave-out --shots 2 --draws 2 --epochs 2 --size quick --preset quick "
    "--crops 2 --finetune-epochs 2 --support-folds 2 --validate-every 1",
    "compare": "compare {fewshot} --expected HuBERT",
    "report": "report {evaluate} {pretrain} --draws 200 --projection-clips 40 --sounds 5",
    "detect": "detect {synth}/recordings --model {finetune} --threshold 0.2",
    "split-waves": "render {split} --kind waveform --shard-rows 64 --sheet 0",
    "sound-pretrain": "pretrain {split-waves} --objective cola --size quick --preset quick --crops 2 --epochs 2 "
    "--batch-size 16 --fold 0 --validate-every 2",
    "sound-finetune": "finetune {split-waves} --start {sound-pretrain} --epochs 2 --batch-size 16 --fold 0 "
    "--several-labels leave-out",
    "sound-embed": "embed {split} --model {sound-finetune}",
    "sound-evaluate": "evaluate {sound-embed} --draws 200 --projection-clips 0 --several-labels leave-out",
    "sound-detect": "detect {synth}/recordings --model {sound-finetune} --threshold 0.2",
}
OTHER_SETTING = {
    "synth": "--seed 7",
    "segment": "--clip-seconds 2",
    "split": "--seed 7",
    "augment": "--seed 7",
    "render": "--sheet 1",
    "waves": "--sheet 1",
    "pretrain": "--seed 7",
    "finetune": "--seed 7",
    "embed": "--batch 7",
    "evaluate": "--seed 7",
    "fewshot": "--seed 7",
    "compare": "--level 0.9",
    "report": "--sounds 0",
    "detect": "--threshold 0.3",
    "split-waves": "--sheet 1",
    "sound-pretrain": "--gain 0",
    "sound-finetune": "--crops 3",
    "sound-embed": "--batch 7",
    "sound-evaluate": "--seed 7",
    "sound-detect": "--threshold 0.3",
}
READS_RECORDINGS = ("segment", "detect")


def arguments(verb: str, chain: Path, out: Path | None = None, extra: str = "") -> list[str]:
    """The words of a verb's command line; its inputs are looked up in `chain`."""
    folders = {name: str(chain / name) for name in COMMANDS}
    return [*COMMANDS[verb].format(**folders).split(), *extra.split(), "-o", str(out or chain / verb), "--quiet"]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, each made once from the one before."""
    folder = tmp_path_factory.mktemp("chain")
    for verb in COMMANDS:
        assert main(arguments(verb, folder)) == 0, verb
    return folder


@pytest.fixture
def beside(chain: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """A new directory at the same depth as the chain's, so that relative paths in manifests are the same."""

    def make(name: str) -> Path:
        out = chain / f"{request.node.name.split('[')[0]}-{name}"
        shutil.rmtree(out, ignore_errors=True)
        return out

    return make


def same_bytes(one: Path, other: Path) -> None:
    """Assert the promise, naming the files that break it."""
    left, right = folder_bytes(one), folder_bytes(other)
    assert left.keys() == right.keys()
    different = [name for name in left if left[name] != right[name]]
    texts = {name: (left[name].decode(), right[name].decode()) for name in different if name.endswith(".json")}
    assert different == [], f"in {one} and {other}: {texts}"


def test_every_verb_is_here():
    assert COMMANDS.keys() == OTHER_SETTING.keys()
    assert {line.split()[0] for line in COMMANDS.values()} == VERBS.keys()


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_chain_gives_rows_and_a_record(chain: Path, verb: str):
    artifact = open_artifact(chain / verb, (COMMANDS[verb].split()[0],))
    assert artifact.counts["rows"] > 0
    assert artifact.counts["rejects"] == 0
    assert {"manifest.parquet", "rejects.parquet", "units.parquet", "run.log", "stage.json"} <= {
        path.name for path in (chain / verb).iterdir()
    }


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_same_command_again_does_nothing(chain: Path, verb: str, capsys: pytest.CaptureFixture):
    before = folder_bytes(chain / verb)
    assert main([*arguments(verb, chain), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["did_nothing"] is True
    assert folder_bytes(chain / verb) == before


@pytest.mark.parametrize("verb", COMMANDS)
def test_other_settings_are_refused_with_the_difference(chain: Path, verb: str, capsys: pytest.CaptureFixture):
    before = folder_bytes(chain / verb)
    assert main(arguments(verb, chain, extra=OTHER_SETTING[verb])) == 2
    setting = OTHER_SETTING[verb].split()[0][2:].replace("-", "_")
    assert f"{setting}: " in capsys.readouterr().err
    assert folder_bytes(chain / verb) == before


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_directory_of_someone_else_is_left_alone(chain: Path, verb: str, tmp_path: Path):
    (tmp_path / "cat.jpg").write_bytes(b"meow")
    for extra in ("", "--overwrite", "--update"):
        assert main(arguments(verb, chain, tmp_path, extra)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_dry_run_writes_nothing(chain: Path, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main([*arguments(verb, chain, tmp_path / "out"), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["units_left"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_two_workers_give_the_bytes_of_one(chain: Path, verb: str, beside: Callable[[str], Path]):
    out = beside(verb)
    assert main(arguments(verb, chain, out, "--jobs 2")) == 0
    same_bytes(chain / verb, out)


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS)
def test_killed_at_random_moments_the_same_command_gives_the_same_bytes(
    chain: Path, verb: str, beside: Callable[[str], Path]
):
    out, moments = beside(verb), random.Random(f"kill {verb}")
    command = [sys.executable, "-c", "import sys; from birdssl.cli.app import main; sys.exit(main())"]
    for _ in range(3):
        process = subprocess.Popen([*command, *arguments(verb, chain, out)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (out / "stage.json").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 1.5))
        process.kill()
        process.wait()
    assert main(arguments(verb, chain, out)) == 0
    same_bytes(chain / verb, out)


@pytest.mark.slow
def test_update_after_new_recordings_gives_the_bytes_of_a_fresh_chain(chain: Path, tmp_path: Path):
    late = "site-02"
    for name in ("grown", "fresh"):
        shutil.copytree(chain / "synth", tmp_path / name / "synth")
    kept = tmp_path / "late"
    shutil.move(tmp_path / "grown" / "synth" / "recordings" / late, kept)
    verbs = [verb for verb in COMMANDS if verb != "synth"]
    for verb in verbs:
        assert main(arguments(verb, tmp_path / "grown")) == 0, verb
        assert main(arguments(verb, tmp_path / "fresh")) == 0, verb
    shutil.move(kept, tmp_path / "grown" / "synth" / "recordings" / late)
    for verb in verbs:
        assert main(arguments(verb, tmp_path / "grown", extra="--update")) == 0, verb
        same_bytes(tmp_path / "fresh" / verb, tmp_path / "grown" / verb)


@pytest.mark.parametrize("verb", READS_RECORDINGS)
def test_one_corrupt_recording_costs_one_recording(chain: Path, verb: str, tmp_path: Path):
    copy = tmp_path / "copy"
    for name in ("synth", "finetune"):
        shutil.copytree(chain / name, copy / name)
    victim = sorted((copy / "synth" / "recordings").rglob("*.[wW][aA][vV]"))[1]
    victim.write_bytes(b"RIFF" + bytes(100))
    assert main(arguments(verb, copy)) == 3
    assert main(arguments(verb, copy)) == 3
    artifact = open_artifact(copy / verb)
    assert artifact.rejects().height == 1
    assert victim.name in artifact.rejects()["name"][0]
    whole = open_artifact(chain / verb).manifest().filter(~pl.col("recording").str.ends_with(victim.name))
    assert artifact.manifest().drop("path", strict=False).equals(whole.drop("path", strict=False))
    assert main([*arguments(verb, copy), "--max-rejects", "1"]) == 0


@pytest.mark.parametrize("verb", ["render", "embed"])
def test_one_corrupt_clip_costs_one_clip(chain: Path, verb: str, tmp_path: Path):
    copy = tmp_path / "copy"
    for name in ("segment", "split", "augment", "finetune"):
        shutil.copytree(chain / name, copy / name)
    clip = open_artifact(copy / "segment").manifest().row(5, named=True)
    (copy / "segment" / clip["path"]).write_bytes(b"fLaC" + bytes(50))
    assert main(arguments(verb, copy)) == 3
    artifact = open_artifact(copy / verb)
    assert artifact.rejects().height == 1  # one file, with all the copies and views that are made from it
    whole = open_artifact(chain / verb).manifest()
    of_the_clip = (pl.col("id") == clip["id"]) | (pl.col("parent") == clip["id"]).fill_null(False)
    assert artifact.manifest()["id"].to_list() == whole.filter(~of_the_clip)["id"].to_list()
    assert Path(clip["path"]).name in artifact.rejects()["reason"][0]


def test_nothing_of_a_held_out_origin_is_learned_from_anywhere_in_the_chain(chain: Path):
    """The chain trains with --fold 0: no clip, copy or view of the fold's or the test part's origins is in training."""
    clips = open_artifact(chain / "split").manifest()
    tested, folded = (set(clips.filter(part)["origin"]) for part in (pl.col("test"), pl.col("fold") == 0))
    rest = set(clips["origin"]) - tested - folded
    assert tested
    assert folded
    assert not tested & folded
    planned = open_artifact(chain / "augment").manifest().filter(pl.col("role") != "original")
    assert set(planned.filter(pl.col("role") == "view")["origin"]) == rest | folded  # validation clips have views, too
    assert not set(planned["origin"]) & tested
    for verb in ("pretrain", "finetune", "sound-pretrain", "sound-finetune"):
        used = open_artifact(chain / verb).manifest()
        parts = {name[0]: set(rows["origin"]) for name, rows in used.group_by("part")}
        assert parts["training"] <= rest
        assert parts["validation"] <= folded
    for verb in ("evaluate", "sound-evaluate"):
        scored = open_artifact(chain / verb).manifest()
        assert set(scored["id"]) <= set(clips.filter("test")["id"])


def test_the_chain_reads_what_recorders_write(chain: Path):
    recordings = list((chain / "synth" / "recordings").rglob("*.[wW][aA][vV]"))
    assert {soundfile.info(path).samplerate for path in recordings} == {22050}
