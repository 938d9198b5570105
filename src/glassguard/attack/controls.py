"""Honest wearers: benign pictures with frames that are not adversarial."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from glassguard.attack.accessories import frame_masks
from glassguard.attack.inputs import require_masks

KINDS = ("plain", "random")
"""Frames of one colour, and frames of random colours."""
DRAW = (0xC0, 1)
"""Separates the draw of wearers and colours from other draws of a study."""


@dataclass(frozen=True)
class HonestWearers:
    """Benign pictures with frames.

    Attributes:
        rows: N int64, the rows of the given pictures.
        images: N x S x S x 3 uint8, with frames.
        frames: N x S x S bool, the pixels of the frames.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.uint8]
    frames: NDArray[np.bool_]


def honest_wearers(
    images: NDArray[np.uint8],
    splits: NDArray[np.str_],
    eyes: NDArray[np.float64],
    *,
    kind: str,
    limits: Mapping[str, int],
    colour: Sequence[float],
    seed: int,
) -> HonestWearers:
    """Put frames on some of the pictures, on the same ones for either kind of frame.

    Args:
        images: M x S x S x 3 uint8 RGB; may be a memory map.
        splits: M names of splits.
        eyes: M x 2 x 2, see :func:`glassguard.attack.accessories.accessory_mask`.
        kind: one of :data:`KINDS`.
        limits: the splits to take pictures of and the maximum number of each, in the order of the
            result.
        colour: R, G, B in [0, 1] of plain frames.
        seed: seed of the draw of pictures and of random colours.

    Raises:
        ValueError: there is no such kind of frame.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}: {kind}")
    # The same pictures for both kinds: they are compared on the same faces, and a mixture shows
    # every face once.
    generator = np.random.default_rng([seed, *DRAW])
    rows = np.concatenate(
        [
            np.sort(generator.permutation(np.flatnonzero(splits == split))[:limit])
            for split, limit in limits.items()
        ]
    )
    size = images.shape[1]
    masks = frame_masks(eyes[rows], size)
    if kind == "plain":
        texture = np.round(np.array(colour) * 255).astype(np.uint8)
    else:
        texture = random_texture(len(rows), size, generator=generator)
    return HonestWearers(rows, wear(np.ascontiguousarray(images[rows]), masks, texture), masks)


def wear(
    images: NDArray[np.uint8], masks: NDArray[np.generic], texture: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Put a texture on the pixels of masks.

    Args:
        images: N x H x W x 3 uint8.
        masks: see :func:`glassguard.attack.inputs.require_masks`.
        texture: uint8, broadcastable to ``images``: one colour, or a picture each.

    Raises:
        ValueError: an argument has another type or shape.
    """
    for name, array in (("images", images), ("texture", texture)):
        if array.dtype != np.uint8:
            raise ValueError(f"{name} must be uint8: {array.dtype}")
    if images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be N x height x width x 3: {images.shape}")
    inside = require_masks(torch.tensor(masks), *images.shape[:3]).numpy()
    try:
        texture = np.broadcast_to(texture, images.shape)
    except ValueError:
        raise ValueError(
            f"a texture of shape {texture.shape} does not fit images of shape {images.shape}"
        ) from None
    return np.where(inside[..., None], texture, images)


def framed_copies(
    images: NDArray[np.uint8], eyes: NDArray[np.float64], *, copies: int, seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Copies of pictures with honest frames, for a recognizer to learn from.

    In every copy, every second picture has a frame of one random colour, and every other one a
    frame of random texture; in the next copy it is the other way round.

    Args:
        images: N x S x S x 3 uint8.
        eyes: N x 2 x 2, see :func:`glassguard.attack.accessories.accessory_mask`.
        copies: how many of each picture.
        seed: seed of colours and textures.

    Yields:
        N x S x S x 3 uint8, once for each copy.
    """
    # As in honest_wearers, apart from other draws of a study.
    generator = np.random.default_rng([seed, *DRAW, 1])
    count, size = len(images), images.shape[1]
    masks = frame_masks(eyes, size)
    for copy in range(copies):
        texture = random_texture(count, size, generator=generator)
        plain = np.arange(copy % 2, count, 2)
        texture[plain] = generator.integers(0, 256, (len(plain), 1, 1, 3), dtype=np.uint8)
        yield wear(np.ascontiguousarray(images), masks, texture)


def random_texture(
    count: int, size: int, *, generator: np.random.Generator, grain: int = 12
) -> NDArray[np.uint8]:
    """Random textures: coarse patches of colour with fine noise, independent of any network.

    Args:
        count: number of textures.
        size: side in pixels.
        generator: source of the colours.
        grain: number of patches along a side.

    Returns:
        count x size x size x 3 uint8.
    """
    coarse = generator.integers(0, 256, (count, grain, grain, 3))
    index = np.arange(size) * grain // size
    noise = generator.integers(-40, 41, (count, size, size, 3))
    return np.clip(coarse[:, index][:, :, index] + noise, 0, 255).astype(np.uint8)


def controls_table(
    kind: str,
    wearers: HonestWearers,
    manifest: pd.DataFrame,
    confidences: NDArray[np.float32],
    identities: Sequence[str],
) -> pd.DataFrame:
    """One row per honest wearer.

    Args:
        kind: one of :data:`KINDS`, the beginning of every ``example_id``.
        wearers: N pictures with frames.
        manifest: one row per picture without a frame; columns image_id, split and identity.
        confidences: N x identities, of the pictures with frames.
        identities: names of the people, in the order of the network's classes.
    """
    people = manifest[["image_id", "split", "identity"]].iloc[wearers.rows].reset_index(drop=True)
    labels = np.array([identities.index(name) for name in people["identity"]])
    people.insert(0, "example_id", [f"{kind}_{row:05d}" for row in range(len(people))])
    return people.assign(
        prediction=np.array(identities)[confidences.argmax(1)],
        confidence=confidences.max(1),
        confidence_true=confidences[np.arange(len(people)), labels],
        frame_area=wearers.frames.mean(axis=(1, 2)),
    )
