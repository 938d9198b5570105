"""Write the headline, the page and the table of timings."""

from pathlib import Path

import pandas as pd
import yaml

from glassguard.configuration.sections import ReportSection
from glassguard.errors import InputError
from glassguard.files.formats import read_examples, read_json, read_table, write_csv, write_json
from glassguard.files.layout import reported
from glassguard.report.figures import figures_of
from glassguard.report.machine import machine as this_machine
from glassguard.report.machine import versions
from glassguard.report.page import Picture, headline, render
from glassguard.report.sections import sections
from glassguard.report.summary import summarise
from glassguard.report.summary import timings as timings_of
from glassguard.report.tables import timings_table
from glassguard.report.wording import TABLE_1_RATES
from glassguard.stages.paths import OutputPath
from glassguard.tracking.records import parse_record


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
    read = {
        name: (read_json if path.endswith(".json") else read_table)(results / path)
        for name, path in reported(attacks, embedding=study.has_embedding).items()
    }
    jobs = [parse_record(path.stem, read_json(path)) for path in sorted(records)]
    here = this_machine()
    numbers = summarise(
        experiment=study.experiment,
        seed=study.seed,
        faces=study.data.source,
        kernels=here["kernels"],
        intervals=[(job.started, job.ended) for job in jobs],
        attacks=attacks,
        read=read,
    )
    write_json(numbers, summary)
    benchmarks = {
        path.stem: pd.read_csv(path, sep="\t")
        for path in (results / "benchmarks" / f"{record.stem}.tsv" for record in sorted(records))
        if path.exists()
    }
    times = timings_of(benchmarks)
    write_csv(times, timings)
    write_json(
        {
            **here,
            "device": read["backbone"].get("accelerator", "cpu"),
            "threads": {
                "pretraining": study.backbone.pretraining.threads,
                "recognizer": study.recognizer.threads,
                "influence": study.influence.threads,
                "detector": study.detector.threads,
                "saliency": study.saliency.threads,
                **{f"attacks.{name}": attack.threads for name, attack in study.attacks.items()},
            },
            "versions": versions(),
        },
        machine,
    )
    threshold = study.saliency.confidence_threshold
    means = {name: float(read["pairs"][name].mean()) for name in TABLE_1_RATES}
    page.write_text(
        render(
            summary=numbers,
            sentences=headline(numbers, means=means, threshold=threshold),
            sections=sections(
                read,
                summary=numbers,
                pictures=_pictures(results / "figures", len(attacks)),
                threshold=threshold,
            ),
            configuration=yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False),
            versions=versions(),
            machine=here,
            timings=timings_table(times),
        ),
        encoding="utf-8",
    )
    return {
        "wall_s": numbers["wall_s"],
        "jobs_timed": len(times),
        "page_bytes": page.stat().st_size,
    }


def _pictures(folder: Path, attacks: int) -> dict[str, Picture]:
    captions = read_json(folder / "captions.json")
    found = {}
    for name in (figure.name for figure in figures_of(attacks)):
        path = folder / f"{name}.svg"
        if name not in captions or not path.exists():
            raise InputError(f"{path}: no such figure; run the stage figures first")
        found[name] = Picture(name, captions[name], path.read_bytes())
    return found
