"""Whom a trained recognizer names in every picture, and how often it is right."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.recognizer.network import Recognizer


def predictions_table(
    rows: pd.DataFrame, identities: Sequence[str], probabilities: NDArray[np.floating]
) -> pd.DataFrame:
    """A line for each picture: whom the recognizer names, and its confidences.

    Args:
        rows: ``image_id``, ``identity`` and ``split`` of N pictures.
        identities: the people, sorted, in the order of the recognizer's classes.
        probabilities: N x identities, in [0, 1].

    Returns:
        The columns of ``rows`` with ``prediction``, ``confidence`` (in it) and ``confidence_true``
        (in the person shown).
    """
    people = np.asarray(identities)
    labels = np.searchsorted(people, rows["identity"].to_numpy(dtype=str))
    return rows[["image_id", "identity", "split"]].assign(
        prediction=people[probabilities.argmax(1)],
        confidence=probabilities.max(1),
        confidence_true=probabilities[np.arange(len(labels)), labels],
    )


def accuracies(predictions: pd.DataFrame, splits: Sequence[str]) -> dict[str, float | int]:
    """Share of each split's pictures that are named right, and how many pictures each split has."""
    correct = predictions["prediction"] == predictions["identity"]
    of = {name: correct[predictions["split"] == name].to_numpy() for name in splits}
    return {
        **{f"{name}_accuracy": float(right.mean()) for name, right in of.items()},
        **{f"{name}_images": len(right) for name, right in of.items()},
    }


def parameter_counts(network: Recognizer) -> dict[str, int]:
    """How many parameters were trained, those of the dense layers, and how many were not."""
    trained = sum(one.numel() for one in network.classifier.parameters())
    return {
        "parameters_trained": trained,
        "parameters_frozen": sum(one.numel() for one in network.parameters()) - trained,
    }
