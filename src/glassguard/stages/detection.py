"""Measure fitted detectors: slices, Table 1, curves, controls and distances."""

from pathlib import Path

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.sections import DetectionSection
from glassguard.detection.headline import metrics
from glassguard.detection.pictures import UnmatchedFacesError
from glassguard.detection.results import measure
from glassguard.errors import InputError
from glassguard.files.formats import write_csv, write_json
from glassguard.stages.detection_sets import read_detectors, read_sets
from glassguard.stages.paths import OutputPath


def run(
    config: DetectionSection,
    *,
    benign: list[Path],
    attacks: list[Path],
    plain: list[Path],
    random: list[Path],
    detectors: Path,
    description: Path,
    tables: OutputPath,
) -> dict[str, float | int | str]:
    """Measure all detectors of the study (:func:`glassguard.detection.results.measure`).

    Detectors were chosen on the first of ``attacks``; on the others they are only tested. The
    folder ``tables`` gets a CSV file of each table, ``best_layer.json`` and ``summary.json``. For
    the lists of files see :func:`glassguard.stages.detection_sets.read_sets`.

    Raises:
        InputError: a file cannot be used, or files do not fit together.
    """
    sets = read_sets(benign, attacks, plain, random)
    if len(sets.attacks) != len(config.attacks):
        raise InputError(
            f"attacks are {', '.join(config.attacks)}: the files of {len(sets.attacks)} are given"
        )
    fitted = read_detectors(detectors, description)
    # Sums in linear algebra depend on the number of threads: it is fixed, not the machine's.
    with threadpool_limits(limits=config.detector.threads):
        try:
            fitted.check(sets.identities, sets.faces, sets.attacks[0])
        except ValueError as error:
            raise InputError(f"{description}: {error}; fit them again") from None
        try:
            found = measure(
                fitted,
                config.detector,
                sets.faces,
                dict(zip(config.attacks, sets.attacks, strict=True)),
                dict(zip(("plain_frames", "random_frames"), sets.wearers, strict=True)),
                seed=config.seed,
            )
        except UnmatchedFacesError as error:
            raise InputError(f"{plain[0]}, {random[0]}: {error}") from None
    tables.mkdir(parents=True, exist_ok=True)
    for name, table in found.tables.items():
        write_csv(table, tables / f"{name}.csv")
    write_json(found.best_layer, tables / "best_layer.json")
    write_json(found.summary, tables / "summary.json")
    return metrics(found.summary)
