"""Figures of the detection from influence profiles (Study I)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from glassguard.detection.selection import TUNED
from glassguard.recognizer.layers import PRE_RELU
from glassguard.report import sources_figures
from glassguard.report.style import (
    COLOURS,
    INK,
    LINES,
    OURS,
    SEQUENTIAL,
    SOURCE,
    new_figure,
    nothing_to_draw,
    rate_axis,
    series,
    spelt,
)

TABLE_1_RATES = {
    "benign_target": "benign target accepted",
    "benign_other": "benign others rejected",
    "impersonation": "impersonations rejected",
}
"""Columns of ``table1.csv`` that are rates, and what they mean."""

GROUP_COLOURS = {"within": COLOURS[0], "between": COLOURS[1], "impersonation": COLOURS[6]}


MEASURES = {"balanced_accuracy": "balanced accuracy", "auc": "area under the curve"}
"""Columns of ``layers.csv`` that are drawn, and what they are called."""


def layers(table: pd.DataFrame, *, chosen: str, variant: str) -> Figure:
    """Balanced accuracy and area under the curve at every slice, a line for each variant.

    The band around a line reaches from the lowest to the highest seed. An area under the curve is
    that of the mean margin over seeds, so its line may lie above its band. Shifting a threshold
    moves no area under the curve, so tuned variants share a line there.

    Args:
        table: ``detection/layers.csv``: slice, paper_index, variant, balanced_accuracy,
            balanced_accuracy_lowest_seed, balanced_accuracy_highest_seed, auc, auc_lowest_seed,
            auc_highest_seed.
        chosen: the slice that was chosen.
        variant: the variant that was chosen.
    """
    before = table["slice"].str.endswith(PRE_RELU)
    positions = [
        (title, rows)
        for title, rows in (
            ("behind the activation", table[~before]),
            ("before the activation", table[before]),
        )
        if len(rows)
    ]
    figure = new_figure(height=0.9 + 2.5 * len(positions))
    panels = figure.subplots(len(positions), len(MEASURES), sharey="col", squeeze=False)
    variants = list(dict.fromkeys(table["variant"]))
    for row, (title, part) in zip(panels, positions, strict=True):
        slices = (
            part.drop_duplicates("slice").sort_values("paper_index", kind="stable")["slice"]
        ).tolist()
        for axes, (measure, label) in zip(row, MEASURES.items(), strict=True):
            for name in variants:
                if measure == "auc" and name.endswith(TUNED) and name[: -len(TUNED)] in variants:
                    continue
                rows = part[part["variant"] == name].set_index("slice").reindex(slices)
                look = series(variants.index(name))
                axes.plot(
                    range(len(slices)),
                    rows[measure].to_numpy(),
                    label=spelt(str(name)),
                    **look | {"linewidth": 1.9 if name == variant else 1.0, "markersize": 3.5},
                )
                axes.fill_between(
                    range(len(slices)),
                    rows[f"{measure}_lowest_seed"].to_numpy(),
                    rows[f"{measure}_highest_seed"].to_numpy(),
                    color=look["color"],
                    alpha=0.2,
                    linewidth=0,
                )
            if chosen in slices:
                _mark_chosen(axes, slices.index(chosen))
            names = [name.removesuffix(PRE_RELU) for name in slices]
            axes.set_xticks(range(len(slices)), names, rotation=90, fontsize=7)
            axes.set_title(f"{label}, {title}", loc="left", fontsize=8.5)
            axes.set_ylim(top=1.02)
            axes.grid(axis="y")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _mark_chosen(axes: Axes, position: int) -> None:
    axes.axvline(position, color=INK, linewidth=0.8, linestyle=":")
    axes.annotate(
        "chosen",
        (position, 0.0),
        xycoords=("data", "axes fraction"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7.5,
    )


def table1(table: pd.DataFrame) -> Figure:
    """Study I's Table 1 as dots with intervals, beside the three pairs that it prints.

    Args:
        table: ``detection/table1.csv``: target, attacker and for each of ``TABLE_1_RATES`` the
            rate and its ``_low`` and ``_high``.
    """
    count = len(table)
    sources = sources_figures.TABLE_1
    figure = new_figure(height=0.17 * (count + len(sources)) + 1.2)
    panels = figure.subplots(1, len(TABLE_1_RATES), sharey=True)
    ours = np.arange(count)
    theirs = count + 0.8 + np.arange(len(sources))
    for axes, (column, title) in zip(panels, TABLE_1_RATES.items(), strict=True):
        rate = table[column].to_numpy(dtype=float)
        low, high = (table[f"{column}_{end}"].to_numpy(dtype=float) for end in ("low", "high"))
        axes.hlines(ours, low, high, color=OURS, linewidth=1.0)
        axes.plot(rate, ours, "o", color=OURS, markersize=4)
        if np.isfinite(rate).any():
            axes.axvline(float(np.nanmean(rate)), color=OURS, linewidth=0.8, linestyle=":")
        axes.plot(
            [getattr(pair, column) for pair in sources],
            theirs,
            "s",
            markerfacecolor="white",
            color=SOURCE,
            markersize=4.5,
        )
        axes.axhline(count - 0.1, color="#bbbbbb", linewidth=0.6)
        axes.set_title(title)
        rate_axis(axes, "x")
    labels = [
        f"{spelt(str(a))} → {spelt(str(t))}"
        for a, t in zip(table["attacker"], table["target"], strict=True)
    ]
    labels += [f"{pair.attacker} → {pair.target}, Study I" for pair in sources]
    panels[0].set_yticks([*ours, *theirs], labels, fontsize=6.5)
    panels[0].set_ylim(theirs[-1] + 0.7, -0.7)
    for axes in panels[1:]:
        axes.tick_params(axis="y", length=0)
    return figure


def distance_histograms(table: pd.DataFrame) -> Figure:
    """Distances to characteristic profiles, one panel for each measure.

    Args:
        table: ``detection/histograms.csv``: metric, group, lower and upper (edges of the bin),
            count, share.
    """
    metrics = table["metric"].drop_duplicates().tolist()
    down = math.ceil(len(metrics) / 2)
    figure = new_figure(height=2.3 * down)
    panels = figure.subplots(down, 2, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        rows = table[table["metric"] == metric]
        for index, (group, bins) in enumerate(rows.groupby("group", sort=False)):
            edges = np.append(bins["lower"].to_numpy(), bins["upper"].to_numpy()[-1])
            axes.stairs(
                bins["share"].to_numpy(),
                edges,
                label=f"{spelt(str(group))} (n = {int(bins['count'].sum())})",
                color=GROUP_COLOURS.get(str(group), COLOURS[index]),
                linestyle=LINES[index % len(LINES)],
                linewidth=1.4,
            )
        axes.set_title(spelt(str(metric)), loc="left")
        axes.set_xlabel("score" if metric == "flag_score" else "distance")
        axes.set_ylabel("share")
        # Room for the legend above the curves.
        axes.set_ylim(0, 1.45 * axes.get_ylim()[1])
        axes.legend(loc="upper right", fontsize=7)
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    return figure


def distance_matrix(table: pd.DataFrame, *, metric: str = "euclidean") -> Figure:
    """Distances between the characteristic profiles of all people.

    Args:
        table: ``detection/distance_matrix.csv``: metric, identity, other, distance.
        metric: which distance is drawn; the source's by default.
    """
    rows = table[table["metric"] == metric]
    names = rows["identity"].drop_duplicates().tolist()
    # Rows come in the order of people on both sides.
    distances = rows["distance"].to_numpy(dtype=float, copy=True).reshape(len(names), -1)
    # Everybody's distance from themselves is 0 and would take half of the colours.
    np.fill_diagonal(distances, np.nan)
    figure = new_figure(height=6.2)
    axes = figure.subplots()
    image = axes.imshow(distances, cmap=SEQUENTIAL)
    ticks = range(len(names))
    shown = [spelt(name) for name in names]
    size = 6.5 if len(names) <= 40 else 4
    axes.set_xticks(ticks, shown, rotation=90, fontsize=size)
    axes.set_yticks(ticks, shown, fontsize=size)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label=f"{metric} distance")
    return figure


def profile_projection(
    everybody: NDArray[np.floating],
    groups: Sequence[tuple[str, NDArray[np.floating], NDArray[np.floating]]],
    *,
    explained: tuple[float, float],
) -> Figure:
    """Profiles on two principal components, a panel for every target.

    Args:
        everybody: N x 2, benign pictures of all people, drawn behind.
        groups: per target its name, its benign pictures (M x 2) and impersonations of it (K x 2).
        explained: share of the variance that each component carries.
    """
    if not groups:
        return nothing_to_draw("no attack of the test split succeeded: there is nothing to compare")
    figure = new_figure(height=2.9)
    panels = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (target, benign, attacked) in zip(panels, groups, strict=True):
        axes.plot(*everybody.T, ".", color="#cccccc", markersize=2.5, label="everybody, benign")
        axes.plot(
            *benign.T, "o", color=GROUP_COLOURS["within"], markersize=4, label="target, benign"
        )
        axes.plot(
            *attacked.T,
            "x",
            color=GROUP_COLOURS["impersonation"],
            markersize=5,
            label="impersonations of the target",
        )
        axes.set_title(spelt(target), loc="left")
        axes.set_xlabel(f"first component ({100 * explained[0]:.0f} %)")
    panels[0].set_ylabel(f"second component ({100 * explained[1]:.0f} %)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


ROC_FIRST = (
    "influence",
    "activations",
    "masking",
    "squeezing_and_masking",
    "mahalanobis_layers",
    "intrinsic_dimensionality",
    "feature_squeezing",
)
"""Detectors whose curves are drawn before others', one of each kind."""

