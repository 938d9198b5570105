"""Colours of skin, hair and eyes, and painting with them.

Colours are given as a screen shows them and turned into light, in which shading is computed, with
an exponent of 2. Colour comes before place in every array (3 x H x W).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""float32; the type checker takes its product with a Python number for another one."""

_SKIN = (
    (0.00, (0.97, 0.85, 0.78)),
    (0.35, (0.87, 0.68, 0.56)),
    (0.65, (0.68, 0.48, 0.37)),
    (1.00, (0.36, 0.24, 0.18)),
)
_HAIR = (
    (0.00, (0.88, 0.74, 0.52)),
    (0.35, (0.62, 0.45, 0.28)),
    (0.65, (0.34, 0.22, 0.15)),
    (1.00, (0.11, 0.09, 0.085)),
)
_IRIS = (
    (0.00, (0.20, 0.11, 0.07)),
    (0.35, (0.36, 0.21, 0.11)),
    (0.55, (0.42, 0.35, 0.19)),
    (0.70, (0.34, 0.42, 0.29)),
    (0.85, (0.33, 0.46, 0.60)),
    (1.00, (0.46, 0.51, 0.55)),
)
_LIPSTICK = (
    (0.0, (0.75, 0.15, 0.20)),
    (0.4, (0.80, 0.33, 0.42)),
    (0.7, (0.62, 0.30, 0.26)),
    (1.0, (0.45, 0.10, 0.25)),
)
_EYE_SHADOW = (
    (0.0, (0.35, 0.24, 0.20)),
    (0.4, (0.45, 0.30, 0.42)),
    (0.7, (0.30, 0.38, 0.50)),
    (1.0, (0.55, 0.42, 0.25)),
)


def light(colour: Sequence[float] | NDArray[np.floating]) -> Field:
    """A colour on a screen, three shares, as amounts of light, 3 x 1 x 1."""
    shares = np.clip(np.asarray(colour, dtype=np.float32), 0.0, 1.0)
    return np.square(shares).reshape(3, 1, 1)


def tint(red: float, green: float, blue: float) -> Field:
    """Factors on the three colours of light, 3 x 1 x 1."""
    return np.array([red, green, blue], dtype=np.float32).reshape(3, 1, 1)


def _between_stops(stops: tuple[tuple[float, tuple[float, ...]], ...], at: float) -> Field:
    places = [place for place, _ in stops]
    return np.array(
        [np.interp(at, places, [colour[channel] for _, colour in stops]) for channel in range(3)],
        dtype=np.float32,
    )


def skin_colour(melanin: float, ruddiness: float) -> Field:
    """Light that skin returns."""
    colour = _between_stops(_SKIN, melanin)
    return light(colour + np.array([0.4, -0.6, -0.5]) * ruddiness)


def hair_colour(darkness: float, redness: float, grey: float) -> Field:
    """Light that hair returns."""
    colour = _between_stops(_HAIR, float(np.clip(darkness, 0.0, 1.0)))
    colour = colour + np.array([0.10, -0.01, -0.05], dtype=np.float32) * redness
    return light(colour + grey * (0.66 - colour))


def iris_colour(position: float) -> Field:
    """Light that the iris returns: brown over green and blue to grey."""
    return light(_between_stops(_IRIS, position))


def lipstick_colour(hue: float) -> Field:
    """Light that painted lips return."""
    return light(_between_stops(_LIPSTICK, hue))


def eye_shadow_colour(hue: float) -> Field:
    """Light that painted lids return."""
    return light(_between_stops(_EYE_SHADOW, hue))


def paint(canvas: Field, cover: Field, colour: Field | float) -> None:
    """Lay a colour over a canvas in place.

    Args:
        canvas: 3 x H x W.
        cover: H x W opacity in [0, 1].
        colour: 3 x 1 x 1 for one colour, or 3 x H x W.
    """
    canvas += cover * (colour - canvas)
