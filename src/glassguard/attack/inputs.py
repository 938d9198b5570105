"""Checks of what an attack is given with the pictures: masks and labels."""

import torch
from torch import Tensor

from glassguard.recognizer.answers import require_tensor


def require_masks(masks: object, count: int, height: int, width: int) -> Tensor:
    """Masks as booleans, one for every picture.

    Args:
        masks: H x W or 1 x H x W for all pictures, N x H x W or N x 1 x H x W for each; bool, or
            any number type with 1 inside the mask and 0 outside.
        count: N.
        height: H in pixels.
        width: W in pixels.

    Returns:
        N x H x W bool; may share memory between pictures.

    Raises:
        ValueError: the masks are not a tensor, or have another shape or other values; the message
            names the first such mask and its range.
    """
    masks = require_tensor(masks, "masks")
    size = (height, width)
    shape = tuple(masks.shape)
    allowed = {size, (1, *size), (count, *size), (1, 1, *size), (count, 1, *size)}
    if shape not in allowed:
        raise ValueError(
            f"masks are {height} x {width}, for all pictures, or {count} x {height} x {width}: "
            f"{' x '.join(map(str, shape))}"
        )
    masks = masks.detach().reshape(1 if shape == size else shape[0], *size)
    inside = masks == 1
    other = (inside | (masks == 0)).logical_not().nonzero()
    if len(other):
        mask = int(other[0, 0])
        # Not every number type that can be compared has a minimum.
        values = masks[mask].double()
        raise ValueError(
            f"masks are 1 inside and 0 outside; mask {mask}: values from "
            f"{values.min().item():g} to {values.max().item():g}"
        )
    return inside.expand(count, *size)


def require_labels(labels: object, count: int) -> Tensor:
    """Class numbers, one for every picture.

    Args:
        labels: N of any integer type.
        count: N.

    Returns:
        N int64.

    Raises:
        ValueError: the labels have another type or number.
    """
    labels = require_tensor(labels, "labels")
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels are integers, the numbers of classes: {labels.dtype}")
    if labels.shape != (count,):
        raise ValueError(
            f"labels are one for each picture: {tuple(labels.shape)} for {count} pictures"
        )
    return labels.to(torch.int64)


def require_classes(labels: Tensor, classes: int) -> None:
    """Refuse labels that are not classes of the network.

    Args:
        labels: N int64.
        classes: number of classes of the network.

    Raises:
        ValueError: a label is out of range; the message names the first such picture.
    """
    unknown = ((labels < 0) | (labels >= classes)).nonzero()
    if len(unknown):
        picture = int(unknown[0])
        raise ValueError(
            f"labels are 0 to {classes - 1}, the network's classes; picture {picture}: "
            f"{int(labels[picture])}"
        )
