"""Class probabilities of a stream of pictures."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import nn

from glassguard.recognizer.answers import finite_logits, require_evaluation_mode
from glassguard.recognizer.network import pixels_for


def probabilities(
    network: nn.Module, images: Iterable[np.ndarray], *, batch_size: int
) -> Iterator[np.ndarray]:
    """Softmax of every picture of a stream, in order.

    Only one batch of pictures is held. The arithmetic of small batches differs in the last digit,
    so all batches have the same size (the last one is filled up with old pictures of the buffer),
    and a picture's numbers do not depend on its company.

    Args:
        network: maps N x 3 x H x W pixels in [0, 1] to N x C logits, in evaluation mode.
        images: H x W x 3 uint8 RGB each, all of one size.
        batch_size: pictures per forward pass.

    Yields:
        C float32 in [0, 1] per picture, when the batch around it is complete: the stream is read up
        to ``batch_size`` pictures ahead.

    Raises:
        ValueError: a picture is of another type or shape, or the network is in training mode or
            does not answer it with finite logits; pictures are named by their place in the stream,
            counted from 0.
    """
    require_evaluation_mode(network)
    if batch_size < 1:
        raise ValueError(f"a batch has at least one picture: {batch_size}")
    buffer: np.ndarray | None = None
    read = 0
    for image in images:
        if buffer is None:
            buffer = np.zeros((batch_size, *image.shape), dtype=np.uint8)
        # Assignment would turn a picture in [0, 1] black and repeat one of a single row.
        if image.dtype != buffer.dtype or image.shape != buffer.shape[1:]:
            raise ValueError(
                f"pictures are uint8, all of one size; picture {read}: {image.dtype}, "
                f"{image.shape} instead of {buffer.shape[1:]}"
            )
        buffer[read % batch_size] = image
        read += 1
        if read % batch_size == 0:
            yield from _softmax(network, buffer, read - batch_size)
    if buffer is not None and read % batch_size:
        yield from _softmax(network, buffer, read - read % batch_size)[: read % batch_size]


def _softmax(network: nn.Module, images: np.ndarray, first: int) -> np.ndarray:
    with torch.inference_mode():
        logits = network(pixels_for(network, images))
        numbers = range(first, first + len(images))
        return finite_logits(logits, numbers).float().softmax(dim=1).cpu().numpy()
