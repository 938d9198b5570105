"""From a saliency map to the mask of what to remove (blog 2019, steps 2-4)."""

import cv2
import numpy as np

from glassguard.saliency.settings import ThresholdKind


def saliency_mask(
    saliency: np.ndarray, *, mu: float, mu_as: ThresholdKind, n: int, phi: int, kernel: int = 3
) -> np.ndarray:
    """The mask that a saliency map leads to.

    Args:
        saliency: H x W float32 in [0, 1].
        mu: threshold, see :func:`threshold_levels`.
        mu_as: ``value`` or ``quantile``.
        n: number of dilations, then of erosions.
        phi: area in pixels below which a component is dropped.
        kernel: side of the square structuring element, odd.

    Returns:
        H x W bool, True on the pixels to replace.
    """
    return mask_stages(saliency, mu=mu, mu_as=mu_as, n=n, phi=phi, kernel=kernel)[-1]


def mask_stages(
    saliency: np.ndarray, *, mu: float, mu_as: ThresholdKind, n: int, phi: int, kernel: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What :func:`saliency_mask` thresholds, closes and, at last, filters: H x W bool each."""
    (level,) = threshold_levels(saliency, (mu,), mu_as)
    thresholded = exceeding(saliency, level)
    whole = closed(thresholded, n, kernel=kernel)
    return thresholded, whole, without_small_components(whole, phi)


def threshold_levels(
    saliency: np.ndarray, mus: tuple[float, ...], mu_as: ThresholdKind
) -> list[float]:
    """Saliency that a pixel must exceed, for several μ.

    As ``value`` a threshold is μ itself, the same for every picture; as ``quantile`` it is the
    μ-quantile of the picture's own map (linear interpolation), so that about a share 1 − μ of the
    pixels exceeds it whatever the network's gradients look like.

    Args:
        saliency: H x W float32 in [0, 1].
        mus: thresholds in [0, 1].
        mu_as: ``value`` or ``quantile``.

    Raises:
        ValueError: ``mu_as`` is neither.
    """
    if mu_as == "value":
        return [float(mu) for mu in mus]
    if mu_as == "quantile":
        return np.quantile(saliency.astype(np.float64), mus).tolist()
    raise ValueError(f"mu_as must be value or quantile: {mu_as!r}")


def exceeding(saliency: np.ndarray, level: float) -> np.ndarray:
    """H x W bool: saliency strictly above ``level``, compared in double precision."""
    return saliency.astype(np.float64) > level


def closed(mask: np.ndarray, n: int, *, kernel: int = 3) -> np.ndarray:
    """Fill small holes and gaps: ``n`` dilations, then ``n`` erosions.

    Pixels outside the picture take part in neither (OpenCV's default border), so a region at the
    border is not eroded from outside. OpenCV turns ``n`` passes of a full square into one of a
    larger square, which gives the same mask.

    Args:
        mask: H x W bool.
        n: number of dilations and of erosions, 0 or more.
        kernel: side of the square structuring element, odd.

    Returns:
        H x W bool.

    Raises:
        ValueError: ``kernel`` is even, which would shift the mask, or ``n`` is negative.
    """
    if kernel % 2 == 0 or n < 0:
        raise ValueError(f"kernel must be odd and n not negative: kernel={kernel}, n={n}")
    square = np.ones((kernel, kernel), dtype=np.uint8)
    dilated = cv2.dilate(mask.astype(np.uint8), square, iterations=n)
    return cv2.erode(dilated, square, iterations=n).astype(bool)


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Connected components of a mask; pixels that touch at a corner are connected.

    Args:
        mask: H x W bool.

    Returns:
        Labels, H x W int32, 0 outside the mask; and the area of every label in pixels, int64,
        0 for label 0, which is no component.
    """
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    areas = statistics[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return labels, areas


def kept_components(areas: np.ndarray, phi: int) -> np.ndarray:
    """Which labels of :func:`components` have an area of at least ``phi`` pixels; never label 0.

    The source speaks of the size of a contour; here it is the number of pixels of the component,
    without its holes.
    """
    return (areas >= phi) & (areas > 0)


def without_small_components(mask: np.ndarray, phi: int) -> np.ndarray:
    """The mask without components of fewer than ``phi`` pixels (H x W bool)."""
    labels, areas = components(mask)
    return kept_components(areas, phi)[labels]
