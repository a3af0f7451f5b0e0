"""`birdssl evaluate` on embeddings made here, whose truth is known."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
from embeddings import CLASSES, FROG, RAIN, WREN, embedded, evaluate, head, metrics, table, write_artifact
from sklearn.metrics import balanced_accuracy_score

from birdssl.artifacts.artifact import MANIFEST, read_record
from birdssl.errors import IncompatibleError, NoInputError, UsageError
from birdssl.settings.base import check
from birdssl.settings.evaluate import EvaluateSettings
from birdssl.settings.run import RunOptions
from birdssl.stages.evaluate import Evaluate
from birdssl.stages.runner import run


@pytest.fixture
def two(tmp_path):
    """Plain vectors without a head, and a good head."""
    rows, vectors = table()
    return [
        embedded(tmp_path / "mel", rows, vectors),
        embedded(tmp_path / "vicreg", rows, vectors, head(rows, 0.8)),
    ]


def test_heads_are_scored_by_their_highest_score(tmp_path):
    rows, vectors = table()
    scores = head(rows, 0.6)
    out = tmp_path / "out"
    evaluate([embedded(tmp_path / "a", rows, vectors, scores)], out)
    test = rows["test"].to_numpy()
    truth = [labels[0] for labels in rows.filter("test")["labels"].to_list()]
    said = [CLASSES[place] for place in scores[test].argmax(1)]
    assert metrics(out)["systems"][0]["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(truth, said), abs=1e-6
    )
    answers = pl.read_parquet(out / MANIFEST)
    assert answers["id"].to_list() == rows.filter("test")["id"].to_list()
    assert answers["predicted"].to_list() == said
    assert answers["truth"].to_list() == truth
    assert set(answers["recording"]) == set(rows.filter("test")["recording"])


def test_classes_of_interest_leave_clips_out_but_not_answers(tmp_path):
    """P1: three classes may be answered, two are scored."""
    rows, vectors = table()
    scores = head(rows, 0.5, seed=3)
    out = tmp_path / "out"
    evaluate([embedded(tmp_path / "a", rows, vectors, scores)], out, classes=[WREN, FROG])
    found = metrics(out)
    table_ = found["systems"][0]["confusion"]
    assert (table_["rows"], table_["columns"]) == ([WREN, FROG], [WREN, FROG, RAIN])
    assert sum(row[2] for row in table_["counts"]) > 0
    assert found["chance"]["balanced_accuracy"] == 0.5
    assert found["left_out"] == [{"why": "of other classes", "clips": 8}]


def test_systems_stand_beside_chance_and_a_baseline(two, tmp_path, capsys):
    outcome = evaluate(two, tmp_path / "out", name=["mel statistics", "VICReg"], baseline="mel statistics")
    found = metrics(tmp_path / "out")
    assert [system["name"] for system in found["systems"]] == ["mel statistics", "VICReg"]
    assert found["systems"][0]["balanced_accuracy"]["value"] > 0.6
    assert "VICReg" in found["comparisons"][0]["verdict"]
    assert outcome.summary["verdicts"] == [found["comparisons"][0]["verdict"]]
    lines = outcome.text.splitlines()
    assert lines[1].split()[:2] == ["chance", "33.3"]
    assert lines[2].startswith("mel statistics")
    assert lines[-1].endswith("report.html")


def test_a_probe_never_sees_what_is_held_out(tmp_path, monkeypatch):
    """Neither the test part, nor the fold that the model held out, nor copies of any clip."""
    rows, vectors = table()
    copies = rows.head(8).with_columns(role=pl.lit("copy"), parent=pl.col("id"), id=pl.lit("c") + pl.col("id"))
    rows, vectors = pl.concat([rows, copies]), np.concatenate([vectors, vectors[:8]])
    seen = []
    from birdssl.evaluation import answers

    honest = answers.fit_probe
    monkeypatch.setattr(
        answers, "fit_probe", lambda kind, points, labels, origins, seed: (
            seen.append((len(labels), set(origins))), honest(kind, points, labels, origins, seed))[1],
    )  # fmt: skip
    folder = embedded(tmp_path / "a", rows, vectors, fold=1)
    originals = rows.filter(pl.col("role") == "original")
    for on, scored in (("test", originals.filter("test")), ("validation", originals.filter(pl.col("fold") == 1))):
        evaluate([folder], tmp_path / on, on=on)
        count, origins = seen.pop()
        assert not origins & set(scored["origin"])
        assert origins == set(originals.filter(~pl.col("test") & (pl.col("fold") != 1))["origin"])
        assert count == originals.filter(~pl.col("test") & (pl.col("fold") != 1)).height
        assert set(pl.read_parquet(tmp_path / on / MANIFEST)["id"]) == set(scored["id"])


def test_an_origin_on_both_sides_is_refused(tmp_path):
    rows, vectors = table()
    rows = rows.with_columns(origin=pl.lit("one upload"))
    with pytest.raises(IncompatibleError, match="1 origins are both learned from and scored"):
        evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out")


def test_clips_of_shared_origins_are_left_out_or_accepted_with_a_note(tmp_path):
    """As ESC-50's official folds have them: a recording in two folds."""
    rows, vectors = table()
    test = rows.filter("test")
    twin = test["origin"][0]
    shared = (test["origin"] == twin).sum()
    first = rows.filter(~pl.col("test"))["origin"][0]
    rows = rows.with_columns(origin=pl.col("origin").replace(first, twin))
    made = embedded(tmp_path / "a", rows, vectors)
    with pytest.raises(IncompatibleError, match=f"first: {twin}.*--shared-origins leave-out"):
        evaluate([made], tmp_path / "out")
    evaluate([made], tmp_path / "out", shared_origins="leave-out")
    found = metrics(tmp_path / "out")
    assert {"why": "of origins that were learned from", "clips": shared} in found["left_out"]
    assert found["data"]["clips"] == test.height - shared
    assert "Checked: no clip" in (tmp_path / "out" / "report.html").read_text()
    evaluate([made], tmp_path / "all", shared_origins="accept")
    found = metrics(tmp_path / "all")
    assert found["data"]["clips"] == test.height
    assert f"scored on {shared} clips whose origins it learned from as well" in found["notes"][-1]
    assert "Checked: no clip" not in (tmp_path / "all" / "report.html").read_text()
    alike = embedded(tmp_path / "b", rows.with_columns(origin=pl.lit("one upload")), vectors)
    with pytest.raises(IncompatibleError, match="every origin to be scored was also learned from"):
        evaluate([alike], tmp_path / "none", shared_origins="leave-out")


