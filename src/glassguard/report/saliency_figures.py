"""Figures of the saliency mask (Study S)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from glassguard.report import sources_figures
from glassguard.report.defences import DEFENCES, guided_and_tuned, repeats, rows_as_text
from glassguard.report.style import (
    COLOURS,
    INK,
    SEQUENTIAL,
    SOURCE,
    Drawn,
    bare,
    framed,
    legend_of,
    new_figure,
    nothing_to_draw,
    outline,
    rate_axis,
    series,
    written,
)
from glassguard.report.wording import RATES, shortened, spelt, whole_percent
from glassguard.statistics import Rate

STEPS = ("images", "saliency", "thresholded", "closed", "filtered", "filled")
STEP_TITLES = (
    "attacked",
    "1 saliency",
    "2 above μ = {mu:g}",
    "3 closed,\nn = {n}",
    "4 areas ≥ φ = {phi}",
    "5 filled",
)
HATCHES = ("", "", "--", "\\\\", "///", "...", "xxx")
"""In the order of :data:`DEFENCES`."""

PRINTED = {"none": "Study S prints, undefended", "saliency_source": "Study S prints, masked"}
"""Row of ``evaluation.csv`` to what Study S prints, a hollow bar next to the row's. A mark on our
bar would float where ours is zero."""

PRINTED_LINES = {"none": "-", "saliency_source": (0, (2, 1))}

LETTERS_ACROSS = 120
"""How many letters of the size of goodness fit across all panels."""

SHOWN_TOGETHER = ("map", "fill", "mu_as")
"""What the panels of one kind of map have in common."""


def saliency_steps(
    masks: Mapping[str, np.ndarray],
    evaluation: pd.DataFrame,
    best: Mapping[str, Any],
    *,
    samples: int = 6,
) -> Drawn:
    """The five steps on one picture, and pictures on which the mask worked and failed.

    Args:
        masks: ``saliency/masks.npz``: images and filled, K x H x W x 3 uint8; saliency
            K x H x W float in [0, 1]; thresholded, closed, filtered and the true frames
            K x H x W bool; worked K bool; attacker, target, prediction_before and prediction_after
            K str; confidence_before and confidence_after K float in [0, 1]; mu, n and phi.
        evaluation: ``saliency/evaluation.csv``.
        best: ``saliency/best.json``.
        samples: pictures per row of samples.
    """
    worked = masks["worked"].astype(bool)
    undone = Rate.read(_masked(evaluation), "defence_success")
    numbers = {**best["goodness"], "shown": len(worked), "examples": undone.n}
    numbers["undone"] = whole_percent(undone.value)
    if not len(worked):
        return nothing_to_draw("no attack of the test split succeeded"), numbers
    found = {"worked": np.flatnonzero(worked), "failed": np.flatnonzero(~worked)}
    groups = [(title, rows[:samples]) for title, rows in found.items() if len(rows)]
    none = [title for title, rows in found.items() if not len(rows)]
    columns = max(len(STEPS), samples)
    figure = new_figure(height=1.65 + 2.55 * len(groups) + 0.2 * len(none))
    grid = figure.subplots(1 + 2 * len(groups), columns, squeeze=False)
    for axes in grid.ravel():
        bare(axes)
    one = groups[0][1][0]
    if none:
        figure.supxlabel(f"{none[0]}: none", x=0.01, ha="left", fontsize=9)
    parameters = {name: masks[name].item() for name in ("mu", "n", "phi")}
    for axes, step, title in zip(grid[0], STEPS, STEP_TITLES, strict=False):
        cmap = "gray_r" if step == "saliency" else "gray"
        axes.imshow(masks[step][one], cmap=cmap)
        axes.set_title(title.format(**parameters), fontsize=8)
        if step == "filtered":
            outline(axes, masks["frames"][one])
    for index, (title, rows) in enumerate(groups):
        before, after = grid[1 + 2 * index], grid[2 + 2 * index]
        before[0].set_ylabel(f"{title}:\nattacked")
        after[0].set_ylabel("masked")
        for column, row in enumerate(rows):
            before[column].imshow(masks["images"][row])
            after[column].imshow(masks["filled"][row])
            for axes, when in ((before[column], "before"), (after[column], "after")):
                axes.set_xlabel(_answer(masks, when, row), fontsize=6.5)
    return figure, numbers


def _masked(evaluation: pd.DataFrame) -> dict[Any, Any]:
    """The row of the saliency mask where every answer counts."""
    rows = evaluation[(evaluation["defence"] == "saliency") & evaluation["threshold"].isna()]
    return rows.iloc[0].to_dict()


def _evaluated(evaluation: pd.DataFrame) -> dict[str, int | None]:
    row = _masked(evaluation)
    rates = {"adversarial": "adversarial_success", "clean": "clean_accuracy"}
    return {what: Rate.read(row, name).n for what, name in rates.items()}


def saliency_grid(grid: pd.DataFrame, best: Mapping[str, Any], *, kinds: Sequence[str]) -> Drawn:
    """Goodness over μ and n, a panel for each φ and each kind of map; blank where not tried.

    Where a race dropped a point, the panel says what its goodness is at most.

    Each kind has its own μ: values and quantiles of a map are no points of one axis.

    Args:
        grid: ``saliency/grid.csv``.
        best: ``saliency/best.json``, which has for each kind of map the row with the best goodness:
            map, mu, mu_as, n, phi, fill. Its fill and its reading of μ are shown.
        kinds: the kinds of map that were searched. A random search may have drawn no point of one.
    """
    bests = [best["by_map"][kind] for kind in kinds if kind in best["by_map"]]
    of_kind = grid.groupby(list(SHOWN_TOGETHER))
    shown = [(one, of_kind.get_group(tuple(one[key] for key in SHOWN_TOGETHER))) for one in bests]
    everything = pd.concat([rows for _, rows in shown])
    phis = sorted(everything["phi"].unique())
    across = min(4, len(phis))
    down = math.ceil(len(phis) / across)
    figure = new_figure(height=2.3 * down * len(shown) + 0.5)
    panels = figure.subplots(down * len(shown), across, squeeze=False, sharey=True)
    ns = sorted(everything["n"].unique())
    low, high = float(everything["goodness"].min()), float(everything["goodness"].max())
    digits = _digits(low, high)
    drawn = [
        (axes, one, rows, phi)
        for (one, rows), part in zip(shown, np.split(panels, len(shown)), strict=True)
        for axes, phi in zip(part.ravel(), phis, strict=False)
    ]
    for axes, one, rows, phi in drawn:
        mus = sorted(rows["mu"].unique())
        table = rows[rows["phi"] == phi].pivot_table(index="n", columns="mu", values="goodness")
        values = table.reindex(index=ns, columns=mus).to_numpy()
        if "goodness_most" in rows:
            most = rows[(rows["phi"] == phi) & rows["goodness"].isna()]
            for dropped in most.itertuples():
                place = mus.index(dropped.mu), ns.index(dropped.n)
                text = f"≤{dropped.goodness_most:.2f}".replace("≤0", "≤")
                written(axes, place, text, 5, light=False)
        scale = {"cmap": SEQUENTIAL, "vmin": low, "vmax": high}
        image = axes.imshow(values, aspect="auto", origin="lower", **scale)
        axes.set_xticks(range(len(mus)), [f"{mu:g}" for mu in mus], rotation=90)
        axes.set_yticks(range(len(ns)), [str(n) for n in ns])
        axes.set_title(f"{one['map']}, φ = {phi}" if len(shown) > 1 else f"φ = {phi}")
        if values.size <= 60 and values.shape[1] * (digits + 1) <= LETTERS_ACROSS / across:
            for (row, column), value in np.ndenumerate(values):
                if np.isnan(value):
                    continue
                light = high > low and (value - low) / (high - low) < 0.55
                text = f"{value:.{digits}f}".lstrip("0")
                written(axes, (column, row), text, 6, light=light)
        if phi == one["phi"]:
            # Tables have six digits of μ.
            nearest = int(np.argmin(np.abs(np.array(mus) - one["mu"])))
            framed(axes, (nearest, ns.index(one["n"])), 1, clip_on=False)
        axes.spines[:].set_visible(False)
    for axes in set(panels.ravel()) - {axes for axes, *_ in drawn}:
        axes.set_visible(False)
    for (one, _), part in zip(shown, np.split(panels, len(shown)), strict=True):
        for column in part.T:
            *above, lowest = [axes for axes in column if axes.get_visible()]
            lowest.set_xlabel(f"μ, a {one['mu_as']}")
            for axes in above:
                axes.tick_params(labelbottom=False)
    for axes in panels[:, 0]:
        axes.set_ylabel("n")
    figure.colorbar(image, ax=panels, shrink=0.8, label="goodness")
    named = (f"{one['map']}, fill {spelt(one['fill'])}, μ as a {one['mu_as']}" for one in bests)
    counts = {"adversarial": int(grid["n_adv"].iloc[0]), "clean": int(grid["n_clean"].iloc[0])}
    return figure, {"kinds": "; ".join(named), **counts}


def _digits(low: float, high: float) -> int:
    """Decimals that show a tenth of the range from the least to the greatest."""
    if high <= low:
        return 2
    return min(max(2, 1 - math.floor(math.log10(high - low))), 4)


def saliency_evaluation(evaluation: pd.DataFrame, best: Mapping[str, Any]) -> Drawn:
    """Rates before and after every defence, without and with the confidence threshold.

    Hollow bars are what Study S prints; where it rejects answers, only at its own threshold.

    Args:
        evaluation: ``saliency/evaluation.csv``: defence, threshold (empty for none), and every
            rate of ``RATES`` with ``_low`` and ``_high``.
        best: ``saliency/best.json``.
    """
    thresholds = evaluation["threshold"].drop_duplicates().sort_values(na_position="first").tolist()
    figure = new_figure(height=2.5 * len(thresholds) + 0.4)
    panels = figure.subplots(len(thresholds), 1, squeeze=False)[:, 0]
    measured = rows_as_text(evaluation)
    defences = [name for name in DEFENCES if name in measured and name not in repeats(measured)]
    styles = dict(zip(DEFENCES, zip(("#c9c9c9", *COLOURS), HATCHES, strict=False), strict=True))
    bars = [
        (defence, printed)
        for defence in defences
        for printed in ((False, True) if defence in PRINTED else (False,))
    ]
    width = 0.8 / len(bars)
    for axes, threshold in zip(panels, thresholds, strict=True):
        free = math.isnan(threshold)
        at = evaluation["threshold"].isna() if free else evaluation["threshold"] == threshold
        source = _printed(threshold)
        for index, (defence, printed) in enumerate(bars):
            centres = np.arange(len(RATES)) + (index - (len(bars) - 1) / 2) * width
            if printed:
                values = [getattr(source.get(defence), name, None) for name in RATES]
                look = {"fill": False, "edgecolor": SOURCE, "linewidth": 1.0}
                look |= {"linestyle": PRINTED_LINES[defence], "label": PRINTED[defence]}
                _bars(axes, centres, values, width * 0.8, look)
                continue
            row = evaluation[at & (evaluation["defence"] == defence)].iloc[0].to_dict()
            rates = [Rate.read(row, name) for name in RATES]
            values = [rate.value for rate in rates]
            if defence == "none":
                values[list(RATES).index("defence_success")] = math.nan
            colour, hatch = styles[defence]
            look = {"color": colour, "edgecolor": "white", "linewidth": 0.4, "hatch": hatch}
            shown = _bars(axes, centres, values, width * 0.92, look | {"label": DEFENCES[defence]})
            ends = np.array([[rate.low, rate.high] for rate in rates])[shown].T
            # Bright edges, or the interval is lost on a black bar.
            for colour, linewidth in (("white", 2.2), (INK, 0.8)):
                axes.vlines(centres[shown], *ends, colour, linewidth=linewidth)
        axes.set_xticks(range(len(RATES)), list(RATES.values()))
        axes.tick_params(axis="x", length=0)
        said = "every answer counts" if free else f"answers below {threshold:g} are rejected"
        axes.set_title(said, loc="left")
        rate_axis(axes)
        axes.set_ylim(0, 1.02)
    legend_of(panels[0], loc="outside upper center", ncols=3)
    return figure, {
        **_evaluated(evaluation),
        "map": best["goodness"]["map"],
        "method": DEFENCES[guided_and_tuned(measured)],
    }


def _bars(
    axes: Axes, centres: np.ndarray, values: Sequence[float | None], width: float, look: Any
) -> np.ndarray:
    """Draw bars of the values that are known; returns which they are."""
    heights = np.array(values, dtype=float)
    shown = np.isfinite(heights)
    axes.bar(centres[shown], heights[shown], width, **look)
    return shown


def _printed(threshold: float) -> dict[str, sources_figures.SourceSaliency]:
    """What Study S prints where answers below a threshold are rejected (NaN: none are)."""
    if math.isnan(threshold):
        return {"none": sources_figures.UNDEFENDED, "saliency_source": sources_figures.DEFENDED}
    if math.isclose(threshold, sources_figures.CONFIDENCE_THRESHOLD):
        return {"saliency_source": sources_figures.DEFENDED_WITH_THRESHOLD}
    return {}


def threshold_curve(
    curve: pd.DataFrame,
    working_point: Mapping[str, Any],
    evaluation: pd.DataFrame,
    *,
    threshold: float,
) -> Drawn:
    """Rates against the confidence below which an answer is rejected.

    Args:
        curve: ``saliency/threshold_curve.csv``: defence, threshold, split and the rates of
            ``RATES`` with ``_low`` and ``_high``.
        working_point: ``saliency/working_point.json``: the threshold that was chosen on validation
            pictures behind the mask.
        evaluation: ``saliency/evaluation.csv``.
        threshold: the one that the study sets.
    """
    figure = new_figure(height=2.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, defence in zip(panels, ("none", "saliency"), strict=True):
        rows = curve[(curve["defence"] == defence) & (curve["split"] == "test")]
        rows = rows.sort_values("threshold", kind="stable")
        for index, (name, label) in enumerate(RATES.items()):
            if defence == "none" and name == "defence_success":
                continue
            look = series(index) | {"marker": ""}
            axes.plot(rows["threshold"], rows[name], label=label, **look)
            rates = [Rate.read(row, name) for row in rows.to_dict("records")]
            ends = [rate.low for rate in rates], [rate.high for rate in rates]
            axes.fill_between(
                rows["threshold"], *ends, color=look["color"], alpha=0.18, linewidth=0
            )
        _mark(axes, threshold, "set", color=SOURCE, linestyle=":")
        if defence == "saliency":
            _mark(axes, working_point["threshold"], "working point", color=INK, linestyle="-")
        axes.set_title("undefended" if defence == "none" else DEFENCES[defence], loc="left")
        axes.set_xlabel("least confidence of an answer")
        rate_axis(axes)
    panels[0].set_ylabel("rate")
    legend_of(panels[1], loc="outside lower center", ncols=len(RATES))
    return figure, {
        **_evaluated(evaluation),
        "threshold": threshold,
        "working_point": working_point["threshold"],
        "largest_clean_loss": whole_percent(working_point["largest_clean_loss"]),
    }


def _mark(axes: Axes, confidence: float, what: str, *, color: str, linestyle: str) -> None:
    """A line across the panel, with its name on the side where there is more room."""
    axes.axvline(confidence, color=color, linewidth=0.8, linestyle=linestyle)
    right = confidence < 0.5
    axes.annotate(
        what,
        (confidence, 0.5),
        xytext=(3 if right else -3, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="center",
        rotation=90,
        fontsize=7,
        color=color,
    )


GENERALITY_RATES = {
    "adversarial_success": "attack still succeeds",
    "defence_success": "attack undone",
}
"""Columns of ``generality.csv`` that are drawn, and what they mean."""


def generality(table: pd.DataFrame) -> Drawn:
    """What masks tuned on one attack do to the others.

    Args:
        table: ``saliency/generality.csv``: tuned_on, tested_on, threshold (empty for none),
            undefended_success, and the rates of ``GENERALITY_RATES`` with ``_low`` and ``_high``.
    """
    rows = table[table["threshold"].isna()]
    names = rows["tuned_on"].drop_duplicates().tolist()
    tested = rows["tested_on"].drop_duplicates().tolist()
    figure = new_figure(height=1.2 + 0.62 * len(names))
    panels = figure.subplots(1, len(GENERALITY_RATES), sharey=True)
    undefended = rows.drop_duplicates("tested_on").set_index("tested_on")["undefended_success"]
    for axes, (name, title) in zip(panels, GENERALITY_RATES.items(), strict=True):
        cells = rows.pivot_table(index="tuned_on", columns="tested_on", values=name)
        values = cells.loc[names, tested].to_numpy()
        image = axes.imshow(values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        for row in rows.to_dict("records"):
            down, across = names.index(row["tuned_on"]), tested.index(row["tested_on"])
            rate = Rate.read(row, name)
            text = f"{100 * rate.value:.1f} %\n[{100 * rate.low:.0f}–{100 * rate.high:.0f}]"
            written(axes, (across, down), text, 7, light=rate.value < 0.55)
            if row["tuned_on"] == row["tested_on"]:
                framed(axes, (across, down), 0.94)
        labels = [f"{spelt(one)}\n({100 * undefended[one]:.0f} %)" for one in tested]
        axes.set_xticks(range(len(tested)), labels)
        axes.set_yticks(range(len(names)), [spelt(one) for one in names])
        axes.set_title(title, loc="left")
        axes.set_xlabel("tested on (undefended success)")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("tuned on")
    figure.colorbar(image, ax=panels, shrink=0.8, label="share of the attacks")
    counts = sorted(set(table["adversarial_success_n"]))
    return figure, {"n": " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))}


def _answer(masks: Mapping[str, np.ndarray], when: str, row: int) -> str:
    """The answer, its confidence, and whether it is the target, the attacker or somebody else."""
    name = str(masks[f"prediction_{when}"][row])
    role = {str(masks["target"][row]): "target", str(masks["attacker"][row]): "right"}
    confidence = float(masks[f"confidence_{when}"][row])
    return f"{shortened(name)}\n{role.get(name, 'neither')}, {confidence:.2f}"
