"""Evidence for a decision, relative to how sensitive the decision is to the pixels.

Guided backpropagation hardly finds an adversarial frame on photographs: edges of hair and eyes
carry as much positive gradient. Evidence for the person who is seen and against the runner-up, from
the middle of the network, finds it no better. But the frame is the part of the picture that the
decision is *least* sensitive to, perhaps because colours at the end of their range leave few units
undecided. The quotient of both is large where much is said and little can be changed
(docs/saliency.md, which measures it).
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassguard.influence.internal import watched
from glassguard.influence.quantities import Comparative
from glassguard.recognizer.answers import (
    finite_logits,
    for_network,
    gradients_of,
    require_evaluation_mode,
    require_finite,
)
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
        ValueError: the pixels are none of the above; the network is in training mode or does not
            answer with logits of two classes; the layer does not run, runs more than once or is
            not on the way to the logits; logits or gradients are not finite.
    """
    require_evaluation_mode(network)
    activations: list[Tensor] = []
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        watched({"layer": layer}, lambda _, output: activations.append(output)),
    ):
        leaf = for_network(network, pixels).requires_grad_(True)
        logits = finite_logits(network(leaf.clone()), range(len(leaf)))
        quantity = Comparative()(logits, logits).sum()
        if not activations or activations[0].ndim != leaf.ndim:
            raise ValueError("layer must be run by the network and give N x filters x h x w")
        of_layer, of_pixels = gradients_of(
            quantity, logits, {"the layer": activations[0], "the pixels": leaf}
        )
    for gradient in (of_layer, of_pixels):
        require_finite(gradient, "gradients", range(len(leaf)))
    # Half precision would overflow in the sums below.
    activation, of_layer, of_pixels = (
        one.detach().to(logits.dtype) for one in (*activations, of_layer, of_pixels)
    )
    found = (activation * of_layer.clamp_min(0.0)).sum(dim=1, keepdim=True)
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
