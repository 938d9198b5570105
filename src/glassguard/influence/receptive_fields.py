"""Receptive fields: the pixels that a layer's experts look at (Study I, Figs. 2 and 3).

Not the patch of pixels that a neuron could see, but those it responds to in this picture: a map of
the gradient of the experts' activations, plain or guided (Springenberg et al. 2015).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from glassguard.influence.experts import Experts, experts_of, pulled_back
from glassguard.influence.watching import Slices


def expert_gradients(
    network: nn.Module,
    slices: Slices,
    pixels: Tensor,
    experts: Mapping[str, Experts],
    *,
    guided: bool,
) -> dict[str, Tensor]:
    """Gradient of the sum of the experts' activations with respect to the pixels.

    Experts whose influence is not positive are left out: where fewer neurons than the wanted share
    have a positive influence, the rest were taken at random.

    Args:
        network: in evaluation mode.
        slices: the module whose output each slice is.
        pixels: N x 3 x H x W in [0, 1], of the network's floating-point type.
        experts: by slice, of these N pictures.
        guided: every ReLU passes only positive gradients.

    Returns:
        By slice, N x 3 x H x W float32: activation per unit of pixel value.

    Raises:
        ValueError: see :func:`glassguard.influence.experts.pulled_back` and
            :func:`glassguard.influence.experts.experts_of`.
    """

    def ones(name: str) -> Tensor:
        of_slice = experts_of(experts, name, len(pixels))
        return of_slice.placed((of_slice.influence > 0).to(of_slice.influence))

    return pulled_back(network, slices, pixels, ones, guided=guided)


def receptive_field(
    gradient: NDArray[np.floating], *, clip_percentile: float, blur: float
) -> NDArray[np.float32]:
    """How much each pixel counts: mean over the colours, magnitude, clipped, blurred, scaled.

    Args:
        gradient: N x 3 x H x W.
        clip_percentile: greater values are set to this percentile of the map, so that single
            pixels do not outshine the rest.
        blur: standard deviation of a Gaussian, pixels; 0 for none.

    Returns:
        N x H x W in [0, 1]; all 0 where the gradient is.
    """
    maps = np.abs(gradient.mean(axis=1))
    if not len(maps):
        return maps.astype(np.float32)
    ceiling = np.percentile(maps, clip_percentile, axis=(1, 2), keepdims=True)
    # In a map of few pixels the percentile may be 0: nothing stands out there.
    clipped = np.where(ceiling > 0, np.minimum(maps, ceiling), maps)
    smooth = gaussian_filter(clipped, sigma=(0, blur, blur)) if blur else clipped
    greatest = smooth.max(axis=(1, 2), keepdims=True)
    return np.divide(smooth, greatest, out=np.zeros_like(smooth), where=greatest > 0).astype(
        np.float32
    )


def strongest(fields: NDArray[np.floating], percentile: float) -> NDArray[np.bool_]:
    """The pixels of each map that lie above a percentile of it: N x H x W to N x H x W bool."""
    if not len(fields):
        return np.zeros(fields.shape, dtype=bool)
    return fields > np.percentile(fields, percentile, axis=(1, 2), keepdims=True)


def share_inside(
    maps: NDArray[np.floating] | Tensor, frames: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much of a map lies inside the glasses, and how much of the picture the glasses are.

    Their ratio is 1 where the glasses count as much as any other part of the picture.

    Args:
        maps: N x H x W, or N x 3 x H x W of which magnitudes are added; any sign; arrays, or
            tensors of any floating-point type in main memory.
        frames: N x H x W bool.

    Returns:
        Share of the map's magnitude inside, NaN for an empty map; share of the area. N each.
    """
    if isinstance(maps, Tensor):
        # NumPy has no bfloat16.
        maps = maps.detach().double().numpy()
    magnitude = np.abs(np.asarray(maps, dtype=np.float64))
    if magnitude.ndim == 4:
        magnitude = magnitude.sum(axis=1)
    whole = magnitude.sum(axis=(1, 2))
    covered = np.asarray(frames, dtype=bool)
    inside = (magnitude * covered).sum(axis=(1, 2))
    share = np.divide(inside, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share, covered.mean(axis=(1, 2), dtype=np.float64)
