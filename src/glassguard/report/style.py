"""How every figure looks: sizes, colours that stay apart in grey and for the colour-blind."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Drawn = tuple[Figure, dict[str, Any]]
"""A figure and the numbers of its caption, by their names in the template."""

WIDTH = 7.2
"""Width of a figure in inches; at 150 dots per inch a PNG is 1,080 pixels wide."""

DOTS_PER_INCH = 150

# Okabe and Ito's colours in an order in which neighbours differ in lightness as well.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (8, 2)))
OURS, SECOND, INK = COLOURS[:3]
SOURCE = "#6b6b6b"
SEQUENTIAL = "cividis"

FONT = "DejaVu Sans"
OTHER_SCRIPTS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("Droid Sans Fallback", "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo"),
    *("Microsoft YaHei", "Malgun Gothic", "Yu Gothic", "Noto Sans Devanagari"),
    *("Noto Sans Thai", "Noto Sans Bengali", "Noto Sans Tamil"),
)
"""Fonts for names in scripts that matplotlib's own font lacks; used where they are installed."""

RC: dict[str, Any] = {
    "svg.hashsalt": "glassguard",
    "font.size": 9.0,
    # Names of people may hold dollar signs.
    "text.parse_math": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "normal",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.axisbelow": True,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",
}


@contextmanager
def drawing() -> Iterator[None]:
    """The house style while a figure is drawn and saved; it ends with the context."""
    look: dict[Any, Any] = dict(mpl.rcParamsDefault)
    families = {"font.family": font_families(font_manager.get_font_names())}
    with mpl.rc_context(look | {"backend": "agg"} | RC | families):
        yield


def font_families(installed: Collection[str]) -> list[str]:
    """The font of every figure, then fallbacks for letters that it lacks.

    Args:
        installed: names of this machine's fonts; matplotlib warns of a name that is not installed.
    """
    return [FONT, *(name for name in OTHER_SCRIPTS if name in installed)]


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure with a size in inches and automatic layout."""
    return Figure(figsize=(width, height), layout="constrained")


def nothing_to_draw(why: str) -> Figure:
    """A figure that says why it is empty."""
    figure = new_figure(height=1.0)
    axes = figure.subplots()
    bare(axes)
    axes.text(0.5, 0.5, why, ha="center", va="center")
    return figure


def series(position: int) -> dict[str, Any]:
    """Colour, marker and line of the ``position``-th series of a plot."""
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[position % len(MARKERS)],
        "linestyle": LINES[position % len(LINES)],
    }


def legend_of(axes: Axes, **look: Any) -> None:
    """The legend of one panel as that of the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(handles, labels, **look)


def rate_axis(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """An axis for rates: 0 to 1 with a faint grid."""
    (axes.set_ylim if which == "y" else axes.set_xlim)(-0.02, 1.02)
    axes.grid(axis=which)


def printed(axes: Axes, value: float, name: str, *, below: bool = False) -> None:
    """A dotted line at a value that a study prints, with its name above or below."""
    axes.axhline(value, color=SOURCE, linewidth=0.8, linestyle=":")
    axes.annotate(
        name,
        (1.0, value),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -3 if below else 3),
        textcoords="offset points",
        ha="right",
        va="top" if below else "baseline",
        fontsize=7.5,
        color=SOURCE,
    )


def written(axes: Axes, at: tuple[float, float], text: str, size: float, *, light: bool) -> None:
    """A text in the middle of a cell of a map, white on dark and black on light colours."""
    colour = "white" if light else "black"
    axes.text(*at, text, ha="center", va="center", fontsize=size, color=colour)


def framed(axes: Axes, at: tuple[float, float], side: float, **look: Any) -> None:
    """A frame around a cell of a map."""
    corner = at[0] - side / 2, at[1] - side / 2
    look |= {"fill": False, "edgecolor": COLOURS[6], "linewidth": 2}
    axes.add_patch(Rectangle(corner, side, side, **look))


def bare(axes: Axes) -> None:
    """No ticks and no frame, for pictures."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def outline(axes: Axes, frame: NDArray[np.bool_]) -> None:
    """The edge of a frame, H x W, in two tones: visible on dark and on light."""
    axes.contour(frame, levels=[0.5], colors=INK, linewidths=1.1)
    axes.contour(frame, levels=[0.5], colors="white", linewidths=0.5)
