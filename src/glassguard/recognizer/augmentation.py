"""Training-time changes of faces: mirroring and occlusion. Never part of an attack."""

import torch
import torch.nn.functional as F
from torch import Tensor


def mirror(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Flip every other picture, chosen at random, left to right.

    Args:
        pixels: N x 3 x H x W float.
        generator: source of the choice.
    """
    flipped = torch.rand(len(pixels), generator=generator) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), pixels.flip(-1), pixels)


def occlude(
    pixels: Tensor,
    *,
    probability: float,
    smallest: float,
    largest: float,
    generator: torch.Generator,
) -> Tensor:
    """Cover a rectangle of some pictures (random erasing, Zhong et al. 2020).

    The cover is, with equal chance, one random colour, a random colour with coarse random texture,
    or the picture's mean colour, since a recognizer meets printed accessories as well as masks that
    were filled.

    Args:
        pixels: N x 3 x H x W float in [0, 1].
        probability: share of the pictures that are covered.
        smallest: shortest side of a rectangle, share of the picture's side.
        largest: longest side of a rectangle, share of the picture's side.
        generator: source of every random choice.

    Returns:
        A new tensor of the same shape.
    """
    count, channels, height, width = pixels.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    sides = smallest + (largest - smallest) * uniform(count, 2)
    corners = uniform(count, 2) * (1 - sides)
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside_rows = (rows >= corners[:, :1]) & (rows < corners[:, :1] + sides[:, :1])
    inside_columns = (columns >= corners[:, 1:]) & (columns < corners[:, 1:] + sides[:, 1:])
    covered = inside_rows[:, :, None] & inside_columns[:, None, :]
    covered &= (uniform(count) < probability)[:, None, None]

    colour = uniform(count, channels, 1, 1)
    coarse = F.interpolate(uniform(count, channels, 12, 12), size=(height, width), mode="nearest")
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    kind = torch.randint(3, (count, 1, 1, 1), generator=generator)
    cover = torch.where(kind == 0, colour, torch.where(kind == 1, coarse, mean))
    return torch.where(covered[:, None], cover, pixels)
