"""The attack that settings describe."""

from importlib import import_module

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from glassguard.attack.directions import DIRECTIONS, Smooth
from glassguard.attack.losses import LOSSES
from glassguard.attack.masked_pixels import Direction, MaskedPixelAttack, Penalty
from glassguard.attack.optimisers import Adam, Optimiser, SignOfMomentum
from glassguard.attack.printing import NonPrintability, TotalVariation
from glassguard.attack.settings import AccessoryAttack
from glassguard.attack.starts import Face, Noise, Start

STARTS: dict[str, Start] = {"noise": Noise(), "face": Face()}
"""By their names in the configuration."""


def configured_attack(
    settings: AccessoryAttack,
    network: nn.Module,
    *,
    seed: int = 0,
    enrolled: NDArray[np.floating] | None = None,
) -> MaskedPixelAttack:
    """Build the attack.

    Args:
        settings: an attack's section of the configuration, on the 0-255 scale.
        network: maps pixels in [0, 1] to logits, in evaluation mode.
        seed: of random draws.
        enrolled: directions of people, people x D, for ``cosine_similarity``; None for others.

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
    direction: Direction = DIRECTIONS[settings.direction]
    if settings.texture_block > 1:
        direction = Smooth(settings.texture_block)
    optimisers: dict[str, Optimiser | None] = {
        "momentum": None,
        "sign_of_momentum": SignOfMomentum(settings.momentum),
        "adam": Adam(),
    }
    return algorithm(
        network,
        goal=settings.goal,
        loss=LOSSES[settings.loss],
        penalties=penalties,
        direction=direction,
        optimiser=optimisers[settings.optimiser],
        restarts=tuple(STARTS[one] for one in settings.restarts),
        patience=settings.patience,
        seed=seed,
        initial_colour=settings.initial_colour,
        largest_change=None if settings.largest_change is None else settings.largest_change / 255,
        step=settings.step / 255,
        momentum=settings.momentum,
        iterations=settings.iterations,
        confidence=settings.confidence,
        dodging_confidence=settings.dodging_confidence,
        batch_size=settings.batch_size,
        **settings.algorithm.model_dump(exclude={"name"}),
        **({} if enrolled is None else {"enrolled": enrolled}),
    )
