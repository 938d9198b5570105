"""Examples of masks: every step from a saliency map to the picture without its masked pixels."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from glassguard.saliency.defences import Defence, HeldOutPictures
from glassguard.saliency.evaluation import adversarial_success, defence_success
from glassguard.saliency.fill import filled
from glassguard.saliency.grid import NO_TARGET, Combination, mask_parameters, spread
from glassguard.saliency.mask import mask_stages

SHOWN = 6
"""Attacks of each kind that are shown, at most."""


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
        The combination's parameters; ``images``, ``saliency`` and ``filled`` of each picture;
        ``thresholded``, ``closed`` and ``filtered``, the mask after each step, K x H x W bool;
        ``example_ids``, ``attacker``, ``target`` (empty for none) and ``worked``; ``frames``;
        ``prediction_before``, ``confidence_before``, ``prediction_after``, ``confidence_after``.
    """
    attacked, target = pictures.attacked, pictures.target
    undone = defence_success(before.adversarial, after.adversarial, *pictures.classes)
    fooled = adversarial_success(before.adversarial, *pictures.classes)
    groups = [np.flatnonzero(fooled & undone), np.flatnonzero(fooled & ~undone)]
    shown = np.concatenate([group[spread(len(group), SHOWN, seed)] for group in groups])
    names = np.array(identities)
    images, maps = attacked.images[shown], attacked.maps[combination.map][shown]
    how = mask_parameters(combination)
    steps = np.zeros((3, *maps.shape), dtype=bool)
    replaced = np.zeros_like(images)
    for row, (image, saliency) in enumerate(zip(images, maps, strict=True)):
        steps[:, row] = mask_stages(saliency, **how, kernel=kernel)
        replaced[row] = filled(image, steps[-1, row], combination.fill)
    found = {name: np.array(value) for name, value in asdict(combination).items()}
    found |= {"images": images, "saliency": maps}
    found |= dict(zip(("thresholded", "closed", "filtered"), steps, strict=True))
    found |= {
        "filled": replaced,
        "example_ids": np.array(attacked.names, dtype=np.str_)[shown],
        "attacker": names[attacked.real[shown]],
        "target": np.where(target == NO_TARGET, "", names[target])[shown],
        "worked": undone[shown],
        "frames": pictures.frames[shown],
    }
    for moment, defence in (("before", before), ("after", after)):
        found[f"prediction_{moment}"] = names[defence.adversarial.classes[shown]]
        found[f"confidence_{moment}"] = defence.adversarial.confidences[shown]
    return found
