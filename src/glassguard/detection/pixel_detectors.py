"""Detectors that look at the pixels and the network's answer: one score a picture."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glassguard.detection.settings import Baselines, PixelDetector
from glassguard.progress import track
from glassguard.recognizer.answers import finite_logits, require_evaluation_mode
from glassguard.recognizer.network import pixels_for

Change = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
"""Makes changed copies of pictures, N x H x W x 3."""


class PixelScore(Protocol):
    """Scores pictures; a larger score is more suspicious."""

    def __call__(
        self,
        network: nn.Module,
        images: NDArray[np.uint8],
        logits: NDArray[np.float32],
        *,
        batch_size: int,
    ) -> NDArray[np.float32]:
        """The score of every picture.

        Args:
            network: maps pixels in [0, 1] to logits, in evaluation mode.
            images: N x H x W x 3 uint8 RGB; may be memory-mapped.
            logits: N x C, the network's answers to the pictures.
            batch_size: pictures per pass.

        Returns:
            N scores.
        """
        ...


def pixel_scores(settings: Baselines) -> dict[str, PixelScore]:
    """The detectors that the settings describe, by the name of their array."""
    found: dict[str, PixelScore] = {}
    for _, one in settings:
        if isinstance(one, PixelDetector):
            module, _, name = one.implementation.partition(":")
            found[one.array] = getattr(import_module(module), name)(**one.model_dump())
    return found


def answer_distance(
    network: nn.Module,
    images: NDArray[np.uint8],
    logits: NDArray[np.float32],
    changes: Sequence[Change],
    *,
    batch_size: int,
) -> NDArray[np.float32]:
    """The largest L1 distance between the softmax of a picture and of its changed copies.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        images: N x H x W x 3 uint8 RGB; may be memory-mapped.
        logits: N x C, the network's answers to the pictures.
        changes: each makes one copy of every picture.
        batch_size: pictures per pass.

    Returns:
        N distances in [0, 2].

    Raises:
        ValueError: the pictures have another type or shape, ``batch_size`` is below 1, ``logits``
            are not N x C and finite, the network is in training mode or has another number of
            classes, or its logits of a copy are not finite.
    """
    require_evaluation_mode(network)
    if batch_size < 1:
        raise ValueError(f"a batch has at least one picture: {batch_size}")
    answers = finite_logits(torch.from_numpy(np.array(logits)), range(len(images)))
    found = np.zeros(len(images), dtype=np.float32)
    with torch.inference_mode():
        for start in track(range(0, len(images), batch_size), description="copies, batches"):
            rows = slice(start, start + batch_size)
            pictures = np.array(images[rows])
            answer = answers[rows].softmax(dim=1)
            for change in changes:
                copies = network(pixels_for(network, change(pictures)))
                positions = range(start, start + len(pictures))
                other = finite_logits(copies, positions).softmax(dim=1).cpu()
                if other.shape != answer.shape:
                    raise ValueError(
                        f"logits of {answer.shape[1]} classes; the network has {other.shape[1]}"
                    )
                moved = (answer - other).abs().sum(dim=1).numpy()
                found[rows] = np.maximum(found[rows], moved)
    return found
