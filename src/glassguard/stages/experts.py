"""The neurons of greatest influence, propagated to the pixels, and their share of the glasses."""

from pathlib import Path

import numpy as np
import pandas as pd

from glassguard.configuration.sections import ExpertsSection
from glassguard.files.formats import write_csv
from glassguard.files.picture_set import PictureSet
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
    benign: list[Path],
    attack: list[Path],
    plain: list[Path],
    recognizer: Path,
    maps: OutputPath,
    shares: OutputPath,
) -> dict[str, float | int | str]:
    """Propagate the experts' influence back to the pixels of test pictures.

    Every set is table, pictures and, for wearers, frames.

    ``maps`` is for the figures: rows are pictures (:func:`shown_pairs`; none if no attack
    succeeded), with ``images``, ``frames`` (of impersonations only), ``pair``, ``kind``,
    ``identity``, ``layers`` and the arrays of :func:`expert_maps`. ``shares`` is the table of
    :func:`expert_shares` of impersonations, the same pictures without glasses, and honest wearers.

    Raises:
        InputError: a file cannot be used, or files do not belong together.
    """
    use_threads(config.influence.threads)
    study = open_pictures(benign=benign, attack=attack, recognizer=recognizer)
    people, attacks, wearers = study.benign.table, study.attack.table, PictureSet.open(plain)
    open_recognizer(recognizer, wearers.images, plain[1])
    clean, attacked_images, worn = study.benign.images, study.attack.images, study.attack.frames
    plainly_worn = wearers.frames
    settings, network = config.experts, study.network
    modules = chosen_slices(network, config.slices)
    tested = attacks["split"] == "test"
    succeeded = attacks[tested & attacks["success"].astype(bool)]

    shown = shown_pairs(succeeded, people, settings.pairs)
    pictures = np.zeros((len(shown), *clean.shape[1:]), dtype=np.uint8)
    glasses = np.zeros(pictures.shape[:3], dtype=bool)
    for place, (row, kind) in enumerate(zip(shown["row"], shown["kind"], strict=True)):
        pictures[place] = (attacked_images if kind == "impersonation" else clean)[row]
        if kind == "impersonation":
            glasses[place] = worn[row]
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
    honest = evenly(np.flatnonzero(wearers.table["split"] == "test"), settings.pictures)
    row_of = pd.Series(people.index, index=people["image_id"])
    bare = row_of[attacks.loc[attacked, "image_id"]].to_numpy(dtype=np.int64)
    sets = {
        "impersonations": Worn(attacked_images[attacked], worn[attacked]),
        "without_glasses": Worn(clean[bare], worn[attacked]),
        "plain_frames": Worn(wearers.images[honest], plainly_worn[honest]),
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
