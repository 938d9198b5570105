"""Every kind of saliency map under one signature."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glassguard.progress import track
from glassguard.recognizer.network import Recognizer, pixels_for
from glassguard.saliency.relative_map import relative_maps
from glassguard.saliency.saliency_map import saliency_maps
from glassguard.saliency.settings import Explanation, MapKind

Explain = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From N x 3 x H x W float32 pixels in [0, 1] to maps, N x H x W float32 in [0, 1], and the
predicted classes that they explain, N int64."""


def explainer(network: Recognizer, kind: MapKind, settings: Explanation) -> Explain:
    """A kind of saliency map of a network.

    Args:
        network: the recognizer, in evaluation mode.
        kind: ``guided`` (:func:`~glassguard.saliency.saliency_map.saliency_maps`) or ``relative``
            (:func:`~glassguard.saliency.relative_map.relative_maps`).
        settings: parameters of both kinds.
    """
    if kind == "guided":
        return partial(
            saliency_maps,
            network,
            channel_reduction=settings.channel_reduction,
            top_classes=settings.top_classes,
        )
    return partial(
        relative_maps,
        network,
        network.slice_at(settings.relative.slice),
        blur=settings.relative.blur,
        floor=settings.relative.floor,
    )


def explained(
    network: Recognizer,
    images: NDArray[np.uint8],
    kinds: Sequence[MapKind],
    settings: Explanation,
    *,
    batch_size: int,
) -> tuple[dict[MapKind, NDArray[np.float32]], NDArray[np.int64]]:
    """Saliency maps of many pictures, in batches, and the predictions that they explain.

    Args:
        network: the recognizer, in evaluation mode.
        images: N x H x W x 3 uint8 RGB, N possibly 0.
        kinds: kinds of map, at least one.
        settings: parameters of all kinds.
        batch_size: pictures per pass.

    Returns:
        By kind, N x H x W float32 in [0, 1]; predicted classes, N int64.

    Raises:
        ValueError: as :func:`~glassguard.saliency.saliency_map.saliency_maps` and
            :func:`~glassguard.saliency.relative_map.relative_maps`.
    """
    found = {kind: np.zeros(images.shape[:3], dtype=np.float32) for kind in kinds}
    explain = {kind: explainer(network, kind, settings) for kind in kinds}
    prediction = np.zeros(len(images), dtype=np.int64)
    for start in track(range(0, len(images), batch_size), description="saliency maps, batches"):
        batch = slice(start, start + batch_size)
        pixels = pixels_for(network, images[batch])
        for kind, maps in found.items():
            of_batch, predicted = explain[kind](pixels)
            maps[batch], prediction[batch] = of_batch.numpy(), predicted.numpy()
    return found, prediction
