"""Few-shot end to end on tones: what it writes, what it must not look at, and what it refuses."""

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from chirps import rendered_labels
from waves import QUIET, few_shot, rendered_waves

from birdssl.artifacts.shards import write_shard
from birdssl.errors import BirdsslError, IncompatibleError, NoInputError, UsageError
from birdssl.evaluation.fewshot import FOLDS, QUERY
from birdssl.evaluation.lineage import learned_from, taught_by, training_runs
from birdssl.models.registry import build_encoder
from birdssl.settings.base import check
from birdssl.settings.embed import EmbedSettings
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.fewshot import FewshotSettings
from birdssl.stages.embed import Embed
from birdssl.stages.evaluate import Evaluate
from birdssl.stages.fewshot import Fewshot
from birdssl.stages.fewshot_cell import CellWork
from birdssl.stages.fewshot_notes import notes
from birdssl.stages.runner import run
from birdssl.training.saved_model import load_model
from birdssl.training.session import training_session

FEATURES = ("pretrained", "random", "mel", "pretrained+mel", "random+mel")
PROBED = {(features, kind) for features in FEATURES for kind in ("linear", "knn", "centroid")}
SYSTEMS = PROBED | {("pretrained", "finetune"), ("random", "finetune")}


def answers(stage: Fewshot) -> pl.DataFrame:
    return pl.read_parquet(stage.out / "manifest.parquet")


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rendered_waves(tmp_path_factory.mktemp("waves"), 8)


@pytest.fixture(scope="module")
def done(waves: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fewshot, dict[str, Any], str]:
    """A run of the paper's protocol."""
    made = few_shot(tmp_path_factory.mktemp("runs") / "paper", waves)
    outcome = run(made)
    assert outcome.exit_code == 0
    return made, outcome.summary, outcome.text


def test_every_system_answers_every_query_in_every_draw(done: tuple[Fewshot, dict[str, Any], str]):
    rows = answers(done[0])
    asked = rows.filter(pl.col("part") == QUERY)
    assert set(asked.select("features", "classifier").iter_rows()) == SYSTEMS
    counts = asked.group_by("features", "classifier", "draw").len()["len"].to_list()
    assert counts == [4 * 5] * 2 * len(SYSTEMS)  # 8 clips a class less 3 shots
    inside = rows.filter(pl.col("part") == FOLDS)
    assert set(inside.select("features", "classifier").iter_rows()) == SYSTEMS - {("random", "finetune")}
    for _, draw in rows.group_by("draw"):
        support, query = (set(draw.filter(pl.col("part") == part)["id"]) for part in (FOLDS, QUERY))
        assert not support & query
        assert len(support | query) == 32
    assert rows["certainty"].is_between(0, 1).all()


def test_the_tables_show_every_row_beside_chance(done: tuple[Fewshot, dict[str, Any], str]):
    made, summary, text = done
    results = json.loads((made.out / "results.json").read_text())
    assert results["chance"] == {"average": 0.25, "all classes": 0.25}
    assert {(row["features"], row["classifier"]) for row in results["systems"]} == SYSTEMS | {("", "chosen")}
    mel = next(row for row in results["systems"] if row["name"] == "mel statistics, linear")
    assert mel["average"]["value"] > 0.9  # pitches an octave apart
    assert "Transductive" in text
    assert "One pretraining seed" in text
    assert "chance" in text
    assert (made.out / "systems.png").read_bytes().startswith(b"\x89PNG")
    lines = list(csv.DictReader(io.StringIO((made.out / "table.csv").read_text())))
    assert {line["name"] for line in lines} >= {"chance", "mel statistics, linear", "acoustic-ssm cola, fine-tuned"}
    assert summary["rows"] == answers(made).height
    told = [json.loads(path.read_text()) for path in sorted((made.out / "cells").iterdir())]
    assert [cell["pretraining"]["clips"] for cell in told] == [20, 20]
    assert not (made.out / "encoder").exists()  # predictions and metrics, not weights


def test_a_cell_alone_gives_what_it_gives_among_others(
    done: tuple[Fewshot, dict[str, Any], str], waves: Path, tmp_path: Path
):
    alone = few_shot(tmp_path / "alone", waves, only_draws=[1])
    run(alone)
    assert answers(alone).equals(answers(done[0]).filter(pl.col("draw") == 1))


