"""A differentiable stand-in for the JPEG codec (Shin and Song 2017, section 3).

It computes as the codec does, with chrominance at half the resolution and the tables of annex K of
the standard, but it rounds by a cubic whose slope is not zero. Evaluation takes the real codec
(:func:`glassguard.attack.success.through_jpeg`).
"""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *([99] * 32),
)
"""ITU-T T.81, tables K.1 and K.2, row by row."""

TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
FROM_YCBCR = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))
BLOCK = 8
UNIT = 2 * BLOCK
"""Pixels along a side that a block of chrominance covers."""


def soft_jpeg(pixels: Tensor, quality: Tensor) -> Tensor:
    """Compress and decompress pictures, with a gradient.

    Args:
        pixels: N x 3 x H x W in [0, 1]; sides that are no multiple of 16 are continued as the codec
            does, by their last pixels.
        quality: N whole numbers, 1 to 100.

    Returns:
        The same shape, in [0, 1].
    """
    height, width = pixels.shape[2:]
    padding = (0, -width % UNIT, 0, -height % UNIT)
    levels = F.pad(pixels, padding, mode="replicate") * 255.0
    brightness, *colours = _mixed(levels, TO_YCBCR)
    tables = [_tables(kind, quality).to(pixels) for kind in (LUMINANCE, CHROMINANCE)]
    luminance = _coded(brightness - 128.0, tables[0]) + 128.0
    chrominance = [
        F.interpolate(
            _coded(F.avg_pool2d(one[:, None], 2)[:, 0], tables[1])[:, None],
            scale_factor=2.0,
            mode="bilinear",
        )[:, 0]
        for one in colours
    ]
    decoded = torch.stack(_mixed(torch.stack([luminance, *chrominance], dim=1), FROM_YCBCR), dim=1)
    return (decoded[..., :height, :width] / 255.0).clamp(0.0, 1.0)


def soft_round(values: Tensor) -> Tensor:
    """The nearest whole number, plus the cube of the distance to it."""
    nearest = values.detach().round()
    return nearest + (values - nearest) ** 3


def _mixed(channels: Tensor, matrix: tuple[tuple[float, ...], ...]) -> list[Tensor]:
    return [
        row[0] * channels[:, 0] + row[1] * channels[:, 1] + row[2] * channels[:, 2]
        for row in matrix
    ]


def _tables(kind: tuple[int, ...], quality: Tensor) -> Tensor:
    """Quantisation tables, N x 8 x 8, scaled as libjpeg does."""
    scale = torch.where(quality < 50, 5000 // quality.clamp(min=1), 200 - 2 * quality)
    table = (torch.tensor(kind)[None] * scale[:, None] + 50) // 100
    return table.clamp(1, 255).view(-1, BLOCK, BLOCK)


def _coded(values: Tensor, tables: Tensor) -> Tensor:
    """N x H x W through the cosine transform of their blocks, rounded in steps of the tables."""
    count, height, width = values.shape
    transform = _cosines().to(values)
    # Rows of blocks at once: a product for each block would cost several times as much.
    bands = (count, height // BLOCK, BLOCK, width)
    blocks = (*bands[:3], width // BLOCK, BLOCK)
    steps = tables[:, None, :, None]
    coefficients = (transform @ values.reshape(bands)).view(blocks) @ transform.T
    rounded = soft_round(coefficients / steps) * steps
    restored = transform.T @ (rounded @ transform).view(bands)
    return restored.view(count, height, width)


@cache
def _cosines() -> Tensor:
    """The orthonormal cosine transform of eight values."""
    rows = [
        [math.cos((2 * place + 1) * wave * math.pi / (2 * BLOCK)) for place in range(BLOCK)]
        for wave in range(BLOCK)
    ]
    scale = [math.sqrt((1.0 if wave == 0 else 2.0) / BLOCK) for wave in range(BLOCK)]
    return (
        torch.tensor(rows, dtype=torch.float64) * torch.tensor(scale, dtype=torch.float64)[:, None]
    )
