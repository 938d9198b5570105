"""Figures of the detection from influence profiles (Study I)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter

from glassguard.detection.selection import FAIRNESS, TUNED
from glassguard.recognizer.layers import PRE_RELU
from glassguard.report import sources_figures
from glassguard.report.style import (
    COLOURS,
    INK,
    LINES,
    OURS,
    SEQUENTIAL,
    SOURCE,
    Drawn,
    legend_of,
    new_figure,
    nothing_to_draw,
    rate_axis,
    series,
)
from glassguard.report.wording import HEADLINE_RATE, TABLE_1_RATES, spelt, whole_percent
from glassguard.statistics import Rate

GROUP_COLOURS = {"within": COLOURS[0], "between": COLOURS[1], "impersonation": COLOURS[6]}
MEASURES = {"balanced_accuracy": "balanced accuracy", "auc": "area under the curve"}
"""Columns of ``layers.csv`` that are drawn, and what they are called."""

CHOSEN: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": ":"}
"""Line through the chosen slice. The legend names it: a label at the line would cover curves."""


def layers(
    table: pd.DataFrame,
    best: Mapping[str, Any],
    examples: pd.DataFrame,
    *,
    least_own: float,
    least_others: float,
) -> Drawn:
    """Balanced accuracy and area under the curve at every slice, a line for each variant.

    The band around a line reaches from the lowest to the highest seed. An area under the curve is
    that of the mean margin over seeds, so its line may lie above its band. Shifting a threshold
    moves no area under the curve, so tuned variants share a line there. Markers are hollow where
    none of the variants of a line keeps the floors.

    Args:
        table: ``detection/layers.csv``: slice, paper_index, variant, benign_target_named,
            benign_other, balanced_accuracy, balanced_accuracy_lowest_seed,
            balanced_accuracy_highest_seed, auc, auc_lowest_seed, auc_highest_seed.
        best: ``detection/best_layer.json``: the slice and the variant that were chosen.
        examples: ``examples.csv`` of the attack.
        least_own: least share of the target's own pictures, in [0, 1], that an acceptable detector
            accepts.
        least_others: least share of other people's pictures, in [0, 1], that it rejects.
    """
    chosen, variant = best["slice"], best["variant"]
    own, others = FAIRNESS
    kept = table[(table[own] >= least_own) & (table[others] >= least_others)]
    fair = set(zip(kept["slice"], kept["variant"], strict=True))
    before = table["slice"].str.endswith(PRE_RELU)
    positions = {"behind the activation": table[~before], "before the activation": table[before]}
    positions = {title: rows for title, rows in positions.items() if len(rows)}
    figure = new_figure(height=0.9 + 2.5 * len(positions))
    panels = figure.subplots(len(positions), len(MEASURES), sharey="col", squeeze=False)
    variants = list(dict.fromkeys(table["variant"]))
    for row, (title, part) in zip(panels, positions.items(), strict=True):
        in_order = part.drop_duplicates("slice").sort_values("paper_index", kind="stable")
        slices = in_order["slice"].tolist()
        for axes, (measure, label) in zip(row, MEASURES.items(), strict=True):
            for name in variants:
                if measure == "auc" and name.endswith(TUNED) and name[: -len(TUNED)] in variants:
                    continue
                sharing = {name, f"{name}{TUNED}"} if measure == "auc" else {name}
                rows = part[part["variant"] == name].set_index("slice").reindex(slices)
                values = rows[measure].to_numpy()
                look = series(variants.index(name)) | {"markersize": 3.5}
                width = {"linewidth": 1.9 if name == variant else 1.0}
                axes.plot(range(len(slices)), values, label=spelt(str(name)), **look | width)
                fine = [any((at, one) in fair for one in sharing) for at in slices]
                unfair = np.flatnonzero(~np.array(fine))
                hollow = look | {"linestyle": "", "markerfacecolor": "white"}
                axes.plot(unfair, values[unfair], **hollow)
                ends = (rows[f"{measure}_{end}_seed"].to_numpy() for end in ("lowest", "highest"))
                axes.fill_between(
                    range(len(slices)), *ends, color=look["color"], alpha=0.2, linewidth=0
                )
            if chosen in slices:
                axes.axvline(slices.index(chosen), **CHOSEN)
            names = [name.removesuffix(PRE_RELU) for name in slices]
            axes.set_xticks(range(len(slices)), names, rotation=90, fontsize=7)
            axes.set_title(f"{label}, {title}", loc="left", fontsize=8.5)
            axes.grid(axis="y")
    # A limit that is set before the last row is drawn would cut that row.
    for axes in panels[0]:
        axes.set_ylim(top=1.02)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    unacceptable = Line2D([], [], color=SOURCE, marker="o", markerfacecolor="white", linestyle="")
    handles += [unacceptable, Line2D([], [], **CHOSEN)]
    labels += ["hollow: not acceptable", f"chosen: {chosen}"]
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    test = examples[examples["split"] == "test"]
    return figure, {
        "seeds": int(table["seeds"].iloc[0]),
        "pairs": len(test[["target", "attacker"]].drop_duplicates()),
        "benign": int(table["benign_other_n"].max()),
        "impersonations": int(table["impersonation_n"].max()),
        "least_own": whole_percent(least_own),
        "least_others": whole_percent(least_others),
        "slice": chosen,
        "paper_index": "no layer of VGG-16"
        if best["paper_index"] is None
        else f"index {best['paper_index']} in Study I's count",
        "source_index": sources_figures.BEST_LAYER_INDEX,
    }


def table1(table: pd.DataFrame) -> Drawn:
    """Study I's Table 1 as dots with intervals, with the three pairs that it prints.

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
        rates = [Rate.read(row, column) for row in table.to_dict("records")]
        values = np.array([rate.value for rate in rates])
        ends = [rate.low for rate in rates], [rate.high for rate in rates]
        axes.hlines(ours, *ends, color=OURS, linewidth=1.0)
        axes.plot(values, ours, "o", color=OURS, markersize=4)
        if np.isfinite(values).any():
            axes.axvline(float(np.nanmean(values)), color=OURS, linewidth=0.8, linestyle=":")
        look = {"markerfacecolor": "white", "color": SOURCE, "markersize": 4.5}
        axes.plot([getattr(pair, column) for pair in sources], theirs, "s", **look)
        axes.axhline(count - 0.1, color="#bbbbbb", linewidth=0.6)
        axes.set_title(title)
        rate_axis(axes, "x")
    named = zip(table["attacker"], table["target"], strict=True)
    labels = [f"{spelt(str(attacker))} → {spelt(str(target))}" for attacker, target in named]
    labels += [f"{pair.attacker} → {pair.target}, Study I" for pair in sources]
    panels[0].set_yticks([*ours, *theirs], labels, fontsize=6.5)
    panels[0].set_ylim(theirs[-1] + 0.7, -0.7)
    for axes in panels[1:]:
        axes.tick_params(axis="y", length=0)
    return figure, {"pairs": count, "impersonations": int(table["impersonation_n"].sum())}


