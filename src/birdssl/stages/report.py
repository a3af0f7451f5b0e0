"""`birdssl report`: evaluations on one page, with their figures and tables.

OUT/manifest.parquet   one row for each scored clip and model, of all evaluations
OUT/report.html        the page: pictures, sounds and scripts inside, nothing fetched
OUT/figures/           its pictures as files, PNG and SVG
OUT/tables/            its numbers as CSV and JSON, the study's table as LaTeX
OUT/metrics.json       every number of the page
"""

from functools import cached_property
from typing import Any, ClassVar

import polars as pl
from threadpoolctl import threadpool_limits

from birdssl import __version__
from birdssl.artifacts.artifact import Artifact, open_artifact
from birdssl.artifacts.atomic import atomic_path, write_json, write_text
from birdssl.errors import UsageError
from birdssl.evaluation import album, study_figures
from birdssl.evaluation.curves import Curve, curve_table, curves_behind, health_rows
from birdssl.evaluation.each_label import EachSystems
from birdssl.evaluation.each_summary import each_table, headline_each
from birdssl.evaluation.lineage import FINETUNE, PRETRAIN, model_run
from birdssl.evaluation.measure import measure_of
from birdssl.evaluation.report_page import ClipMap, render_report
from birdssl.evaluation.report_tables import report_tables
from birdssl.evaluation.scoring import Doubt, Systems
from birdssl.evaluation.starts import did_it_help, starts_of
from birdssl.evaluation.study import names_needed, study_latex, study_rows
from birdssl.evaluation.summary import headline, headline_table, left_out_in_all, seen_notes, shared_notes
from birdssl.settings.report import ReportSettings
from birdssl.stages.clip_map import clip_map, read_groups
from birdssl.stages.contract import Result, Stage, Unit
from birdssl.stages.each_portraits import EachPortraits
from birdssl.stages.evaluate import EACH_SCHEMA, SCHEMA
from birdssl.stages.joined_scores import Entry, JoinedScores, once
from birdssl.stages.portraits import Portraits
from birdssl.stages.repeat import how_to_repeat

TABLES = "tables"
EVALUATE = "evaluate"


