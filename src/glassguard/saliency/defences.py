"""Defences of a split of pictures: masks, their controls, and what each leads to (blog 2019)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from glassguard.progress import track
from glassguard.saliency.evaluation import (
    Predictions,
    classify,
    classify_masked,
    mask_quality,
    masks_under,
    rates,
)
from glassguard.saliency.grid import Combination, Maps
from glassguard.saliency.settings import Fill


@dataclass(frozen=True)
class Explained:
    """Pictures with the saliency maps of their decisions.

    Attributes:
        images: N x H x W x 3 uint8 RGB.
        names: N names.
        maps: saliency maps by kind, N x H x W float32 in [0, 1] each.
        real: N int64, the class of the person.
    """

    images: np.ndarray
    names: Sequence[str]
    maps: Maps
    real: np.ndarray


@dataclass(frozen=True)
class HeldOutPictures:
    """Clean and attacked pictures of one split, on which defences are judged.

    Attributes:
        clean: M pictures.
        attacked: N pictures.
        target: N int64, the target's class, :data:`glassguard.saliency.grid.NO_TARGET` for none.
        frames: N x H x W bool, True on the attack's pixels.
    """

    clean: Explained
    attacked: Explained
    target: np.ndarray
    frames: np.ndarray

    @property
    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """The attacker's class and the target's, N int64 each."""
        return self.attacked.real, self.target

    @property
    def kinds(self) -> tuple[Explained, Explained]:
        """The attacked pictures and the clean ones."""
        return self.attacked, self.clean


@dataclass(frozen=True)
class Defence:
    """A way of masking and what it led to.

    Attributes:
        name: ``none``, the name of a mask, or a control's: ``oracle`` or ``random``.
        fill: what replaced the masked pixels, empty for ``none``.
        adversarial: predictions of the attacked pictures.
        clean: predictions of the clean pictures.
        masks: of the attacked pictures, N x H x W bool; None for ``none``.
    """

    name: str
    fill: str
    adversarial: Predictions
    clean: Predictions
    masks: np.ndarray | None

    def rates(
        self, before: Predictions, pictures: HeldOutPictures, threshold: float | None
    ) -> dict[str, float]:
        """Columns of :func:`glassguard.saliency.evaluation.rates`.

        Args:
            before: undefended predictions of the attacked pictures.
            pictures: what was defended.
            threshold: confidence below which an answer is rejected.
        """
        real = pictures.clean.real
        return rates(before, self.adversarial, self.clean, pictures.classes, real, threshold)


def judged(
    network: nn.Module,
    pictures: HeldOutPictures,
    masks: Mapping[str, Combination],
    *,
    kernel: int,
    batch_size: int,
) -> list[Defence]:
    """Classify pictures without a mask and under each mask.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        pictures: the pictures.
        masks: combinations by name. One that has several names is judged once and returned under
            each, so that means over seeds are over all seeds.
        kernel: side of the square structuring element, odd.
        batch_size: pictures per forward pass.

    Returns:
        ``none``, then the masks in their order.
    """
    attacked, clean = (
        classify(network, kind.images, batch_size=batch_size) for kind in pictures.kinds
    )
    bare = Defence("none", "", attacked, clean, None)
    found = {}
    for one in track(list(dict.fromkeys(masks.values())), description="masks judged"):
        both = [masks_under(kind.maps, one, kernel=kernel) for kind in pictures.kinds]
        found[one] = _masked(network, pictures, bare, one.fill, both, batch_size)
    return [bare, *(replace(found[one], name=name) for name, one in masks.items())]


def controls(
    network: nn.Module,
    pictures: HeldOutPictures,
    bare: Defence,
    mask: Combination,
    *,
    kernel: int,
    batch_size: int,
    seed: int,
) -> list[Defence]:
    """The controls of a mask, with its fill.

    The arguments are those of :func:`judged`, its ``none``, and the seed of the study.

    Returns:
        ``oracle``, which masks the true frame and nothing of a clean picture, and ``random``, the
        mask at a wrong place (:func:`misplaced`).
    """
    moved = [masks_under(kind.maps, mask, kernel=kernel) for kind in pictures.kinds]
    for masks, kind in zip(moved, pictures.kinds, strict=True):
        for row, name in enumerate(kind.names):
            masks[row] = misplaced(masks[row], seed=seed, name=name)
    true = [pictures.frames, np.zeros_like(moved[1])]
    return [
        replace(_masked(network, pictures, bare, mask.fill, both, batch_size), name=name)
        for name, both in (("oracle", true), ("random", moved))
    ]


def _masked(
    network: nn.Module,
    pictures: HeldOutPictures,
    bare: Defence,
    fill: Fill,
    masks: Sequence[np.ndarray],
    batch_size: int,
) -> Defence:
    """The defence by masks of the attacked and of the clean pictures, without its name."""
    adversarial, clean = (
        classify_masked(network, kind.images, covered, fill, unmasked, batch_size=batch_size)
        for kind, covered, unmasked in zip(
            pictures.kinds, masks, (bare.adversarial, bare.clean), strict=True
        )
    )
    return Defence("", fill, adversarial, clean, masks[0])


def evaluation_rows(
    defences: Sequence[Defence], pictures: HeldOutPictures, *, threshold: float
) -> list[dict[str, Any]]:
    """Rates and mask quality of every defence, without and with a threshold.

    Args:
        defences: the first is ``none``.
        pictures: what they were judged on.
        threshold: confidence below which an answer is rejected.
    """
    before = defences[0].adversarial
    rows = []
    for defence in defences:
        quality = {} if defence.masks is None else mask_quality(defence.masks, pictures.frames)
        rows += [
            {
                "defence": defence.name,
                "fill": defence.fill,
                "threshold": limit,
                **defence.rates(before, pictures, limit),
                **quality,
            }
            for limit in (None, threshold)
        ]
    return rows


def headline(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | int | str]:
    """Rates of :func:`evaluation_rows` by the names under which a run is tracked."""
    metrics: dict[str, float | int | str] = {}
    for row in rows:
        suffix = "" if row["threshold"] is None else f"_threshold_{row['threshold']:g}"
        names = ["adversarial_success", "adversarial_correct", "clean_accuracy"]
        if row["defence"] != "none":
            names += ["defence_success", "mask_iou"]
        metrics |= {f"{row['defence']}{suffix}_{name}": row[name] for name in names}
    return metrics


def misplaced(mask: np.ndarray, *, seed: int, name: str) -> np.ndarray:
    """A mask at a wrong place.

    It is shifted by a random distance in both directions and re-enters at the opposite border, so
    that it keeps its area and texture.

    Args:
        mask: H x W bool.
        seed: seed of the study.
        name: the picture's name; with the seed it alone decides the shift.

    Returns:
        H x W bool with as many True pixels.
    """
    height, width = mask.shape
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    # 0 would leave the mask where it is.
    shift = 1 + int.from_bytes(digest[:8], "big") % (height * width - 1)
    return np.roll(mask, divmod(shift, width), axis=(0, 1))