def test_embeddings_without_a_fold_are_cross_validated(tmp_path):
    rows, vectors = table(spread=0.5)
    evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out", on="validation")
    found = metrics(tmp_path / "out")["systems"][0]
    assert found["folds"]["fold"] == [0, 1]
    assert found["folds"]["same_clips"] is False
    answers = pl.read_parquet(tmp_path / "out" / MANIFEST)
    assert set(answers["id"]) == set(rows.filter(~pl.col("test"))["id"])
    assert (answers["model_fold"] == answers["fold"]).all()


def test_inputs_of_one_name_are_folds(tmp_path):
    rows, vectors = table()
    inputs = [embedded(tmp_path / f"f{fold}", rows, vectors, head(rows, 0.7, fold), fold) for fold in range(3)]
    evaluate(inputs, tmp_path / "out", name=["net"] * 3)
    found = metrics(tmp_path / "out")
    assert len(found["systems"]) == 1
    folds = found["systems"][0]["folds"]
    assert folds["fold"] == [0, 1, 2]
    assert found["systems"][0]["balanced_accuracy"]["value"] == pytest.approx(
        np.mean(folds["balanced_accuracy"]), abs=1e-6
    )
    assert "over folds" in (tmp_path / "out" / "report.html").read_text()


def test_few_labels_are_the_same_few_as_a_training_run_had(tmp_path):
    rows, vectors = table(spread=0.3)
    few = rows.filter(~pl.col("test") & (pl.col("fold") == 1)).filter(pl.col("start") == 0.0)
    training = write_artifact(tmp_path / "finetune", "finetune", few, {"fold": 0})
    evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out", train_ids=[str(training)])
    told = json.loads(next((tmp_path / "out" / "models").iterdir()).read_text())["models"]
    assert [(model["fold"], model["clips"]) for model in told] == [(0, few.height)]
    assert (told[0]["labels"], told[0]["train_ids"]) == (1.0, "../finetune")
    record = read_record(training)
    record.settings["train_fraction"] = 0.2
    record.write(training)
    evaluate([tmp_path / "a"], tmp_path / "fifth", train_ids=[str(training)])
    assert json.loads(next((tmp_path / "fifth" / "models").iterdir()).read_text())["models"][0]["labels"] == 0.2