def first_cell(made: Fewshot) -> Any:
    return made.plan()[0].payload


def worked(made: Fewshot, cell: Any, scratch: Path) -> pl.DataFrame:
    settings = made.settings
    with training_session("cpu", "fp32", 1, made.encoder_name, scratch) as session:
        return CellWork(cell, settings, made.data, made.started, made.frontend, session, scratch).run()[0]


def test_no_querys_label_reaches_a_classifier(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, draws=1)
    cell = first_cell(made)
    asked = set(cell.episodes[0].query.tolist())
    wrong = [("bass" if place in asked else label) for place, label in enumerate(cell.rows["truth"])]
    lied = replace(cell, rows=cell.rows.with_columns(pl.Series("truth", wrong)))
    one, other = worked(made, cell, tmp_path / "one"), worked(made, lied, tmp_path / "other")
    assert one["predicted"].equals(other["predicted"])
    assert not one["truth"].equals(other["truth"])


def test_inductive_queries_arent_heard_before_they_are_asked(waves: Path, tmp_path: Path):
    """Other sounds in the queries' places change no answer inside the support."""
    made = few_shot(tmp_path / "out", waves, protocol="inductive", query_share=0.4)
    cell = first_cell(made)
    loud = tmp_path / "loud"
    loud.mkdir()
    for name in ("manifest.parquet", "rejects.parquet", "units.parquet", "stage.json"):
        (loud / name).write_bytes((waves / name).read_bytes())
    sounds = np.load(waves / "shards" / "00000.npy").copy()
    asked = cell.rows[cell.episodes[0].query]["row"].to_numpy()
    sounds[asked] = np.random.default_rng(0).integers(-9000, 9000, sounds[asked].shape)
    write_shard(loud, 0, sounds)
    other = few_shot(tmp_path / "other", loud, protocol="inductive", query_share=0.4)
    two = first_cell(other)
    assert two.rows["id"].equals(cell.rows["id"])
    inside = [rows.filter(pl.col("part") == FOLDS)
              for rows in (worked(made, cell, tmp_path / "a"), worked(other, two, tmp_path / "b"))]  # fmt: skip
    assert inside[0].height > 0
    assert inside[0].equals(inside[1])


def test_inductive_draws_share_their_pretraining_and_their_queries(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, protocol="inductive", query_share=0.4, draws=3, pretraining_seeds=2)
    units = made.plan()
    assert [unit.key[-3:] for unit in units] == ["s00", "s01"]
    cell = units[0].payload
    assert len(cell.episodes) == 3
    pool = set(cell.rows[cell.pool]["origin"])
    for episode in cell.episodes:
        assert not pool & set(cell.rows[episode.query]["origin"])
        assert set(episode.support) <= set(cell.pool)


def test_the_papers_pool_is_what_the_support_leaves(waves: Path, tmp_path: Path):
    for unit in few_shot(tmp_path / "out", waves).plan():
        cell = unit.payload
        assert np.array_equal(cell.pool, cell.episodes[0].query)
        assert not set(cell.pool) & set(cell.episodes[0].support)
        assert cell.rows.height == 32


def test_an_own_set_gets_its_best_classifier_named_and_an_encoder(tmp_path: Path):
    waves = rendered_waves(tmp_path / "waves", 4, unlabelled=6)
    made = few_shot(tmp_path / "own", waves, protocol="own", shots=..., draws=..., support_folds=2)
    outcome = run(made)
    assert outcome.exit_code == 0
    rows = answers(made)
    assert set(rows["part"]) == {FOLDS}
    assert set(rows["id"]) == set(pl.read_parquet(waves / "manifest.parquet").head(16)["id"])
    assert "The best for this set, by folds inside the labelled clips: " in outcome.text
    told = json.loads(next((made.out / "cells").iterdir()).read_text())
    assert told["pretraining"]["clips"] == 22
    model = load_model(made.out / "encoder")
    assert model.encoder.name == "acoustic-ssm"
    assert f"OUT/classifier holds {told['kept']['words']}" in outcome.text
    assert f"{told['kept']['score']:.1%} inside the folds" in outcome.text
    assert "random start, fine-tuned" in outcome.text
    assert json.loads((made.out / "classifier" / "model.json").read_text())["provenance"]["objective"] == "cola"
    classifier = load_model(made.out / "classifier")
    assert classifier.classes == ("alto", "bass", "soprano", "tenor")
    embed = Embed(EmbedSettings(model=made.out / "classifier"), [waves], tmp_path / "embedded", QUIET)
    assert run(embed).exit_code == 0
    scored = pl.read_parquet(tmp_path / "embedded" / "manifest.parquet").head(16)
    answers_ = np.array(classifier.classes)[scored["scores"].to_numpy().argmax(axis=1)]
    right = (answers_ == np.array(scored["labels"].list.first().to_list())).mean()
    assert right >= 0.5  # of the clips that it learned from; chance is 0.25
    again = few_shot(tmp_path / "started", waves, start=str(made.out / "encoder"), draws=1, shots=2, **dict.fromkeys(
        ("widths", "ssm_layers", "ssm_state", "n_mels", "hop", "crop_seconds"), ...))  # fmt: skip
    run(again)
    assert "acoustic-ssm encoder, linear" in (again.out / "table.md").read_text()
    assert json.loads((again.out / "stage.json").read_text())["settings"]["start"] == "../own/encoder"


