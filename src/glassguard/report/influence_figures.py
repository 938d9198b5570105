"""Figures of influence: profiles, and what influential neurons see in the pixels (Study I)."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from glassguard.detection.characteristic_profiles import Projection
from glassguard.influence.settings import Experts
from glassguard.report.style import (
    COLOURS,
    INK,
    OURS,
    SEQUENTIAL,
    SOURCE,
    Drawn,
    bare,
    legend_of,
    new_figure,
    nothing_to_draw,
    outline,
    series,
)
from glassguard.report.wording import spelt, whole_percent

PROFILE_TARGETS = 3
NOTHING_TO_COMPARE = "no attack of the test split succeeded: there is nothing to compare"
NOTHING_TO_SHOW = "no attack of the test split succeeded: there is nothing to show"
KINDS = {
    "impersonation": "with adversarial\nglasses",
    "attacker": "the same picture\nwithout",
    "target": "the target",
}
"""Rows of the figures, for each pair, and what they show."""

SETS = {
    "impersonations": "impersonations, inside their glasses",
    "plain_frames": "honest wearers, inside their plain frames",
    "without_glasses": "the attacked pictures without glasses, where these would be",
}
"""Sets of ``influence/share_inside.csv`` in the order in which they are drawn."""

PALE = 0.3
"""Contrast of what lies outside a receptive field, drawn in grey towards white."""

BRIGHTEST_PERCENTILE = 99.5
"""Of a column of heat maps: the upper end of its colour scale."""

NO_INFLUENCE = "no influence"
"""Written where a layer's experts do not reach any pixel; a map of the least colour says little."""

EMPTY = "#eeeeee"
"""Ground of a heat map that is zero everywhere: no colour of the scale."""


def profiles(
    benign: pd.DataFrame,
    attacked: pd.DataFrame,
    manifest: pd.DataFrame,
    examples: pd.DataFrame,
    best: Mapping[str, Any],
) -> Drawn:
    """Influence profiles of targets against those of their impersonations (Study I, Fig. 6).

    Args:
        benign: N x filters, profiles of benign pictures at the chosen slice; rows are named by
            ``image_id``.
        attacked: M x filters, profiles of attacked pictures; rows are named by ``example_id``.
        manifest: ``data/manifest.csv``: image_id, identity, split.
        examples: ``examples.csv`` of the attack: example_id, split, target, success.
        best: ``detection/best_layer.json``.
    """
    groups = _targets(benign, attacked, manifest, examples)
    numbers = {"slice": best["slice"], **_counts(groups)}
    if not groups:
        return nothing_to_draw(NOTHING_TO_COMPARE), numbers
    figure = new_figure(height=1.75 * len(groups) + 0.4)
    rows = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, own, impersonations) in zip(rows, groups, strict=True):
        order = np.argsort(-own.mean(axis=0), kind="stable")
        filters = np.arange(len(order))
        for values, label, colour, line in (
            (own, "benign", OURS, "-"),
            (impersonations, "impersonation", COLOURS[6], "--"),
        ):
            ordered = values[:, order]
            low, high = np.quantile(ordered, [0.1, 0.9], axis=0)
            axes.fill_between(filters, low, high, color=colour, alpha=0.22, linewidth=0)
            look = {"color": colour, "linestyle": line, "linewidth": 1.1}
            axes.plot(filters, ordered.mean(axis=0), label=f"{label} (n = {len(values)})", **look)
        axes.set_title(spelt(name), loc="left", color=INK)
        axes.set_ylabel("influence")
        axes.legend(loc="upper right", ncols=2)
    rows[-1].set_xlabel(f"filter of {best['slice']}, by the target's mean")
    rows[-1].set_xlim(0, max(len(order) - 1, 1))
    return figure, numbers


