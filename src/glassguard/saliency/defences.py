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
class HeldOutPictures:
    """Clean and attacked pictures of one split, on which defences are judged.

    Attributes:
        clean: M x H x W x 3 uint8 RGB.
        clean_names: M names.
        clean_maps: saliency maps by kind, M x H x W float32 in [0, 1] each.
        clean_real: M int64, the class of the person.
        attacked: N x H x W x 3 uint8 RGB.
        attacked_names: N names.
        attacked_maps: as ``clean_maps``.
        classes: the attacker's class and the target's, N int64 each;
            :data:`glassguard.saliency.grid.NO_TARGET` where there is no target.
        frames: N x H x W bool, True on the attack's pixels.
    """

    clean: np.ndarray
    clean_names: Sequence[str]
    clean_maps: Maps
    clean_real: np.ndarray
    attacked: np.ndarray
    attacked_names: Sequence[str]
    attacked_maps: Maps
    classes: tuple[np.ndarray, np.ndarray]
    frames: np.ndarray


@dataclass(frozen=True)
class Defence:
    """A way of masking and what it led to.

    Attributes:
        name: ``none``, the name of a mask, or a control's: ``oracle`` or ``random``.
        fill: what replaced the masked pixels, empty for ``none``.
        adversarial: predictions of the attacked pictures.
        clean: predictions of the clean pictures.
        masks: of the attacked pictures, N x H x W bool; None where nothing is masked.
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
        classes, real = pictures.classes, pictures.clean_real
        return rates(before, self.adversarial, self.clean, classes, real, threshold)


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
    attacked = classify(network, pictures.attacked, batch_size=batch_size)
    clean = classify(network, pictures.clean, batch_size=batch_size)
    bare = Defence("none", "", attacked, clean, None)
    found = {}
    for one in track(list(dict.fromkeys(masks.values())), description="masks judged"):
        of_attacked, of_clean = (
            masks_under(maps, one, kernel=kernel)
            for maps in (pictures.attacked_maps, pictures.clean_maps)
        )
        found[one] = _masked(network, pictures, bare, one.fill, of_attacked, of_clean, batch_size)
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

    Args:
        network: see :func:`judged`.
        pictures: see there.
        bare: its ``none``.
        mask: the combination.
        kernel: see there.
        batch_size: see there.
        seed: seed of the study.

    Returns:
        ``oracle``, which masks the true frame and nothing of a clean picture, and ``random``, the
        mask at a wrong place (:func:`misplaced`).
    """
    moved = []
    for maps, names in (
        (pictures.attacked_maps, pictures.attacked_names),
        (pictures.clean_maps, pictures.clean_names),
    ):
        masks = masks_under(maps, mask, kernel=kernel)
        for row, name in enumerate(names):
            masks[row] = misplaced(masks[row], seed=seed, name=name)
        moved.append(masks)
    true = (pictures.frames, np.zeros_like(moved[1]))
    return [
        replace(
            _masked(network, pictures, bare, mask.fill, of_attacked, of_clean, batch_size),
            name=name,
        )
        for name, (of_attacked, of_clean) in (("oracle", true), ("random", moved))
    ]


def _masked(
    network: nn.Module,
    pictures: HeldOutPictures,
    bare: Defence,
    fill: Fill,
    of_attacked: np.ndarray,
    of_clean: np.ndarray,
    batch_size: int,
) -> Defence:
    adversarial, clean = (
        classify_masked(network, images, masks, fill, unmasked, batch_size=batch_size)
        for images, masks, unmasked in (
            (pictures.attacked, of_attacked, bare.adversarial),
            (pictures.clean, of_clean, bare.clean),
        )
    )
    return Defence("", fill, adversarial, clean, of_attacked)


def evaluation_rows(
    defences: Sequence[Defence], pictures: HeldOutPictures, *, threshold: float
) -> list[dict[str, Any]]:
    """Rates and mask quality of every defence, without and with a threshold.

    Args:
        defences: the first is none.
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
    """The control of a mask of the same area somewhere else.

    The mask is shifted by a random distance in both directions and re-enters at the opposite
    border, so that area and texture stay and only the place is wrong.

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