class Report(Stage[ReportSettings]):
    """A unit is one input: an evaluation's answers, or a training run, of which there are no rows."""

    verb: ClassVar[str] = "report"
    accepts: ClassVar[tuple[str, ...]] = (EVALUATE, PRETRAIN, FINETUNE)
    owns: ClassVar[tuple[str, ...]] = ("metrics.json", "report.html", album.FOLDER, TABLES)

    @property
    def schema(self) -> dict[str, Any]:
        """Columns of an answer."""
        return EACH_SCHEMA if self.scores.each else SCHEMA

    @cached_property
    def scores(self) -> JoinedScores:
        """The evaluations among the inputs."""
        found = [run for run in self.artifacts() if run.verb == EVALUATE]
        if not found:
            raise UsageError(f"none of {len(self.inputs)} inputs is an OUT of `birdssl evaluate`; give one or more")
        return JoinedScores(found, baseline=self.settings.baseline)

    @cached_property
    def training(self) -> list[Artifact]:
        """The training runs among the inputs."""
        return [run for run in self.artifacts() if run.verb != EVALUATE]

    @cached_property
    def groups(self) -> dict[str, str]:
        """The group of each class; empty where none is given."""
        return {} if self.settings.groups is None else read_groups(self.settings.groups, self.scores.classes.scored)

    def plan(self) -> list[Unit]:
        """One unit an input; fails early when evaluations don't fit together."""
        groups = " ".join(f"{label}={group}" for label, group in sorted(self.groups.items()))
        units = [
            Unit(unit.key, f"{unit.identity} {groups}".strip(), unit.payload, unit.size * 100)
            for unit in self.scores.units()
        ]
        return units + [
            Unit(f"run-{number:02d}-{run.path.resolve().name}", run.digest) for number, run in enumerate(self.training)
        ]

    def work(self, unit: Unit) -> Result:
        """Answers of one evaluation."""
        return Result(self.scores.answers(unit) if isinstance(unit.payload, Entry) else None)

    def facts(self) -> dict[str, Any]:
        """What was scored."""
        return self.scores.facts()

    def finish(self, manifest: pl.LazyFrame) -> dict[str, Any]:
        """Score all answers; write figures, tables and the page."""
        answers = once(manifest.collect())
        kind = EachPortraits if self.scores.each else Portraits
        portraits = kind(self.scores.classes, self.scores.inputs, self.settings, self.scores.on)
        with threadpool_limits(1):
            results = self._results(answers)
            pictures = portraits.draw(results, answers, self.scores.told())
        results["study"] = self._study(results)
        curves = self._curves()
        results["health"] = health_rows(curves, self.out.parent)
        pictures |= self._study_figures(results, curves)
        plane = clip_map(portraits, self.groups, self.settings.sounds) if portraits.shown else None
        pictures |= self._plane_figures(results, plane, portraits)
        for path, data in pictures.items():
            with atomic_path(self.out / path) as part:
                part.write_bytes(data)
        self._write_tables(results, curves, plane)
        write_json(self.out / "metrics.json", results)
        write_text(self.out / "report.html", render_report(results, pictures, how_to_repeat(self), plane))
        brief = headline_each(results) if self.scores.each else headline(results)
        return brief | {"heard": len(plane.sounds) if plane else 0}

    def _results(self, answers: pl.DataFrame) -> dict[str, Any]:
        settings, told = self.settings, self.scores.told()
        doubt = Doubt(settings.seed, settings.draws, settings.level)
        systems = (EachSystems if self.scores.each else Systems)(answers, self.scores.classes, doubt)
        results = {
            "schema": 1,
            "birdssl": __version__,
            "title": settings.page_title,
            "on": self.scores.on,
            "settings": {"seed": doubt.seed, "draws": doubt.draws, "level": doubt.level},
            **systems.results(settings.baseline),
            "left_out": left_out_in_all(told, self.scores.on),
            "pretraining": did_it_help(systems, starts_of(told)),
            "shared": any(model["shared"] for item in told for model in item["models"]),
            "checked": all(model["checked"] for item in told for model in item["models"]),
        }
        results["notes"] += [*seen_notes(told), *shared_notes(told)]
        return results

    def _study(self, results: dict[str, Any]) -> dict[str, Any]:
        absent = [name for name in self.settings.expected if name not in self.scores.names]
        rows = study_rows(results["systems"], starts_of(self.scores.told()), absent)
        uses = {row["use"] for row in rows if "why" not in row}
        return {"rows": rows, "named": names_needed(rows), "uses": len(uses)}

    def _curves(self) -> list[Curve]:
        runs = [run for path in self.scores.inputs if (run := model_run(open_artifact(path))) is not None]
        return curves_behind([run.path for run in [*runs, *self.training]])

    def _study_figures(self, results: dict[str, Any], curves: list[Curve]) -> dict[str, bytes]:
        """Every fold as a point, and the curves; tells `results` of their paths."""
        rows, measure = results["study"]["rows"], measure_of(results)
        folds = {system["name"]: system["folds"][measure.key] for system in results["systems"]}
        chance = results["chance"][measure.key]
        drawn = study_figures.fold_points(rows, folds, float("nan") if chance is None else chance, measure.words)
        pictures = drawn.files(f"{album.FOLDER}/folds")
        results["figures"]["folds"] = f"{album.FOLDER}/folds.png"
        results["curves"] = []
        objectives = dict.fromkeys(curve.method for curve in curves if curve.verb == PRETRAIN)
        encoders = dict.fromkeys(curve.encoder for curve in curves if curve.verb == FINETUNE)
        for title, drawing in [
            *((f"Pretraining with {name}", study_figures.pretraining(curves, name)) for name in objectives),
            *((f"Fine-tuning {name}", study_figures.finetuning(curves, name)) for name in encoders),
        ]:
            stem = f"{album.FOLDER}/curves-{album.slug(title, len(results['curves']) + 1)}"
            pictures |= drawing.files(stem)
            results["curves"].append({"title": title, "path": f"{stem}.png"})
        return pictures

    def _plane_figures(self, results: dict[str, Any], plane: ClipMap | None, portraits: Portraits) -> dict[str, bytes]:
        """Each plane by group, site and recorder where these differ (P1's Figure 2); tells `results` of the map."""
        results["map"] = None
        if plane is None or not plane.systems:
            return {}
        pictures: dict[str, bytes] = {}
        shown = []
        for number, system in enumerate(plane.systems, 1):
            items = []
            for by, values in plane.columns.items():
                # A system's own section has its plane by species, where a clip is of one.
                if (by == "species" and not portraits.sets) or (drawing := album.plane(system, values)) is None:
                    continue
                stem = f"{album.FOLDER}/{album.slug(f'{system.name} by {by}', number)}"
                pictures |= drawing.files(stem)
                items.append({"by": by, "path": f"{stem}.png"})
            if items:
                shown.append((system.name, items))
        words = [(name, name) for name in (*plane.columns, *plane.holds)]
        results["map"] = {
            "systems": [{"name": system.name} for system in plane.systems],
            "colour_by": [*words, ("answer", "right or wrong")],
            "heard": plane.heard,
            "pictures": shown,
        }
        return pictures

    def _write_tables(self, results: dict[str, Any], curves: list[Curve], plane: ClipMap | None) -> None:
        tables = report_tables(results)
        if curves:
            tables["curves"] = curve_table(curves, self.out.parent)
        if plane is not None and plane.systems:
            tables["map"] = plane.table()
        for name, frame in tables.items():
            write_text(self.out / TABLES / f"{name}.csv", frame.write_csv())
            write_json(self.out / TABLES / f"{name}.json", frame.to_dicts())
        write_text(self.out / TABLES / "study.tex", study_latex(results["study"]["rows"], measure_of(results).words))

    def report(self, summary: dict[str, Any]) -> str:
        """The table for a person, whether pretraining helped, and where the page is."""
        told = [*summary["pretraining"], *summary["notes"]]
        heard = f", with {summary['heard']} clips to be heard" if summary["heard"] else ""
        table = each_table(summary) if self.scores.each else headline_table(summary)
        return "\n".join([*table, "", *told, f"report: {self.out / 'report.html'}{heard}"])
