"""Figures of the recognizer and of the attack on it."""

import numpy as np
import pandas as pd

from glassguard.report import sources_figures
from glassguard.report.style import (
    OURS,
    SECOND,
    Drawn,
    bare,
    new_figure,
    printed,
    rate_axis,
    series,
)
from glassguard.report.wording import shortened, whole_percent

EXAMPLE_COLUMNS = 6


def attack_examples(
    manifest: pd.DataFrame, images: np.ndarray, attacked: np.ndarray, examples: pd.DataFrame
) -> Drawn:
    """Attackers, the same pictures with adversarial glasses, and the targets.

    Args:
        manifest: ``data/manifest.csv``, N rows.
        images: N x H x W x 3 uint8 RGB.
        attacked: M x H x W x 3 uint8 RGB.
        examples: ``examples.csv`` of the attack, M rows.
    """
    test = examples[examples["split"] == "test"]
    shown = sampled_pairs(test, EXAMPLE_COLUMNS)
    row_of = pd.Series(manifest.index, index=manifest["image_id"])
    first_of = manifest[manifest["split"] == "test"].drop_duplicates("identity")
    target_row = pd.Series(first_of.index, index=first_of["identity"])
    rows = (
        images[row_of[shown["image_id"]].to_numpy()],
        attacked[shown.index.to_numpy()],
        images[target_row[shown["target"]].to_numpy()],
    )
    figure = new_figure(height=1.25 * 3 + 0.7)
    grid = figure.subplots(3, len(shown), squeeze=False)
    for column, row in enumerate(shown.to_dict("records")):
        for axes, picture in zip(grid[:, column], (one[column] for one in rows), strict=True):
            axes.imshow(picture)
            bare(axes)
        grid[0, column].set_title(shortened(row["attacker"]), fontsize=8)
        grid[1, column].set_xlabel(
            f"→ {shortened(row['prediction'])}\ntarget {row['confidence_target']:.2f}", fontsize=7.5
        )
        grid[2, column].set_xlabel(shortened(row["target"]), fontsize=8)
    for axes, text in zip(grid[:, 0], ("attacker", "with glasses", "target"), strict=True):
        axes.set_ylabel(text, fontsize=8.5)
    pairs = len(test[["target", "attacker"]].drop_duplicates())
    return figure, {"pairs": len(shown), "all_pairs": pairs}


def recognizer_training(history: pd.DataFrame, manifest: pd.DataFrame) -> Drawn:
    """Accuracy and loss by epoch.

    Args:
        history: ``recognizer/history.csv``: epoch, train_loss, train_accuracy, val_loss,
            val_accuracy.
        manifest: ``data/manifest.csv``, of which the splits are counted.
    """
    source = sources_figures.RECOGNIZER
    figure = new_figure(height=2.7)
    accuracy, loss = figure.subplots(1, 2)
    for position, (split, label) in enumerate((("train", "training"), ("val", "validation"))):
        look = series(position) | {"marker": ""}
        accuracy.plot(history["epoch"], history[f"{split}_accuracy"], label=label, **look)
        loss.plot(history["epoch"], history[f"{split}_loss"], label=label, **look)
    printed(accuracy, source.validation_accuracy, "Study S, validation", below=True)
    for axes, measure in ((accuracy, "accuracy"), (loss, "cross-entropy")):
        axes.set(xlabel="epoch", ylabel=measure)
        axes.grid(axis="y")
    accuracy.set_ylim(top=1.005)
    loss.set_ylim(bottom=0)
    loss.legend()
    counts = manifest["split"].value_counts()
    return figure, {
        "epochs": len(history),
        "train": int(counts["train"]),
        "validation": int(counts["val"]),
        "source_train": whole_percent(source.train_accuracy),
        "source_validation": whole_percent(source.validation_accuracy),
    }


def attack_confidence(examples: pd.DataFrame) -> Drawn:
    """The recognizer's confidence in the target, and the iterations that it took.

    Args:
        examples: ``examples.csv`` of the attack: split, confidence_target, iterations, success.
    """
    examples = examples[examples["split"] == "test"]
    figure = new_figure(height=2.7)
    confidence, iterations = figure.subplots(1, 2)
    success = examples["success"].astype(bool)
    confidence.hist(
        [examples.loc[success, "confidence_target"], examples.loc[~success, "confidence_target"]],
        bins=np.linspace(0, 1, 21).tolist(),
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
    steps = [0.0, *reached, end], [0.0, *share, share[-1] if len(share) else 0.0]
    iterations.step(*steps, where="post", color=OURS)
    printed(iterations, sources_figures.UNDEFENDED.adversarial_success, "Study S")
    iterations.set(xlabel="iterations", ylabel="attacks that succeeded by then")
    rate_axis(iterations)
    return figure, {"n": len(examples), "successes": int(success.sum())}


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
