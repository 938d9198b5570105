"""Confidences of a recognizer in many pictures; apart from training, which imports Lightning."""

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.recognizer.network import FaceRecognizer, pixels_for

BATCH = 64


@torch.inference_mode()
def probabilities_of(network: FaceRecognizer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Softmax confidences.

    Args:
        network: recognizer in evaluation mode.
        images: N x H x W x 3 uint8.

    Returns:
        N x identities float32, rows sum to one.
    """
    rows = [
        network(pixels_for(network, images[start : start + BATCH])).float().softmax(1).cpu().numpy()
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(rows)
