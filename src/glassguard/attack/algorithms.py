"""The attack that settings describe."""

from importlib import import_module

import torch
from torch import nn

from glassguard.attack.directions import DIRECTIONS
from glassguard.attack.masked_pixels import MaskedPixelAttack, Penalty
from glassguard.attack.printing import NonPrintability, TotalVariation
from glassguard.attack.settings import AccessoryAttack


def configured_attack(settings: AccessoryAttack, network: nn.Module) -> MaskedPixelAttack:
    """Build the attack.

    Args:
        settings: an attack's section of the configuration, on the 0-255 scale.
        network: maps pixels in [0, 1] to logits, in evaluation mode.

    Returns:
        The attack that ``settings.algorithm`` names, on the scale from 0 to 1.
    """
    module, _, name = settings.algorithm.implementation.partition(":")
    algorithm: type[MaskedPixelAttack] = getattr(import_module(module), name)
    penalties: list[Penalty] = []
    # A term of weight 0 would still pass its gradient on, which need not be finite.
    if settings.total_variation > 0:
        penalties.append(TotalVariation(settings.total_variation))
    if settings.non_printability > 0:
        colours = torch.tensor(settings.printable_colours)
        penalties.append(NonPrintability(settings.non_printability, colours))
    return algorithm(
        network,
        goal=settings.goal,
        penalties=penalties,
        direction=DIRECTIONS[settings.direction],
        initial_colour=settings.initial_colour,
        largest_change=None if settings.largest_change is None else settings.largest_change / 255,
        step=settings.step / 255,
        momentum=settings.momentum,
        iterations=settings.iterations,
        confidence=settings.confidence,
        dodging_confidence=settings.dodging_confidence,
        batch_size=settings.batch_size,
        **settings.algorithm.model_dump(exclude={"name"}),
    )