def profile_projection(
    benign: pd.DataFrame,
    attacked: pd.DataFrame,
    manifest: pd.DataFrame,
    examples: pd.DataFrame,
    best: Mapping[str, Any],
) -> Drawn:
    """Profiles on two principal components, a panel for every target.

    Args:
        benign: as of :func:`profiles`; the components are fitted to its training pictures.
        attacked: as of :func:`profiles`.
        manifest: ``data/manifest.csv``: image_id, identity, split.
        examples: ``examples.csv`` of the attack: example_id, split, target, success.
        best: ``detection/best_layer.json``.
    """
    ids = {split: rows["image_id"] for split, rows in manifest.groupby("split")}
    training, everybody = benign.loc[ids["train"]].to_numpy(), benign.loc[ids["test"]].to_numpy()
    groups = _targets(benign, attacked, manifest, examples)
    numbers = {"slice": best["slice"], "training": len(training), "others": len(everybody)}
    numbers |= _counts(groups)
    if not groups:
        return nothing_to_draw(NOTHING_TO_COMPARE), numbers
    projection = Projection.fitted(training)
    figure = new_figure(height=2.9)
    panels = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (target, own, impersonations) in zip(panels, groups, strict=True):
        for shown, mark, colour, size, label in (
            (everybody, ".", "#cccccc", 2.5, "everybody, benign"),
            (own, "o", OURS, 4, "target, benign"),
            (impersonations, "x", COLOURS[6], 5, "impersonations of the target"),
        ):
            axes.plot(*projection(shown).T, mark, color=colour, markersize=size, label=label)
        axes.set_title(spelt(target), loc="left")
        axes.set_xlabel(f"first component ({100 * projection.explained[0]:.0f} %)")
    panels[0].set_ylabel(f"second component ({100 * projection.explained[1]:.0f} %)")
    legend_of(panels[0], loc="outside lower center", ncols=3)
    return figure, numbers