def test_features_without_a_fold_may_leave_one_out_as_models_did(two, tmp_path):
    rows, vectors = table()
    evaluate([embedded(tmp_path / "model", rows, vectors, fold=1)], tmp_path / "of-a-fold", name=["x"])
    evaluate(two[:1], tmp_path / "left-out", name=["x"], fold=1)
    one, other = (pl.read_parquet(tmp_path / name / MANIFEST) for name in ("of-a-fold", "left-out"))
    assert one.equals(other)
    assert set(other["model_fold"]) == {1}
    told = json.loads((tmp_path / "left-out" / "models" / "00-mel.json").read_text())["models"]
    assert told[0]["clips"] == rows.filter(~pl.col("test") & (pl.col("fold") != 1)).height


def test_a_fold_that_contradicts_a_model_is_refused(two, tmp_path):
    rows, vectors = table()
    with pytest.raises(IncompatibleError, match="--fold is 0, and its model held out fold 1"):
        evaluate([embedded(tmp_path / "model", rows, vectors, fold=1)], tmp_path / "out", fold=0)
    with pytest.raises(IncompatibleError, match="--fold is 0, and its model held out no fold"):
        evaluate(two[1:], tmp_path / "out", fold=0)
    with pytest.raises(IncompatibleError, match=r"has no fold 7 \(folds: 0, 1\)"):
        evaluate(two[:1], tmp_path / "out", fold=7)


def test_validation_clips_of_a_training_run_are_not_learned_from(tmp_path):
    """finetune's manifest holds both parts, and copies; a probe gets the originals that were trained on."""
    rows, vectors = table(spread=0.3)
    rest = rows.filter(~pl.col("test")).with_columns(part=pl.when(pl.col("start") < 6).then(pl.lit("training"))
                                                     .otherwise(pl.lit("validation")))  # fmt: skip
    copies = rest.filter(part="training").with_columns(role=pl.lit("copy"), parent=pl.col("id"), id="c" + pl.col("id"))
    training = write_artifact(tmp_path / "finetune", "finetune", pl.concat([rest, copies]), {"fold": None})
    evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out", train_ids=[str(training)])
    told = json.loads(next((tmp_path / "out" / "models").iterdir()).read_text())["models"]
    assert told[0]["clips"] == rest.filter(part="training").height


