"""Feature squeezing (Xu, Evans, Qi 2018): does the answer survive a coarser picture?

A picture is suspicious when its softmax moves far after its colours are rounded or its pixels are
smoothed. The score is the largest L1 distance over the squeezers (section 5.1). Nothing is fitted;
the threshold comes from benign validation pictures.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import nn

from glassguard.detection.pixel_detectors import answer_distance


def fewer_bits(image: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Round every channel to ``bits`` bits (section 3.1).

    Args:
        image: uint8, any shape.
        bits: 1 to 7.

    Returns:
        The same shape with 2^bits levels, 0 and 255 among them.

    Raises:
        ValueError: the picture is of another type, or ``bits`` is out of range.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"pictures are uint8: {image.dtype}")
    if bits not in range(1, 8):
        raise ValueError(f"bits must be 1 to 7: {bits}")
    levels = 2**bits - 1
    table = np.rint(np.rint(np.arange(256) * (levels / 255)) * (255 / levels)).astype(np.uint8)
    return table[image]


def median_smoothed(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Median over a square window, every channel for itself (section 3.2).

    Args:
        image: H x W x 3 uint8.
        side: of the window, odd; pixels beyond the border repeat the border's.

    Raises:
        ValueError: ``side`` is even or less than 1.
    """
    if side < 1 or side % 2 == 0:
        raise ValueError(f"the window's side must be odd: {side}")
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(image), side), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class FeatureSqueezing:
    """How far the softmax moves when a picture is squeezed, the larger of two L1 distances.

    Attributes:
        bits: bits of a channel that :func:`fewer_bits` leaves.
        median: window of :func:`median_smoothed`.
    """

    bits: int
    median: int

    def __call__(
        self,
        network: nn.Module,
        images: NDArray[np.uint8],
        logits: NDArray[np.float32],
        *,
        batch_size: int,
    ) -> NDArray[np.float32]:
        """N scores in [0, 2]; see :func:`glassguard.detection.pixel_detectors.answer_distance`."""
        squeezers = self._rounded, self._smoothed
        return answer_distance(network, images, logits, squeezers, batch_size=batch_size)

    def _rounded(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return fewer_bits(images, self.bits)

    def _smoothed(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.stack([median_smoothed(image, self.median) for image in images])
