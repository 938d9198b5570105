"""The former name of the attack."""

import pytest
import torch
from attack.small_attacks import CLASSES, frames, levels, recognizer

from glassguard.attack.directions import Sign
from glassguard.attack.glasses import AdversarialGlasses
from glassguard.attack.masked_pixels import MaskedPixelAttack
from glassguard.attack.printing import NonPrintability, TotalVariation


def test_the_former_name_makes_the_same_attack():
    arguments = (levels(3), frames(3), torch.arange(3) % CLASSES)
    former = {
        "direction": "sign",
        "total_variation_weight": 0.5,
        "non_printability_weight": 0.25,
        "printable_colours": torch.eye(3),
    }
    with pytest.warns(DeprecationWarning, match="MaskedPixelAttack"):
        attack = AdversarialGlasses(recognizer(), iterations=4, **former)
    penalties = [TotalVariation(0.5), NonPrintability(0.25, torch.eye(3))]
    expected = MaskedPixelAttack(recognizer(), iterations=4, direction=Sign(), penalties=penalties)
    assert torch.equal(attack(*arguments).pixels, expected(*arguments).pixels)
    for wrong, message in (
        ({"direction": "up"}, "direction must be scaled or sign: 'up'"),
        ({"non_printability_weight": 1.0}, "needs printable_colours"),
        ({"step": 2.0}, "step must be above 0"),
    ):
        with (
            pytest.warns(DeprecationWarning, match="MaskedPixelAttack"),
            pytest.raises(ValueError, match=message),
        ):
            AdversarialGlasses(recognizer(), **wrong)