WITH_FRAMES = "_with_frames"
"""Ends the name of a detector that has seen honest frames; drawn beside the one that has not."""

ROC_TITLES = {"": "benign pictures as they are", "half_wearing": "half of them with honest frames"}


def drawn_in_roc(detectors: Sequence[str]) -> list[str]:
    """Whose curves are drawn, in the order of the legend.

    As many as :data:`ROC_FIRST` has, which come before others, each with the one beside it that has
    seen honest frames.

    Args:
        detectors: names of all, without a population.
    """
    bare = [name for name in detectors if not name.endswith(WITH_FRAMES)]
    bare.sort(key=lambda name: ROC_FIRST.index(name) if name in ROC_FIRST else len(ROC_FIRST))
    beside = [(name, f"{name}{WITH_FRAMES}") for name in bare[: len(ROC_FIRST)]]
    return [name for pair in beside for name in pair if name in detectors]


def roc(table: pd.DataFrame) -> Figure:
    """Receiver operating characteristics, once more with a logarithmic axis.

    A panel beside rather than an inset, which would lie on the curves of a weak detector. Below,
    the same where half of the benign pictures wear honest frames.

    Args:
        table: ``detection/roc.csv``: detector, fpr, tpr. :func:`drawn_in_roc` says whose.
    """
    if table.empty:
        return nothing_to_draw("no attack of the test split succeeded: there are no curves")
    parts = table["detector"].str.partition("@")
    populations = parts[2].drop_duplicates().tolist()
    figure = new_figure(height=1.0 + 2.7 * len(populations))
    panels = figure.subplots(len(populations), 2, sharey=True, squeeze=False)
    names = drawn_in_roc(parts[0].drop_duplicates().tolist())
    own_look = [name for name in names if not name.endswith(WITH_FRAMES)]
    seen = table.loc[table["fpr"] > 0, "fpr"]
    least = min(float(seen.min()) / 1.5, 5e-3) if len(seen) else 1e-3
    for population, (linear, logarithmic) in zip(populations, panels, strict=True):
        for name in names:
            rows = table[(parts[0] == name) & (parts[2] == population)]
            index = own_look.index(name.removesuffix(WITH_FRAMES))
            look = series(index) | {"linewidth": 1.8 if name == own_look[0] else 1.1}
            if name.endswith(WITH_FRAMES):
                look |= {"markevery": 0.15, "markersize": 4}
            else:
                look |= {"marker": ""}
            linear.plot(rows["fpr"], rows["tpr"], label=spelt(name), **look)
            # On a logarithmic axis nothing is at zero: it starts at the left edge.
            logarithmic.plot(rows["fpr"].clip(lower=least), rows["tpr"], **look)
        for axes in (linear, logarithmic):
            axes.set_xlabel("benign pictures flagged")
            rate_axis(axes)
        linear.set_title(ROC_TITLES[population], loc="left")
        linear.set_ylabel("impersonations flagged")
        linear.set_xlim(-0.02, 1.02)
        logarithmic.set_xscale("log")
        logarithmic.set_xlim(least, 1)
        # The axis writes powers as mathematics, which texts of the study are not read as.
        logarithmic.xaxis.set_major_formatter("{x:g}")
        logarithmic.xaxis.set_minor_formatter(NullFormatter())
        for mark in (0.01, 0.05, 0.0991):
            logarithmic.axvline(mark, color=SOURCE, linewidth=0.7, linestyle=":")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