def distance_histograms(
    table: pd.DataFrame, points: pd.DataFrame, best: Mapping[str, Any]
) -> Drawn:
    """Distances to characteristic profiles, one panel for each measure, and the flag score.

    Args:
        table: ``detection/histograms.csv``: metric, group, lower and upper (edges of the bin),
            count, share.
        points: ``detection/attacks.csv``, which has the thresholds above which pictures are
            flagged; that of the first attack is drawn.
        best: ``detection/best_layer.json``.
    """
    at = points[
        (points["attack"] == points["attack"].iloc[0])
        & (points["detector"] == "influence")
        & (points["population"] == "bare")
        & (points["wanted_fpr"] == HEADLINE_RATE)
    ].iloc[0]
    metrics = table["metric"].drop_duplicates().tolist()
    down = math.ceil(len(metrics) / 2)
    figure = new_figure(height=2.3 * down)
    panels = figure.subplots(down, 2, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        rows = table[table["metric"] == metric]
        for index, (group, bins) in enumerate(rows.groupby("group", sort=False)):
            edges = np.append(bins["lower"].to_numpy(), bins["upper"].to_numpy()[-1])
            label = f"{spelt(str(group))} (n = {int(bins['count'].sum())})"
            look = {"color": GROUP_COLOURS.get(str(group), COLOURS[index]), "linewidth": 1.4}
            look |= {"linestyle": LINES[index % len(LINES)]}
            axes.stairs(bins["share"].to_numpy(), edges, label=label, **look)
        axes.set_title(spelt(str(metric)), loc="left")
        axes.set_ylabel("share")
        axes.set_xlabel("distance")
        # Room for the legend above the curves.
        axes.set_ylim(0, 1.6 * axes.get_ylim()[1])
        axes.legend(loc="upper right", fontsize=7)
        if metric == "flag_score":
            axes.set_xlabel("score")
            _mark_flagged(axes, float(at["threshold"]))
    for axes in panels[len(metrics) :]:
        axes.set_visible(False)
    one = table[table["metric"] == metrics[0]]
    counts = one.groupby("group", sort=False)["count"].sum()
    return figure, {
        "slice": best["slice"],
        "wanted": whole_percent(HEADLINE_RATE),
        **{name: int(counts.get(name, 0)) for name in GROUP_COLOURS},
    }


def _mark_flagged(axes: Axes, threshold: float) -> None:
    """A line at the threshold, marked on the side where pictures are flagged."""
    # Not through the legend. To the left of a line near the right edge there is room.
    axes.axvline(threshold, ymax=0.7, color=INK, linewidth=0.9)
    low, high = axes.get_xlim()
    near_right = (threshold - low) / (high - low) > 0.7
    axes.annotate(
        "flagged →",
        (threshold, 0.66),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if near_right else 3, 0),
        textcoords="offset points",
        ha="right" if near_right else "left",
        va="center",
        fontsize=7.5,
    )


