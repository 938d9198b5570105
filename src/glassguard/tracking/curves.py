"""What a study measured along something: metrics with steps, from its tables."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.tracking.records import Curves, Point

ITERATION_STEPS = 60
SHOWN = 6
RATES = ("adversarial_success", "adversarial_correct", "clean_accuracy")
DRAWN = ("none", "saliency", "saliency_affordable")
POPULATIONS = ("bare", "half_wearing")


def training_curves(history: pd.DataFrame) -> Curves:
    """``recognizer/history.csv``: loss and accuracy, by epoch."""
    return {
        f"epoch/{name}": _curve(history["epoch"], history[name])
        for name in history.columns
        if name != "epoch"
    }


def attack_curves(examples: pd.DataFrame) -> Curves:
    """``attacks/<attack>/examples.csv``: share of test attacks that succeeded, by iteration."""
    test = examples[examples["split"] == "test"]
    if test.empty:
        return {}
    last = int(test["iterations"].max())
    steps = np.unique(np.linspace(0, last, ITERATION_STEPS).round().astype(int))
    done = test.loc[test["success"].astype(bool), "iterations"].to_numpy()
    return {
        "iteration/success": [
            (int(step), float((done <= step).sum() / len(test))) for step in steps
        ]
    }


def layer_curves(layers: pd.DataFrame) -> Curves:
    """``detection/layers.csv``: the best variant of each layer on validation pictures.

    Layers are numbered from the first convolution; the curves of both positions share numbers.
    """
    found: Curves = {}
    before = layers["slice"].str.endswith("_pre_relu")
    for ending, rows in (("", layers[~before]), ("_pre_relu", layers[before])):
        for name in ("balanced_accuracy", "auc"):
            best = rows.groupby("slice", sort=False)[name].max()
            if len(best):
                found[f"layer/{name}{ending}"] = _curve(range(1, len(best) + 1), best)
    return found


def threshold_curves(curve: pd.DataFrame) -> Curves:
    """``saliency/threshold_curve.csv``: rates on test pictures, by the threshold in percent."""
    found: Curves = {}
    wanted = (curve["split"] == "test") & curve["defence"].isin(DRAWN)
    test = curve[wanted].drop_duplicates(["defence", "threshold"])
    for defence, rows in test.groupby("defence", sort=False):
        steps = (100 * rows["threshold"]).round().astype(int)
        found |= {
            f"threshold_percent/{defence}/{name}": _curve(steps, rows[name]) for name in RATES
        }
    return found


def detector_points(attacks: pd.DataFrame) -> tuple[Point, ...]:
    """``detection/attacks.csv``: a point for every detector and population of the first attack."""
    if attacks.empty:
        return ()
    own = attacks[attacks["attack"] == attacks["attack"].iloc[0]]
    own = own[own["population"].isin(POPULATIONS)]
    points = []
    for (detector, population), rows in own.groupby(["detector", "population"], sort=False):
        metrics = {"auc": float(rows["auc"].iloc[0])}
        for row in rows.to_dict("records"):
            metrics[f"found_at_{100 * row['wanted_fpr']:g}_percent"] = float(row["tpr"])
        params = {"detector": str(detector), "population": str(population)}
        known = {name: value for name, value in metrics.items() if math.isfinite(value)}
        points.append(Point(f"{detector}, {population}", params, known))
    return tuple(points)


def attack_pictures(
    examples: pd.DataFrame, attacked: NDArray[np.uint8], bare: NDArray[np.uint8], ids: pd.Series
) -> dict[str, NDArray[np.uint8]]:
    """Some successful test attacks and the same pictures without glasses.

    Args:
        examples: table of the attack.
        attacked: its pictures, N x H x W x 3 uint8.
        bare: the study's pictures.
        ids: their ``image_id``.
    """
    chosen = examples.index[(examples["split"] == "test") & examples["success"].astype(bool)]
    rows = chosen.to_numpy()[np.linspace(0, len(chosen) - 1, min(SHOWN, len(chosen))).astype(int)]
    place = pd.Series(ids.index, index=ids)
    before = place[examples.loc[rows, "image_id"]].to_numpy(dtype=int)
    return {"attack/before": np.array(bare[before]), "attack/after": np.array(attacked[rows])}


def mask_pictures(masks: Mapping[str, NDArray]) -> dict[str, NDArray[np.uint8]]:
    """``saliency/masks.npz``: attacked pictures, their maps, masks and what is left of them."""
    shown = {
        "mask/1 attacked": masks["images"],
        "mask/2 saliency": masks["saliency"],
        "mask/3 mask": masks["filtered"],
        "mask/4 filled": masks["filled"],
    }
    return {name: as_picture(values[:SHOWN]) for name, values in shown.items()}


def as_picture(values: NDArray) -> NDArray[np.uint8]:
    """Grey or coloured pictures: maps in [0, 1] and masks become uint8, colours stay."""
    if values.dtype == np.uint8:
        return values
    return (255 * np.clip(values.astype(np.float32), 0, 1)).round().astype(np.uint8)


def _curve(steps: object, values: object) -> list[tuple[int, float]]:
    return [
        (int(step), float(value))
        for step, value in zip(steps, values, strict=True)  # type: ignore[call-overload]
        if math.isfinite(value)
    ]
