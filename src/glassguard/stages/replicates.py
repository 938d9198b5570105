"""Put the headlines of several studies of one experiment into one table and on one page."""

import os
from pathlib import Path

from glassguard.configuration.sections import ReplicatesSection
from glassguard.errors import InputError
from glassguard.files.formats import read_json, write_csv
from glassguard.report.over_seeds import over_seeds, worst_seed
from glassguard.report.page import render_over_seeds
from glassguard.report.replicates import replicate_table
from glassguard.stages.paths import OutputPath


def run(
    config: ReplicatesSection, *, summaries: list[Path], table: OutputPath, page: OutputPath
) -> dict[str, float | int | str]:
    """Mean and interval over seeds of every headline figure, for each variant.

    ``summaries`` are the ``summary.json`` of the studies in ``config``, in the same order. The page
    links to the report beside each of them.

    Raises:
        InputError: a summary is missing, is none, or belongs to another seed.
    """
    if len(summaries) != len(config.studies):
        raise InputError(
            f"--summaries: {len(summaries)} files are given, the configuration names "
            f"{len(config.studies)} studies"
        )
    read = []
    for path, study in zip(summaries, config.studies, strict=True):
        summary = read_json(path)
        if not isinstance(summary, dict) or summary.get("seed") != study.seed:
            raise InputError(f"{path}: is not the summary of a study with seed {study.seed}")
        read.append(summary)
    found = replicate_table(read, [study.variant for study in config.studies])
    write_csv(found, table)
    groups = {}
    for variant in dict.fromkeys(study.variant for study in config.studies):
        places = [place for place, one in enumerate(config.studies) if one.variant == variant]
        reports = {
            config.studies[place].seed: os.path.relpath(
                summaries[place].with_name("report.html"), page.parent
            )
            for place in places
        }
        rows = over_seeds([read[place] for place in places])
        groups[variant] = rows, reports, worst_seed(rows)
    experiment, faces = (read[0].get(name, "") for name in ("experiment", "faces"))
    written = render_over_seeds(experiment=experiment, faces=faces, groups=groups)
    page.write_text(written, encoding="utf-8")
    return {"studies": len(read), "figures": int(found["figure"].nunique())}
