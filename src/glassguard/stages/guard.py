"""Ask the guard about every held-out picture: whom it accepts, rejects or corrects."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import GuardSection
from glassguard.errors import InputError
from glassguard.faces.manifest import EYES
from glassguard.files.formats import (
    check_rows,
    read_images,
    read_manifest,
    read_pictures_table,
    read_table,
    write_csv,
    write_json,
)
from glassguard.files.saliency_maps import read_maps
from glassguard.guard.answers import Answers, Recognizers, answers_of
from glassguard.guard.decision import ACCEPT
from glassguard.guard.eye_band import eye_band
from glassguard.guard.landmarks import movements
from glassguard.guard.tables import band_description, decisions_table, least_confidences
from glassguard.progress import track
from glassguard.stages.judged_masks import read_best
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_recognizer, use_threads


def run(
    config: GuardSection,
    *,
    tables: list[Path],
    images: list[Path],
    maps: list[Path],
    recognizer: Path,
    banded_recognizer: Path,
    best: Path,
    landmarks: Path | None = None,
    band: OutputPath,
    decisions: OutputPath,
    thresholds: OutputPath,
) -> dict[str, float | int | str]:
    """Judge validation and test pictures of all sets; thresholds come from bare validation ones.

    ``tables``, ``images`` and ``maps`` have a file of every set, the bare faces' first, in the
    order of ``config.sets``. ``landmarks`` is there where a detector of faces is.
    """
    settings = config.guard
    use_threads(config.saliency.threads)
    for option, given in (("tables", tables), ("images", images), ("maps", maps)):
        if len(given) != len(config.sets):
            raise InputError(f"--{option}: a file for each of {', '.join(config.sets)}")
    people = read_manifest(tables[0]).set_index("image_id", drop=False)
    pictures = [read_images(path) for path in images]
    full, identities = open_recognizer(recognizer, pictures[0], images[0])
    banded, known = open_recognizer(banded_recognizer, pictures[0], images[0])
    if known != identities:
        raise InputError(f"{banded_recognizer}: of other people than {recognizer}")
    mask = read_best(best)[0]
    parts = Recognizers(
        full,
        banded,
        eye_band(settings.placements, margin=settings.margin),
        mask,
        config.saliency.kernel,
        config.saliency.batch_size,
    )
    held_out: dict[str, pd.DataFrame] = {}
    found: dict[str, Answers] = {}
    work = list(zip(config.sets, tables, images, maps, pictures, strict=True))
    for name, table_path, images_path, maps_path, all_pictures in track(work, description="sets"):
        table, column = read_pictures_table(table_path)
        check_rows(table, all_pictures, table_path, images_path)
        if unknown := sorted(set(table["image_id"]) - set(people.index)):
            raise InputError(f"{table_path}: made from {unknown[0]}, which is no picture of ours")
        rows = table[table["split"].isin(("val", "test"))]
        eyes = people.loc[rows["image_id"], list(EYES)].to_numpy(dtype=float).reshape(-1, 2, 2)
        saliency = read_maps(maps_path, rows[column].tolist(), kinds=[mask.map])
        chosen = np.ascontiguousarray(all_pictures[rows.index.to_numpy()])
        found[name] = answers_of(parts, chosen, eyes, saliency)
        held_out[name] = rows.assign(example_id=rows[column])
    bare = config.sets[0]
    least = least_confidences(
        held_out[bare], found[bare], identities, largest_rejected=settings.largest_rejected
    )
    moved = None if landmarks is None else read_table(landmarks)
    try:
        table = decisions_table(
            held_out,
            found,
            identities,
            least=least,
            mode=settings.mode,
            moved=moved,
            margin=settings.margin,
        )
    except ValueError as error:
        raise InputError(f"{landmarks}: {error}; run the stage landmarks again") from None
    write_csv(table, decisions)
    write_json(
        {**least, **settings.model_dump(include={"mode", "largest_rejected"}), "chosen_on": "val"},
        thresholds,
    )
    described = band_description(parts.band, found[bare].area)
    kept = settings.model_dump(include={"margin", "placements"})
    shifts = None if moved is None else movements(moved)
    write_json({**described, **kept, "landmarks": shifts}, band)
    accepted = table["decision"] == ACCEPT
    return {
        **least,
        "share_of_picture": described["share_of_picture"],
        **{f"{name}_accepted": float(accepted[table["set"] == name].mean()) for name in found},
    }
