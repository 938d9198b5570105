"""Find landmarks on pictures with frames, and measure how far they moved."""

from pathlib import Path

import pandas as pd

from glassguard.configuration.sections import LandmarksSection
from glassguard.errors import InputError
from glassguard.faces.detection import LandmarkDetector
from glassguard.files.formats import (
    check_rows,
    read_images,
    read_manifest,
    read_pictures_table,
    write_csv,
)
from glassguard.guard.landmarks import MOVED, movement
from glassguard.progress import track
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import use_threads


def run(
    config: LandmarksSection,
    *,
    tables: list[Path],
    images: list[Path],
    detector: Path,
    landmarks: OutputPath,
) -> dict[str, float | int | str]:
    """Compare every validation and test picture with its bare face, which moves by nothing.

    ``tables`` and ``images`` have a file of every set, the bare faces' first, in the order of
    ``config.sets``.
    """
    use_threads(1)
    try:
        find = LandmarkDetector(detector.read_bytes()).landmarks
    except FileNotFoundError:
        raise InputError(f"{detector}: no such file") from None
    except ValueError as error:
        raise InputError(f"{detector}: {error}") from None
    for option, given in (("tables", tables), ("images", images)):
        if len(given) != len(config.sets):
            raise InputError(f"--{option}: a file for each of {', '.join(config.sets)}")
    people, faces = read_manifest(tables[0]), read_images(images[0])
    check_rows(people, faces, tables[0], images[0])
    held_out = people["split"].isin(("val", "test"))
    names = people.loc[held_out, "image_id"]
    looking = track(names.index.tolist(), description="landmarks of bare faces")
    bare = dict(zip(names, [find(faces[row]) for row in looking], strict=True))
    rows = []
    for name, table_path, images_path in zip(config.sets, tables, images, strict=True):
        (table, column), pictures = read_pictures_table(table_path), read_images(images_path)
        check_rows(table, pictures, table_path, images_path)
        table = table[table["split"].isin(("val", "test"))]
        if unknown := sorted(set(table["image_id"]) - set(bare)):
            raise InputError(f"{table_path}: made from {unknown[0]}, which is no picture of ours")
        for row, face, example in track(
            list(zip(table.index, table["image_id"], table[column], strict=True)),
            description=f"landmarks of {name}",
        ):
            worn = bare[face] if column == "image_id" else find(pictures[row])
            moved = dict(zip(MOVED, movement(bare[face], worn), strict=True))
            rows.append({"set": name, "example_id": example, **moved})
    found = pd.DataFrame(rows)
    write_csv(found, landmarks)
    return {"pictures": len(found), "not_found": int(found["along"].isna().sum())}
