"""Training-time changes of faces: mirroring, pose and light, occlusion. Never part of an attack."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from glassguard.recognizer.settings import Cover, OccluderShape

PATCH_GRID = 14
TEXTURE_GRID = 12
SURROUNDINGS_GRID = 12


def mirror(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Flip every other picture (N x 3 x H x W float), chosen at random, left to right.

    Here as below, ``generator`` is the source of every random choice, on the device of ``pixels``.
    """
    flipped = _uniform(generator, len(pixels)) < 0.5
    return torch.where(flipped.view(-1, 1, 1, 1), pixels.flip(-1), pixels)


def vary(
    pixels: Tensor,
    *,
    shift: float,
    scale: float,
    rotation: float,
    light: float,
    generator: torch.Generator,
) -> Tensor:
    """Move, resize, turn and light every picture a little, each by its own amount.

    The amounts are those of :class:`~glassguard.recognizer.settings.Variation`. Pictures are
    N x 3 x H x W float in [0, 1], before and after; beyond its border, a picture repeats its edge.
    """
    count = len(pixels)
    angle, size, *by = (2 * _uniform(generator, 4, count) - 1).unbind()
    angle, size = math.radians(rotation) * angle, 1 + scale * size
    across, down = (2 * shift * one for one in by)
    along, off = size * angle.cos(), size * angle.sin()
    place = torch.stack([along, -off, across, off, along, down], dim=1).view(count, 2, 3)
    grid = F.affine_grid(place, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    changes = 1 + light * (2 * _uniform(generator, 3, count, 1, 1, 1) - 1)
    brightness, contrast, saturation = changes.unbind()
    grey = moved.mean(dim=1, keepdim=True)
    moved = grey + (moved - grey) * saturation
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    return ((mean + (moved - mean) * contrast) * brightness).clamp(0, 1)


def occlude(
    pixels: Tensor,
    *,
    probability: float,
    smallest: float,
    largest: float,
    shapes: Sequence[OccluderShape],
    covers: Sequence[Cover],
    generator: torch.Generator,
) -> Tensor:
    """Cover a part of some pictures, N x 3 x H x W float in [0, 1].

    The amounts are those of :class:`~glassguard.recognizer.settings.Occlusion`; ``smallest`` and
    ``largest`` are sides of a rectangle, or of a square with the area of the patches. One of the
    ``shapes`` is drawn for each picture: a ``rectangle`` (random erasing, Zhong et al. 2020), or
    irregular ``patches`` like those of a saliency mask. So is one of the ``covers``: one random
    ``colour``, a coarse random ``texture`` like a printed accessory's, the picture's ``mean``
    colour, or the ``surroundings`` diffused into the area as inpainting does.
    """
    count, _, height, width = pixels.shape
    sides = smallest + (largest - smallest) * _uniform(generator, count, 2)
    drawn = _choice(generator, len(shapes), count)
    areas = {shape: SHAPES[shape](sides, height, width, generator) for shape in shapes}
    covered = _pick([areas[shape] for shape in shapes], drawn)
    covered = covered & (_uniform(generator, count) < probability).view(-1, 1, 1, 1)
    drawn = _choice(generator, len(covers), count)
    cover = _pick([COVERS[name](pixels, covered, generator) for name in covers], drawn)
    return torch.where(covered, cover, pixels)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _choice(generator: torch.Generator, options: int, count: int) -> Tensor:
    return torch.randint(options, (count, 1, 1, 1), generator=generator, device=generator.device)


def _pick(options: Sequence[Tensor], drawn: Tensor) -> Tensor:
    picked = options[0]
    for number, option in enumerate(options[1:], start=1):
        picked = torch.where(drawn == number, option, picked)
    return picked


def _rectangle(sides: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    corners = _uniform(generator, *sides.shape) * (1 - sides)
    rows = (torch.arange(height, device=sides.device) + 0.5) / height
    columns = (torch.arange(width, device=sides.device) + 0.5) / width
    inside_rows = (rows >= corners[:, :1]) & (rows < corners[:, :1] + sides[:, :1])
    inside_columns = (columns >= corners[:, 1:]) & (columns < corners[:, 1:] + sides[:, 1:])
    return (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]


def _patches(sides: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    coarse = _uniform(generator, len(sides), 1, PATCH_GRID, PATCH_GRID)
    field = F.interpolate(coarse, size=(height, width), mode="bicubic")
    # Every other pixel of every other row ranks a smooth field as well as all of them.
    ranked = field[..., ::2, ::2].flatten(1).sort(dim=1, descending=True).values
    kept = (sides.prod(dim=1) * ranked.shape[1]).long()
    return field > ranked.gather(1, kept[:, None]).view(-1, 1, 1, 1)


def _colour(pixels: Tensor, covered: Tensor, generator: torch.Generator) -> Tensor:
    return _uniform(generator, *pixels.shape[:2], 1, 1).expand_as(pixels)


def _texture(pixels: Tensor, covered: Tensor, generator: torch.Generator) -> Tensor:
    coarse = _uniform(generator, *pixels.shape[:2], TEXTURE_GRID, TEXTURE_GRID)
    return F.interpolate(coarse, size=pixels.shape[2:], mode="nearest")


def _mean(pixels: Tensor, covered: Tensor, generator: torch.Generator) -> Tensor:
    return pixels.mean(dim=(2, 3), keepdim=True).expand_as(pixels)


def _surroundings(pixels: Tensor, covered: Tensor, generator: torch.Generator) -> Tensor:
    visible = (~covered).to(pixels.dtype)
    both = torch.cat([pixels * visible, visible], dim=1)
    coarse = F.adaptive_avg_pool2d(both, SURROUNDINGS_GRID)
    coarse = F.avg_pool2d(coarse, 3, stride=1, padding=1)
    mean = pixels.mean(dim=(2, 3), keepdim=True)
    seen = coarse[:, -1:]
    diffused = torch.where(seen > 1e-2, coarse[:, :-1] / seen.clamp(min=1e-2), mean)
    return F.interpolate(diffused, size=pixels.shape[2:], mode="bilinear")


SHAPES = {"rectangle": _rectangle, "patches": _patches}
COVERS = {"colour": _colour, "texture": _texture, "mean": _mean, "surroundings": _surroundings}
