"""The table of an attack's pictures, put together from its shards."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

COLUMNS = (
    *("example_id", "image_id", "split", "attacker", "target", "goal", "iterations", "gradients"),
    *("initial_prediction", "prediction", "confidence_true", "confidence_target"),
    *("success", "success_jpeg", "frame_area"),
)
"""Columns of the table."""


def join_shards(parts: Sequence[Mapping[str, NDArray]]) -> dict[str, NDArray]:
    """Put the pictures of all shards into the order of the plan.

    Args:
        parts: the arrays of each shard, in any order of shards: ``identities``, the same in all,
            and others with one row per picture, among them ``order``, the row of the plan.

    Returns:
        The same arrays of all pictures.

    Raises:
        ValueError: the shards do not make up one attack.
    """
    order = np.concatenate([part["order"] for part in parts])
    rows = np.argsort(order)
    if not np.array_equal(order[rows], np.arange(len(rows))):
        raise ValueError("the shards do not make up one attack")
    return {
        key: value if key == "identities" else np.concatenate([part[key] for part in parts])[rows]
        for key, value in parts[0].items()
    }


def examples_table(attacked: Mapping[str, NDArray], *, name: str, goal: str) -> pd.DataFrame:
    """One row per attacked picture.

    Args:
        attacked: arrays of :func:`join_shards`; people are numbers of ``identities``.
        name: name of the attack, the beginning of every ``example_id``.
        goal: what the attack was for.
    """
    named = ("attacker", "target", "initial_prediction", "prediction")
    columns = {
        "example_id": [f"{name}_{row:05d}" for row in range(len(attacked["order"]))],
        **attacked,
        **{column: attacked["identities"][attacked[column]] for column in named},
        "goal": goal,
        "frame_area": attacked["frames"].mean(axis=(1, 2)),
    }
    return pd.DataFrame({column: columns[column] for column in COLUMNS})


def summary(table: pd.DataFrame) -> dict[str, float | int | str]:
    """Numbers of pictures and pairs, and shares of the test pictures, of an examples table."""
    test = table[table["split"] == "test"]
    return {
        "examples": len(table),
        "test_examples": len(test),
        "pairs": len(table[["target", "attacker"]].drop_duplicates()),
        "test_success": float(test["success"].mean()),
        "test_success_jpeg": float(test["success_jpeg"].mean()),
        "test_still_correct": float((test["prediction"] == test["attacker"]).mean()),
        "frame_area": float(table["frame_area"].mean()),
    }
