"""Activation profiles: the baseline of influence profiles.

They have the same shape, one number a filter at the same slices, and feed the same detectors.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.influence.distributions import Point
from glassguard.influence.internal import InternalInfluence
from glassguard.influence.profiles import ImageProfiles, profiles_of_images
from glassguard.influence.reduction import EVERYWHERE, Places, reduced
from glassguard.influence.settings import Reduction
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


class WatchedActivations:
    """Gathers activations while something runs the network on one batch of pictures after another.

    Args:
        slices: the module whose output each slice is.
        count: number of pictures.
        places: rows and columns of which each has its own maximum.
    """

    def __init__(
        self, slices: Mapping[str, nn.Module], count: int, places: Places = EVERYWHERE
    ) -> None:
        self._slices, self._count, self._places = slices, count, places
        self._largest: dict[str, NDArray[np.float32]] = {}
        self._mean: dict[str, NDArray[np.float32]] = {}
        self._rows = slice(0, 0)

    @contextmanager
    def of(self, rows: slice) -> Iterator[None]:
        """Context in which the network runs once, on these pictures.

        Raises:
            ValueError: a slice's module runs more than once.
        """
        self._rows = rows
        with watched(self._slices, self._see):
            yield

    def profiles(self, logits: NDArray[np.float32]) -> ActivationProfiles:
        """What was gathered, with the network's answers to the pictures, N x C float32."""
        kept = slice(0, len(logits))
        return ActivationProfiles(
            {name: values[kept] for name, values in self._largest.items()},
            {name: values[kept] for name, values in self._mean.items()},
            logits,
        )

    def _see(self, name: str, output: Tensor) -> None:
        activation = output.detach()
        flat = activation.flatten(2) if activation.ndim == 4 else activation[:, :, None]
        self._keep(self._largest, name, reduced(activation, "max", self._places))
        self._keep(self._mean, name, flat.mean(dim=2))

    def _keep(self, found: dict[str, NDArray[np.float32]], name: str, part: Tensor) -> None:
        # Room for all at once: small tensors that are kept between the large ones that every pass
        # frees would fragment the memory.
        if name not in found:
            found[name] = np.empty((self._count, part.shape[1]), dtype=np.float32)
        found[name][self._rows] = part.float().cpu().numpy()


def profiles_and_activations(
    influence: InternalInfluence,
    slices: Mapping[str, nn.Module],
    images: NDArray[np.uint8],
    *,
    reduction: Reduction = "max",
    places: Places = EVERYWHERE,
    batch_size: int,
) -> tuple[ImageProfiles, ActivationProfiles]:
    """Influence profiles and activations of pictures.

    Where influence is that of the pictures themselves, one forward pass serves both. Along a line
    the network sees other pictures as well, and activations take a pass of their own.

    Args:
        influence: what is measured, where, and the network.
        slices: the module whose output each slice of the activations is.
        images: N x H x W x 3 uint8 RGB, N possibly 0; may be memory-mapped.
        reduction: of influence over space; of activations there are the maximum and the mean.
        places: rows and columns that space is divided into, for both.
        batch_size: pictures per pass.

    Raises:
        ValueError: as :func:`activation_profiles` and
            :func:`glassguard.influence.profiles.profiles_of_images`.
    """
    network = influence.network
    measured = partial(
        profiles_of_images,
        influence,
        images,
        reduction=reduction,
        places=places,
        batch_size=batch_size,
    )
    if not isinstance(influence.distribution, Point):
        found = activation_profiles(network, slices, images, batch_size=batch_size, places=places)
        return measured(), found
    # A blank picture replaces an empty set.
    activations = WatchedActivations(slices, max(1, len(images)), places)
    profiles = measured(beside=activations.of)
    return profiles, activations.profiles(profiles.logits)


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
    activations = WatchedActivations(slices, len(rows), places)
    answers: list[NDArray[np.float32]] = []
    with torch.inference_mode():
        for start in track(range(0, len(rows), batch_size), description="activations, batches"):
            pixels = pixels_for(network, rows[start : start + batch_size])
            batch = slice(start, start + len(pixels))
            with activations.of(batch):
                logits = finite_logits(network(pixels), range(batch.start, batch.stop))
            answers.append(logits.float().cpu().numpy())
    return activations.profiles(np.concatenate(answers)[: len(images)])
