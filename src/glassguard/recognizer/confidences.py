"""Confidences of a recognizer in many pictures."""

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.recognizer.answers import finite_logits, require_evaluation_mode
from glassguard.recognizer.network import Recognizer, pixels_for

BATCH = 64


def probabilities_of(network: Recognizer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Softmax confidences, N x identities float32, of N x H x W x 3 uint8 pictures; N may be 0.

    Raises:
        ValueError: the pictures are of another type or shape, the network is in training mode, or
            its logits of a picture are not finite.
    """
    require_evaluation_mode(network)
    # A blank picture replaces an empty set: the empty result then has the right width.
    pictures = images if len(images) else np.zeros((1, *images.shape[1:]), dtype=images.dtype)
    rows = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            pixels = pixels_for(network, pictures[start : start + BATCH])
            logits = finite_logits(network(pixels), range(start, start + len(pixels)))
            rows.append(logits.float().softmax(1).cpu().numpy())
    return np.concatenate(rows)[: len(images)]
