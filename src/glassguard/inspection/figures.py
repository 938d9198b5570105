"""One figure for each picture: what was shown, what was seen, what was decided and why."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glassguard.guard.decision import ACCEPT, CORRECT
from glassguard.guard.guard import Inspection
from glassguard.inspection.opinions import Flag, Opinion
from glassguard.report.style import COLOURS, INK, SOURCE, bare, new_figure

GOOD, DOUBTFUL, BAD = COLOURS[3], COLOURS[1], COLOURS[6]
REMOVED = (213, 94, 0)
"""Colour of what the mask removes; the same as :data:`BAD`."""


def inspection_figure(
    name: str,
    image: NDArray[np.uint8],
    banded: NDArray[np.uint8],
    inspection: Inspection,
    opinion: Opinion | None,
) -> Figure:
    """Draw what the guard, the mask and the detectors make of one picture.

    Args:
        name: of the picture.
        image: S x S x 3 uint8, aligned.
        banded: S x S x 3 uint8, the same with the band filled.
        inspection: of the guard.
        opinion: of detectors and mask; without it their panels are left out.
    """
    figure = new_figure(3.4 if opinion is None else 3.9, width=5.0 if opinion is None else 11.5)
    colours = {ACCEPT: GOOD, CORRECT: DOUBTFUL}
    verdict = inspection.decision.upper() + (f": {inspection.answer}" if inspection.answer else "")
    figure.suptitle(
        f"{name}\n{verdict} – {inspection.why}",
        color=colours.get(inspection.decision, BAD),
        fontweight="bold",
        fontsize=9.5,
        wrap=True,
    )
    panels = [
        (image, "the picture", inspection.seen, inspection.seen_confidence),
        (banded, "eye band hidden", inspection.banded, inspection.banded_confidence),
    ]
    if opinion is not None:
        shown = image.copy()
        shown[opinion.mask] = REMOVED
        removed = f"saliency mask removes {opinion.removed:.1%}"
        panels.append((shown, removed, opinion.masked, opinion.masked_confidence))
    widths = [1.0] * len(panels) + ([2.1] if opinion is not None else [])
    row = figure.subplots(1, len(widths), width_ratios=widths, squeeze=False)[0]
    for axes, (picture, what, who, sure) in zip(row, panels, strict=False):
        axes.imshow(picture)
        bare(axes)
        axes.set_title(what)
        axes.set_xlabel(f"{who}  {sure:.3f}")
    if opinion is not None:
        _list_flags(row[-1], opinion.flags)
    return figure


def _list_flags(axes: Axes, flags: tuple[Flag, ...]) -> None:
    bare(axes)
    axes.set_title(f"{sum(flag.flagged for flag in flags)} of {len(flags)} detectors flag it")
    columns = ((0.0, "left"), (0.4, "left"), (0.88, "right"), (1.0, "right"))
    rows = [("detector", "layer", "score", "above", INK)] + [
        (
            flag.detector,
            ", ".join(flag.slices) or "–",
            f"{flag.score:.3g}",
            f"{flag.threshold:.3g}",
            BAD if flag.flagged else SOURCE,
        )
        for flag in flags
    ]
    for place, (*texts, colour) in enumerate(rows):
        for (x, side), text in zip(columns, texts, strict=True):
            y = 1 - (place + 0.5) / len(rows)
            weight = "bold" if colour == BAD else "normal"
            look: dict[str, Any] = {"color": colour, "fontweight": weight, "fontsize": 6.5}
            axes.text(x, y, text, ha=side, va="center", transform=axes.transAxes, **look)
