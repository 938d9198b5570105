"""Every kind of saliency map under one signature."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from glassguard.recognizer.network import Recognizer
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
