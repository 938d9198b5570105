"""Does a decision hold while the pixels that support it are masked?

An adversarial decision hangs on few pixels that nothing else replaces; an honest one is spread over
the face. So the confidence that is left in the *original* decision under masks of the saliency map
tells them apart. Nothing is fitted to an attack, although the configured kind of map was chosen on
validation attacks on photographs (docs/saliency.md). If an honest wearer's frame is masked, the
face around it still says who it is.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from torch import nn

from glassguard.progress import track
from glassguard.saliency.grid import NO_TARGET, Combination, Pictured, search

LEAST_CONFIDENCE = 1e-12
"""Softmax values below are rounding error."""


def masked_agreement(
    network: nn.Module,
    pictures: Iterable[Pictured],
    decisions: np.ndarray,
    masks: Sequence[Combination],
    *,
    kernel: int,
    batch_size: int,
) -> np.ndarray:
    """Logarithm of the confidence in each picture's own decision under every mask.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        pictures: each with the saliency maps of its decision.
        decisions: N int64, the class that the network sees in the unmasked picture.
        masks: the combinations, each once.
        kernel: side of the square structuring element, odd.
        batch_size: pictures per forward pass.

    Returns:
        N x masks float32, from -27.6 (the logarithm of :data:`LEAST_CONFIDENCE`) to 0, where the
        masked picture leads to the same decision with certainty.
    """
    classes = np.stack([decisions, np.full_like(decisions, NO_TARGET)], axis=1)
    shown = track(pictures, description="masked decisions, pictures", total=len(decisions))
    found = search(network, shown, classes, masks, kernel=kernel, batch_size=batch_size)
    return np.log(np.maximum(found.confidences[:, :, 0], np.float32(LEAST_CONFIDENCE)))
