"""Activation profiles: the baseline of influence profiles.

They have the same shape, one number a filter at the same slices, and feed the same detectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.influence.reduction import EVERYWHERE, Places, reduced
from glassguard.influence.watching import watched
from glassguard.progress import track
from glassguard.recognizer.answers import finite_logits, require_evaluation_mode
from glassguard.recognizer.network import pixels_for


@dataclass(frozen=True)
class ActivationProfiles:
    """Activations of a set of pictures; row = picture.

    Attributes:
        largest: per slice N x filters float32, maximum over space; with several places
            N x (filters · places), the places of a filter side by side.
        mean: per slice N x filters float32, mean over space (Lee et al. 2018, section 2.3).
        logits: N x C float32.
    """

    largest: dict[str, NDArray[np.float32]]
    mean: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]


def activation_profiles(
    network: nn.Module,
    slices: Mapping[str, nn.Module],
    images: NDArray[np.uint8],
    *,
    batch_size: int,
    places: Places = EVERYWHERE,
) -> ActivationProfiles:
    """Activations of every slice, from one forward pass a picture.

    Args:
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        slices: the module whose output each slice is.
        images: N x H x W x 3 uint8 RGB, N possibly 0; may be memory-mapped.
        batch_size: pictures per pass.
        places: rows and columns of which each has its own maximum.

    Raises:
        ValueError: the pictures are of another type or shape, the batches are empty, the network is
            in training mode or answers a picture with logits that are not finite, or a slice's
            module runs more than once in a forward pass.
    """
    require_evaluation_mode(network)
    if batch_size < 1:
        raise ValueError(f"a batch has at least one picture: {batch_size}")
    # A blank picture replaces an empty set, so that its profiles have the right width.
    rows = images if len(images) else np.zeros((1, *images.shape[1:]), dtype=np.uint8)
    largest: dict[str, NDArray[np.float32]] = {}
    mean: dict[str, NDArray[np.float32]] = {}
    answers: dict[str, NDArray[np.float32]] = {}
    batch = slice(0, 0)

    def keep(found: dict[str, NDArray[np.float32]], name: str, part: Tensor) -> None:
        # Room for all at once: small tensors that are kept between the large ones that every pass
        # frees would fragment the memory.
        if name not in found:
            found[name] = np.empty((len(rows), part.shape[1]), dtype=np.float32)
        found[name][batch] = part.float().cpu().numpy()

    def see(name: str, output: Tensor) -> None:
        flat = output.flatten(2) if output.ndim == 4 else output[:, :, None]
        keep(largest, name, reduced(output, "max", places))
        keep(mean, name, flat.mean(dim=2))

    with torch.inference_mode():
        for start in track(range(0, len(rows), batch_size), description="activations, batches"):
            batch = slice(start, start + batch_size)
            pixels = pixels_for(network, rows[batch])
            with watched(slices, see):
                logits = finite_logits(network(pixels), range(start, start + len(pixels)))
            keep(answers, "logits", logits)

    def kept(found: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {name: values[: len(images)] for name, values in found.items()}

    return ActivationProfiles(kept(largest), kept(mean), kept(answers)["logits"])
