"""Frames as people may wear them, and what of them lies outside a band."""

import numpy as np
from numpy.typing import NDArray

from glassguard.attack.accessories import GLASSES, SAMPLES_PER_PIXEL, covers
from glassguard.attack.shape_settings import Shape
from glassguard.guard.settings import Placements

EYES = np.array([[30.29, 41.7], [65.53, 41.5]])
"""Of the common pose at 96 pixels."""


def worn(
    placements: Placements, eyes: NDArray, size: int, count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Where the eyes would be for which ``count`` frames are drawn: every second is an extreme one.

    A frame is drawn for a pair of eyes, so moving them moves it.
    """
    drawn = generator.uniform(-1, 1, (count, 4))
    drawn[::2] = generator.choice([-1.0, 0.0, 1.0], (len(drawn[::2]), 4))
    angle = np.radians(placements.rotation) * drawn[:, 0]
    factor = 1 + placements.scale * drawn[:, 1]
    shift = placements.shift * size * drawn[:, 2:]
    places = eyes[:, 0] + 1j * eyes[:, 1]
    middle = places.mean()
    moved = (places - middle) * (factor * np.exp(1j * angle))[:, None]
    moved = moved + middle + (shift[:, 0] + 1j * shift[:, 1])[:, None]
    return np.stack([moved.real, moved.imag], axis=2)


def samples_outside(
    band: NDArray[np.bool_], frames: NDArray[np.float64], shape: Shape = GLASSES
) -> int:
    """How many samples of the pixels beside a band any of the frames covers.

    Args:
        band: H x W bool.
        frames: N x 2 x 2, from :func:`worn`.
        shape: the accessory.
    """
    inside = np.pad(band, 1, mode="edge")
    neighbours = np.zeros_like(band)
    for down in (0, 1, 2):
        for right in (0, 1, 2):
            neighbours |= inside[down : down + len(band), right : right + band.shape[1]]
    rows, columns = np.nonzero(neighbours & ~band)
    fine = (np.arange(SAMPLES_PER_PIXEL) + 0.5) / SAMPLES_PER_PIXEL - 0.5
    y, x = (np.add.outer(one, fine) for one in (rows, columns))
    places = (x[:, None, :] + 1j * y[:, :, None]).ravel()
    found = 0
    for left, right in frames[..., 0] + 1j * frames[..., 1]:
        local = (places - (left + right) / 2) / (right - left)
        near = np.abs(local.imag) < 1
        found += int(covers(shape, local.real[near], local.imag[near]).sum())
    return found
