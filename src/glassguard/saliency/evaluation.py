"""What a mask does to attacks and to clean pictures (blog 2019)."""

import math
from dataclasses import dataclass

import numpy as np
from torch import nn

from glassguard.saliency.classification import probabilities
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import NO_TARGET, Combination, Maps, mask_parameters
from glassguard.saliency.mask import saliency_mask
from glassguard.saliency.settings import Fill
from glassguard.statistics import Rate


@dataclass(frozen=True)
class Predictions:
    """Predicted classes, N int64, and the confidence in them, N float32 in [0, 1]."""

    classes: np.ndarray
    confidences: np.ndarray

    def accepted(self, threshold: float | None) -> np.ndarray:
        """N bool: the confidence is at least the threshold, so the system answers."""
        return self.confidences >= (0.0 if threshold is None else threshold)


def classify(network: nn.Module, images: np.ndarray, *, batch_size: int = 64) -> Predictions:
    """Predictions of N x H x W x 3 uint8 pictures as they are."""
    rows = list(probabilities(network, images, batch_size=batch_size))
    return Predictions(
        classes=np.array([row.argmax() for row in rows], dtype=np.int64),
        confidences=np.array([row.max() for row in rows], dtype=np.float32),
    )


def classify_masked(
    network: nn.Module,
    images: np.ndarray,
    masks: np.ndarray,
    fill: Fill,
    unmasked: Predictions,
    *,
    batch_size: int = 64,
) -> Predictions:
    """Predictions of masked pictures.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        images: N x H x W x 3 uint8 RGB; only rows that are needed are read.
        masks: N x H x W bool.
        fill: what replaces the masked pixels.
        unmasked: predictions of the pictures as they are, which hold for empty masks.
        batch_size: pictures per forward pass.
    """
    classes, confidences = unmasked.classes.copy(), unmasked.confidences.copy()
    rows = np.flatnonzero(masks.any(axis=(1, 2)))
    pictures = (filled(images[row], masks[row], fill) for row in rows)
    stream = probabilities(network, pictures, batch_size=batch_size)
    for row, probability in zip(rows, stream, strict=True):
        classes[row], confidences[row] = probability.argmax(), probability.max()
    return Predictions(classes, confidences)


def masks_under(maps: Maps, combination: Combination, *, kernel: int = 3) -> np.ndarray:
    """The masks that one combination makes of saliency maps.

    Args:
        maps: N x H x W float32 in [0, 1] of every kind.
        combination: the kind that is taken, and how it becomes a mask.
        kernel: side of the square structuring element, odd.

    Returns:
        N x H x W bool.
    """
    of_kind, how = maps[combination.map], mask_parameters(combination)
    masks = [saliency_mask(saliency, **how, kernel=kernel) for saliency in of_kind]
    return np.array(masks, dtype=bool).reshape(of_kind.shape)


def adversarial_success(
    predictions: Predictions, real: np.ndarray, target: np.ndarray, threshold: float | None = None
) -> np.ndarray:
    """N bool: accepted as the target; without one (dodging), as anybody but the real person."""
    as_target = np.where(
        target == NO_TARGET, predictions.classes != real, predictions.classes == target
    )
    return as_target & predictions.accepted(threshold)


def correct(
    predictions: Predictions, real: np.ndarray, threshold: float | None = None
) -> np.ndarray:
    """N bool: accepted as the person in the picture."""
    return (predictions.classes == real) & predictions.accepted(threshold)


def defence_success(
    before: Predictions,
    after: Predictions,
    real: np.ndarray,
    target: np.ndarray,
    threshold: float | None = None,
) -> np.ndarray:
    """N bool: the target before, whatever the confidence, and accepted as the real person after.

    The rate is over all attacks, as in Study S, where it stays below the share of attacked
    pictures that are classified right after the defence.
    """
    return adversarial_success(before, real, target) & correct(after, real, threshold)


def rate(name: str, hits: np.ndarray) -> dict[str, float]:
    """Columns of the share of N bool that are true."""
    return Rate.counted(int(hits.sum()), len(hits)).columns(name)


def mean(name: str, values: np.ndarray) -> dict[str, float]:
    """Columns of a mean of values in [0, 1] with its normal 95 % interval, clipped to [0, 1].

    These are no counts, so Wilson's interval does not apply to them.
    """
    n = len(values)
    average = float(values.mean()) if n else math.nan
    if n < 2:
        return Rate(average, n).columns(name)
    margin = 1.959964 * float(values.std(ddof=1)) / math.sqrt(n)
    return Rate(average, n, max(average - margin, 0.0), min(average + margin, 1.0)).columns(name)


def rates(
    before: Predictions,
    after: Predictions,
    clean: Predictions,
    classes: tuple[np.ndarray, np.ndarray],
    clean_real: np.ndarray,
    threshold: float | None = None,
) -> dict[str, float]:
    """Columns of the four rates of Study S, each as :func:`rate` has it.

    Args:
        before: undefended predictions of attacked pictures.
        after: their predictions under the defence.
        clean: predictions of clean pictures under the defence.
        classes: real and target class of the attacked pictures, N int64 each.
        clean_real: real class of the clean pictures, M int64.
        threshold: confidence below which an answer is rejected.
    """
    return {
        **rate("adversarial_success", adversarial_success(after, *classes, threshold)),
        **rate("adversarial_correct", correct(after, classes[0], threshold)),
        **rate("clean_accuracy", correct(clean, clean_real, threshold)),
        **rate("defence_success", defence_success(before, after, *classes, threshold)),
    }


def mask_quality(masks: np.ndarray, frames: np.ndarray) -> dict[str, float]:
    """Columns of the mean of either measure of :func:`overlap`, each as :func:`mean` has it."""
    intersection_over_union, recall = overlap(masks, frames)
    return {**mean("mask_iou", intersection_over_union), **mean("mask_recall", recall)}


def overlap(masks: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well masks cover the true frames.

    Args:
        masks: N x H x W bool.
        frames: N x H x W bool, True on the attack's pixels.

    Returns:
        Intersection over union and recall (share of the frame that is masked), N float64 in
        [0, 1] each; 1 where there was nothing to cover and, for the former, nothing covered.
    """
    both = (masks & frames).sum(axis=(1, 2))
    either = (masks | frames).sum(axis=(1, 2))
    frame = frames.sum(axis=(1, 2))
    return (
        np.where(either > 0, both / np.maximum(either, 1), 1.0),
        np.where(frame > 0, both / np.maximum(frame, 1), 1.0),
    )
