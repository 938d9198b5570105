"""Embeddings of many pictures by a recognizer that has an embedding."""

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.recognizer.answers import require_evaluation_mode
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.finite import require_finite
from glassguard.recognizer.network import pixels_for

BATCH = 64


def embeddings_of(network: EmbeddingRecognizer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embeddings, N x D float32, of N x H x W x 3 uint8 pictures; N may be 0.

    Raises:
        ValueError: the pictures are of another type or shape, the network is in training mode, or
            an embedding is not finite.
    """
    require_evaluation_mode(network)
    rows = [np.zeros((0, network.features.dimensions), dtype=np.float32)]
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            pixels = pixels_for(network, images[start : start + BATCH])
            found = network.embeddings(pixels).float()
            require_finite("embeddings", found, pictures=range(start, start + len(found)))
            rows.append(found.cpu().numpy())
    return np.concatenate(rows)