def test_a_head_that_learned_from_scored_origins_is_refused(tmp_path):
    """One clip of a test recording in a training run is enough."""
    rows, vectors = table()
    for name, leak in (("honest", 0), ("leaking", 1)):
        learned = pl.concat([rows.filter(~pl.col("test")), rows.filter("test").head(leak)])
        write_artifact(tmp_path / name, "finetune", learned.with_columns(part=pl.lit("training")), {"overlap": 7})
        folder = embedded(tmp_path / f"e-{name}", rows, vectors, head(rows, 0.7))
        record = read_record(folder)
        record.inputs = [{"path": f"../{name}", "verb": "finetune", "digest": "d"}]
        record.write(folder)
    evaluate([tmp_path / "e-honest"], tmp_path / "out")
    assert "was pretrained, without labels, on 7 of the held-out clips" in metrics(tmp_path / "out")["notes"][-1]
    assert "finetune" in (tmp_path / "out" / "report.html").read_text()
    assert metrics(tmp_path / "out")["checked"] is True
    for probe in ([], ["linear"]):
        with pytest.raises(IncompatibleError, match="1 origins are both learned from and scored"):
            evaluate([tmp_path / "e-leaking"], tmp_path / f"out-{len(probe)}", probe=probe)


def test_a_run_that_is_gone_leaves_the_check_undone_and_said(two, tmp_path):
    evaluate(two[:1], tmp_path / "plain")
    assert "Checked: no clip of these origins" in (tmp_path / "plain" / "report.html").read_text()
    evaluate(two[1:], tmp_path / "head")
    assert "it was not checked whether" in (tmp_path / "head" / "report.html").read_text()


def test_the_fold_that_is_looked_at_is_the_best_on_validation(tmp_path):
    """P1 shows its best fold; here the second, although it does worst on the test part."""
    rows, vectors = table()
    for fold, (share, validation) in enumerate([(0.9, 0.5), (0.4, 0.8), (0.9, 0.6)]):
        run = write_artifact(tmp_path / f"run{fold}", "finetune", rows.filter(~pl.col("test")), {"fold": fold})
        record = read_record(run)
        record.summary = {"validation_balanced_accuracy": validation}
        record.write(run)
        folder = embedded(tmp_path / f"e{fold}", rows, vectors, head(rows, share), fold)
        record = read_record(folder)
        record.inputs = [{"path": f"../run{fold}", "verb": "finetune", "digest": "d"}]
        record.write(folder)
    evaluate([tmp_path / f"e{fold}" for fold in range(3)], tmp_path / "out", name=["net"] * 3)
    view = metrics(tmp_path / "out")["systems"][0]["projection"]
    assert view["model"] == ", as the model of fold 1 sees them (the best on its validation clips)"


def test_training_clips_that_are_held_out_are_refused(tmp_path):
    rows, vectors = table()
    training = write_artifact(tmp_path / "finetune", "finetune", rows.filter("test"), {"fold": 0})
    with pytest.raises(IncompatibleError, match="--train-ids names 24 clips that"):
        evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out", train_ids=[str(training)])


def test_unlabelled_clips_are_left_out_and_counted(tmp_path):
    rows, vectors = table()
    first = rows.filter("test")["id"][0]
    rows = rows.with_columns(labels=pl.when(pl.col("id") == first).then(pl.lit([], pl.List(pl.String)))
                             .otherwise(pl.col("labels")))  # fmt: skip
    evaluate([embedded(tmp_path / "a", rows, vectors, head(rows, 0.9))], tmp_path / "out")
    assert metrics(tmp_path / "out")["left_out"] == [{"why": "unlabelled", "clips": 1}]
    assert "Left out: 1 unlabelled." in (tmp_path / "out" / "report.html").read_text()


def test_clips_of_several_labels_are_refused_or_left_out(tmp_path):
    rows, vectors = table()
    first = rows.filter("test")["id"][0]
    rows = rows.with_columns(labels=pl.when(pl.col("id") == first).then(pl.lit([FROG, WREN]))
                             .otherwise(pl.col("labels")))  # fmt: skip
    folder = embedded(tmp_path / "a", rows, vectors, head(rows, 0.9))
    with pytest.raises(
        IncompatibleError, match=r"1 clips carry several labels .first: .* at .* s, .* --several-labels leave-out"
    ):
        evaluate([folder], tmp_path / "out")
    evaluate([folder], tmp_path / "second", several_labels="leave-out")
    assert metrics(tmp_path / "second")["left_out"] == [{"why": "with several labels", "clips": 1}]


