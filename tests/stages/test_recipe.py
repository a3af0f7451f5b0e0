"""Recipes: what they expand to, what they refuse, and that cells share what they have in common."""

import csv
import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toy import Double, DoubleSettings

from birdssl.cli.verbs import VERBS as VERBS_OF_THE_CLI
from birdssl.errors import NoInputError, UnavailableError, UsageError
from birdssl.settings.augment import AugmentSettings
from birdssl.settings.detect import DetectSettings
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.recipe import RECIPES, RecipeSettings
from birdssl.settings.run import RunOptions
from birdssl.settings.synth import SynthSettings
from birdssl.stages.cells import Expansion, flag_words
from birdssl.stages.contract import Unit
from birdssl.stages.recipe import Recipe, fill, read_recipe, select
from birdssl.stages.recipe_run import find_recipe, input_names, place_in, run_recipe


class DoubleAll(Double):
    """Takes files of one name from several folders."""

    def plan(self) -> list[Unit]:
        files = [(folder.parent.name, path) for folder in self.inputs for path in sorted(folder.glob("*.txt"))]
        return [Unit(f"{name}-{path.name}", path.read_text(), path, 2) for name, path in files]


class DoubleVerb:
    settings = DoubleSettings

    def stage(self) -> type[Double]:
        return DoubleAll


VERBS = {"double": DoubleVerb(), "halve": DoubleVerb()}

CHAIN = """
title = "Numbers"

[matrix]
factor = [2, 3]
[matrix.end.short]
[matrix.end.long]
last = { factor = 10 }

[stages.first]
verb = "double"
input = "input"
factor = 5

[stages.second]
verb = "double"
input = "first/doubled"
factor = "{factor}"

[stages.last]
verb = "double"
input = "second/doubled"

[stages.all]
verb = "double"
input = "last/doubled"
over = ["end"]

[results]
stage = "last"
columns = { total = "total", absent = "no.such.0.place" }
"""


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    folder = tmp_path / "numbers"
    folder.mkdir()
    for value in (1, 2):
        (folder / f"{value}.txt").write_text(str(value))
    return folder


def recipe(tmp_path: Path, text: str = CHAIN) -> Recipe:
    path = tmp_path / "chain.toml"
    path.write_text(text)
    return read_recipe(path, VERBS)


def start(tmp_path: Path, numbers: Path, text: str = CHAIN, only: list[str] | None = None, **options: Any) -> int:
    recipe(tmp_path, text)
    return run_recipe(
        RecipeSettings(only=only or []), inputs=[tmp_path / "chain.toml", numbers], out=tmp_path / "runs",
        options=RunOptions(**options), verbs=VERBS,
    )  # fmt: skip


def test_a_matrix_is_every_combination(tmp_path: Path) -> None:
    found = recipe(tmp_path)
    assert found.cells() == [
        {"factor": 2, "end": "short"}, {"factor": 2, "end": "long"},
        {"factor": 3, "end": "short"}, {"factor": 3, "end": "long"},
    ]  # fmt: skip
    assert select(found, ["factor=3", "end=long"]) == [{"factor": 3, "end": "long"}]
    assert select(found, ["end=long", "end=short"]) == found.cells()


def test_cells_share_their_common_steps(tmp_path: Path, numbers: Path) -> None:
    found = recipe(tmp_path)
    expansion = Expansion(found, VERBS, tmp_path / "runs", numbers)
    names = [step.name for step in expansion.steps(found.cells())]
    assert names == ["first", "second", "last", "last", "second", "last", "last", "all", "all"]


def test_keys_follow_content(tmp_path: Path, numbers: Path) -> None:
    def keys(text: str, folder: Path = numbers, out: str = "runs") -> list[str]:
        found = recipe(tmp_path, text)
        return [step.key for step in Expansion(found, VERBS, tmp_path / out, folder).steps(found.cells())]

    before = keys(CHAIN)
    assert keys(CHAIN, out="elsewhere") == before
    assert keys(CHAIN.replace("first", "opening").replace('title = "Numbers"', "")) == before
    assert keys(CHAIN.replace("factor = 5", "factor = 5\npause = 0")) == before  # a default, spelt out
    changed = keys(CHAIN.replace("factor = 10", "factor = 11"))
    assert len(set(before) & set(changed)) == 5  # first, two second, two last
    (numbers / "3.txt").write_text("3")
    assert not set(keys(CHAIN)) & set(before)


