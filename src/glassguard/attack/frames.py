"""The spectacle frame: a parametric silhouette that sits on the eyes (our own drawing).

The silhouette is described in units of the distance between the eyes, with the origin midway
between them, so one description fits every picture size and pose. Its thickness is chosen so that
the frame covers 6.72 % of an aligned face, as the frame of Sharif et al. (2016) does at 224 px.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.attack.inputs import require_masks

LENS_CENTRE = 0.535
LENS_HALF_WIDTH = 0.445
LENS_HALF_HEIGHT = 0.340
LENS_EXPONENT = 2.8
RIM = 0.0975
BRIDGE_HALF_HEIGHT = 0.055
BRIDGE_HEIGHT = -0.09
HINGE_END = 1.02
HINGE_HALF_HEIGHT = 0.06
HINGE_HEIGHT = -0.16
DROP = 0.06
"""How far below the line of the eyes the lenses' centres are."""

SAMPLES_PER_PIXEL = 3


def frame_mask(eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """Pixels that a frame covers when it is put on a face.

    Args:
        eyes: 2 x 2; rows are the eye at the left of the picture and the eye at the right, columns
            are x and y in pixels.
        size: side of the picture in pixels.

    Returns:
        size x size bool: the pixels of which at least half is covered.

    Raises:
        ValueError: the eyes coincide, or are not finite.
    """
    along, across = face_coordinates(eyes, size)
    return mostly_covered(_silhouette(np.abs(along), across - DROP), size)


def mostly_covered(samples: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels of which at least half is covered.

    Args:
        samples: S x S, see :func:`face_coordinates`.
        size: side of the picture in pixels.

    Returns:
        size x size bool.
    """
    blocks = samples.reshape(size, SAMPLES_PER_PIXEL, size, SAMPLES_PER_PIXEL)
    return blocks.mean(axis=(1, 3)) >= 0.5


def face_coordinates(
    eyes: NDArray[np.floating], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where samples of a picture lie on the face, in units of the distance between the eyes.

    Args:
        eyes: 2 x 2, see :func:`frame_mask`.
        size: side of the picture in pixels.

    Returns:
        Along the line of the eyes and across it (downwards), from midway between them; each
        S x S with :data:`SAMPLES_PER_PIXEL` samples along a pixel's side.

    Raises:
        ValueError: the eyes coincide, or are not finite.
    """
    left, right = np.asarray(eyes, dtype=np.float64)
    if not np.isfinite([left, right]).all():
        raise ValueError(f"eyes are not finite: {left.tolist()}, {right.tolist()}")
    distance = float(np.hypot(*(right - left)))
    if distance == 0:
        raise ValueError("the two eyes are at the same place")
    axis = (right - left) / distance
    fine = (np.arange(size * SAMPLES_PER_PIXEL) + 0.5) / SAMPLES_PER_PIXEL - 0.5
    x, y = np.meshgrid(fine, fine)
    middle = (left + right) / 2
    along = ((x - middle[0]) * axis[0] + (y - middle[1]) * axis[1]) / distance
    across = (-(x - middle[0]) * axis[1] + (y - middle[1]) * axis[0]) / distance
    return along, across


def _silhouette(along: NDArray[np.float64], across: NDArray[np.float64]) -> NDArray[np.bool_]:
    def within_lens(half_width: float, half_height: float) -> NDArray[np.bool_]:
        return (np.abs(along - LENS_CENTRE) / half_width) ** LENS_EXPONENT + (
            np.abs(across) / half_height
        ) ** LENS_EXPONENT <= 1

    outer = within_lens(LENS_HALF_WIDTH, LENS_HALF_HEIGHT)
    opening = within_lens(LENS_HALF_WIDTH - RIM, LENS_HALF_HEIGHT - RIM)
    bridge = (along < LENS_CENTRE) & (np.abs(across - BRIDGE_HEIGHT) < BRIDGE_HALF_HEIGHT)
    hinge = (
        (along > LENS_CENTRE)
        & (along < HINGE_END)
        & (np.abs(across - HINGE_HEIGHT) < HINGE_HALF_HEIGHT)
    )
    return (outer | bridge | hinge) & ~opening


def frame_masks(eyes: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """:func:`frame_mask` for N x 2 x 2 eyes: N x size x size bool."""
    masks = [frame_mask(pair, size) for pair in eyes]
    return np.array(masks, dtype=bool).reshape(-1, size, size)


def wear(
    images: NDArray[np.uint8], masks: NDArray[np.generic], texture: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Put a texture on the pixels of a mask.

    Args:
        images: N x H x W x 3 uint8.
        masks: see :func:`glassguard.attack.inputs.require_masks`.
        texture: uint8, broadcastable to ``images``: one colour, or a picture each.

    Raises:
        ValueError: the pictures or the texture are of another type or shape, or see
            :func:`glassguard.attack.inputs.require_masks`.
    """
    for name, array in (("images", images), ("texture", texture)):
        if array.dtype != np.uint8:
            raise ValueError(f"{name} must be uint8: {array.dtype}")
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be N x height x width x 3: {images.shape}")
    inside = require_masks(torch.tensor(masks), *images.shape[:3]).numpy()
    try:
        texture = np.broadcast_to(texture, images.shape)
    except ValueError:
        raise ValueError(
            f"a texture of shape {texture.shape} does not fit images of shape {images.shape}"
        ) from None
    return np.where(inside[..., None], texture, images)


def random_texture(
    count: int, size: int, *, generator: np.random.Generator, grain: int = 12
) -> NDArray[np.uint8]:
    """Colourful textures that no network had a say in: coarse random colours with fine noise.

    Args:
        count: number of textures.
        size: side in pixels.
        generator: source of the colours.
        grain: patches of one colour along a side.

    Returns:
        count x size x size x 3 uint8.
    """
    coarse = generator.integers(0, 256, (count, grain, grain, 3))
    index = np.arange(size) * grain // size
    noise = generator.integers(-40, 41, (count, size, size, 3))
    return np.clip(coarse[:, index][:, :, index] + noise, 0, 255).astype(np.uint8)
