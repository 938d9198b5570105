"""Masks that were tuned on one attack, tried on the others."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
import pandas as pd
from torch import nn

from glassguard.progress import track
from glassguard.saliency.defences import Explained, HeldOutPictures
from glassguard.saliency.evaluation import (
    Predictions,
    adversarial_success,
    classify,
    classify_masked,
    mask_quality,
    masks_under,
    rate,
    rates,
)
from glassguard.saliency.grid import Combination


def transfer(
    network: nn.Module,
    attacks: Iterable[tuple[str, HeldOutPictures]],
    masks: Mapping[str, Combination],
    *,
    kernel: int,
    batch_size: int,
    threshold: float,
) -> pd.DataFrame:
    """Mask every attack with the best combination of every attack.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        attacks: pictures by the name of the attack; only one is held at a time. The clean pictures
            are the same for all.
        masks: the combination that was tuned on each attack that masks are tuned on.
        kernel: side of the square structuring element, odd.
        batch_size: pictures per forward pass.
        threshold: confidence below which an answer is rejected.

    Returns:
        A row for each combination (``tuned_on``) on each attack (``tested_on``), without and with
        the threshold. ``undefended_success`` is the attack's success without mask and threshold.
    """

    def under(
        kind: Explained, one: Combination, before: Predictions
    ) -> tuple[np.ndarray, Predictions]:
        covered = masks_under(kind.maps, one, kernel=kernel)
        return covered, classify_masked(
            network, kind.images, covered, one.fill, before, batch_size=batch_size
        )

    # Predictions of clean pictures depend on the combination alone.
    clean: list[Predictions] = []
    rows = []
    for name, pictures in track(attacks, description="attacks under masks"):
        if not clean:
            bare = classify(network, pictures.clean.images, batch_size=batch_size)
            clean = [under(pictures.clean, one, bare)[1] for one in masks.values()]
        before = classify(network, pictures.attacked.images, batch_size=batch_size)
        success = adversarial_success(before, *pictures.classes)
        for (tuned_on, one), of_clean in zip(masks.items(), clean, strict=True):
            covered, after = under(pictures.attacked, one, before)
            predictions = before, after, of_clean
            rows += [
                {
                    "tuned_on": tuned_on,
                    "tested_on": name,
                    "threshold": limit,
                    **asdict(one),
                    **rate("undefended_success", success),
                    **rates(*predictions, pictures.classes, pictures.clean.real, limit),
                    **mask_quality(covered, pictures.frames),
                }
                for limit in (None, threshold)
            ]
    place = {name: place for place, name in enumerate(masks)}
    # Attacks keep their order.
    return pd.DataFrame(rows).sort_values(
        "tuned_on", key=lambda column: column.map(place), kind="stable"
    )
