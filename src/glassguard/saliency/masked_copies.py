"""Pictures masked by their own saliency, for dense layers to learn from.

The network has to do without the pixels that a defence masks. Training pictures that are masked in
the same way teach it to.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from glassguard.recognizer.network import to_images, to_pixels
from glassguard.saliency.explanation import Explain
from glassguard.saliency.fill import filled
from glassguard.saliency.mask import saliency_mask
from glassguard.saliency.settings import CopyMasks


def masked_copies(
    batches: Iterable[Tensor],
    explain: Explain,
    masks: CopyMasks,
    *,
    generator: np.random.Generator,
) -> Iterator[Tensor]:
    """Mask every picture of a stream by the saliency of what the network sees in it.

    Args:
        batches: N x 3 x H x W float32 pixels in [0, 1] each.
        explain: the saliency maps of a batch.
        masks: how a map becomes a mask; threshold, closing and fill are drawn for each picture.
        generator: source of these draws.

    Yields:
        Batches of the same shape, rounded to 256 levels.
    """
    for pixels in batches:
        images = to_images(pixels).numpy()
        maps, _ = explain(pixels)
        masked = np.empty_like(images)
        for row, (image, saliency) in enumerate(zip(images, maps.numpy(), strict=True)):
            mask = saliency_mask(
                saliency,
                mu=generator.uniform(*masks.mu),
                mu_as="quantile",
                n=int(generator.choice(masks.n)),
                phi=masks.phi,
                kernel=masks.kernel,
            )
            masked[row] = filled(image, mask, masks.fill[generator.integers(len(masks.fill))])
        yield to_pixels(torch.from_numpy(masked))
