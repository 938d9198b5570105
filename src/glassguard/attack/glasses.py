"""The former name and arguments of :class:`glassguard.attack.masked_pixels.MaskedPixelAttack`."""

import warnings
from typing import Any

from torch import Tensor, nn

from glassguard.attack.directions import DIRECTIONS
from glassguard.attack.masked_pixels import MaskedPixelAttack, Penalty
from glassguard.attack.printing import NonPrintability, TotalVariation


def AdversarialGlasses(  # noqa: N802 - it was a class
    network: nn.Module,
    *,
    direction: str = "scaled",
    total_variation_weight: float = 0.0,
    non_printability_weight: float = 0.0,
    printable_colours: Tensor | None = None,
    **arguments: Any,
) -> MaskedPixelAttack:
    """The attack with its direction named and its penalties weighted. Deprecated.

    Args:
        network: see :class:`MaskedPixelAttack`, also for the further arguments.
        direction: ``scaled`` or ``sign``.
        total_variation_weight: weight of :class:`TotalVariation`, at least 0.
        non_printability_weight: weight of :class:`NonPrintability`, at least 0.
        printable_colours: P x 3 float in [0, 1], needed with a weight of non-printability.
        arguments: of :class:`MaskedPixelAttack`.

    Raises:
        ValueError: an argument is out of its range, or two arguments contradict each other.
    """
    warnings.warn(
        "AdversarialGlasses is now called glassguard.attack.masked_pixels.MaskedPixelAttack; "
        "direction and penalties are objects",
        DeprecationWarning,
        stacklevel=2,
    )
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be {' or '.join(DIRECTIONS)}: {direction!r}")
    penalties: list[Penalty] = []
    if total_variation_weight != 0:
        penalties.append(TotalVariation(total_variation_weight))
    if non_printability_weight != 0:
        if printable_colours is None:
            raise ValueError("non_printability_weight needs printable_colours")
        penalties.append(NonPrintability(non_printability_weight, printable_colours))
    return MaskedPixelAttack(
        network, direction=DIRECTIONS[direction], penalties=penalties, **arguments
    )