def test_a_recipe_runs_and_the_second_time_does_nothing(
    tmp_path: Path, numbers: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, numbers) == 0
    table = (tmp_path / "runs" / "chain.results.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert [(row["factor"], row["end"], row["state"], row["total"], row["absent"]) for row in rows] == [
        ("2", "short", "complete", "60", ""), ("2", "long", "complete", "300", ""),
        ("3", "short", "complete", "90", ""), ("3", "long", "complete", "450", ""),
    ]  # fmt: skip
    assert "450" in capsys.readouterr().out
    monkeypatch.setattr(Double, "work", lambda *_: pytest.fail("a step ran again"))
    assert start(tmp_path, numbers) == 0
    assert (tmp_path / "runs" / "chain.results.csv").read_text() == table


def test_a_part_runs_and_the_table_fills(tmp_path: Path, numbers: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert start(tmp_path, numbers, only=["factor=3", "end=long"]) == 0
    rows = list(csv.DictReader((tmp_path / "runs" / "chain.results.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["missing", "missing", "missing", "complete"]
    assert "all waits for" in caplog.text
    assert start(tmp_path, numbers, only=["factor=3"]) == 0
    rows = list(csv.DictReader((tmp_path / "runs" / "chain.results.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == ["missing", "missing", "complete", "complete"]


def test_a_table_may_be_made_of_the_cells_that_there_are(
    tmp_path: Path, numbers: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a part of the matrix, a paper's table waited for all the rest, and its dry run printed it all the same."""
    text = CHAIN.replace('over = ["end"]', 'over = ["end"]\npartial = true').replace('stage = "last"', 'stage = "all"')
    assert start(tmp_path, numbers, text, ["factor=3", "end=long"], dry_run=True) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.endswith(f"-o {tmp_path}/runs/all-3-so-far --overwrite")
    assert last.count("/doubled") == 1
    assert start(tmp_path, numbers, text, ["factor=3", "end=long"]) == 0
    so_far = tmp_path / "runs" / "all-3-so-far"
    assert (so_far / "total.txt").read_text() == "900"
    assert "all lacks 1 of 2 runs" in caplog.text
    states = [row["state"] for row in csv.DictReader((tmp_path / "runs/chain.results.csv").read_text().splitlines())]
    assert states == ["missing", "so far"]
    assert start(tmp_path, numbers, text, ["factor=3"]) == 0
    assert not so_far.exists()
    assert start(tmp_path, numbers, text, ["factor=2", "end=short"]) == 0
    states = [row["state"] for row in csv.DictReader((tmp_path / "runs/chain.results.csv").read_text().splitlines())]
    assert states == ["so far", "complete"]


def test_cells_that_there_are_not_are_neither_run_nor_gathered(tmp_path: Path, numbers: Path) -> None:
    text = 'without = [{ factor = 3, end = "long" }]\n' + CHAIN
    assert len(recipe(tmp_path, text).cells()) == 3
    assert start(tmp_path, numbers, text) == 0
    totals = {
        json.loads((path / "stage.json").read_text())["summary"]["total"] for path in (tmp_path / "runs").glob("d*")
    }
    assert 450 not in totals  # of the last stage of that cell
    for line, words in {
        "without = [{ factr = 3 }]": "without: there is no axis 'factr'; did you mean 'factor'",
        "without = 3": "without must be a list of tables",
    }.items():
        with pytest.raises(UsageError, match=words):
            recipe(tmp_path, line + "\n" + CHAIN)


def test_what_cannot_be_had_is_left_out_and_the_rest_runs(
    tmp_path: Path, numbers: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As ImageNet's weights without a network: one cell fails to get them, and the table says what it lacks."""
    work = Double.work

    def refuse(stage: Double, unit: Unit) -> Any:
        if stage.settings.factor == 10:
            raise UnavailableError("there is no network")
        return work(stage, unit)

    monkeypatch.setattr(Double, "work", refuse)
    text = CHAIN.replace('over = ["end"]', 'over = ["end"]\npartial = true')
    assert start(tmp_path, numbers, text) == 0
    rows = list(csv.DictReader((tmp_path / "runs" / "chain.results.csv").read_text().splitlines()))
    assert [row["total"] for row in rows] == ["60", "", "90", ""]
    assert "are left out: there is no network" in caplog.text
    assert "all lacks 1 of 2 runs" in caplog.text


def test_a_dry_run_prints_commands_that_can_be_typed(
    tmp_path: Path, numbers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path, numbers, only=["factor=3", "end=long"], dry_run=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"birdssl double {numbers} -o {tmp_path}/runs/double-")
    assert lines[0].endswith(" --factor 5")
    assert lines[1].split()[2].endswith("/doubled")
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_as_json_is_one_object(tmp_path: Path, numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--dry-run printed command lines, whatever --json said."""
    start(tmp_path, numbers, only=["factor=3", "end=long"], dry_run=True)
    lines = capsys.readouterr().out.splitlines()
    start(tmp_path, numbers, only=["factor=3", "end=long"], dry_run=True, json_summary=True)
    found = json.loads(capsys.readouterr().out)
    assert found == {"out": str(tmp_path / "runs"), "dry_run": True, "commands": lines}


def test_settings_become_flags_that_their_reader_takes() -> None:
    assert flag_words(DetectSettings(model=Path("m"), merge=False), "merge") == ["--no-merge"]
    assert flag_words(SynthSettings(min_snr=-6), "min_snr") == ["--min-snr=-6"]
    assert flag_words(AugmentSettings(views=2, pitch=[-1, 1]), "pitch") == ["--pitch=-1,1"]
    names = EvaluateSettings(name=["a, b", "c"])
    assert flag_words(names, "name") == ["--name", "a, b", "--name", "c"]


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, numbers: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="didn't write"):
        start(tmp_path, numbers)


def test_a_stage_may_limit_its_workers(tmp_path: Path, numbers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CHAIN.replace("factor = 5", "factor = 5\njobs = 2")
    assert start(tmp_path, numbers, text, ["factor=2", "end=short"], dry_run=True, jobs=8) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("--jobs 2")
    assert lines[1].endswith("--jobs 8")
    assert start(tmp_path, numbers, text, ["factor=2", "end=short"], dry_run=True) == 0
    assert "--jobs" not in capsys.readouterr().out


def test_texts_are_filled_from_the_cell() -> None:
    assert fill("{fold}", {"fold": 3}, "here") == 3
    assert fill("fold {fold}", {"fold": 3}, "here") == "fold 3"
    assert fill(["{a}", 1], {"a": "x"}, "here") == ["x", 1]
    with pytest.raises(UsageError, match="names no axis of this cell; axes: fold=3"):
        fill("{start}", {"fold": 3}, "here")


def test_places_lead_into_summaries() -> None:
    value = {"systems": [{"score": {"value": 0.5}}]}
    assert place_in(value, "systems.0.score.value") == 0.5
    assert place_in(value, "systems.1.score") is None
    assert place_in(value, "systems.0.score.value.deeper") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[stages.first]", "[stage.first]", "unknown key 'stage'; did you mean 'stages'"),
        ('verb = "double"\ninput = "input"', 'verb = "dubble"\ninput = "input"', "no such verb 'dubble'.*'double'"),
        ("factor = 5", "factr = 5", "unknown setting 'factr'; did you mean 'factor'"),
        ("factor = 5", "factor = 0", r"\[stages.first\]: --factor 0: must be a whole number, at least 1"),
        ("factor = 5", "jobs = 0", "jobs is 0; expected a whole number, at least 1"),
        ("factor = 5", 'factor = "{fctor}"', "names no axis of this cell"),
        ('input = "first/doubled"', 'input = "frist/doubled"', "no stage 'frist'; did you mean 'first'"),
        ('input = "first/doubled"', 'input = "last/doubled"', "in a circle: second -> last -> second"),
        ('over = ["end"]', 'over = ["ends"]', "unknown key 'ends' in .*; did you mean 'end'"),
        ('over = ["end"]', 'when = { end = "shrt" }', "end has no value 'shrt'; did you mean 'short'"),
        ("factor = [2, 3]", "factor = [2, 2]", "list of different values"),
        ("factor = [2, 3]", "factor = 2", "list of different values"),
        ("last = { factor = 10 }", "lst = { factor = 10 }", "unknown key 'lst' in .*; did you mean 'last'"),
        ('stage = "last"', 'stage = "lasst"', "isn't in the recipe; did you mean 'last'"),
        ('title = "Numbers"', "title = Numbers", "is not TOML"),
        ("[stages.last]", '[stages.last]\nwhen = { end = "long" }', None),
    ],
)
def test_mistakes_are_named_with_the_nearest_word(
    tmp_path: Path, numbers: Path, old: str, new: str, message: str | None
) -> None:
    text = CHAIN.replace(old, new, 1)
    assert text != CHAIN
    if message is None:
        assert start(tmp_path, numbers, text) == 0
        return
    with pytest.raises(UsageError, match=message):
        start(tmp_path, numbers, text)


def test_a_stage_that_reads_one_left_out_says_so(tmp_path: Path, numbers: Path) -> None:
    text = CHAIN.replace("[stages.second]", '[stages.second]\nwhen = { end = "long" }')
    with pytest.raises(UsageError, match="its input 'second' isn't part of"):
        start(tmp_path, numbers, text)


def test_inputs_of_the_command_line_are_checked(tmp_path: Path, numbers: Path) -> None:
    found = recipe(tmp_path)
    with pytest.raises(UsageError, match="birdssl run RECIPE INPUT"):
        Expansion(found, VERBS, tmp_path / "runs").steps(found.cells())
    with pytest.raises(NoInputError, match="nowhere"):
        start(tmp_path, tmp_path / "nowhere")
    text = CHAIN.replace('input = "input"', 'input = "./numbers"')
    with pytest.raises(UsageError, match="reads nothing from the command line"):
        start(tmp_path, numbers, text)
    with pytest.raises(UsageError, match="no such recipe"):
        read_recipe(tmp_path / "absent.toml", VERBS)
    for wrong in ("fold=1", "factor=4", "factor"):
        with pytest.raises(UsageError, match="--only"):
            start(tmp_path, numbers, only=[wrong])


def test_shipped_recipes_go_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one of birdssl's own: demo, dias2022, "):
        find_recipe(Path("p2"))
    found = read_recipe(find_recipe(Path("dias2022")), VERBS_OF_THE_CLI)
    # no ImageNet weights for SimpleCNN, which alone starts from images
    assert len(found.cells()) == 4 * 5 * 5 - 5 - 3 * 5
    steps = Expansion(found, VERBS_OF_THE_CLI, tmp_path / "runs", tmp_path).steps(found.cells())
    counts = Counter(step.name for step in steps)
    assert (counts["render"], counts["pretrain"], counts["finetune"], counts["folds"]) == (1, 40, 75, 15)
    assert (counts["starts"], counts["table"]) == (4, 1)
    assert (counts["untrained"], counts["frozen"], counts["probes"], counts["plain-probes"]) == (35, 75, 75, 5)
    whole = next(step for step in steps if step.name == "table")
    assert Counter(need.name for need in whole.needs) == {"evaluate": 75, "probes": 75, "plain-probes": 5}
    assert next(step.settings.expected for step in steps if step.name == "starts") == ["simplecnn from images"]
    one = Expansion(found, VERBS_OF_THE_CLI, tmp_path / "runs", tmp_path).steps(
        select(found, ["encoder=resnet50", "fold=0", "start=vicreg"])
    )
    assert [step.name for step in one] == [
        "segment", "split", "augment", "render", "pretrain", "finetune", "embed", "frozen", "probes", "mel", "plain",
        "plain-probes", "evaluate", "folds", "starts", "table", "report",
    ]  # fmt: skip
    assert str(one[4].out) in one[5].command()
    more = Expansion(found, VERBS_OF_THE_CLI, tmp_path / "runs", tmp_path, {"images": tmp_path}).steps(found.cells())
    added = Counter(step.name for step in more) - counts
    assert added == {"images": 1, "photographs": 1, "finetune": 5, "embed": 5, "evaluate": 5, "folds": 1, "frozen": 1,
                     "probes": 5}  # fmt: skip
    taught = next(step for step in more if step.name == "photographs")
    assert "--objective supervised --encoder simplecnn --batch-size 256" in taught.command()
    begun = [step for step in more if step.name == "finetune" and step.settings.start == str(taught.out)]
    assert [(step.settings.encoder, step.settings.batch_size) for step in begun] == [("simplecnn", 80)] * 5


TWO = """
[matrix]
factor = [2, 3]

[stages.pond]
verb = "double"
input = "input:pond"
factor = 7

[stages.wood]
verb = "double"
input = "input:wood/deep"
factor = "{factor}"

[stages.all]
verb = "double"
input = ["pond", "wood/doubled"]
over = ["factor"]
"""


def named(tmp_path: Path, *inputs: str, text: str = TWO, given: list[Path] | None = None) -> list[str]:
    """The command lines of a recipe with named inputs."""
    found = recipe(tmp_path, text)
    places = dict(text.split("=") for text in inputs)
    expansion = Expansion(found, VERBS, tmp_path / "runs", None, {name: Path(path) for name, path in places.items()})
    return [step.name for step in expansion.steps(found.cells())]


def test_what_reads_an_input_that_is_not_given_is_left_out(tmp_path: Path, numbers: Path) -> None:
    (tmp_path / "wood").mkdir()
    numbers.rename(tmp_path / "wood" / "deep")
    deep = tmp_path / "wood" / "deep"
    assert named(tmp_path, f"wood={tmp_path / 'wood'}") == ["wood", "wood", "all"]
    assert named(tmp_path, f"pond={deep}", f"wood={tmp_path / 'wood'}") == ["pond", "wood", "wood", "all"]
    assert named(tmp_path) == []
    (tmp_path / "chain.toml").write_text(TWO)

    def typed(*inputs: str, more: list[Path] | None = None) -> int:
        return run_recipe(RecipeSettings(input=list(inputs)), inputs=[tmp_path / "chain.toml", *(more or [])],
                          out=tmp_path / "runs", options=RunOptions(), verbs=VERBS)  # fmt: skip

    with pytest.raises(UsageError, match="nothing is left to run; give one of --input pond, wood"):
        typed()
    with pytest.raises(UsageError, match="reads no input of that name; did you mean 'wood'"):
        typed(f"wod={deep}")
    with pytest.raises(UsageError, match="write NAME=PATH"):
        typed("wood")
    with pytest.raises(UsageError, match="reads --input pond, wood from the command line; leave"):
        typed(more=[deep])
    assert typed(f"pond={deep}") == 0


def test_a_recipe_changes_its_base(tmp_path: Path) -> None:
    (tmp_path / "below.toml").write_text(CHAIN)
    above = tmp_path / "above.toml"
    above.write_text('base = "below.toml"\ntitle = "More"\n[matrix]\nfactor = [7]\n[stages.first]\nfactor = 6\n')
    found = read_recipe(above, VERBS)
    assert (found.title, found.matrix["factor"], found.stages["first"].settings) == ("More", (7,), {"factor": 6})
    assert found.matrix["end"] == ("short", "long")
    assert found.stages["first"].inputs == ("input",)
    (tmp_path / "below.toml").write_text('base = "above.toml"')
    with pytest.raises(UsageError, match="each other's base in a circle"):
        read_recipe(above, VERBS)


def test_the_few_shot_paper_is_a_cell_for_each_method_group_and_draw(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label,recording\n")
    found = read_recipe(find_recipe(Path("liang2024")), VERBS_OF_THE_CLI)
    given = {"esc50": tmp_path, "frogs": tmp_path}
    expansion = Expansion(found, VERBS_OF_THE_CLI, tmp_path / "runs", None, given)
    steps = expansion.steps(found.cells())
    counts = Counter(step.name for step in steps)
    methods = 7  # without the five whose weights aren't given
    assert (counts["esc50"], counts["frogs"], counts["table"]) == (methods * 10 * 5, methods * 5, 1)
    assert counts["esc50-waves"] == 2  # 20 kHz, and 16 kHz for what was made for it
    table = steps[-1]
    assert table.settings.expected == ["TERA", "Mockingjay", "wav2vec 2.0", "HuBERT", "BYOL-A"]
    cell = next(step.settings for step in steps if step.name == "esc50")
    assert (cell.epochs, cell.finetune_epochs, cell.finetune_rate, cell.shots) == (500, 50, 0.006, 5)
    one = expansion.steps(select(found, ["method=AcousticSSM2", "group=G3", "draw=1"]))
    assert [step.name for step in one] == ["esc50-clips", "esc50-waves", "esc50", "table"]
    assert one[2].settings.only_draws == [1]
    assert one[2].settings.name == "AcousticSSM2"


RESNETS_ALONE = ("dias2022-data", "dias2022-labels", "dias2022-width")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_expands(path: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label,fold,recording\n")
    found = read_recipe(path, VERBS_OF_THE_CLI)
    named = dict.fromkeys(input_names(found), tmp_path)
    steps = Expansion(found, VERBS_OF_THE_CLI, tmp_path / "runs", tmp_path, named).steps(found.cells())
    assert len({step.out for step in steps}) == len(steps)
    own = tomllib.loads(path.read_text())  # of a base some stages may have no cell any more
    assert set(found.stages) >= {step.name for step in steps} >= set(own["stages"] if "base" in own else found.stages)
    assert found.result_stage in found.stages
