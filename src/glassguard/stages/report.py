"""Write the headline, the page and the table of timings."""

from pathlib import Path

import pandas as pd
import yaml

from glassguard.configuration.schema import Study
from glassguard.configuration.sections import ReportSection
from glassguard.errors import InputError
from glassguard.files.formats import read_examples, read_json, write_csv, write_json
from glassguard.files.layout import reported
from glassguard.files.reading import read_result
from glassguard.report.figures import figures_of
from glassguard.report.machine import machine as this_machine
from glassguard.report.machine import versions
from glassguard.report.page import Picture, render
from glassguard.report.sections import contents
from glassguard.report.story import story
from glassguard.report.summary import summarise
from glassguard.report.summary import timings as timings_of
from glassguard.report.tables import timings_table
from glassguard.stages.paths import OutputPath
from glassguard.tracking.records import parse_record

THREADED = ("recognizer", "influence", "detector", "saliency")


def run(
    config: ReportSection,
    *,
    results: Path,
    records: list[Path],
    summary: OutputPath,
    page: OutputPath,
    timings: OutputPath,
    machine: OutputPath,
) -> dict[str, float | int | str]:
    """Gather what all stages left below ``results``.

    ``records`` are those of the jobs that this run consists of; their folder may hold others, of
    shards or attacks that the configuration no longer has.

    Raises:
        InputError: a file of an earlier stage is missing or cannot be read.
    """
    study = config.study
    attacks = {
        name: read_examples(results / "attacks" / name / "examples.csv") for name in study.attacks
    }
    found = reported(attacks, embedding=study.has_embedding)
    read = {name: read_result(results / path) for name, path in found.items()}
    jobs = [parse_record(path.stem, read_json(path)) for path in sorted(records)]
    here = this_machine()
    headline = summarise(
        experiment=study.experiment,
        seed=study.seed,
        faces=study.data.source,
        kernels=here["kernels"],
        intervals=[(job.started, job.ended) for job in jobs],
        attacks=attacks,
        read=read,
    )
    write_json(headline, summary)
    benchmarks = (results / "benchmarks" / f"{record.stem}.tsv" for record in sorted(records))
    times = timings_of(
        {path.stem: pd.read_csv(path, sep="\t") for path in benchmarks if path.exists()}
    )
    write_csv(times, timings)
    device = read["backbone"].get("accelerator", "cpu")
    used = {"device": device, "threads": _threads(study), "versions": versions()}
    write_json({**here, **used}, machine)
    first, examples = next(iter(attacks.items()))
    page.write_text(
        render(
            **contents(
                read,
                summary=headline,
                pictures=_pictures(results / "figures", len(attacks)),
                threshold=study.saliency.confidence_threshold,
            ),
            story=story(attack=first, examples=examples, read=read, colour=study.controls.colour),
            configuration=yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False),
            versions=versions(),
            machine=here,
            timings=timings_table(times),
        ),
        encoding="utf-8",
    )
    size = page.stat().st_size
    return {"wall_s": headline["wall_s"], "jobs_timed": len(times), "page_bytes": size}


def _threads(study: Study) -> dict[str, int]:
    return {
        "pretraining": study.backbone.pretraining.threads,
        **{name: getattr(study, name).threads for name in THREADED},
        **{f"attacks.{name}": attack.threads for name, attack in study.attacks.items()},
    }


def _pictures(folder: Path, attacks: int) -> dict[str, Picture]:
    captions = read_json(folder / "captions.json")
    found = {}
    for figure in figures_of(attacks):
        path = folder / f"{figure.name}.svg"
        if figure.name not in captions or not path.exists():
            raise InputError(f"{path}: no such figure; run the stage figures first")
        found[figure.name] = Picture.of(figure, captions[figure.name], path.read_bytes())
    return found
