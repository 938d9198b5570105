"""Penalties that keep an accessory smooth and printable (Sharif et al. 2016, sections 4.2, 4.3)."""

import sys
from dataclasses import dataclass
from numbers import Real

from torch import Tensor

from glassguard.recognizer.answers import require_tensor


@dataclass(frozen=True)
class TotalVariation:
    """Weighted :func:`total_variation`.

    Attributes:
        weight: finite, not negative.

    Raises:
        ValueError: the weight is out of its range.
    """

    weight: float

    def __post_init__(self) -> None:
        _require_weight(self.weight)

    def __call__(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """N x 3 x H x W pixels in [0, 1] and N x 1 x H x W bool masks to N floats."""
        return self.weight * total_variation(pixels, masks)


@dataclass(frozen=True, eq=False)
class NonPrintability:
    """Weighted :func:`non_printability`.

    Attributes:
        weight: finite, not negative.
        printable_colours: P x 3 float in [0, 1], R, G, B, with P at least 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    weight: float
    printable_colours: Tensor

    def __post_init__(self) -> None:
        _require_weight(self.weight)
        colours = require_tensor(self.printable_colours, "printable_colours")
        if colours.shape[1:] != (3,) or not len(colours):
            raise ValueError(
                f"printable_colours must be P x 3: {' x '.join(map(str, colours.shape))}"
            )
        if not ((colours >= 0) & (colours <= 1)).all():
            raise ValueError(
                "printable_colours must be in [0, 1]: "
                f"{colours.min().item():g} to {colours.max().item():g}"
            )

    def __call__(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """N x 3 x H x W pixels in [0, 1] and N x 1 x H x W bool masks to N floats."""
        return self.weight * non_printability(pixels, masks, self.printable_colours.to(pixels))


def total_variation(texture: Tensor, masks: Tensor) -> Tensor:
    """Mean difference between neighbouring pixels that both lie in the mask.

    Pairs across the edge of the mask do not count: the face around it is not printed.

    Args:
        texture: N x 3 x H x W float in [0, 1].
        masks: N x 1 x H x W bool.

    Returns:
        N floats, the absolute difference per pixel of the mask, summed over channels.
    """
    down = (texture[:, :, 1:] - texture[:, :, :-1]).abs() * (masks[:, :, 1:] & masks[:, :, :-1])
    right = (texture[..., 1:] - texture[..., :-1]).abs() * (masks[..., 1:] & masks[..., :-1])
    area = masks.sum(dim=(1, 2, 3)).clamp(min=1)
    return (down.sum(dim=(1, 2, 3)) + right.sum(dim=(1, 2, 3))) / area


def non_printability(texture: Tensor, masks: Tensor, printable: Tensor) -> Tensor:
    """Mean distance from the pixels of the mask to the nearest printable colour.

    Sharif et al. multiply the distances to all printable colours. That product of thirty terms
    underflows; the distance to the nearest colour has the same zeros.

    Args:
        texture: N x 3 x H x W float in [0, 1].
        masks: N x 1 x H x W bool.
        printable: P x 3 float in [0, 1], R, G, B.

    Returns:
        N floats, Euclidean distance in R, G, B.
    """
    differences = texture[:, None] - printable[None, :, :, None, None]
    squares = differences.square().sum(dim=2).amin(dim=1, keepdim=True).clamp(min=1e-12)
    # MKL's square root depends on the processor's maker.
    nearest = squares.rsqrt().reciprocal()
    return (nearest * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp(min=1)


def _require_weight(weight: object) -> None:
    if not (isinstance(weight, Real) and 0 <= float(weight) <= sys.float_info.max):
        raise ValueError(f"weight must be finite, not negative: {weight!r}")
