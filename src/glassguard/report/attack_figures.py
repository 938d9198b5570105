"""Figures of the recognizer and of the attack on it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from glassguard.report import sources_figures
from glassguard.report.style import (
    COLOURS,
    INK,
    OURS,
    SECOND,
    SOURCE,
    bare,
    new_figure,
    nothing_to_draw,
    rate_axis,
    series,
    shortened,
    spelt,
)


def attack_examples(
    originals: np.ndarray, attacked: np.ndarray, targets: np.ndarray, examples: pd.DataFrame
) -> Figure:
    """Attackers, the same with adversarial glasses, and whom they want to be.

    Args:
        originals: K x H x W x 3 uint8 RGB.
        attacked: K x H x W x 3 uint8 RGB.
        targets: K x H x W x 3 uint8 RGB, a benign picture of each target.
        examples: K rows of ``examples.csv``: attacker, target, prediction, confidence_target.
    """
    count = len(originals)
    figure = new_figure(height=1.25 * 3 + 0.7)
    grid = figure.subplots(3, count, squeeze=False)
    for column, row in enumerate(examples.to_dict("records")):
        for axes, picture in zip(
            grid[:, column], (originals[column], attacked[column], targets[column]), strict=True
        ):
            axes.imshow(picture)
            bare(axes)
        grid[0, column].set_title(shortened(row["attacker"]), fontsize=8)
        grid[1, column].set_xlabel(
            f"→ {shortened(row['prediction'])}\ntarget {row['confidence_target']:.2f}", fontsize=7.5
        )
        grid[2, column].set_xlabel(shortened(row["target"]), fontsize=8)
    for axes, text in zip(grid[:, 0], ("attacker", "with glasses", "target"), strict=True):
        axes.set_ylabel(text, fontsize=8.5)
    return figure


def recognizer_training(history: pd.DataFrame) -> Figure:
    """Accuracy and loss by epoch.

    Args:
        history: ``recognizer/history.csv``: epoch, train_loss, train_accuracy, val_loss,
            val_accuracy.
    """
    figure = new_figure(height=2.7)
    accuracy, loss = figure.subplots(1, 2)
    for position, (split, label) in enumerate((("train", "training"), ("val", "validation"))):
        look = series(position) | {"marker": ""}
        accuracy.plot(history["epoch"], history[f"{split}_accuracy"], label=label, **look)
        loss.plot(history["epoch"], history[f"{split}_loss"], label=label, **look)
    accuracy.axhline(
        sources_figures.RECOGNIZER.validation_accuracy, color=SOURCE, linewidth=0.8, linestyle=":"
    )
    accuracy.annotate(
        "Study S, validation",
        (1.0, sources_figures.RECOGNIZER.validation_accuracy),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=7.5,
        color=SOURCE,
    )
    accuracy.set(xlabel="epoch", ylabel="accuracy")
    accuracy.set_ylim(top=1.005)
    loss.set(xlabel="epoch", ylabel="cross-entropy")
    loss.set_ylim(bottom=0)
    accuracy.grid(axis="y")
    loss.grid(axis="y")
    loss.legend()
    return figure


def attack_confidence(examples: pd.DataFrame) -> Figure:
    """How sure of the target the recognizer became, and how long it took.

    Args:
        examples: rows of ``examples.csv`` that are to be counted: confidence_target, iterations,
            success.
    """
    figure = new_figure(height=2.7)
    confidence, iterations = figure.subplots(1, 2)
    success = examples["success"].astype(bool)
    bins = np.linspace(0, 1, 21)
    confidence.hist(
        [examples.loc[success, "confidence_target"], examples.loc[~success, "confidence_target"]],
        bins=bins.tolist(),
        stacked=True,
        color=[OURS, SECOND],
        edgecolor="white",
        linewidth=0.5,
        label=[f"succeeded ({int(success.sum())})", f"failed ({int((~success).sum())})"],
    )
    confidence.set(xlabel="confidence in the target", ylabel="attacked pictures")
    confidence.legend(loc="best")
    reached = np.sort(examples.loc[success, "iterations"].to_numpy(dtype=float))
    share = np.arange(1, len(reached) + 1) / max(len(examples), 1)
    end = float(examples["iterations"].max()) if len(examples) else 1.0
    last = share[-1] if len(share) else 0.0
    iterations.step(
        np.concatenate([[0.0], reached, [end]]),
        np.concatenate([[0.0], share, [last]]),
        where="post",
        color=OURS,
    )
    iterations.axhline(
        sources_figures.UNDEFENDED.adversarial_success, color=SOURCE, linewidth=0.8, linestyle=":"
    )
    iterations.annotate(
        "Study S",
        (1.0, sources_figures.UNDEFENDED.adversarial_success),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        fontsize=7.5,
        color=SOURCE,
    )
    iterations.set(xlabel="iterations", ylabel="attacks that succeeded by then")
    rate_axis(iterations)
    return figure


def sampled_pairs(examples: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first example of each of the first ``count`` pairs, different targets first.

    Args:
        examples: rows of ``examples.csv``, in their order.
        count: how many.
    """
    firsts = examples.drop_duplicates(["target", "attacker"])
    new_targets = firsts.drop_duplicates("target")
    rest = firsts.loc[~firsts.index.isin(new_targets.index)]
    return pd.concat([new_targets, rest]).head(count)


def profiles(groups: Sequence[tuple[str, np.ndarray, np.ndarray]], *, slice_name: str) -> Figure:
    """Influence profiles of targets against those of their impersonations (Study I, Fig. 6).

    Args:
        groups: per target its name, benign profiles N x filters, impersonations M x filters; where
            no attack succeeded there are none, and the figure says so.
        slice_name: the slice that the profiles are of.
    """
    if not groups:
        return nothing_to_draw("no attack of the test split succeeded: there is nothing to compare")
    figure = new_figure(height=1.75 * len(groups) + 0.4)
    rows = figure.subplots(len(groups), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, benign, impersonations) in zip(rows, groups, strict=True):
        order = np.argsort(-benign.mean(axis=0), kind="stable")
        filters = np.arange(len(order))
        for values, label, colour, line in (
            (benign, "benign", OURS, "-"),
            (impersonations, "impersonation", COLOURS[6], "--"),
        ):
            ordered = values[:, order]
            low, high = np.quantile(ordered, [0.1, 0.9], axis=0)
            axes.fill_between(filters, low, high, color=colour, alpha=0.22, linewidth=0)
            axes.plot(
                filters,
                ordered.mean(axis=0),
                color=colour,
                linestyle=line,
                linewidth=1.1,
                label=f"{label} (n = {len(values)})",
            )
        axes.set_title(spelt(name), loc="left", color=INK)
        axes.set_ylabel("influence")
        axes.legend(loc="upper right", ncols=2)
    rows[-1].set_xlabel(f"filter of {slice_name}, by the target's mean")
    rows[-1].set_xlim(0, max(len(order) - 1, 1))
    return figure