def distance_matrix(
    table: pd.DataFrame, best: Mapping[str, Any], *, metric: str = "euclidean"
) -> Drawn:
    """Distances between the characteristic profiles of all people.

    Args:
        table: ``detection/distance_matrix.csv``: metric, identity, other, distance.
        best: ``detection/best_layer.json``.
        metric: which distance is drawn; the source's by default.
    """
    rows = table[table["metric"] == metric]
    names = rows["identity"].drop_duplicates().tolist()
    # Rows come in the order of people on both sides.
    distances = rows["distance"].to_numpy(dtype=float, copy=True).reshape(len(names), -1)
    # Everybody's distance from themselves is 0 and would take half of the colours.
    np.fill_diagonal(distances, np.nan)
    figure = new_figure(height=6.2)
    # Squares leave room on two sides, where names would otherwise be cut.
    figure.set_layout_engine("compressed")
    axes = figure.subplots()
    image = axes.imshow(distances, cmap=SEQUENTIAL)
    ticks = range(len(names))
    shown = [spelt(name) for name in names]
    size = 6.5 if len(names) <= 40 else 4
    axes.set_xticks(ticks, shown, rotation=90, fontsize=size)
    axes.set_yticks(ticks, shown, fontsize=size)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label=f"{metric} distance")
    return figure, {"people": len(names), "slice": best["slice"]}


ROC_FIRST = ("influence", "activations", "masking", "feature_squeezing", "squeezing_and_masking")
"""Detectors whose curves come first: the studies' two, what the first has to beat, and a published
one alone and joined. More could not be told apart in grey."""

WITH_FRAMES = "_with_frames"
"""Ends the name of a detector that has seen honest frames; drawn with the one that has not."""

ROC_TITLES = {"": "benign pictures as they are", "half_wearing": "half of them with honest frames"}


def drawn_in_roc(detectors: Sequence[str]) -> list[str]:
    """Whose curves are drawn, in the order of the legend.

    As many detectors as :data:`ROC_FIRST` has, these first, each followed by its version that has
    seen honest frames.

    Args:
        detectors: names of all, without a population.
    """
    bare = [name for name in detectors if not name.endswith(WITH_FRAMES)]
    bare.sort(key=lambda name: ROC_FIRST.index(name) if name in ROC_FIRST else len(ROC_FIRST))
    pairs = [(name, f"{name}{WITH_FRAMES}") for name in bare[: len(ROC_FIRST)]]
    return [name for pair in pairs for name in pair if name in detectors]


INSET = (0.53, 0.12, 0.42, 0.34)
"""Left, bottom, width and height of the inset, all in rates: below the diagonal."""


