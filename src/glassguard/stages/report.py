"""Write the headline, the page and the table of timings."""

import os
import platform
from importlib import metadata
from pathlib import Path

import pandas as pd
import yaml

from glassguard.configuration.sections import ReportSection
from glassguard.errors import InputError
from glassguard.files.formats import (
    read_examples,
    read_json,
    read_table,
    write_csv,
    write_json,
)
from glassguard.report import tables
from glassguard.report.captions import figures_of
from glassguard.report.detection_figures import TABLE_1_RATES
from glassguard.report.page import Picture, Section, headline, render
from glassguard.report.summary import summarise
from glassguard.report.summary import timings as timings_of
from glassguard.stages.paths import OutputPath
from glassguard.tracking.records import parse_record

PACKAGES = (
    "glassguard",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "opencv-python-headless",
    "pytorch-lightning",
    "matplotlib",
    "optuna",
    "snakemake",
    "mlflow",
)


def run(
    config: ReportSection,
    *,
    results: Path,
    records: list[Path],
    summary: OutputPath,
    page: OutputPath,
    timings: OutputPath,
) -> dict[str, float | int | str]:
    """Gather what all stages left.

    Args:
        config: the whole configuration.
        results: folder of the experiment.
        records: records of the jobs that this run consists of; the folder may hold others, of
            shards or attacks that the configuration no longer has.
        summary: ``summary.json`` to write.
        page: ``report.html`` to write.
        timings: ``timings.csv`` to write.

    Raises:
        InputError: a file of an earlier stage is missing or cannot be read.
    """
    study = config.study
    attacks = {
        name: read_examples(results / "attacks" / name / "examples.csv") for name in study.attacks
    }
    layers = read_table(results / "detection" / "layers.csv")
    best_layer = read_json(results / "detection" / "best_layer.json")
    detection = read_json(results / "detection" / "summary.json")
    pairs = read_table(results / "detection" / "table1.csv")
    controls = read_table(results / "detection" / "controls.csv")
    points = read_table(results / "detection" / "attacks.csv")
    choices = read_table(results / "detection" / "choices.csv")
    best_masks = read_json(results / "saliency" / "best.json")
    recognizer = read_json(results / "recognizer" / "metrics.json")
    numbers = summarise(
        experiment=study.experiment,
        seed=study.seed,
        faces=study.data.source,
        intervals=_intervals(records),
        recognizer=recognizer,
        attacks=attacks,
        detection=detection,
        pairs=pairs,
        controls=controls,
        best_masks=best_masks,
        evaluation=read_table(results / "saliency" / "evaluation.csv"),
    )
    write_json(numbers, summary)
    benchmarks = {
        path.stem: pd.read_csv(path, sep="\t")
        for path in (results / "benchmarks" / f"{record.stem}.tsv" for record in sorted(records))
        if path.exists()
    }
    times = timings_of(benchmarks)
    write_csv(times, timings)

    pictures = _pictures(results / "figures", figures_of(len(study.attacks)))
    threshold = study.saliency.confidence_threshold
    sections: tuple[Section, ...] = (
        Section(
            "Recognizer and attack",
            f"The convolutions were {recognizer['backbone']} and are frozen; the fully connected "
            "layers are trained here. Then pixels inside a pair of glasses are changed until the "
            "recognizer sees the target.",
            (tables.recognizer_table(numbers), tables.attack_table(numbers)),
            _some(pictures, "attack_examples", "attack_confidence", "recognizer_training"),
        ),
        Section(
            "Study I: detection by influence",
            "How much each filter matters for the answer, at a slice through the network, is a "
            "profile. A linear detector for every person says whether a profile is that person's.",
            (
                tables.pairs_table(pairs),
                tables.variants_table(layers, chosen=best_layer["slice"]),
                tables.choices_table(choices),
                *(tables.operating_table(detection, name) for name in tables.POPULATIONS),
                tables.controls_table(controls),
                *([tables.attacks_table(points)] if len(study.attacks) > 1 else []),
            ),
            _some(
                pictures,
                "table1",
                "layers",
                "roc",
                "profiles",
                "profile_projection",
                "receptive_fields",
                "heat_maps",
                "share_inside",
                "distance_histograms",
                "distance_matrix",
            ),
        ),
        Section(
            "Study S: repair by a saliency mask",
            "The pixels that a saliency map finds the answer to hang on are masked and the picture "
            "is classified again. The kind of map – Study S's guided backpropagation, or evidence "
            "relative to sensitivity – and the mask's parameters are searched on validation "
            "attacks.",
            (
                tables.masks_table(best_masks),
                tables.evaluation_table(numbers["saliency"]["test"], threshold=threshold),
                tables.working_point_table(read_json(results / "saliency" / "working_point.json")),
            ),
            _some(
                pictures,
                "saliency_steps",
                "saliency_evaluation",
                "saliency_grid",
                "threshold_curve",
            ),
        ),
    )
    if len(study.attacks) > 1:
        generality = read_table(results / "saliency" / "generality.csv")
        sections += (
            Section(
                "Study S: other accessories",
                "The source expects its mask to undo whatever is worn. The same search was made on "
                "validation attacks with each accessory, and what it found was tried on all.",
                (tables.generality_table(generality),),
                _some(pictures, "generality"),
            ),
        )
    means = {name: float(pairs[name].mean()) for name in TABLE_1_RATES}
    page.write_text(
        render(
            summary=numbers,
            sentences=headline(numbers, means=means, threshold=threshold),
            sections=sections,
            configuration=yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False),
            versions=_versions(),
            machine=_machine(),
            timings=tables.timings_table(times),
        ),
        encoding="utf-8",
    )
    return {
        "wall_s": numbers["wall_s"],
        "jobs_timed": len(times),
        "page_bytes": page.stat().st_size,
    }


def _intervals(paths: list[Path]) -> list[tuple[float, float]]:
    records = [parse_record(path.stem, read_json(path)) for path in sorted(paths)]
    return [(one.started, one.ended) for one in records]


def _pictures(folder: Path, names: tuple[str, ...]) -> dict[str, Picture]:
    captions = read_json(folder / "captions.json")
    found = {}
    for name in names:
        path = folder / f"{name}.svg"
        if name not in captions or not path.exists():
            raise InputError(f"{path}: no such figure; run the stage figures first")
        found[name] = Picture(name, captions[name], path.read_bytes())
    return found


def _some(pictures: dict[str, Picture], *names: str) -> tuple[Picture, ...]:
    return tuple(pictures[name] for name in names)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, str]:
    described = {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "cores": str(os.cpu_count()),
    }
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return described
    return {**described, "memory": f"{memory / 2**30:.0f} GiB"}


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
