"""Feature squeezing (Xu, Evans, Qi 2018): does the answer survive a coarser picture?

An input whose softmax moves far when its colours are rounded or its pixels are smoothed is taken
for adversarial. The score is the largest L1 distance over the squeezers (section 5.1). Nothing is
fitted; the threshold comes from benign validation pictures.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glassguard.progress import track
from glassguard.recognizer.answers import finite_logits, require_evaluation_mode
from glassguard.recognizer.network import pixels_for


def fewer_bits(image: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Round every channel to ``bits`` bits (section 3.1).

    Args:
        image: uint8, any shape.
        bits: 1 to 7.

    Returns:
        The same shape with 2^bits levels, 0 and 255 among them.

    Raises:
        ValueError: the picture is of another type, or ``bits`` is out of range.
    """
    if image.dtype != np.uint8:
        raise ValueError(f"pictures are uint8: {image.dtype}")
    if bits not in range(1, 8):
        raise ValueError(f"bits must be 1 to 7: {bits}")
    levels = 2**bits - 1
    table = np.rint(np.rint(np.arange(256) * (levels / 255)) * (255 / levels)).astype(np.uint8)
    return table[image]


def median_smoothed(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Median over a square window, every channel for itself (section 3.2).

    Args:
        image: H x W x 3 uint8.
        side: of the window, odd; pixels beyond the border repeat the border's.

    Raises:
        ValueError: ``side`` is even or less than 1.
    """
    if side < 1 or side % 2 == 0:
        raise ValueError(f"the window's side must be odd: {side}")
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(image), side), dtype=np.uint8)


def squeezing_distance(
    network: nn.Module,
    images: NDArray[np.uint8],
    logits: NDArray[np.float32],
    *,
    bits: int,
    median: int,
    batch_size: int,
) -> NDArray[np.float32]:
    """The largest L1 distance between the softmax of a picture and of its squeezed copies.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        images: N x H x W x 3 uint8 RGB; may be memory-mapped.
        logits: N x C, of the pictures as they are.
        bits: of a channel that :func:`fewer_bits` leaves.
        median: window of :func:`median_smoothed`.
        batch_size: pictures per pass.

    Returns:
        N distances in [0, 2].

    Raises:
        ValueError: the pictures are of another type or shape, the batches are empty, ``logits`` are
            not N x C and finite, the network is in training mode or has another number of classes,
            or its logits of a squeezed copy are not finite.
    """
    require_evaluation_mode(network)
    if batch_size < 1:
        raise ValueError(f"a batch has at least one picture: {batch_size}")
    answers = finite_logits(torch.from_numpy(np.array(logits)), range(len(images)))
    found = np.zeros(len(images), dtype=np.float32)
    with torch.inference_mode():
        for start in track(range(0, len(images), batch_size), description="squeezing, batches"):
            rows = slice(start, start + batch_size)
            plain = np.array(images[rows])
            answer = answers[rows].softmax(dim=1)
            for squeezed in (
                fewer_bits(plain, bits),
                np.stack([median_smoothed(image, median) for image in plain]),
            ):
                copies = network(pixels_for(network, squeezed))
                other = finite_logits(copies, range(start, start + len(plain))).softmax(dim=1).cpu()
                if other.shape != answer.shape:
                    raise ValueError(
                        f"logits of {answer.shape[1]} classes; the network has {other.shape[1]}"
                    )
                moved = (answer - other).abs().sum(dim=1).numpy()
                found[rows] = np.maximum(found[rows], moved)
    return found
