"""Forward and backward passes of any network: checks of pixels and answers, clear errors."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from glassguard.recognizer.answers import require_logits
from glassguard.recognizer.finite import require_finite

INFERENCE_TENSOR = "Inference tensors cannot be saved"
"""What PyTorch says where autograd needs a tensor that was made in inference mode."""

Result = TypeVar("Result")


@contextmanager
def with_gradients(network: nn.Module, pixels: Tensor) -> Iterator[None]:
    """Context in which a network runs uncompiled and PyTorch's errors are in plain words.

    Raises:
        ValueError: the network works in place where gradients cannot follow, or takes pixels of
            another number type.
    """
    # What torch.compile has made of a network has no hooks. Whoever compiles has imported this.
    compiles = "torch._dynamo" in sys.modules
    try:
        with torch.compiler.set_stance("force_eager") if compiles else nullcontext():
            yield
    except RuntimeError as error:
        kind, said = type(network).__name__, " ".join(str(error).split())
        if any(word in said.lower() for word in ("inplace", "in-place", "inference tensor")):
            advice = "build what works in place with inplace=False"
            if "nference" in said:
                advice = "tensors made in inference mode take no part in them"
            raise ValueError(
                f"{kind} cannot be run with gradients: {advice} ({said[:160]})"
            ) from error
        kinds = {one.dtype for one in network.parameters() if one.is_floating_point()}
        if "type" in said and kinds and pixels.dtype not in kinds:
            raise ValueError(
                f"pixels are {pixels.dtype}, the weights of {kind} are "
                f"{', '.join(sorted(map(str, kinds)))}: give pixels of the network's type"
            ) from error
        raise


def behind_inference_mode(network: nn.Module, run: Callable[[], Result]) -> Result:
    """Run a network of which a part may be in inference mode.

    Autograd keeps no tensor of that mode for the gradient of a weight, which is not needed here.
    Where it meets one, the weights are frozen and ``run`` is called again.
    """
    try:
        return run()
    except RuntimeError as error:
        if INFERENCE_TENSOR not in str(error):
            raise
    # Weights that were made in inference mode could not be thawed again.
    thawed = [one for one in network.parameters() if one.requires_grad and not one.is_inference()]
    for one in thawed:
        one.requires_grad_(False)
    try:
        return run()
    finally:
        for one in thawed:
            one.requires_grad_(True)


def finite_logits(logits: object, count: int, points: int = 1) -> Tensor:
    """A network's answer, count x C, checked: one row of finite logits for each picture.

    Args:
        logits: the answer.
        count: number of rows, all points of all pictures.
        points: number of points of each picture; rows of the first point come first.

    Raises:
        ValueError: it is anything else; logits that are not finite are named by their picture.
    """
    return require_finite("the network's logits", require_logits(logits, count), points)


def own_pixels(pixels: object) -> Tensor:
    """A copy of pictures, so that in-place changes do not reach the caller's.

    Call it outside inference mode: a tensor made there takes no part in a backward pass.

    Args:
        pixels: N x channels x height x width, floating point, finite.

    Raises:
        ValueError: they are anything else.
    """
    if not isinstance(pixels, Tensor):
        raise ValueError(f"pixels are a tensor, not a {type(pixels).__name__}")
    if pixels.ndim != 4 or not pixels.is_floating_point():
        raise ValueError(
            "pixels are floating point, N x channels x height x width: "
            f"{pixels.dtype}, {' x '.join(map(str, pixels.shape))}"
        )
    return require_finite("pixels", pixels).detach().clone()
