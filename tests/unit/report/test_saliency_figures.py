"""Figures of the saliency mask."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from glassguard.report import defences, saliency_figures


def grid_of(kind: str, mu_as: str, mus: tuple[float, ...], goodness: float) -> list[dict]:
    return [
        {"map": kind, "mu_as": mu_as, "mu": mu, "n": n, "phi": 80, "fill": "zero"}
        | {"goodness": goodness + 0.001 * (mu + n)}
        for mu in mus
        for n in (2, 4)
    ]


def test_values_and_quantiles_of_maps_share_no_axis() -> None:
    by_value = grid_of("guided", "value", (0.1, 0.3, 0.5), 0.4)
    by_quantile = grid_of("relative", "quantile", (0.96, 0.98), 0.41)
    grid = pd.DataFrame(by_value + by_quantile)
    grid = grid.assign(n_adv=12, n_clean=12)
    best = {"by_map": {"guided": by_value[0], "relative": by_quantile[0]}}
    kinds = ("guided", "relative", "never drawn")
    figure, numbers = saliency_figures.saliency_grid(grid, best, kinds=kinds)
    assert numbers["kinds"].startswith("guided, fill zero, μ as a value; relative, fill zero")
    first, second, _ = figure.axes
    assert [text.get_text() for text in first.get_xticklabels()] == ["0.1", "0.3", "0.5"]
    assert [text.get_text() for text in second.get_xticklabels()] == ["0.96", "0.98"]
    assert first.get_xlabel() == "μ, a value"
    assert second.get_xlabel() == "μ, a quantile"
    # Two decimals would be the same.
    assert {text.get_text() for text in second.texts} == {".413", ".415"}


def test_points_that_a_race_dropped_show_their_bound() -> None:
    point = {
        "map": "guided",
        "mu_as": "quantile",
        "phi": 0,
        "fill": "zero",
        "n_adv": 9,
        "n_clean": 9,
    }
    grid = pd.DataFrame(
        [
            {**point, "mu": mu, "n": n, "goodness": goodness, "goodness_most": most}
            for mu, n, goodness, most in (
                (0.9, 0, 0.8, 0.8),
                (0.9, 1, np.nan, 0.79),
                (0.98, 0, np.nan, 0.3),
                (0.98, 1, 0.7, 0.7),
            )
        ]
    )
    best = {"by_map": {"guided": {**point, "mu": 0.9, "n": 0}}}
    figure, _ = saliency_figures.saliency_grid(grid, best, kinds=("guided",))
    shown = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert shown == {(0, 0): ".80", (0, 1): "≤.79", (1, 0): "≤.30", (1, 1): ".70"}


def masks_of(results: Path) -> dict[str, np.ndarray]:
    with np.load(results / "saliency/masks.npz") as file:
        return dict(file)


def steps(results: Path, masks: dict[str, np.ndarray]) -> Figure:
    evaluation = pd.read_csv(results / "saliency/evaluation.csv")
    return saliency_figures.saliency_steps(masks, evaluation, best_of(results))[0]


def best_of(results: Path) -> dict:
    return json.loads((results / "saliency/best.json").read_text())


@pytest.mark.parametrize(("worked", "said"), [(False, "worked: none"), (True, "failed: none")])
def test_steps_say_that_no_mask_worked_or_failed(results: Path, worked: bool, said: str) -> None:
    masks = masks_of(results)
    assert steps(results, masks).get_supxlabel() == ""
    masks["worked"][:] = worked
    assert steps(results, masks).get_supxlabel() == said


def test_the_true_frame_is_outlined_on_the_mask(results: Path) -> None:
    figure = steps(results, masks_of(results))
    outlined = [axes.get_title() for axes in figure.axes if axes.collections]
    assert outlined == ["4 areas ≥ φ = 4"]


def test_printed_rates_are_bars_of_their_own(results: Path) -> None:
    evaluation = pd.read_csv(results / "saliency/evaluation.csv")

    def figure_of(table: pd.DataFrame) -> Figure:
        return saliency_figures.saliency_evaluation(table, best_of(results))[0]

    def printed(table: pd.DataFrame) -> list[dict[str, list[float]]]:
        return [
            {
                bars.get_label(): [round(bar.get_height(), 3) for bar in bars]
                for bars in axes.containers
                if "Study S prints" in bars.get_label()
            }
            for axes in figure_of(table).axes
        ]

    free, rejecting = printed(evaluation)
    assert free["Study S prints, undefended"] == [0.85, 0.133, 0.982]
    assert free["Study S prints, masked"] == [0.217, 0.6, 0.933, 0.567]
    assert rejecting["Study S prints, masked"] == [0.166, 0.533, 0.933, 0.549]
    # At another threshold Study S prints nothing.
    _, elsewhere = printed(evaluation.replace({"threshold": {0.8: 0.5}}))
    assert not any(elsewhere.values())
    same = evaluation[evaluation["defence"] == "saliency"].assign(defence="saliency_guided")
    twice = pd.concat([evaluation[evaluation["defence"] != "saliency_guided"], same])
    assert defences.guided_and_tuned(defences.rows_as_text(twice)) == "saliency"
    bars = figure_of(twice).axes[0].containers
    assert "guided map, tuned" not in {one.get_label() for one in bars}, "the same mask is one bar"
    figure = figure_of(evaluation)
    places = [bar.get_x() for bars in figure.axes[0].containers for bar in bars]
    assert len(set(np.round(places, 6))) == len(places), "none lies on another"


def test_bands_of_the_threshold_curve_reach_from_low_to_high(results: Path) -> None:
    curve = pd.read_csv(results / "saliency/threshold_curve.csv")
    curve["clean_accuracy"] = 0.5
    curve["clean_accuracy_low"], curve["clean_accuracy_high"] = 0.4, 0.8
    evaluation = pd.read_csv(results / "saliency/evaluation.csv")
    point = {"threshold": 0.3, "largest_clean_loss": 0.05}
    figure, _ = saliency_figures.threshold_curve(curve, point, evaluation, threshold=0.8)
    bands = [band.get_paths()[0].get_extents() for band in figure.axes[1].collections]
    assert [(round(box.y0, 3), round(box.y1, 3)) for box in bands].count((0.4, 0.8)) == 1