def test_what_an_own_set_taught_its_models_is_known_later(tmp_path: Path):
    """Models in OUT/encoder and OUT/classifier lead to the run: no score on what it learned goes unsaid."""
    waves = rendered_waves(tmp_path / "waves", 6, per_origin=2, unlabelled=4)
    made = few_shot(tmp_path / "own", waves, protocol="own", shots=..., draws=..., epochs=1)
    run(made)
    table = pl.read_parquet(waves / "manifest.parquet")
    for name in ("encoder", "classifier"):
        (found,) = training_runs(made.out / name)
        assert set(learned_from(found)["id"]) == set(table["id"])
        assert set(taught_by(found)["id"]) == set(table.head(24)["id"])
    table.with_columns(test=pl.lit(True)).write_parquet(waves / "manifest.parquet")  # as if it had been split since
    run(Embed(EmbedSettings(model=made.out / "classifier"), [waves], tmp_path / "classifier", QUIET))
    with pytest.raises(IncompatibleError, match="12 origins are both learned from and scored"):
        run(Evaluate(EvaluateSettings(), [tmp_path / "classifier"], tmp_path / "scores", QUIET))
    unset = dict.fromkeys(("widths", "ssm_layers", "ssm_state", "n_mels", "hop", "crop_seconds"), ...)
    waves = rendered_waves(tmp_path / "waves", 6, per_origin=2, unlabelled=4)
    again = few_shot(tmp_path / "again", waves, start=str(made.out / "encoder"), draws=1, shots=2,
                     protocol="inductive", query_share=0.4, classifiers=["centroid"], **unset)  # fmt: skip
    assert "The start was trained, without labels, on 8 of the 8 queries" in run(again).text
    taught = few_shot(tmp_path / "taught", waves, start=str(made.out / "classifier"), draws=1, shots=2,
                      protocol="inductive", query_share=0.4, classifiers=["centroid"], **unset)  # fmt: skip
    with pytest.raises(IncompatibleError, match="has learned the labels of recordings that 8 of 8 queries"):
        run(taught)
    alone = shutil.copytree(made.out / "encoder", tmp_path / "alone" / "encoder")
    unknown = few_shot(tmp_path / "unknown", waves, start=str(alone), draws=1, classifiers=["centroid"], **unset)
    assert "What the start was trained on isn't known here" in run(unknown).text


def test_a_start_and_settings_that_contradict_it_are_refused(waves: Path, tmp_path: Path):
    """They were taken without a word, and an objective that nothing had learned was recorded."""
    made = few_shot(tmp_path / "own", waves, protocol="own", shots=..., draws=..., epochs=1, classifiers=["linear"])
    run(made)
    start = str(made.out / "encoder")
    unset = dict.fromkeys(("widths", "ssm_layers", "ssm_state", "n_mels", "hop", "crop_seconds"), ...)
    for changed in ({"encoder": "adapted-cnn"}, {"ssm_layers": 3}, {"size": "full"}):
        (name,) = changed
        with pytest.raises(IncompatibleError, match=rf"--{name.replace('_', '-')} .* contradicts the start"):
            few_shot(tmp_path / "out", waves, start=start, **{**unset, **changed}).plan()
    for changed in ({"objective": "clar"}, {"shuffle_pairs": True}, {"projector_width": 64}):
        with pytest.raises(UsageError, match="is for --start pretrain"):
            few_shot(tmp_path / "out", waves, start=start, **unset, **changed)
    with pytest.raises(NoInputError, match="--start pretrian: no such directory; give pretrain, none"):
        few_shot(tmp_path / "out", waves, start="pretrian").plan()
    started = few_shot(tmp_path / "started", waves, start=start, protocol="own", shots=..., draws=..., **unset)
    run(started)
    assert "objective" not in json.loads((started.out / "encoder" / "model.json").read_text())["provenance"]


