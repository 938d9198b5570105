"""What the recognizer, the banded one and the saliency mask say of a set of pictures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from glassguard.guard.banding import banded
from glassguard.guard.eye_band import EyeBand
from glassguard.saliency.evaluation import Predictions, classify, classify_masked, masks_under
from glassguard.saliency.grid import Combination, Maps


@dataclass(frozen=True)
class Recognizers:
    """The parts of a guard.

    Attributes:
        full: sees everything; maps N x 3 x H x W pixels in [0, 1] to logits.
        banded: the same for pictures whose band is filled, trained on such pictures.
        band: what the second does not see.
        mask: the saliency mask under which the first looks again.
        kernel: of that mask, side of the square structuring element.
        batch_size: pictures per forward pass.
    """

    full: nn.Module
    banded: nn.Module
    band: EyeBand
    mask: Combination
    kernel: int
    batch_size: int


@dataclass(frozen=True)
class Answers:
    """What each part says of N pictures.

    Attributes:
        full: of the recognizer to the pictures as they are.
        banded: of the banded recognizer.
        masked: of the recognizer behind the saliency mask.
        hidden: N x H x W x 3 uint8, what the banded recognizer sees.
        area: N float in [0, 1], share of the picture that the band is.
    """

    full: Predictions
    banded: Predictions
    masked: Predictions
    hidden: NDArray[np.uint8]
    area: NDArray[np.float64]


def answers_of(
    parts: Recognizers, images: NDArray[np.uint8], eyes: NDArray[np.floating], maps: Maps
) -> Answers:
    """Ask every part of a guard.

    Args:
        parts: the recognizers.
        images: N x H x W x 3 uint8 RGB.
        eyes: N x 2 x 2, see :meth:`glassguard.guard.eye_band.EyeBand.masks`.
        maps: saliency maps of the recognizer's answers, N x H x W float32 of the mask's kind.
    """
    size = {"batch_size": parts.batch_size}
    full = classify(parts.full, images, **size)
    bands = parts.band.masks(eyes, images.shape[1])
    hidden = banded(images, bands)
    masks = masks_under(maps, parts.mask, kernel=parts.kernel)
    masked = classify_masked(parts.full, images, masks, parts.mask.fill, full, **size)
    found = classify(parts.banded, hidden, **size)
    return Answers(full, found, masked, hidden, bands.mean(axis=(1, 2)))
