"""Verify claims by cosine similarity to enrolled people, before and under attack."""

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from glassguard.configuration.sections import OpenSetSection
from glassguard.errors import InputError
from glassguard.files.formats import write_csv
from glassguard.files.layout import BENIGN
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.embeddings import embeddings_of
from glassguard.recognizer.open_set import Embedded, verification_table
from glassguard.saliency.grid import NO_TARGET
from glassguard.stages.enrolment import embedding_network, enrolled_people
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import StudyPictures, open_pictures, use_threads


def run(
    config: OpenSetSection,
    *,
    benign: list[Path],
    attacks: list[Path],
    recognizer: Path,
    table: OutputPath,
) -> dict[str, float | int | str]:
    """Enrol training pictures, set thresholds on validation pictures and count on test pictures.

    ``benign`` is manifest and pictures; ``attacks`` are the examples and pictures of every attack,
    in the order of ``config.attacks``. The table is that of
    :func:`glassguard.recognizer.open_set.verification_table`.

    Raises:
        InputError: a file cannot be used, files do not fit together, the recognizer has no
            embedding, or somebody has no training picture.
    """
    use_threads(config.recognizer.threads)
    if len(attacks) != 2 * len(config.attacks):
        raise InputError(f"--attacks: examples and pictures of {', '.join(config.attacks)}")
    studies = {
        name: open_pictures(benign=benign, attack=attacks[at : at + 2], recognizer=recognizer)
        for name, at in zip(config.attacks, range(0, len(attacks), 2), strict=True)
    }
    study = studies[config.attacks[0]]
    network = embedding_network(recognizer, study.network)
    people = study.benign
    enrolled = enrolled_people(
        recognizer, network, study.identities, people.table, people.images, people.files[0]
    )
    try:
        honest = {split: _honest(study, network, split) for split in ("val", "test")}
        attacked = {name: _attacked(of, network) for name, of in studies.items()}
        # Sums in linear algebra depend on the number of threads: it is fixed, not the machine's.
        with threadpool_limits(limits=config.recognizer.threads):
            found = verification_table(
                enrolled, validation=honest["val"], test=honest["test"], attacks=attacked
            )
    except ValueError as error:
        raise InputError(f"{recognizer}: {error}") from None
    write_csv(found, table)
    shown = found[found["set"].isin((BENIGN, config.attacks[0])) & found["threshold"].notna()]
    return {
        f"{row['kind']}_at_{row['wanted_false_accepts']:g}": row["accepted"]
        for row in shown.to_dict("records")
        if row["accepted_n"]
    }


def _honest(study: StudyPictures, network: EmbeddingRecognizer, split: str) -> Embedded:
    people = study.benign.table
    rows = people[people["split"] == split]
    pictures = np.ascontiguousarray(study.benign.images[rows.index.to_numpy()])
    return Embedded(embeddings_of(network, pictures), study.classes_of(rows))


def _attacked(study: StudyPictures, network: EmbeddingRecognizer) -> Embedded:
    attacks = study.attack.table
    rows = attacks[attacks["split"] == "test"]
    pictures = np.ascontiguousarray(study.attack.images[rows.index.to_numpy()])
    attacker, target = study.attacked_classes(rows)
    dodging = bool((target == NO_TARGET).any())
    return Embedded(embeddings_of(network, pictures), attacker, None if dodging else target)