def test_an_own_set_is_told_when_pretraining_was_no_help_and_when_nothing_can_be_kept(tmp_path: Path):
    """A random start, which can't be chosen, once scored 30 points above what was called the best."""
    results = {
        "systems": [
            {"features": "pretrained", "average": {"value": 0.5}, "name": "M, linear"},
            {"features": "random", "average": {"value": 0.7}, "name": "random start, linear"},
            {"features": "", "average": {"value": 0.5}, "name": "chosen", "chose": {"M, linear": 1}, "method": ""},
        ],
        "groups": ["all"], "apart": [], "independent_groups": 1, "chance": {"average": 0.25},
    }  # fmt: skip
    settings = check(FewshotSettings, {"protocol": "own"})
    kept = {"draws": [], "kept": {"words": "M, fine-tuned", "score": 0.2}}
    text = " ".join(notes(settings, results, [kept]))
    assert "never trained did as well or better (random start, linear: 70.0%, the chosen 50.0%)" in text
    assert "M, fine-tuned, the best of those that run on raw recordings: 20.0% inside the folds, where chance" in text
    results["systems"][1]["average"]["value"] = 0.4
    assert "never trained" not in " ".join(notes(settings, results, [kept]))
    waves = rendered_waves(tmp_path / "waves", 4)
    none = few_shot(tmp_path / "none", waves, protocol="own", shots=..., draws=..., epochs=1, classifiers=["knn"])
    assert "There is no OUT/classifier" in run(none).text


def test_groups_that_share_classes_are_said_and_a_group_apart_that_there_is_not_changes_nothing():
    results = {"systems": [], "groups": ["a", "b"], "apart": ["frogs"], "independent_groups": 2}
    settings = check(FewshotSettings, {})
    assert any(note.startswith("The average's interval is over groups") for note in notes(settings, results, []))
    text = " ".join(notes(settings, {**results, "independent_groups": 1}, []))
    assert "The 2 groups share classes and are worth 1 of other classes: too few for the average's interval" in text


def test_fine_tuning_that_learned_nothing_is_said(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, finetune_rate=1e-6, finetune_epochs=0, classifiers=["finetune"], draws=1)
    rows = run(made), answers(made)
    answered = rows[1].filter((pl.col("features") == "pretrained") & (pl.col("part") == QUERY))["predicted"]
    stuck = answered.value_counts()["count"].max() >= 0.9 * len(answered)
    assert ("Fine-tuning gave nearly all clips one class in 1 of 1 cells" in rows[0].text) == stuck
    told = {"draws": [{**dict.fromkeys(("queries", "shared", "left_out"), 0), "draw": 0, "stuck": True,
                       "single_origin_classes": []}]}  # fmt: skip
    results = {"systems": [], "groups": ["all"], "apart": [], "independent_groups": 1}
    assert "in 1 of 1 cells: it hardly learned" in " ".join(notes(check(FewshotSettings, {}), results, [told]))


def test_clips_of_origins_that_the_start_has_heard_are_counted_too(tmp_path: Path):
    """By ids alone, a start trained on the other clips of all the queries' recordings seemed never to have met them."""
    heard, asked = (rendered_waves(tmp_path / name, 6, per_origin=2) for name in ("heard", "asked"))
    for place, folder in enumerate((heard, asked)):  # the first clip of each recording, and the second
        rows = pl.read_parquet(folder / "manifest.parquet")
        rows.filter(pl.int_range(pl.len()) % 2 == place).write_parquet(folder / "manifest.parquet")
    made = few_shot(tmp_path / "start", heard, protocol="own", shots=..., draws=..., epochs=1)
    run(made)
    unset = dict.fromkeys(("widths", "ssm_layers", "ssm_state", "n_mels", "hop", "crop_seconds"), ...)
    again = few_shot(tmp_path / "again", asked, start=str(made.out / "encoder"), draws=1, shots=1, support_folds=0,
                     classifiers=["centroid"], **unset)  # fmt: skip
    assert "on 0 of the 8 queries, and on other clips of the same origins as 8" in run(again).text


