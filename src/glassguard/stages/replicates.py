"""Put the headlines of several studies of one experiment into one table."""

from pathlib import Path

from glassguard.configuration.sections import ReplicatesSection
from glassguard.errors import InputError
from glassguard.files.formats import read_json, write_csv
from glassguard.report.replicates import replicate_table
from glassguard.stages.paths import OutputPath


def run(
    config: ReplicatesSection, *, summaries: list[Path], table: OutputPath
) -> dict[str, float | int | str]:
    """Mean and interval over seeds of every headline figure, for each variant.

    ``summaries`` are the ``summary.json`` of the studies in ``config``, in the same order.

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
    return {"studies": len(read), "figures": int(found["figure"].nunique())}
