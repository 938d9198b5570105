"""Fit every detector on benign pictures, choose slices on validation attacks."""

from pathlib import Path

from safetensors.numpy import save
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.sections import FitDetectorsSection
from glassguard.detection.detector_file import to_arrays
from glassguard.detection.detectors import fit
from glassguard.detection.evaluation import pairs_of
from glassguard.detection.pictures import UnmatchedFacesError
from glassguard.errors import InputError
from glassguard.files.formats import write_json
from glassguard.stages.detection_sets import read_sets
from glassguard.stages.paths import OutputPath


def run(
    config: FitDetectorsSection,
    *,
    benign: list[Path],
    attack: list[Path],
    plain: list[Path],
    random: list[Path],
    detectors: OutputPath,
    description: OutputPath,
) -> dict[str, float | int | str]:
    """Fit all detectors of the study (:func:`glassguard.detection.detectors.fit`).

    Raises:
        InputError: a file cannot be used, files do not fit together, or there is nothing to choose
            a slice on.
    """
    sets = read_sets(benign, attack, plain, random)
    if not pairs_of(sets.attacks[0]):
        raise InputError(f"{attack[0]}: no example has a target: no slice can be chosen")
    # Sums in linear algebra depend on the number of threads: it is fixed, not the machine's.
    with threadpool_limits(limits=config.detector.threads):
        try:
            fitted = fit(
                config.detector,
                sets.faces,
                sets.attacks[0],
                sets.wearers,
                identities=sets.identities,
                quantity=sets.quantity,
                seed=config.seed,
            )
        except UnmatchedFacesError as error:
            raise InputError(f"{plain[0]}, {random[0]}: {error}") from None
    described, arrays = to_arrays(fitted)
    detectors.write_bytes(save(arrays))
    write_json(described, description)
    return {
        "slice": fitted.chosen.slice,
        "variant": fitted.chosen.variant,
        "pairs": len(fitted.pairs),
        "compared": len(fitted.compared),
    }