def roc(table: pd.DataFrame, examples: pd.DataFrame) -> Drawn:
    """Receiver operating characteristics, with an inset of a logarithmic axis.

    A panel for benign pictures as they are, and one where half of them wear honest frames. The
    inset lies below the diagonal, so that it can only hide detectors worse than chance.

    Args:
        table: ``detection/roc.csv``: detector, fpr, fpr_n, tpr. :func:`drawn_in_roc` says whose.
        examples: ``examples.csv`` of the attack.
    """
    mixed = table["detector"].astype(str).str.contains("@")
    detectors = table.loc[~mixed, "detector"].unique().tolist()
    names = drawn_in_roc(detectors)
    numbers = {
        "detectors": len(names),
        "names": ", ".join(map(spelt, names)),
        "all_detectors": len(detectors),
        "impersonations": int(examples.loc[examples["split"] == "test", "success"].sum()),
        "benign": _most(table.loc[~mixed, "fpr_n"]),
        "half_wearing": _most(table.loc[mixed, "fpr_n"]),
    }
    if table.empty:
        why = "no attack of the test split succeeded: there are no curves"
        return nothing_to_draw(why), numbers
    parts = table["detector"].str.partition("@")
    populations = parts[2].drop_duplicates().tolist()
    figure = new_figure(height=0.9 + 2.9 * len(populations))
    panels = figure.subplots(len(populations), 1, squeeze=False)[:, 0]
    own_look = [name for name in names if not name.endswith(WITH_FRAMES)]
    seen = table.loc[table["fpr"] > 0, "fpr"]
    least = min(float(seen.min()) / 1.5, 5e-3) if len(seen) else 1e-3
    for axes, population in zip(panels, populations, strict=True):
        axes.set_title(ROC_TITLES[population], loc="left")
        axes.set_xlabel("benign pictures flagged")
        axes.set_ylabel("impersonations flagged")
        axes.set_xlim(-0.02, 1.02)
        rate_axis(axes)
        inset = _logarithmic_inset(axes, least)
        for name in names:
            rows = table[(parts[0] == name) & (parts[2] == population)]
            index = own_look.index(name.removesuffix(WITH_FRAMES))
            look = series(index) | {"linewidth": 1.8 if name == own_look[0] else 1.1}
            framed = name.endswith(WITH_FRAMES)
            look |= {"markevery": 0.15, "markersize": 4} if framed else {"marker": ""}
            axes.plot(rows["fpr"], rows["tpr"], label=spelt(name), **look)
            # On a logarithmic axis nothing is at zero: it starts at the left edge.
            inset.plot(rows["fpr"].clip(lower=least), rows["tpr"], **look | {"markersize": 3})
    legend_of(panels[0], loc="outside lower center", ncols=3, handlelength=3.5)
    return figure, numbers


def _most(counts: pd.Series) -> int:
    """The largest count; 0 where there is none, as where no attack succeeded."""
    return 0 if counts.empty else int(counts.max())


def _logarithmic_inset(axes: Axes, least: float) -> Axes:
    """An inset in the lower right of a panel, for the same curves from a rate of ``least`` on."""
    left, bottom, _, height = INSET
    # Numbers at the inset's axes shall not lie on curves.
    left, right, top = left - 0.02, axes.get_xlim()[1], bottom + height + 0.02
    below = axes.get_ylim()[0]
    ground: dict[str, Any] = {"facecolor": "white", "linewidth": 0, "zorder": 3}
    axes.add_patch(Rectangle((left, below), right - left, top - below, **ground))
    inset = axes.inset_axes(INSET, transform=axes.transData)
    inset.yaxis.tick_right()
    inset.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    rate_axis(inset)
    inset.set_xscale("log")
    inset.set_xlim(least, 1)
    # The axis writes powers as mathematics, which texts of the study are not read as.
    inset.xaxis.set_major_formatter("{x:g}")
    inset.xaxis.set_minor_formatter(NullFormatter())
    inset.tick_params(labelsize=6.5, length=2, pad=1.5)
    inset.tick_params(axis="x", which="minor", length=1)
    inset.spines[:].set_visible(True)
    for mark in (0.01, 0.05, 0.0991):
        inset.axvline(mark, color=SOURCE, linewidth=0.7, linestyle=":")
    return inset
