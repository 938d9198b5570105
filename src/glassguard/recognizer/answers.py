"""How to ask a network about pictures, and which answers count.

Pictures on another scale, a network in training mode and logits that are not finite all give
numbers that look like results. They are refused here.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from glassguard.recognizer.finite import require_finite

NUMBER_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def require_evaluation_mode(network: nn.Module) -> None:
    """Refuse a network whose answer to a picture depends on chance or on the other pictures.

    Raises:
        ValueError: any module of it is in training mode (a dropout function may read that), or
            normalises by the batch in evaluation mode too.
    """
    for name, module in network.named_modules():
        # A frozen script has no such mode.
        if getattr(module, "training", False):
            raise ValueError(
                f"{type(network).__name__} is in training mode: call eval() first"
                + (f" ({name} is)" if name and not getattr(network, "training", False) else "")
            )
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"{type(network).__name__}: {name or 'it'} keeps no running statistics, so the "
                "answer to a picture depends on the others in its batch"
            )


def require_tensor(values: object, name: str) -> Tensor:
    """The argument called ``name``, if it is a tensor that holds values.

    Raises:
        ValueError: it is no tensor, a sparse one, or one on the ``meta`` device.
    """
    if not isinstance(values, Tensor):
        raise ValueError(f"{name} are a tensor, not a {type(values).__name__}")
    if values.layout is not torch.strided:
        raise ValueError(f"{name} are a dense tensor, not {values.layout}")
    if values.is_meta:
        raise ValueError(f"{name} are on the meta device, where tensors hold no values")
    return values


def require_pixels(pixels: object) -> Tensor:
    """Pictures on the scale of networks, detached from any graph.

    Args:
        pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64.

    Raises:
        ValueError: they are anything else; names the first picture out of range and its values.
    """
    pixels = require_tensor(pixels, "pixels").detach()
    shape = pixels.shape
    if pixels.dtype not in NUMBER_TYPES or len(shape) != 4 or shape[1] != 3 or 0 in shape[2:]:
        raise ValueError(
            "pixels are floating point, N x 3 x height x width, in [0, 1]: "
            f"{pixels.dtype}, {' x '.join(map(str, shape))}"
        )
    lowest, highest = pixels.amin(dim=(1, 2, 3)), pixels.amax(dim=(1, 2, 3))
    # A comparison with NaN is false.
    outside = ((lowest >= 0) & (highest <= 1)).logical_not().nonzero()
    if len(outside):
        picture = int(outside[0])
        values = pixels[picture]
        finite = values[values.isfinite()]
        odd = values.numel() - finite.numel()
        found = f"{odd} of {values.numel()} values are not finite"
        if not odd:
            found = f"values from {finite.min().item():.9g} to {finite.max().item():.9g}"
        raise ValueError(f"pixels are in [0, 1]; picture {picture}: {found}")
    return pixels


def weights_like(network: nn.Module, otherwise: Tensor) -> Tensor:
    """A tensor of the network's number type on its device: a weight, a buffer, or ``otherwise``.

    Raises:
        ValueError: the network is on the ``meta`` device, or was made in inference mode.
    """
    weights = chain(network.parameters(), network.buffers())
    found = next((one for one in weights if one.is_floating_point()), otherwise)
    if found.is_meta:
        raise ValueError(f"{type(network).__name__} is on the meta device: it has no weights")
    if found.is_inference() and torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
        raise ValueError(
            f"{type(network).__name__} was made in inference mode, so gradients cannot pass it: "
            "make or load it outside of torch.inference_mode()"
        )
    return found


def for_network(network: nn.Module, pixels: object) -> Tensor:
    """A copy of pictures in a network's number type on its device, N x 3 x H x W.

    What the network does to it in place leaves the caller's pictures alone.

    Raises:
        ValueError: see :func:`require_pixels` and :func:`weights_like`.
    """
    given = require_pixels(pixels)
    return given.to(weights_like(network, given), copy=True)


def logits_of(network: nn.Module, pixels: Tensor, pictures: Sequence[int] | None = None) -> Tensor:
    """Ask a network about a copy of pictures, whatever its number type and device are.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits, in evaluation mode.
        pixels: N x 3 x H x W; gradients flow back to them in their own type.
        pictures: N numbers by which errors call the pictures; from 0 on when None.

    Returns:
        N x C on the device of ``pixels``, float32 or, where the network answers so, float64.

    Raises:
        ValueError: see :func:`finite_logits` and :func:`weights_like`.
    """
    answer = network(pixels.to(weights_like(network, pixels), copy=True))
    numbers = range(len(pixels)) if pictures is None else pictures
    return finite_logits(answer, numbers).to(pixels.device)


def finite_logits(answer: object, pictures: Sequence[int]) -> Tensor:
    """A network's answer as N x C float32 or float64, if it is one row of finite logits a picture.

    Args:
        answer: what the network answered.
        pictures: N numbers by which errors call the pictures.

    Raises:
        ValueError: it is anything else; names the pictures whose logits are not finite.
    """
    logits = require_logits(answer, len(pictures))
    require_finite("the network's logits", logits, pictures=pictures)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def require_logits(logits: object, count: int) -> Tensor:
    """A network's answer to ``count`` pictures, if it is count x C logits (``ValueError``)."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"the network answers with a {type(logits).__name__}, not with logits")
    if logits.ndim != 2 or len(logits) != count:
        raise ValueError(
            f"the network answers {tuple(logits.shape)} to {count} pictures; logits are "
            f"{count} x classes"
        )
    return logits


def gradients_of(
    total: Tensor, logits: Tensor, inputs: Mapping[str, Tensor], *, retain_graph: bool = False
) -> list[Tensor]:
    """Gradients of a number, in the order of ``inputs``, each of the shape and type of its input.

    Args:
        total: the number.
        logits: what it was computed from.
        inputs: with respect to what, by names for errors.
        retain_graph: whether other gradients of the same logits follow.

    Raises:
        ValueError: part of the network lets no gradient through to an input.
    """
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if logits.requires_grad and all(one.requires_grad for one in inputs.values()):
        found = torch.autograd.grad(
            total, tuple(inputs.values()), allow_unused=True, retain_graph=retain_graph
        )
    for name, gradient in zip(inputs, found, strict=True):
        if gradient is None:
            raise ValueError(f"no gradient leads from the network's logits to {name}")
    return [gradient for gradient in found if gradient is not None]