def test_no_test_rows_say_what_to_run(tmp_path):
    rows, vectors = table()
    folder = embedded(tmp_path / "a", rows.with_columns(test=pl.lit(False)), vectors)
    with pytest.raises(NoInputError, match="`birdssl split` before embedding, or score --on validation"):
        evaluate([folder], tmp_path / "out")
    folder = embedded(tmp_path / "b", rows.with_columns(fold=pl.lit(None, pl.Int16)), vectors)
    with pytest.raises(NoInputError, match="has no folds"):
        evaluate([folder], tmp_path / "out", on="validation")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": ["a"]}, "--name gives 1 names for 2 inputs"),
        ({"name": ["a", "a"]}, "both called 'a' and hold out no fold"),
        ({"baseline": "mle"}, "--baseline 'mle' is none of the systems: mel, vicreg"),
        ({"name": ["a", "b"], "baseline": "c"}, "--baseline 'c' is none of the systems: a, b"),
        (
            {"name": ["a", "b"], "probe": "knn,centroid", "baseline": "a"},
            "none of the systems: a (k-NN), a (nearest centroid), b (k-NN)",
        ),
        ({"probe": "knn,knn"}, "--probe names a classifier twice"),
        ({"classes": ["wren", "wren"]}, "names a class twice"),
    ],
)
def test_names_that_do_not_fit_are_usage_errors(two, tmp_path, settings, words):
    with pytest.raises(UsageError, match=re.escape(words)):
        evaluate(two, tmp_path / "out", **settings)


def test_other_things_that_do_not_fit_say_so(two, tmp_path):
    with pytest.raises(IncompatibleError, match="--classes names owl; the classes here are"):
        evaluate(two, tmp_path / "out", classes=["owl"])
    with pytest.raises(IncompatibleError, match="its model held out no fold"):
        evaluate(two, tmp_path / "out", on="validation")
    write_artifact(tmp_path / "clips", "segment", table()[0])
    with pytest.raises(IncompatibleError, match="expected a directory made by `birdssl embed`"):
        evaluate([tmp_path / "clips"], tmp_path / "out")


@pytest.mark.slow
def test_same_bytes_again_and_with_two_workers(two, tmp_path):
    settings = check(EvaluateSettings, {"draws": 200})
    outs = [tmp_path / "one", tmp_path / "two"]
    for out, jobs in zip(outs, (1, 2), strict=True):
        run(Evaluate(settings, two, out, RunOptions(jobs=jobs, quiet=True)), RunOptions(jobs=jobs, quiet=True))
    names = sorted(str(path.relative_to(outs[0])) for path in outs[0].rglob("*") if path.is_file())
    assert "report.html" in names
    assert [name for name in names if (outs[0] / name).read_bytes() != (outs[1] / name).read_bytes()] == ["run.log"]


class Page(HTMLParser):
    """Collects a page's text, tags and the addresses that it would load."""

    def __init__(self):
        super().__init__()
        self.words, self.tags, self.addresses, self.identities = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.identities += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_everything_and_loads_nothing(two, tmp_path):
    evaluate(two, tmp_path / "out", name=["<script>alert(1)</script>", "net & co"])
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page()
    page.feed(text)
    words = " ".join(" ".join(page.words).split())
    assert "script" not in page.tags
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", text)
    assert not re.findall(r"url\(|@import|https?://", text)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.identities)
    assert page.tags.count("img") == 7
    for name in ("<script>alert(1)</script>", "net & co", FROG, WREN, RAIN, "chance", "birdssl evaluate"):
        assert name in words
    found = metrics(tmp_path / "out")
    for system in found["systems"]:
        assert f"{system['balanced_accuracy']['value'] * 100:.1f} %" in words
        for picture in system["figures"].values():
            assert (tmp_path / "out" / picture).read_bytes().startswith(b"\x89PNG")


