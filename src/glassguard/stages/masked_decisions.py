"""Test whether the decision on every held-out picture holds under saliency masks."""

from pathlib import Path

import numpy as np

from glassguard.configuration.sections import MaskedDecisionsSection
from glassguard.files.formats import check_rows, read_images, read_pictures_table
from glassguard.files.saliency_maps import read_decided_maps
from glassguard.progress import track
from glassguard.saliency.agreement import masked_agreement
from glassguard.saliency.grid import Combination, with_maps
from glassguard.stages.paths import OutputPath
from glassguard.stages.saliency_inputs import open_recognizer, use_threads


def run(
    config: MaskedDecisionsSection,
    *,
    images: Path,
    ids: Path,
    maps: Path,
    recognizer: Path,
    decisions: OutputPath,
) -> dict[str, float | int | str]:
    """Mask every validation and test picture by its own map and classify it again.

    Writes ``ids`` (text), ``decision`` (int64, the class in the recognizer's order),
    ``log_confidence`` (float32 N x masks, of that class in the masked pictures) and ``mu``.
    """
    use_threads(config.threads)
    pictures = read_images(images)
    table, column = read_pictures_table(ids)
    check_rows(table, pictures, ids, images)
    network, _ = open_recognizer(recognizer, pictures, images)
    held_out = table[table["split"].isin(("val", "test"))]
    names = held_out[column].tolist()
    masking = config.masking
    saliency, decided = read_decided_maps(maps, names, kinds=[masking.map])
    fixed = masking.model_dump(exclude={"mu"})
    masks = [Combination(**fixed, mu=mu) for mu in dict.fromkeys(masking.mu)]
    pairs = with_maps(pictures, held_out.index, saliency)
    found = masked_agreement(
        network,
        track(pairs, description="masked decisions, pictures", total=len(names)),
        decided,
        masks,
        kernel=config.kernel,
        batch_size=config.batch_size,
    )
    np.savez(
        decisions,
        allow_pickle=False,
        ids=np.array(names, dtype=np.str_),
        decision=decided,
        log_confidence=found,
        mu=np.array([mask.mu for mask in masks]),
    )
    return {
        "pictures": len(names),
        "masks": len(masks),
        "mean_log_confidence": float(found.mean()) if found.size else 0.0,
    }
