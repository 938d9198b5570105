"""Figures of the guard."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glassguard.faces.manifest import EYES
from glassguard.guard.banding import banded
from glassguard.guard.eye_band import EyeBand
from glassguard.report.style import (
    Drawn,
    bare,
    legend_of,
    new_figure,
    nothing_to_draw,
    rate_axis,
    series,
)
from glassguard.report.wording import shortened, spelt, whole_percent
from glassguard.statistics import Rate

DRAWN = (
    *("none", "guard", "guard_correcting", "combined", "saliency_mask"),
    *("feature_squeezing", "influence"),
)
"""Defences in the figure, if the study has them; the table has all."""

NAMES = {
    "none": "recognizer alone",
    "guard": "guard: accept or reject",
    "guard_correcting": "guard: correct",
    "combined": "detector, mask and guard",
}

MEASURES = {
    "accepted_as_target": "attacks accepted as the target",
    "corrected": "attacks named right",
}


def operating_curves(table: pd.DataFrame, summary: Mapping[str, Any]) -> Drawn:
    """What every defence does to attacks, against what it costs honest people.

    Args:
        table: ``guard/operating_curve.csv``.
        summary: ``guard/summary.json``.
    """
    names = [name for name in DRAWN if (table["defence"] == name).any()]
    figure = new_figure(height=4.2)
    panels = figure.subplots(1, len(MEASURES))
    for axes, (measure, label) in zip(panels, MEASURES.items(), strict=True):
        axes.set_xlabel("honest pictures rejected or misnamed")
        axes.set_ylabel(label)
        axes.set_xlim(-0.02, 0.62)
        rate_axis(axes)
        for position, name in enumerate(names):
            rows = table[table["defence"] == name]
            look = series(position) | {"markevery": [0], "linewidth": 1.3}
            shown = NAMES.get(name, spelt(name))
            axes.plot(rows["false_reject"], rows[measure], label=shown, **look)
    legend_of(panels[0], loc="outside lower center", ncols=3, handlelength=3.5)
    first = table.to_dict("records")[0]
    return figure, {
        "honest": Rate.read(first, "false_reject").n,
        "attacked": Rate.read(first, "corrected").n,
        "detector": spelt(summary["combined_detector"]),
        "all_defences": table["defence"].nunique(),
        "drawn": len(names),
    }


def guard_gallery(
    decisions: pd.DataFrame,
    images: NDArray[np.uint8],
    examples: pd.DataFrame,
    manifest: pd.DataFrame,
    band: Mapping[str, Any],
    *,
    samples: int = 6,
) -> Drawn:
    """Attacked test pictures as the two recognizers see them, by what the guard makes of them.

    Args:
        decisions: ``guard/decisions.csv``.
        images: pictures of the attack, N x H x W x 3 uint8.
        examples: ``examples.csv`` of the attack.
        manifest: ``data/manifest.csv``, which says where the eyes are.
        band: ``guard/band.json``.
        samples: pictures of each kind, at most.
    """
    place = {name: row for row, name in enumerate(examples["example_id"])}
    rows = decisions[(decisions["split"] == "test") & decisions["example_id"].isin(place)]
    right = rows["answer_banded"] == rows["identity"]
    agree = rows["answer_banded"] == rows["answer_full"]
    accepted = rows["decision"] == "accept"
    kinds = {
        "accepted": accepted & right,
        "corrected": ~accepted & right & ~agree,
        "rejected": ~accepted & ~(right & ~agree),
        "wrong": accepted & ~right,
    }
    counts = {name: int(which.sum()) for name, which in kinds.items()}
    shares = {
        f"{name}_share": whole_percent(count / max(len(rows), 1)) for name, count in counts.items()
    }
    numbers = {**counts, **shares, "n": len(rows)}
    shown = {
        name: rows[which].iloc[_spread(counts[name], samples)] for name, which in kinds.items()
    }
    shown = {name: table for name, table in shown.items() if len(table)}
    if not shown:
        return nothing_to_draw("no attacked test picture"), numbers
    eyes = manifest.set_index("image_id")[list(EYES)]
    cover = EyeBand(band["half_width"], band["top"], band["bottom"], band["placements"]["shift"])
    figure = new_figure(height=0.3 + 2.5 * len(shown))
    grid = figure.subplots(2 * len(shown), samples, squeeze=False)
    for axes in grid.ravel():
        bare(axes)
    for index, (name, table) in enumerate(shown.items()):
        pictures = images[[place[one] for one in table["example_id"]]]
        of_faces = eyes.loc[table["image_id"]].to_numpy(dtype=float).reshape(-1, 2, 2)
        hidden = banded(pictures, cover.masks(of_faces, pictures.shape[1]))
        for down, seen, part in ((0, pictures, "full"), (1, hidden, "banded")):
            line = grid[2 * index + down]
            line[0].set_ylabel(f"{name}:\nattacked" if down == 0 else "band hidden")
            for axes, picture, row in zip(line, seen, table.to_dict("records"), strict=False):
                axes.imshow(picture)
                sure = f"{row[f'confidence_{part}']:.2f}"
                axes.set_xlabel(f"{shortened(row[f'answer_{part}'])} {sure}", fontsize=6.5)
    return figure, numbers


def _spread(count: int, samples: int) -> NDArray[np.int64]:
    """Up to ``samples`` positions, evenly drawn from ``count``."""
    return np.unique(np.arange(samples) * count // samples)[:count]
