"""What happens to worn glasses between the attacker's desk and the network.

Expectation over transformation (Athalye et al. 2018, section 2; of frames Sharif et al. 2019,
section 5.4): an attack that shall survive is optimised over random circumstances. The frame sits
elsewhere on the face, is printed and photographed, and the picture is aligned, reduced and
compressed. All of it is differentiable.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from glassguard.attack.jpeg import soft_jpeg
from glassguard.attack.settings import Transformations

KINDS = tuple(Transformations.model_fields)
"""Each kind of transformation, by the name of its strength."""
BLUR_REACH = 3
"""Pixels from the middle of the blur to its edge."""


_DRAWN = (
    *("shift_x", "shift_y", "rotation", "scale", "perspective_x", "perspective_y"),
    *("alignment_x", "alignment_y", "alignment_rotation", "alignment_scale"),
    *("gain_red", "gain_green", "gain_blue", "offset_red", "offset_green", "offset_blue"),
    *("contrast", "brightness", "blur", "side", "quality"),
)
"""What is drawn evenly from -1 to 1, in this order."""


def only(strengths: Transformations, kind: str) -> Transformations:
    """One kind of transformation without the others."""
    none = {"jpeg": 100}
    left = {name: none.get(name, 0) for name in KINDS} | {kind: getattr(strengths, kind)}
    return Transformations.model_validate(left)


@dataclass(frozen=True)
class Circumstances:
    """Drawn circumstances of N pictures; None where none of the kind is asked for.

    Attributes:
        worn: N x 3 x 3, from places in the picture to places on the frame as it was made.
        aligned: N x 3 x 3, from places in the aligned picture to places in the picture.
        print_gain, print_offset: N x 3 x 1 x 1 on the frame.
        contrast, brightness: N x 1 x 1 x 1.
        blur: N x 7, weights that sum to 1.
        side: N, pixels along a side that are left.
        noise: N x 3 x H x W.
        quality: N, of JPEG.
    """

    worn: Tensor | None
    aligned: Tensor | None
    print_gain: Tensor | None
    print_offset: Tensor | None
    contrast: Tensor | None
    brightness: Tensor | None
    blur: Tensor | None
    side: Sequence[int] | None
    noise: Tensor | None
    quality: Tensor | None


def draw(
    strengths: Transformations, generators: Sequence[np.random.Generator], size: tuple[int, int]
) -> Circumstances:
    """Draw circumstances, each picture's from its own generator.

    Args:
        strengths: how far they range.
        generators: N; so that a picture's draws do not depend on those beside it.
        size: height and width of the pictures.
    """
    drawn = np.stack([one.uniform(-1.0, 1.0, len(_DRAWN)) for one in generators])
    of = {name: drawn[:, place] for place, name in enumerate(_DRAWN)}

    def values(name: str, strength: float) -> Tensor | None:
        # The strength in float64 first: a Python product rounds the same everywhere.
        column = torch.from_numpy((strength * of[name]).astype(np.float32))
        return column.view(-1, 1, 1, 1) if strength > 0 else None

    def colours(first: str) -> Tensor | None:
        start = _DRAWN.index(first)
        three = strengths.print_colour * drawn[:, start : start + 3]
        if strengths.print_colour == 0:
            return None
        return torch.from_numpy(three.astype(np.float32)).view(-1, 3, 1, 1)

    moved = max(strengths.shift, strengths.rotation, strengths.scale, strengths.perspective) > 0
    contrast, gain = values("contrast", strengths.contrast), colours("gain_red")
    return Circumstances(
        worn=_homographies(
            2 * strengths.shift * of["shift_x"],
            2 * strengths.shift * of["shift_y"],
            strengths.rotation * of["rotation"],
            strengths.scale * of["scale"],
            strengths.perspective * of["perspective_x"],
            strengths.perspective * of["perspective_y"],
        )
        if moved
        else None,
        aligned=_homographies(
            2 * strengths.alignment * of["alignment_x"],
            2 * strengths.alignment * of["alignment_y"],
            math.degrees(strengths.alignment) * of["alignment_rotation"],
            strengths.alignment * of["alignment_scale"],
        )
        if strengths.alignment > 0
        else None,
        print_gain=None if gain is None else 1 + gain,
        print_offset=colours("offset_red"),
        contrast=None if contrast is None else 1 + contrast,
        brightness=values("brightness", strengths.brightness),
        blur=_blurs(strengths.blur * np.abs(of["blur"])) if strengths.blur > 0 else None,
        side=[max(1, round(size[0] * (1 - strengths.resolution * abs(x)))) for x in of["side"]]
        if strengths.resolution > 0
        else None,
        noise=_noises(strengths.noise, generators, size) if strengths.noise > 0 else None,
        quality=torch.from_numpy(
            np.round(100 - (100 - strengths.jpeg) * np.abs(of["quality"])).astype(np.int64)
        )
        if strengths.jpeg < 100
        else None,
    )


def seen_under(
    circumstances: Circumstances,
    worn: Tensor,
    faces: Tensor,
    masks: Tensor,
    *,
    compress: bool = True,
) -> Tensor:
    """What a camera makes of worn frames.

    Args:
        circumstances: of N pictures.
        worn: N x 3 x H x W in [0, 1]: the frame is read where the mask is.
        faces: the faces without frame; same shape.
        masks: N x 1 x H x W bool.
        compress: whether JPEG is part of it; evaluation compresses by the real codec.

    Returns:
        N x 3 x H x W in [0, 1].
    """
    of = circumstances
    frame = worn
    if of.print_gain is not None and of.print_offset is not None:
        frame = (frame * of.print_gain.to(worn) + of.print_offset.to(worn)).clamp(0.0, 1.0)
    # Edges of a moved frame mix with the face in proportion to what they cover.
    covered = masks.to(worn.dtype)
    layers = torch.cat([frame * covered, covered], dim=1)
    if of.worn is not None:
        layers = _warped(layers, of.worn, "zeros")
    seen = layers[:, :3] + faces * (1 - layers[:, 3:])
    if of.aligned is not None:
        seen = _warped(seen, of.aligned, "border")
    if of.contrast is not None:
        seen = (seen - 0.5) * of.contrast.to(seen) + 0.5
    if of.brightness is not None:
        seen = seen + of.brightness.to(seen)
    if of.blur is not None:
        seen = _blurred(seen, of.blur.to(seen))
    if of.side is not None:
        seen = torch.cat([_reduced(seen[i : i + 1], side) for i, side in enumerate(of.side)])
    if of.noise is not None:
        seen = seen + of.noise.to(seen)
    seen = seen.clamp(0.0, 1.0)
    if compress and of.quality is not None:
        seen = soft_jpeg(seen, of.quality.to(seen.device))
    return seen


def _homographies(
    shift_x: NDArray[np.float64],
    shift_y: NDArray[np.float64],
    degrees: NDArray[np.float64],
    scale: NDArray[np.float64],
    perspective_x: NDArray[np.float64] | None = None,
    perspective_y: NDArray[np.float64] | None = None,
) -> Tensor:
    """N x 3 x 3 over coordinates from -1 to 1, about the middle of the picture."""
    found = np.zeros((len(shift_x), 3, 3))
    for row, (angle, growth) in enumerate(zip(np.radians(degrees), 1 + scale, strict=True)):
        cosine, sine = math.cos(angle) / growth, math.sin(angle) / growth
        found[row, 0] = cosine, sine, -shift_x[row]
        found[row, 1] = -sine, cosine, -shift_y[row]
    found[:, 2, 2] = 1
    if perspective_x is not None and perspective_y is not None:
        # Half each: together they shall not exceed the strength at a corner.
        found[:, 2, 0], found[:, 2, 1] = perspective_x / 2, perspective_y / 2
    return torch.from_numpy(found.astype(np.float32))


def _warped(pictures: Tensor, homographies: Tensor, outside: str) -> Tensor:
    """N x C x H x W pictures, read at the places that homographies name."""
    height, width = pictures.shape[2:]
    x = (torch.arange(width, dtype=torch.float32) * 2 + 1) / width - 1
    y = (torch.arange(height, dtype=torch.float32) * 2 + 1) / height - 1
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    mapped = [
        row[:, 0, None, None] * grid_x + row[:, 1, None, None] * grid_y + row[:, 2, None, None]
        for row in homographies.unbind(1)
    ]
    places = torch.stack([mapped[0] / mapped[2], mapped[1] / mapped[2]], dim=-1)
    return F.grid_sample(
        pictures, places.to(pictures), mode="bilinear", padding_mode=outside, align_corners=False
    )


def _blurs(deviations: NDArray[np.float64]) -> Tensor:
    """Gaussian weights, N x 7; all weight in the middle for a deviation of 0."""
    weights = np.zeros((len(deviations), 2 * BLUR_REACH + 1))
    for row, deviation in enumerate(deviations):
        for place in range(-BLUR_REACH, BLUR_REACH + 1):
            width = max(float(deviation), 1e-3)
            weights[row, place + BLUR_REACH] = math.exp(-0.5 * (place / width) ** 2)
    return torch.from_numpy((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def _blurred(pictures: Tensor, weights: Tensor) -> Tensor:
    for axis in (2, 3):
        padding = (0, 0, BLUR_REACH, BLUR_REACH) if axis == 2 else (BLUR_REACH, BLUR_REACH, 0, 0)
        padded = F.pad(pictures, padding, mode="replicate")
        length = pictures.shape[axis]
        blurred = torch.zeros_like(pictures)
        for place in range(2 * BLUR_REACH + 1):
            weight = weights[:, place, None, None, None]
            blurred = blurred + weight * padded.narrow(axis, place, length)
        pictures = blurred
    return pictures


def _reduced(picture: Tensor, side: int) -> Tensor:
    """A picture at ``side`` pixels, brought back to its size."""
    height, width = picture.shape[2:]
    if side >= height:
        return picture
    small = (side, max(1, round(width * side / height)))
    reduced = F.interpolate(picture, size=small, mode="bilinear", antialias=True)
    return F.interpolate(reduced, size=(height, width), mode="bilinear")


def _noises(
    strength: float, generators: Sequence[np.random.Generator], size: tuple[int, int]
) -> Tensor:
    drawn = np.stack([one.random((3, *size), dtype=np.float32) for one in generators])
    return torch.from_numpy((drawn * 2 - 1) * np.float32(strength))
