"""The threshold of confidence that a user would choose, and what it does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from glassguard.saliency.defences import Defence, HeldOutPictures

CURVE_THRESHOLDS = np.arange(101) / 100


def threshold_curve(
    split: str, defences: Sequence[Defence], pictures: HeldOutPictures
) -> pd.DataFrame:
    """Rates of defences at every threshold from 0 to 1 in steps of 0.01.

    Args:
        split: name of the pictures' split, for the column ``split``.
        defences: the first is ``none``.
        pictures: what they were judged on.
    """
    before = defences[0].adversarial
    return pd.DataFrame(
        {
            "defence": defence.name,
            "fill": defence.fill,
            "threshold": threshold,
            "split": split,
            **defence.rates(before, pictures, float(threshold)),
        }
        for defence in defences
        for threshold in CURVE_THRESHOLDS
    )


def chosen_working_point(
    validation: pd.DataFrame, test: pd.DataFrame, *, largest_clean_loss: float
) -> dict[str, Any]:
    """The threshold chosen on the validation curve of the saliency mask, and its rates.

    Args:
        validation: see :func:`threshold_curve`.
        test: the same of the test split.
        largest_clean_loss: see :func:`working_point`.

    Returns:
        ``threshold``, ``chosen_on``, ``largest_clean_loss``, and the rates on ``val`` and ``test``.
    """
    masked = validation[validation["defence"] == "saliency"]
    threshold = working_point(
        masked["threshold"].to_numpy(),
        masked["clean_accuracy"].to_numpy(),
        masked["adversarial_success"].to_numpy(),
        clean_pictures=int(masked["clean_accuracy_n"].iloc[0]),
        largest_clean_loss=largest_clean_loss,
    )
    found: dict[str, Any] = {
        "threshold": threshold,
        "chosen_on": "val",
        "largest_clean_loss": largest_clean_loss,
    }
    for split, curve in (("val", validation), ("test", test)):
        row = curve[(curve["defence"] == "saliency") & (curve["threshold"] == threshold)].iloc[0]
        found[split] = row.drop(["defence", "fill", "threshold", "split"]).to_dict()
    return found


def working_point(
    thresholds: np.ndarray,
    clean_accuracy: np.ndarray,
    adversarial_success: np.ndarray,
    *,
    clean_pictures: int,
    largest_clean_loss: float,
) -> float:
    """The threshold that a user would choose.

    Among the thresholds that clean pictures can afford, it is the lowest at which the fewest
    attacks succeed: a higher one would reject right answers for nothing.

    Args:
        thresholds: increasing confidences in [0, 1], the first of which rejects nothing.
        clean_accuracy: share of clean validation pictures that is accepted and right at each.
        adversarial_success: share of validation attacks that succeed at each.
        clean_pictures: how many clean ones there are.
        largest_clean_loss: share of them that may be lost, in [0, 1].
    """
    lost = np.rint((clean_accuracy[0] - clean_accuracy) * clean_pictures)
    # A share of whole pictures, whatever its binary fraction is.
    affordable = lost <= np.floor(largest_clean_loss * clean_pictures + 1e-9)
    return float(thresholds[affordable][adversarial_success[affordable].argmin()])
