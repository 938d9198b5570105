"""Count what the guard certifies, and put every defence on one operating curve."""

from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.sections import CertifySection
from glassguard.detection.pictures import UnmatchedFacesError
from glassguard.errors import InputError
from glassguard.files.formats import read_json, read_table, write_csv, write_json
from glassguard.files.layout import BENIGN, CONTROLS
from glassguard.guard.certificate import certificate_table, headline, targets_table
from glassguard.guard.operating_curve import best_detector, operating_curve
from glassguard.guard.sides import Scored
from glassguard.guard.tables import classes_in, judged_in
from glassguard.stages.detection_sets import Sets, read_detectors, read_sets
from glassguard.stages.paths import OutputPath


def run(
    config: CertifySection,
    *,
    decisions: Path,
    thresholds: Path,
    benign: list[Path],
    attack: list[Path],
    plain: list[Path],
    random: list[Path],
    detectors: Path,
    description: Path,
    certificate: OutputPath,
    targets: OutputPath,
    curve: OutputPath,
    summary: OutputPath,
) -> dict[str, float | int | str]:
    """Count on test pictures; the combined guard's detector is chosen on validation pictures.

    It has the largest area under the curve. For the lists of files see
    :func:`glassguard.stages.detection_sets.read_sets`; ``attack`` is the study's first.
    """
    table, least = read_table(decisions), read_json(thresholds)
    sets = read_sets(benign, attack, plain, random)
    people, first = sets.identities, config.attacks[0]
    compared = read_detectors(detectors, description).compared
    # Sums in linear algebra depend on the number of threads: it is fixed, not the machine's.
    with threadpool_limits(limits=config.detector.threads):
        try:
            chosen_on, counted = (_scored(table, sets, first, split) for split in ("val", "test"))
        except UnmatchedFacesError as error:
            raise InputError(f"{plain[0]}, {random[0]}: {error}") from None
        except ValueError as error:
            raise InputError(f"{decisions}: {error}; run the guard again") from None
        honest, attacked = (one.side(compared, people) for one in counted)
        bare_val, attacks_val = chosen_on
        seen = bare_val, attacks_val.where(attacks_val.pictures.impersonating)
        detector = best_detector(*(one.side(compared, people) for one in seen))
    rows = counted[1].table
    write_csv(
        operating_curve(
            honest.defences(detector),
            attacked.defences(detector),
            people=classes_in(counted[0].table["identity"], people),
            attacker=classes_in(rows["identity"], people),
            target=classes_in(rows["target"], people),
        ),
        curve,
    )
    test = table[table["split"] == "test"]
    judged = {
        str(name): judged_in(of_set, people) for name, of_set in test.groupby("set", sort=False)
    }
    write_csv(certificate_table(judged), certificate)
    bare = judged[BENIGN]
    write_csv(targets_table(bare, people, least_banded=least["least_banded"]), targets)
    worn = {"bare": bare, **{name: judged[name] for name in CONTROLS}}
    found = headline(worn, judged[first], classes_in(rows["target"], people))
    write_json({**found, "combined_detector": detector}, summary)
    return {
        "certified": found["certified"].get("rate", 0.0),
        "wrong_accepts": found["wrong_accepts"].get("rate", 0.0),
        "attacks_corrected": found["attack"]["corrected"].get("rate", 0.0),
        "attacks_accepted_as_target": found["attack"]["accepted_as_target"].get("rate", 0.0),
        "combined_detector": detector,
    }


def _scored(table: pd.DataFrame, sets: Sets, attack: str, split: str) -> tuple[Scored, Scored]:
    """Honest pictures, half of which wear frames, and attacked ones of a split."""
    names = (BENIGN, *CONTROLS, attack)
    kinds = (sets.faces, *sets.wearers, sets.attacks[0])
    *honest, attacked = (
        Scored(table[(table["set"] == name) & (table["split"] == split)], pictures.in_split(split))
        for name, pictures in zip(names, kinds, strict=True)
    )
    return Scored.half_wearing(*honest), attacked