def _targets(
    benign: pd.DataFrame, attacked: pd.DataFrame, manifest: pd.DataFrame, examples: pd.DataFrame
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Some targets, profiles of their benign test pictures and of impersonations of them."""
    succeeded = examples[(examples["split"] == "test") & examples["success"].astype(bool)]
    of_test = manifest[manifest["split"] == "test"]
    return [
        (
            target,
            benign.loc[of_test.loc[of_test["identity"] == target, "image_id"]].to_numpy(),
            attacked.loc[succeeded.loc[succeeded["target"] == target, "example_id"]].to_numpy(),
        )
        for target in succeeded["target"].drop_duplicates().tolist()[:PROFILE_TARGETS]
    ]


def _counts(groups: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> dict[str, int]:
    return {
        "benign": sum(len(own) for _, own, _ in groups),
        "impersonations": sum(len(theirs) for _, _, theirs in groups),
    }


def receptive_fields(
    maps: Mapping[str, np.ndarray], examples: pd.DataFrame, *, experts: Experts
) -> Drawn:
    """The pixels that the experts of each layer look at (Study I, Figs. 2 and 3).

    Args:
        maps: ``influence/experts.npz``: images R x H x W x 3 uint8; frames R x H x W bool; pair,
            kind and identity of each picture; layers; strongest L x R x H x W bool.
        examples: ``examples.csv`` of the attack.
        experts: which neurons are experts, and how many pixels are kept.
    """
    numbers = _counted_pairs(maps, examples) | {
        "share": whole_percent(experts.share),
        "kept": whole_percent(1 - experts.mask_percentile / 100),
        "gradient": "guided gradient" if experts.guided else "gradient",
    }
    if not len(maps["images"]):
        return nothing_to_draw(NOTHING_TO_SHOW), numbers
    figure, grid = _pictures(maps, colour_bars=False)
    for column, kept in enumerate(maps["strongest"], start=1):
        for row, image in enumerate(maps["images"]):
            # Pale outside, so that a reader still sees where in the face it is.
            grey = 255 - PALE * (255 - image.mean(axis=2, keepdims=True))
            shown = np.where(kept[row][..., None], image, grey).astype(np.uint8)
            grid[row, column].imshow(shown)
            if not kept[row].any():
                _say_no_influence(grid[row, column])
    return figure, numbers


def heat_maps(maps: Mapping[str, np.ndarray], examples: pd.DataFrame) -> Drawn:
    """The experts' influence propagated to the pixels, one colour scale a column (Fig. 4).

    Each map is in multiples of its own mean, because pictures differ in the amount of influence
    and the question is where it lies. The scale follows the square root, or a few pixels of ten
    times the mean would leave all others dark.

    Args:
        maps: as of :func:`receptive_fields`, with heat L x R x H x W, 0 or greater.
        examples: ``examples.csv`` of the attack.
    """
    numbers = _counted_pairs(maps, examples)
    if not len(maps["images"]):
        return nothing_to_draw(NOTHING_TO_SHOW), numbers
    figure, grid = _pictures(maps, colour_bars=True)
    colours = mpl.colormaps[SEQUENTIAL].with_extremes(bad=EMPTY)
    for column, heat in enumerate(maps["heat"], start=1):
        mean = heat.mean(axis=(1, 2), keepdims=True)
        relative = np.divide(heat, mean, out=np.zeros_like(heat), where=mean > 0)
        top = max(float(np.percentile(relative, BRIGHTEST_PERCENTILE)), 1.0)
        scale = PowerNorm(0.5, vmin=0, vmax=top)
        for axes, one, frame in zip(grid[:, column], relative, maps["frames"], strict=False):
            empty = not one.any()
            drawn = axes.imshow(np.ma.masked_where(empty, one), cmap=colours, norm=scale)
            if frame.any():
                outline(axes, frame)
            if empty:
                _say_no_influence(axes)
        where = {"cax": grid[-1, column], "orientation": "horizontal"}
        bar = figure.colorbar(drawn, ticks=sorted({0, 1, int(top)}), **where)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7, length=2)
    return figure, numbers


def _counted_pairs(maps: Mapping[str, np.ndarray], examples: pd.DataFrame) -> dict[str, Any]:
    """How many attacks are shown, of how many that succeeded."""
    return {
        "shown": len(np.unique(maps["pair"])),
        "successes": int(examples.loc[examples["split"] == "test", "success"].sum()),
    }


def share_inside(table: pd.DataFrame) -> Drawn:
    """Share of the experts' influence inside the glasses over their share of the area, by layer.

    Args:
        table: ``influence/share_inside.csv``: set, slice, n, ratio, ratio_low, ratio_high.
    """
    figure = new_figure(height=3.3)
    axes = figure.subplots()
    slices = table["slice"].drop_duplicates().tolist()
    drawn = [name for name in SETS if table.loc[table["set"] == name, "n"].max() > 0]
    for index, name in enumerate(drawn):
        rows = table[table["set"] == name].set_index("slice").reindex(slices)
        places = np.arange(len(slices)) + 0.14 * (index - (len(drawn) - 1) / 2)
        look = series(index)
        ends = rows["ratio_low"], rows["ratio_high"]
        axes.vlines(places, *ends, color=look["color"], linewidth=1.0)
        axes.plot(places, rows["ratio"], label=f"{SETS[name]} (n = {_counted(rows['n'])})", **look)
    for name in SETS:
        if name not in drawn:
            axes.plot([], [], " ", label=f"{SETS[name]}: none")
    axes.axhline(1.0, color=SOURCE, linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(slices)), slices, rotation=45, ha="right")
    axes.set_ylabel("influence per area")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=1)
    most = table.groupby("set")["n"].max()
    return figure, {
        "impersonations": int(most["impersonations"]),
        "plain": int(most["plain_frames"]),
        "bare": int(most["without_glasses"]),
    }


def _counted(n: pd.Series) -> str:
    least, most = int(n.min()), int(n.max())
    return str(most) if least == most else f"{least} to {most}"


def _pictures(maps: Mapping[str, np.ndarray], *, colour_bars: bool) -> tuple[Figure, np.ndarray]:
    """A row for each picture, in groups of one pair: the picture, and room for every layer."""
    layers = [str(name) for name in maps["layers"]]
    count = len(maps["images"])
    side, gap, bar = 0.86, 0.12, 0.06
    heights: list[float] = []
    for row in range(count):
        heights += [gap, 1.0] if row and row % len(KINDS) == 0 else [1.0]
    heights += [bar] * colour_bars
    figure = new_figure(height=side * sum(heights) + 0.45 + 0.25 * colour_bars)
    all_rows = figure.subplots(len(heights), 1 + len(layers), squeeze=False, height_ratios=heights)
    for axes in all_rows.ravel():
        bare(axes)
    shown = np.array(heights) != gap
    for axes in all_rows[~shown].ravel():
        axes.set_visible(False)
    grid = all_rows[shown]
    grid[0, 0].set_title("picture", fontsize=8)
    for axes, name in zip(grid[0, 1:], layers, strict=True):
        axes.set_title(name, fontsize=8)
    for row, image in enumerate(maps["images"]):
        grid[row, 0].imshow(image)
        label = KINDS[str(maps["kind"][row])]
        look = {"rotation": 0, "ha": "right", "va": "center", "color": INK}
        text = f"{spelt(str(maps['identity'][row]))[:16]}\n{label}"
        grid[row, 0].set_ylabel(text, fontsize=6.5, **look)
    if colour_bars:
        grid[-1, 0].set_axis_off()
    return figure, grid


def _say_no_influence(axes: Axes) -> None:
    # Below the outline of glasses.
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 6.5, "color": SOURCE}
    look["bbox"] = {"facecolor": EMPTY, "edgecolor": "none", "pad": 1.0}
    axes.text(0.5, 0.14, NO_INFLUENCE, transform=axes.transAxes, **look)
