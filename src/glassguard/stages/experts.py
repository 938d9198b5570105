"""The neurons of greatest influence, propagated to the pixels, and their share of the glasses."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import ExpertsSection
from glassguard.files.formats import check_rows, read_examples, read_frames, read_images, write_csv
from glassguard.influence.expert_shares import Worn, evenly, expert_maps, expert_shares, shown_pairs
from glassguard.influence.measure import internal_influence, pictures_at_once
from glassguard.stages.network_slices import chosen_slices
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import (
    open_pictures,
    open_recognizer,
    use_threads,
)


def run(
    config: ExpertsSection,
    *,
    manifest: Path,
    images: Path,
    examples: Path,
    adversarial_images: Path,
    frames: Path,
    plain_examples: Path,
    plain_images: Path,
    plain_frames: Path,
    recognizer: Path,
    maps: OutputPath,
    shares: OutputPath,
) -> dict[str, float | int | str]:
    """Propagate the experts' influence back to the pixels of test pictures.

    ``maps`` is for the figures: rows are pictures (:func:`shown_pairs`; none if no attack
    succeeded), with ``images``, ``frames`` (of impersonations only), ``pair``, ``kind``,
    ``identity``, ``layers`` and the arrays of :func:`expert_maps`. ``shares`` is the table of
    :func:`expert_shares` of impersonations, the same pictures without glasses, and honest wearers.

    Raises:
        InputError: a file cannot be used, or files do not belong together.
    """
    use_threads(config.influence.threads)
    study = open_pictures(
        manifest=manifest,
        images=images,
        examples=examples,
        adversarial_images=adversarial_images,
        recognizer=recognizer,
    )
    attack_frames = read_frames(frames)
    check_rows(study.attacks, attack_frames, examples, frames)
    plain, worn = read_examples(plain_examples), read_images(plain_images)
    control_frames = read_frames(plain_frames)
    check_rows(plain, worn, plain_examples, plain_images)
    check_rows(plain, control_frames, plain_examples, plain_frames)
    open_recognizer(recognizer, worn, plain_images)
    settings, network = config.experts, study.network
    modules = chosen_slices(network, config.slices)
    tested = study.attacks["split"] == "test"
    succeeded = study.attacks[tested & study.attacks["success"].astype(bool)]

    shown = shown_pairs(succeeded, study.people, settings.pairs)
    pictures = np.zeros((len(shown), *study.clean.shape[1:]), dtype=np.uint8)
    glasses = np.zeros(pictures.shape[:3], dtype=bool)
    for place, (row, kind) in enumerate(zip(shown["row"], shown["kind"], strict=True)):
        pictures[place] = (study.attacked if kind == "impersonation" else study.clean)[row]
        if kind == "impersonation":
            glasses[place] = attack_frames[row]
    layers = settings.layers or network.shown_layers()
    slices = chosen_slices(network, layers, key="influence.experts.layers")
    seen = expert_maps(internal_influence(config.influence, network, slices), pictures, settings)
    np.savez(
        maps,
        allow_pickle=False,
        images=pictures,
        frames=glasses,
        pair=shown["pair"].to_numpy(dtype=np.int64),
        kind=shown["kind"].to_numpy(dtype=np.str_),
        identity=shown["identity"].to_numpy(dtype=np.str_),
        layers=np.array(layers, dtype=np.str_),
        **seen,
    )

    attacked = evenly(succeeded.index.to_numpy(), settings.pictures)
    honest = evenly(np.flatnonzero(plain["split"] == "test"), settings.pictures)
    row_of = pd.Series(study.people.index, index=study.people["image_id"])
    bare = row_of[study.attacks.loc[attacked, "image_id"]].to_numpy(dtype=np.int64)
    sets = {
        "impersonations": Worn(study.attacked[attacked], attack_frames[attacked]),
        "without_glasses": Worn(study.clean[bare], attack_frames[attacked]),
        "plain_frames": Worn(worn[honest], control_frames[honest]),
    }
    table = expert_shares(
        internal_influence(config.influence, network, modules),
        sets,
        share=settings.share,
        batch_size=pictures_at_once(config.influence),
    )
    write_csv(table, shares)
    ratios = table.groupby("set", sort=False)["ratio"].max()
    return {
        "pictures": sum(len(pictures.images) for pictures in sets.values()),
        **{f"{name}_greatest_ratio": float(r) for name, r in ratios.items() if np.isfinite(r)},
    }
