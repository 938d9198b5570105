"""The defences of a study that informed attackers know how to attack."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.adaptive.defences import Defence, MaskedAnswer, Squeezed, Undefended
from glassguard.adaptive.influence import InfluenceDetected
from glassguard.detection.detectors import Detectors
from glassguard.detection.feature_squeezing import FeatureSqueezing, fewer_bits, median_smoothed
from glassguard.detection.settings import Squeezing
from glassguard.detection.slice_detectors import SliceDetectors
from glassguard.detection.thresholds import FALSE_POSITIVE_RATES, HALF_WEARING
from glassguard.influence.reduction import Places
from glassguard.influence.settings import Reduction
from glassguard.recognizer.network import Recognizer, to_pixels
from glassguard.saliency.explanation import Explain
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import Combination, mask_parameters
from glassguard.saliency.mask import saliency_mask

RATES = FALSE_POSITIVE_RATES[:2]
"""False-alarm rates of the thresholds that are attacked."""


@dataclass(frozen=True, eq=False)
class Known:
    """A defence and the false-alarm rate that its threshold is set at; NaN without one."""

    defence: Defence
    rate: float = math.nan


def known_defences(
    network: Recognizer,
    detectors: Detectors,
    *,
    squeezing: FeatureSqueezing,
    remove: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    reduction: Reduction,
    places: Places,
) -> dict[str, Known]:
    """Defences by name; a detector's is ``name@rate``.

    Thresholds are those for benign pictures of which half wear honest frames. Influence is left out
    where its profiles are joined from several slices or prepared in a way that no stand-in knows.

    Args:
        network: the recognizer.
        detectors: fitted.
        squeezing: as it was fitted.
        remove: takes what the saliency mask covers from N x S x S x 3 uint8 pictures.
        reduction: of influence profiles.
        places: of influence profiles.
    """
    found = {
        "none": Known(Undefended(network)),
        "saliency_mask": Known(MaskedAnswer(network, remove)),
    }
    thresholds = detectors.thresholds[HALF_WEARING]
    influence = detectors.compared["influence"]
    squeezers = (
        lambda images: fewer_bits(images, squeezing.bits),
        lambda images: np.stack([median_smoothed(one, squeezing.median) for one in images]),
    )
    for place, rate in enumerate(RATES):
        if isinstance(influence, SliceDetectors) and influence.variant != "quadratic":
            limit = thresholds["influence"][place]
            defence = InfluenceDetected(network, influence, limit, reduction, places)
            found[f"influence@{rate:g}"] = Known(defence, rate)
        limit = thresholds[Squeezing.detector][place]
        found[f"{Squeezing.detector}@{rate:g}"] = Known(Squeezed(network, squeezers, limit), rate)
    return found


def removal(
    explain: Explain, combination: Combination, images: NDArray[np.uint8], *, kernel: int
) -> NDArray[np.uint8]:
    """Pictures without what the saliency mask covers.

    Args:
        explain: the saliency maps of pictures.
        combination: parameters of the mask.
        images: N x S x S x 3 uint8.
        kernel: side of the square structuring element, odd.
    """
    maps, _ = explain(to_pixels(torch.from_numpy(images)))
    how = mask_parameters(combination)
    pairs = zip(images, maps.numpy(), strict=True)
    return np.stack(
        [
            filled(image, saliency_mask(saliency, **how, kernel=kernel), combination.fill)
            for image, saliency in pairs
        ]
    )