def test_a_draw_alone_is_the_draw_among_others(tmp_path: Path):
    """With a pool that was cut short, what was drawn for a clip once hung on the supports of the other draws."""
    waves = rendered_waves(tmp_path / "waves", 8)
    settings = {"protocol": "inductive", "pool_clips": 9, "shots": 2, "epochs": 2, "batch_size": 4}
    every = few_shot(tmp_path / "every", waves, draws=3, **settings)
    one = few_shot(tmp_path / "one", waves, draws=3, only_draws=[2, 2], **settings)
    run(every), run(one)
    assert answers(one).equals(answers(every).filter(pl.col("draw") == 2))


def test_a_sweep_chooses_its_rate_inside_the_support(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, sweep="0.001:0.1:2", draws=1, classifiers=["finetune"])
    run(made)
    told = json.loads(next((made.out / "cells").iterdir()).read_text())
    assert set(told["draws"][0]["finetune_rates"]) == {"pretrained", "random"}
    assert set(told["draws"][0]["finetune_rates"].values()) <= {0.001, 0.1}
    rows = answers(made)
    assert rows.group_by("features", "part").len().sort("features", "part")["len"].to_list() == [12, 20, 12, 20]


def test_a_rate_that_runs_away_is_not_chosen_and_ends_nothing(waves: Path, tmp_path: Path, caplog):
    made = few_shot(tmp_path / "out", waves, sweep="0.001:1e9:2", draws=1, classifiers=["finetune"])
    run(made)
    told = json.loads(next((made.out / "cells").iterdir()).read_text())
    assert set(told["draws"][0]["finetune_rates"].values()) == {0.001}
    assert "the weights have run away" in caplog.text
    with pytest.raises(BirdsslError, match="run away"):
        run(few_shot(tmp_path / "none", waves, sweep="1e9:1e10:2", draws=1, classifiers=["finetune"]))


def test_masks_longer_than_a_crop_are_refused_before_training(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, objective="tera", channels=["mel"], encoder="acoustic-ssm", mask_span=20)
    with pytest.raises(IncompatibleError, match=r"masks of 20 need 21; give a longer --crop-seconds"):
        run(made)
    assert not (tmp_path / "out" / "stage.json").exists()


def test_without_pretraining_only_controls_answer(waves: Path, tmp_path: Path):
    made = few_shot(tmp_path / "out", waves, start="none", draws=1, classifiers=["centroid"])
    run(made)
    assert set(answers(made)["features"]) == {"random", "random+mel", "mel"}


def test_a_published_encoder_answers_beside_a_random_start_of_its_size(waves: Path, tmp_path: Path):
    ours = build_encoder("byol-a-cnn", channels=1, bins=64, features=24).state_dict()
    theirs = {name.replace("convolutions.", "features.").replace("dense.", "fc."): ours[name] for name in ours}
    torch.save(theirs, tmp_path / "byola.pth")
    unset = dict.fromkeys(("widths", "ssm_layers", "ssm_state", "n_mels", "hop", "crop_seconds"), ...)
    made = few_shot(tmp_path / "out", waves, start="published", weights=tmp_path / "byola.pth", encoder="byol-a-cnn",
                    draws=1, classifiers=["centroid"], f_max=4000.0, **unset)  # fmt: skip
    run(made)
    assert set(answers(made)["features"]) == set(FEATURES)
    assert "byol-a-cnn published, nearest centroid" in (made.out / "table.md").read_text()
    cell = json.loads(next((made.out / "cells").iterdir()).read_text())
    assert "pretraining" not in cell


