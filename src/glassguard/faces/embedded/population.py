"""All pictures of drawn people."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.rendering import render_face

WORKERS = 2
"""Processes that draw. The pictures do not depend on it."""

_DRAWN_IN_ONE_PROCESS = 500
"""Up to so many pictures, starting processes takes longer than it saves."""


def render_people(
    seed: int, identities: Sequence[int], *, images: int, size: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
    """Pictures of several people in order, drawn in parallel; see :func:`render_person`."""
    render = partial(render_person, seed, images=images, size=size)
    if len(identities) * images <= _DRAWN_IN_ONE_PROCESS:
        yield from map(render, identities)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, context, cv2.setNumThreads, (1,)) as workers:
        # A few people at a time: drawing far ahead of writing would fill the memory.
        for start in range(0, len(identities), 8 * WORKERS):
            yield from workers.map(render, identities[start : start + 8 * WORKERS])


def render_person(
    seed: int, identity: int, *, images: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures of one person of a population.

    A picture depends on ``seed``, ``identity`` and its own number only: it is the same however
    many others are drawn, and in whatever order.

    Args:
        seed: non-negative seed of the population.
        identity: non-negative number of the person.
        images: number of pictures.
        size: side of a picture in pixels.

    Returns:
        N x size x size x 3 uint8 RGB pictures, and N x 2 x 2 float32 eye positions: the eye at
        the left of the picture first, x before y, in pixels.
    """
    person = draw_identity(seed, identity)
    pictures = np.empty((images, size, size, 3), dtype=np.uint8)
    eyes = np.empty((images, 2, 2), dtype=np.float32)
    for number in range(images):
        # A trailing 0 does not change a SeedSequence: picture 0 would share the stream of the
        # person's parameters.
        generator = np.random.default_rng(np.random.SeedSequence([seed, identity, number + 1]))
        pictures[number], eyes[number] = render_face(person, generator, size=size)
    return pictures, eyes
