"""The pixels that a prediction depends on (Hayes 2018, section 3; blog 2019, step 1)."""

import torch
from torch import Tensor, nn

from glassguard.influence.guided_backpropagation import guided_logits
from glassguard.influence.passes import behind_inference_mode, with_gradients
from glassguard.recognizer.answers import for_network, require_evaluation_mode
from glassguard.recognizer.finite import require_finite
from glassguard.saliency.settings import ChannelReduction


def saliency_maps(
    network: nn.Module,
    pixels: Tensor,
    *,
    channel_reduction: ChannelReduction = "max_abs",
    top_classes: int = 1,
) -> tuple[Tensor, Tensor]:
    """Saliency maps of the predicted classes' logits, and the predictions.

    Guided backpropagation (Springenberg et al. 2015) down to the pixels; prediction and gradient
    share one forward pass.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits, in evaluation mode; of any
            floating-point type, on any device.
        pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64.
        channel_reduction: see :func:`reduce_channels`.
        top_classes: how many classes are explained, the likeliest first; their guided gradients
            are added up. The source explains one.

    Returns:
        Maps, N x H x W float32 in [0, 1]; predicted classes, N int64. Both are on the device of
        ``pixels``.

    Raises:
        ValueError: the pixels are none of the above, the network does not have ``top_classes``
            classes, or as
            :func:`~glassguard.influence.guided_backpropagation.guided_backpropagation`.
    """
    require_evaluation_mode(network)
    with torch.inference_mode(False), torch.enable_grad(), with_gradients(network, pixels):
        given = for_network(network, pixels)
        leaf, logits = behind_inference_mode(network, lambda: guided_logits(network, given))
        if not 1 <= top_classes <= logits.shape[1]:
            raise ValueError(f"{top_classes} classes of a network that has {logits.shape[1]}")
        gradient = torch.zeros_like(leaf, dtype=torch.float32)
        for logit in logits.topk(top_classes, dim=1).values.unbind(dim=1):
            # Guided backpropagation is not linear: each class takes a backward pass of its own.
            (of_class,) = torch.autograd.grad(logit.sum(), leaf, retain_graph=True)
            gradient += require_finite("the guided gradient", of_class)
    maps = scale(reduce_channels(gradient, channel_reduction))
    return maps.to(pixels.device), logits.detach().argmax(dim=1).to(pixels.device)


def reduce_channels(gradient: Tensor, channel_reduction: ChannelReduction) -> Tensor:
    """One number per pixel.

    Args:
        gradient: N x 3 x H x W, any sign.
        channel_reduction: ``max_abs`` largest magnitude of the three channels, ``mean_abs`` mean
            magnitude, ``sum_abs`` summed magnitude (the same map as ``mean_abs`` once scaled),
            ``max`` largest signed value.

    Returns:
        N x H x W.

    Raises:
        ValueError: there is no such reduction.
    """
    if channel_reduction == "max_abs":
        return gradient.abs().amax(dim=1)
    if channel_reduction == "mean_abs":
        return gradient.abs().mean(dim=1)
    if channel_reduction == "sum_abs":
        return gradient.abs().sum(dim=1)
    if channel_reduction == "max":
        return gradient.amax(dim=1)
    raise ValueError(f"no channel reduction {channel_reduction!r}")


def scale(maps: Tensor) -> Tensor:
    """Shift and stretch every map so that its least pixel is 0 and its greatest 1.

    A map without any contrast does not say where to mask and becomes all zero.

    Args:
        maps: N x H x W.

    Returns:
        N x H x W float32 in [0, 1].
    """
    least = maps.amin(dim=(1, 2), keepdim=True)
    contrast = maps.amax(dim=(1, 2), keepdim=True) - least
    flat = contrast <= 0
    return torch.where(flat, 0.0, (maps - least) / contrast.masked_fill(flat, 1.0)).float()