def test_groups_come_from_a_table_from_words_or_by_chance(waves: Path, tmp_path: Path):
    table = tmp_path / "groups.csv"
    table.write_text("label,group\nbass,low\ntenor,low\nalto,high\nsoprano,high\n")

    def groups(**settings: Any) -> dict[str, tuple[str, ...]]:
        made = few_shot(tmp_path / "out", waves, **settings)
        made.plan()
        return {group.name: group.classes for group in made.groups}

    assert groups(groups=str(table)) == {"low": ("bass", "tenor"), "high": ("alto", "soprano")}
    assert groups(groups=str(table), only_groups=["high"]) == {"high": ("alto", "soprano")}
    assert groups(group=["x=alto, bass", "y=tenor,soprano"]) == {"x": ("alto", "bass"), "y": ("soprano", "tenor")}
    drawn = groups(groups="random:2", ways=2)
    assert sorted(label for classes in drawn.values() for label in classes) == ["alto", "bass", "soprano", "tenor"]


def test_disjoint_origins_are_left_out_and_counted(tmp_path: Path):
    waves = rendered_waves(tmp_path / "waves", 8, per_origin=2)
    made = few_shot(tmp_path / "out", waves, start="none", classifiers=["centroid"], shots=2, disjoint_origins=True)
    outcome = run(made)
    for (_,), rows in answers(made).group_by("draw"):
        support, query = (set(rows.filter(pl.col("part") == part)["origin"]) for part in (FOLDS, QUERY))
        assert support
        assert not support & query
    fewest = min(rows.filter(pl.col("part") == QUERY)["origin"].n_unique()
                 for _, rows in answers(made).group_by("draw"))  # fmt: skip
    assert f"The queries come from {fewest} origins only" in outcome.text
    assert "queries were left out, as their origins are in the support too" in outcome.text
    kept = run(few_shot(tmp_path / "kept", waves, start="none", classifiers=["centroid"], shots=2))
    assert "of the queries are of an origin that the support has too" in kept.text


def test_what_cannot_be_is_refused_before_anything_is_trained(waves: Path, tmp_path: Path):
    def refused(kind: type[Exception], words: str, waves: Path = waves, **settings: Any) -> None:
        with pytest.raises(kind, match=words):
            few_shot(tmp_path / "out", waves, **settings).plan()

    refused(IncompatibleError, "holds pictures", rendered_labels(tmp_path / "pictures", 12))
    refused(IncompatibleError, "alto has 8 clips, and 8 shots", shots=8)
    refused(IncompatibleError, "a pool of 20 clips is smaller than the batch of 64", batch_size=64)
    refused(NoInputError, "no such table", groups="nothing.csv")
    refused(UsageError, "has no size", size="huge")
    refused(UsageError, "cola learns from views of kind crops", views="one")
    refused(
        IncompatibleError,
        r"byol-a-cnn needs \d+; give a longer --crop-seconds",
        objective="byol-a",
        encoder="byol-a-cnn",
        preset="byol-a",
        widths=None,
        ssm_layers=None,
        ssm_state=None,
        crop_seconds=0.05,
    )
    refused(NoInputError, "holds no", start=str(tmp_path))
    refused(UsageError, "there are 2 groups; choose one by --only-groups", protocol="own", shots=..., draws=...,
            group=["x=alto,bass", "y=tenor,soprano"])  # fmt: skip
    one = rendered_waves(tmp_path / "one", 1)
    refused(IncompatibleError, "one labelled clip", one, protocol="own", shots=..., draws=...)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sweep": "0.01:0.005"}, "--sweep '0.01:0.005': write LOW:HIGH"),
        ({"sweep": "0.01:0.1", "finetune_rate": 0.1}, "exclude each other"),
        ({"sweep": "0.01:0.1", "support_folds": 0}, "--sweep chooses by --support-folds"),
        ({"group": ["a"]}, "write NAME=LABEL,LABEL"),
        ({"group": ["a=b,c", "a=d,e"]}, "gives one name twice"),
        ({"ways": 3}, "--ways is for --groups random:N"),
        ({"groups": "random:0"}, "write random:N"),
        ({"protocol": "own", "shots": 3}, "--shots has no meaning with --protocol own"),
        ({"protocol": "own", "support_folds": 0}, "names the best classifier by --support-folds"),
        ({"protocol": "inductive", "disjoint_origins": True}, "keeps origins apart anyway"),
        ({"query_share": 0.5}, "--query-share is for --protocol inductive"),
        ({"only_draws": [5]}, "the draws are 0 to 4"),
        ({"support_folds": 1}, "one fold leaves nothing"),
        ({"start": "published"}, "belong together"),
        ({"classifiers": ["knn", "knn"]}, "each once"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        check(FewshotSettings, settings)
