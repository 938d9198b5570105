"""Examples of masks: every step from a saliency map to the picture without its masked pixels."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from glassguard.saliency.defences import Defence, HeldOutPictures
from glassguard.saliency.evaluation import adversarial_success, defence_success
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import NO_TARGET, Combination, spread
from glassguard.saliency.mask import (
    closed,
    exceeding,
    threshold_levels,
    without_small_components,
)

SHOWN = 6
"""Attacks of each kind that are shown, at most."""


def mask_steps(
    images: np.ndarray, maps: np.ndarray, combination: Combination, *, kernel: int
) -> dict[str, np.ndarray]:
    """Every step from pictures to their masked selves.

    Args:
        images: N x H x W x 3 uint8 RGB.
        maps: N x H x W float32 in [0, 1], of the combination's kind.
        combination: how a map becomes a mask, and what replaces the masked pixels.
        kernel: side of the square structuring element, odd.

    Returns:
        ``images`` and ``saliency`` as given; ``thresholded``, ``closed`` and ``filtered``,
        N x H x W bool; ``filled``, N x H x W x 3 uint8.
    """
    steps = {
        name: np.zeros(maps.shape, dtype=bool) for name in ("thresholded", "closed", "filtered")
    }
    result = np.zeros_like(images)
    for row, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        (level,) = threshold_levels(saliency, (combination.mu,), combination.mu_as)
        steps["thresholded"][row] = exceeding(saliency, level)
        steps["closed"][row] = closed(steps["thresholded"][row], combination.n, kernel=kernel)
        steps["filtered"][row] = without_small_components(steps["closed"][row], combination.phi)
        result[row] = filled(image, steps["filtered"][row], combination.fill)
    return {"images": images, "saliency": maps, **steps, "filled": result}


def shown_masks(
    before: Defence,
    after: Defence,
    pictures: HeldOutPictures,
    combination: Combination,
    identities: Sequence[str],
    *,
    kernel: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """A few attacks that a mask undid, then a few that it did not, for a figure.

    Args:
        before: predictions without a mask.
        after: predictions under the mask.
        pictures: what was judged.
        combination: the mask.
        identities: names of the network's classes.
        kernel: side of the square structuring element, odd.
        seed: seed of which attacks are shown, at most :data:`SHOWN` of each kind.

    Returns:
        The combination's parameters; rows of :func:`mask_steps`; ``example_ids``, ``attacker``,
        ``target`` (empty for none) and ``worked``; ``frames``; ``prediction_before``,
        ``confidence_before``, ``prediction_after`` and ``confidence_after``.
    """
    undone = defence_success(before.adversarial, after.adversarial, *pictures.classes)
    fooled = adversarial_success(before.adversarial, *pictures.classes)
    groups = [np.flatnonzero(fooled & undone), np.flatnonzero(fooled & ~undone)]
    shown = np.concatenate([group[spread(len(group), SHOWN, seed)] for group in groups])
    names, (attackers, targets) = np.array(identities), pictures.classes
    found = {name: np.array(value) for name, value in asdict(combination).items()}
    maps = pictures.attacked_maps[combination.map][shown]
    found |= mask_steps(pictures.attacked[shown], maps, combination, kernel=kernel)
    found |= {
        "example_ids": np.array(pictures.attacked_names, dtype=np.str_)[shown],
        "attacker": names[attackers[shown]],
        "target": np.where(targets == NO_TARGET, "", names[targets])[shown],
        "worked": undone[shown],
        "frames": pictures.frames[shown],
    }
    for moment, defence in (("before", before), ("after", after)):
        found[f"prediction_{moment}"] = names[defence.adversarial.classes[shown]]
        found[f"confidence_{moment}"] = defence.adversarial.confidences[shown]
    return found
