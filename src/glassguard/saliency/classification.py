"""Class probabilities of a stream of pictures."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from glassguard.recognizer.network import pixels_for


def probabilities(
    network: nn.Module, images: Iterable[np.ndarray], *, batch_size: int
) -> Iterator[np.ndarray]:
    """Softmax of every picture of a stream, in order.

    Only one batch of pictures is held. Every batch that the network sees is of the same size (the
    last one is filled up with what is left in the buffer), because the arithmetic of small batches
    differs in the last digit: like this the numbers of a picture do not depend on its company.

    Args:
        network: maps N x 3 x H x W pixels in [0, 1] to N x C logits, in evaluation mode.
        images: H x W x 3 uint8 RGB each, all of one size.
        batch_size: pictures per forward pass.

    Yields:
        C float32 in [0, 1] per picture. A picture's numbers come only after the batch around it
        is complete, so the stream is read up to ``batch_size`` pictures ahead.
    """
    buffer: np.ndarray | None = None
    waiting = 0
    for image in images:
        if buffer is None:
            buffer = np.zeros((batch_size, *image.shape), dtype=np.uint8)
        buffer[waiting] = image
        waiting += 1
        if waiting == batch_size:
            yield from _softmax(network, buffer)
            waiting = 0
    if buffer is not None and waiting:
        yield from _softmax(network, buffer)[:waiting]


def _softmax(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(pixels_for(network, images)).float().softmax(dim=1).cpu().numpy()
