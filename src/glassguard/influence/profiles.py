"""Influence profiles of many pictures."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glassguard.influence.internal import InternalInfluence
from glassguard.influence.reduction import EVERYWHERE, Places
from glassguard.influence.settings import Reduction
from glassguard.progress import track
from glassguard.recognizer.finite import NotFiniteError, together
from glassguard.recognizer.network import pixels_for


@dataclass(frozen=True)
class ImageProfiles:
    """Profiles of a set of pictures; row = picture.

    Attributes:
        profiles: per slice N x filters float32, with several places N x (filters · places).
        prediction: N int64, index of the predicted class.
        confidence: N float32 in [0, 1], softmax of the predicted class.
        logits: N x C float32.
    """

    profiles: dict[str, NDArray[np.float32]]
    prediction: NDArray[np.int64]
    confidence: NDArray[np.float32]
    logits: NDArray[np.float32]


def profiles_of_images(
    influence: InternalInfluence,
    images: NDArray[np.uint8],
    *,
    reduction: Reduction = "max",
    places: Places = EVERYWHERE,
    batch_size: int = 32,
    beside: Callable[[slice], AbstractContextManager[None]] = lambda rows: nullcontext(),
) -> ImageProfiles:
    """Profiles of every picture at every slice, in batches.

    Args:
        influence: what is measured, and where.
        images: N x H x W x 3 uint8 RGB, N possibly 0; may be memory-mapped.
        reduction: see :meth:`glassguard.influence.internal.InternalInfluence.profiles`.
        places: see there.
        batch_size: pictures per pass; the points of a line count as pictures.
        beside: a context around the passes of each batch, which is given as rows of ``images``.
            What watches the network there takes no pass of its own.

    Raises:
        ValueError: the pictures are of another type or shape, the batches are empty, or as
            :meth:`glassguard.influence.internal.InternalInfluence.profiles`; pictures are named by
            their index into ``images``.
    """
    if batch_size < 1:
        raise ValueError(f"a batch has at least one picture: {batch_size}")
    at_once = max(1, batch_size // influence.distribution.points)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in influence.slices}
    logits = []
    failed: list[NotFiniteError] = []
    # A blank picture replaces an empty set, so that its profiles have the right width.
    rows = images if len(images) else np.zeros((1, *images.shape[1:]), dtype=np.uint8)
    starts = range(0, len(rows), at_once)
    for start in track(starts, description="influence, batches"):
        pixels = pixels_for(influence.network, rows[start : start + at_once])
        try:
            with beside(slice(start, start + len(pixels))):
                batch = influence.profiles(pixels, reduction=reduction, places=places)
        except NotFiniteError as error:
            failed.append(error.counted_from(start))
            continue
        logits.append(batch.logits.cpu())
        for name, profile in batch.profiles.items():
            parts[name].append(profile.cpu())
    if failed:
        raise together(failed)
    answers = torch.cat(logits)
    confidence, prediction = answers.softmax(dim=1).max(dim=1)
    kept = slice(0, len(images))
    return ImageProfiles(
        {name: torch.cat(part).numpy()[kept] for name, part in parts.items()},
        prediction.numpy()[kept],
        confidence.numpy()[kept],
        answers.numpy()[kept],
    )
