"""Penalties that keep an accessory smooth and printable (Sharif et al. 2016, sections 4.2, 4.3)."""

import sys
from dataclasses import dataclass
from numbers import Real

from torch import Tensor

from glassguard.recognizer.answers import require_tensor


@dataclass(frozen=True)
class TotalVariation:
    """Mean difference between neighbouring pixels that both lie in the mask.

    It is the absolute difference per pixel of the mask, summed over channels. Pairs across the edge
    of the mask do not count: the face around it is not printed.

    Attributes:
        weight: factor of the difference; finite, not negative.

    Raises:
        ValueError: the weight is out of its range.
    """

    weight: float

    def __post_init__(self) -> None:
        _require_weight(self.weight)

    def __call__(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """N x 3 x H x W pixels in [0, 1] and N x 1 x H x W bool masks to N floats."""
        down = (pixels[:, :, 1:] - pixels[:, :, :-1]).abs() * (masks[:, :, 1:] & masks[:, :, :-1])
        right = (pixels[..., 1:] - pixels[..., :-1]).abs() * (masks[..., 1:] & masks[..., :-1])
        area = masks.sum(dim=(1, 2, 3)).clamp(min=1)
        return self.weight * ((down.sum(dim=(1, 2, 3)) + right.sum(dim=(1, 2, 3))) / area)


@dataclass(frozen=True, eq=False)
class NonPrintability:
    """Mean Euclidean distance from the pixels of the mask to the nearest printable R, G, B.

    Sharif et al. multiply the distances to all printable colours. That product of thirty terms
    underflows; the distance to the nearest colour has the same zeros.

    Attributes:
        weight: factor of the distance; finite, not negative.
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
        colours = self.printable_colours.to(pixels)[None, :, :, None, None]
        squares = (pixels[:, None] - colours).square().sum(dim=2)
        # MKL's square root depends on the processor's maker.
        nearest = squares.amin(dim=1, keepdim=True).clamp(min=1e-12).rsqrt().reciprocal()
        area = masks.sum(dim=(1, 2, 3)).clamp(min=1)
        return self.weight * ((nearest * masks).sum(dim=(1, 2, 3)) / area)


def _require_weight(weight: object) -> None:
    if not (isinstance(weight, Real) and 0 <= float(weight) <= sys.float_info.max):
        raise ValueError(f"weight must be finite, not negative: {weight!r}")
