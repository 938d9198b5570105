"""Evidence for a decision, relative to how sensitive the decision is to the pixels.

Guided backpropagation hardly finds an adversarial frame on photographs: edges of hair and eyes
carry as much positive gradient. Evidence for the predicted person and against the runner-up, from
the middle of the network, finds it no better. But the decision is *least* sensitive to the frame,
perhaps because colours at the end of their range leave few units undecided. The quotient of both is
large where there is much evidence that little can change (measured in docs/saliency.md).
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassguard.influence.graph import depends_on, nodes_behind, where_gradients_stop
from glassguard.influence.passes import finite_logits, with_gradients
from glassguard.influence.quantities import Comparative
from glassguard.influence.watching import watched
from glassguard.recognizer.answers import for_network, require_evaluation_mode
from glassguard.recognizer.finite import require_finite
from glassguard.saliency.saliency_map import scale


def relative_maps(
    network: nn.Module, layer: nn.Module, pixels: Tensor, *, blur: float, floor: float
) -> tuple[Tensor, Tensor]:
    """Maps of evidence over sensitivity, and the predictions.

    With q the predicted class's logit minus the runner-up's and z the layer's activations, evidence
    is the sum over filters of z · max(∂q/∂z, 0), enlarged to the picture (LayerCAM, Jiang et al.
    2021), and sensitivity the largest magnitude of ∂q/∂x over the three colours, blurred. One
    forward and one backward pass give both.

    Args:
        network: maps N x 3 x H x W pixels to N x C logits, in evaluation mode, C at least 2; of any
            floating-point type, on any device.
        layer: a module of the network that runs once and returns N x filters x h x w, not negative.
        pixels: N x 3 x H x W in [0, 1], float16, bfloat16, float32 or float64.
        blur: standard deviation of the Gaussian over the sensitivity, as a share of W.
        floor: added to the sensitivity, as a share of the picture's mean.

    Returns:
        Maps, N x H x W float32 in [0, 1]; predicted classes, N int64. Both are on the device of
        ``pixels``.

    Raises:
        ValueError: the pixels are none of the above; the network is in training mode, or does not
            answer with finite logits of two classes or more; the layer does not run exactly once,
            or its output is changed in place; gradients do not reach the layer or the pixels, or
            are not finite.
    """
    require_evaluation_mode(network)
    activations: list[tuple[Tensor, int]] = []

    def keep(name: str, output: Tensor) -> None:
        if output.ndim != 4:
            raise ValueError(f"the layer gives N x filters x h x w, not {tuple(output.shape)}")
        if not output.requires_grad:
            raise ValueError("the layer does not depend on the pixels by any gradient")
        activations.append((output, output._version))

    with torch.inference_mode(False), torch.enable_grad(), with_gradients(network, pixels):
        leaf = for_network(network, pixels).requires_grad_(True)
        with watched({"the layer": layer}, keep):
            logits = finite_logits(network(leaf.clone()), len(leaf))
        if not activations:
            raise ValueError("the layer is not run by the network")
        ((activation, version),) = activations
        if activation._version != version:
            raise ValueError("the layer's output is changed in place by what follows")
        if not depends_on(logits, leaf):
            raise ValueError(
                f"{type(network).__name__}: the logits do not depend on the pixels by any "
                f"gradient; gradients stop {where_gradients_stop(network, leaf)}"
            )
        if activation.grad_fn not in set(nodes_behind(logits.grad_fn)):
            raise ValueError("the layer is not on the way to the logits by any gradient")
        quantity = Comparative()(logits, logits).sum()
        of_layer, of_pixels = torch.autograd.grad(quantity, (activation, leaf), allow_unused=True)
    if of_layer is None or of_pixels is None:
        raise ValueError("no gradient gets from the logits to the layer and to the pixels")
    of_layer = require_finite("the gradient at the layer", of_layer.float())
    of_pixels = require_finite("the gradient at the pixels", of_pixels.float())
    found = (activation.detach().float() * of_layer.clamp_min(0.0)).sum(dim=1, keepdim=True)
    evidence = F.interpolate(found, size=leaf.shape[2:], mode="bilinear")[:, 0]
    sensitivity = _blurred(of_pixels.abs().amax(dim=1), blur * leaf.shape[-1])
    divisor = sensitivity + floor * sensitivity.mean(dim=(1, 2), keepdim=True)
    relative = torch.where(divisor > 0, evidence / divisor.clamp_min(1e-30), 0.0)
    return scale(relative).to(pixels.device), logits.detach().argmax(dim=1).to(pixels.device)


def _blurred(maps: Tensor, deviation: float) -> Tensor:
    if deviation == 0 or not len(maps):
        return maps
    blurred = [cv2.GaussianBlur(one, (0, 0), deviation) for one in maps.cpu().numpy()]
    return torch.from_numpy(np.stack(blurred)).to(maps.device)
