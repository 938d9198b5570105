"""How often attacked pictures succeed under circumstances that no attack saw."""

from pathlib import Path

import numpy as np
import torch

from glassguard.attack.robustness import ALL, Attacked, first_of_pairs, robustness_table
from glassguard.configuration.sections import RobustnessSection
from glassguard.errors import InputError
from glassguard.files.formats import (
    check_rows,
    read_examples,
    read_frames,
    read_images,
    read_manifest,
    require_columns,
    write_csv,
)
from glassguard.recognizer.weights import read_recognizer
from glassguard.stages.paths import OutputPath


def run(
    config: RobustnessSection,
    *,
    faces: Path,
    manifest: Path,
    examples: Path,
    images: Path,
    frames: Path,
    recognizer: Path,
    table: OutputPath,
) -> dict[str, float | int | str]:
    """Try test pictures of an attack (:func:`glassguard.attack.robustness.robustness_table`).

    Raises:
        InputError: a file cannot be used, files do not fit together, or no test picture was
            attacked.
    """
    settings = config.robustness
    torch.set_num_threads(settings.threads)
    network, identities = read_recognizer(recognizer)
    people, bare = read_manifest(manifest), read_images(faces)
    check_rows(people, bare, manifest, faces)
    attacks, attacked, masks = read_examples(examples), read_images(images), read_frames(frames)
    check_rows(attacks, attacked, examples, images)
    check_rows(attacks, masks, examples, frames)
    require_columns(attacks, ("image_id", "split", "attacker", "target", "goal"), examples)
    rows = first_of_pairs(attacks, settings.pictures)
    if not len(rows):
        raise InputError(f"{examples}: no picture has split test")
    chosen = attacks.iloc[rows]
    row_of = {name: row for row, name in enumerate(people["image_id"])}
    try:
        own = [row_of[name] for name in chosen["image_id"]]
        attacker, target = (
            np.array([identities.index(name) for name in chosen[column]], dtype=np.int64)
            for column in ("attacker", "target")
        )
    except (KeyError, ValueError) as error:
        raise InputError(f"{examples}: not of {manifest} and {recognizer}: {error}") from None
    found = robustness_table(
        network,
        Attacked(
            np.ascontiguousarray(attacked[rows]),
            np.ascontiguousarray(bare[own]),
            np.ascontiguousarray(masks[rows]),
            attacker,
            target,
            chosen["goal"].iloc[0],
        ),
        settings,
        seed=config.seed,
    )
    write_csv(found, table)
    (together,) = found[found["transformation"] == ALL].to_dict("records")
    return {"pictures": len(rows), **{name: together[name] for name in ("success", "undistorted")}}
