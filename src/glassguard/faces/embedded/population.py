"""All pictures of one drawn person."""

import numpy as np
from numpy.typing import NDArray

from glassguard.faces.embedded.identity import draw_identity
from glassguard.faces.embedded.rendering import render_face


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
        # A trailing 0 would not change a SeedSequence: picture 0 would share its stream with the
        # person's own parameters.
        generator = np.random.default_rng(np.random.SeedSequence([seed, identity, number + 1]))
        pictures[number], eyes[number] = render_face(person, generator, size=size)
    return pictures, eyes