def test_pictures_of_planes_can_be_left_out(two, tmp_path):
    evaluate(two, tmp_path / "out", projection_clips=0)
    assert [system["figures"]["projection"] for system in metrics(tmp_path / "out")["systems"]] == [None, None]


@pytest.mark.parametrize("probe", ["linear", "knn", "centroid"])
def test_each_probe_learns_clear_classes(two, tmp_path, probe):
    evaluate(two, tmp_path / "out", probe=probe, projection_clips=0)
    scores = [system["balanced_accuracy"]["value"] for system in metrics(tmp_path / "out")["systems"]]
    assert min(scores) > 0.6
    assert scores[0] == scores[1]  # the same vectors, heads set aside


def test_each_of_several_probes_is_a_system_as_if_it_were_alone(two, tmp_path):
    evaluate(two, tmp_path / "all", name=["mel", "VICReg"], probe=["linear", "knn", "centroid"],
             baseline="mel (nearest centroid)", draws=200)  # fmt: skip
    answers = pl.read_parquet(tmp_path / "all" / MANIFEST)
    found = metrics(tmp_path / "all")
    for probe, word in (("linear", "linear"), ("knn", "k-NN"), ("centroid", "nearest centroid")):
        evaluate(two, tmp_path / probe, name=["mel", "VICReg"], probe=[probe], draws=200)
        alone = pl.read_parquet(tmp_path / probe / MANIFEST)
        for name in ("mel", "VICReg"):
            mine = answers.filter(system=f"{name} ({word})").drop("system")
            assert mine.equals(alone.filter(system=name).drop("system"))
        told = json.loads((tmp_path / "all" / "models" / f"01-vicreg-{probe}.json").read_text())
        assert (told["system"], told["models"][0]["kind"]) == (f"VICReg ({word})", probe)
        one = next(system for system in found["systems"] if system["name"] == f"VICReg ({word})")
        assert one["silhouette"] == metrics(tmp_path / probe)["systems"][1]["silhouette"]
    assert [system["name"] for system in found["systems"]][:2] == ["mel (nearest centroid)", "mel (linear)"]


def test_folds_of_one_name_are_one_system_a_probe(tmp_path):
    rows, vectors = table()
    inputs = [embedded(tmp_path / f"f{fold}", rows, vectors, fold=fold) for fold in range(2)]
    evaluate(inputs, tmp_path / "out", name=["net"] * 2, probe="knn,linear", projection_clips=0)
    found = {system["name"]: system["folds"]["fold"] for system in metrics(tmp_path / "out")["systems"]}
    assert found == {"net (k-NN)": [0, 1], "net (linear)": [0, 1]}


def test_an_embedding_that_knows_the_site_is_found_out(tmp_path):
    rows, vectors = table()
    number = rows["recording"].str.extract(r"(\d+)\.wav").cast(pl.Int64)
    south = (number // 3 % 2 == 1).to_numpy()
    rows = rows.with_columns(site=pl.Series(np.where(south, "south", "north")))
    vectors[:, 5] += 4 * south
    evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "out", name=["a"])
    found = {row["name"]: row for row in metrics(tmp_path / "out")["systems"][0]["circumstances"]}
    assert found["site"]["told"]
    assert found["species"]["classes"] == 3
    assert found["hour of day"]["why"] == "not known of any clip"
    assert any("a tells the site of recordings that it never met" in note
               for note in metrics(tmp_path / "out")["notes"])  # fmt: skip
    evaluate([embedded(tmp_path / "a", rows, vectors)], tmp_path / "none", name=["a"], circumstance_clips=0)
    assert metrics(tmp_path / "none")["systems"][0]["circumstances"] == []
