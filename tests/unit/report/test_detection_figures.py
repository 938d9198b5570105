"""Figures of the detection from influence profiles."""

import json
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from glassguard.recognizer.layers import LAYERS
from glassguard.report import detection_figures


def drawn(results: Path, table: pd.DataFrame, chosen: str) -> Figure:
    figure, _ = detection_figures.layers(
        table,
        {"slice": chosen, "variant": "raw", "paper_index": 0},
        pd.read_csv(results / "attacks/glasses/examples.csv"),
        least_own=0.8,
        least_others=0.97,
    )
    return figure


@pytest.mark.parametrize("named", [0.9, 0.7])
def test_slices_that_are_not_acceptable_are_hollow(results: Path, named: float) -> None:
    table = pd.read_csv(results / "detection/layers.csv").assign(benign_target_named=named)
    rejecting = table["slice"].isin(["conv1_1", "fc7"])
    table.loc[rejecting, "benign_other"] = 0.5
    figure = drawn(results, table, "conv1_2")
    upper = figure.axes[0]
    count = len(LAYERS)
    hollow = {
        int(place)
        for line in upper.lines
        if line.get_markerfacecolor() == "white"
        for place in line.get_xdata()
    }
    assert hollow == ({0, count - 1} if named == 0.9 else set(range(count)))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["hollow: not acceptable", "chosen: conv1_2"]
    assert not upper.texts, "nothing is written onto the curves"


def test_the_lowest_area_under_a_curve_is_not_cut(results: Path) -> None:
    table = pd.read_csv(results / "detection/layers.csv")
    table.loc[table["slice"] == "fc7_pre_relu", "auc"] = 0.05
    figure = drawn(results, table, "fc6")
    assert figure.axes[3].get_ylim()[0] < 0.05


def test_the_threshold_of_the_flag_score_is_drawn(results: Path) -> None:
    table = pd.read_csv(results / "detection/histograms.csv")
    points = pd.read_csv(results / "detection/attacks.csv")
    best = {"slice": "conv4_3"}
    for threshold, side in ((1.0, "left"), (3.9, "right")):
        moved = points.assign(threshold=threshold)
        figure, _ = detection_figures.distance_histograms(table, moved, best)
        distance, score = figure.axes
        assert not distance.lines
        (line,) = score.lines
        assert set(line.get_xdata()) == {threshold}
        (words,) = score.texts
        assert words.get_text() == "flagged →"
        assert words.get_ha() == side
    # The one of 5 % on bare pictures, of the two that the table has.
    figure, _ = detection_figures.distance_histograms(table, points, best)
    assert figure.axes[1].lines[0].get_xdata()[0] == pytest.approx(1.55)


def test_the_logarithmic_inset_hides_nothing_better_than_chance(results: Path) -> None:
    examples = pd.read_csv(results / "attacks/glasses/examples.csv")
    figure, _ = detection_figures.roc(pd.read_csv(results / "detection/roc.csv"), examples)
    assert len(figure.axes) == 2, "a panel for each kind of benign pictures"
    for axes in figure.axes:
        (inset,) = axes.child_axes
        assert inset.get_xscale() == "log"
        assert len(inset.lines) >= len(axes.lines)
        (ground,) = axes.patches
        left, top = ground.get_x(), ground.get_y() + ground.get_height()
        assert left > top, "below the diagonal"
    looks = [(line.get_linestyle(), line.get_marker()) for line in figure.axes[0].lines]
    assert len(set(looks)) == len(looks), "told apart without colours"


def test_the_caption_of_the_roc_names_who_is_drawn(results: Path) -> None:
    captions = json.loads((results / "figures" / "captions.json").read_text())
    assert "3 of 3 detectors: influence, influence with frames, confidence;" in captions["roc"]
    assert "detection/roc.csv" in captions["roc"]


def test_curves_of_detectors_that_have_seen_frames_are_drawn(results):
    assert "influence with frames" in (results / "figures" / "roc.svg").read_text()
    first = [*detection_figures.ROC_FIRST]
    drawn = detection_figures.drawn_in_roc(["other", "masking", "influence_with_frames", *first])
    assert drawn[:3] == ["influence", "influence_with_frames", "activations"]
    assert "other" not in drawn


def test_the_logarithmic_axis_is_written_in_plain_numbers(results):
    curve = {"detector": "influence", "fpr": [0.0, 0.002, 0.5, 1.0], "tpr": [0.0, 0.5, 0.9, 1.0]}
    examples = pd.read_csv(results / "attacks/glasses/examples.csv")
    figure, _ = detection_figures.roc(pd.DataFrame(curve | {"fpr_n": 12}), examples)
    figure.canvas.draw()
    (inset,) = figure.axes[0].child_axes
    shown = [text.get_text() for text in inset.get_xticklabels()]
    assert {"0.01", "0.1", "1"} <= set(shown)
    assert not any("$" in text for text in shown)
