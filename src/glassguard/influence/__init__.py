"""Internal influence (Leino et al. 2018) and guided backpropagation (Springenberg et al. 2014).

One import gives what a notebook needs. ``docs/influence.md`` is a worked example on a small
network.
Guided backpropagation is in its own module, :mod:`glassguard.influence.guided_backpropagation`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassguard.influence.distributions import Distribution, InputLine, LayerLine, Point
    from glassguard.influence.experts import (
        Experts,
        class_experts,
        find_experts,
        heat_maps,
        top_neurons,
    )
    from glassguard.influence.gathering import Measured
    from glassguard.influence.internal import InfluenceProfiles, InternalInfluence
    from glassguard.influence.profiles import ImageProfiles, profiles_of_images
    from glassguard.influence.quantities import (
        Comparative,
        Logit,
        Quantity,
        Softmax,
        quantity_named,
    )
    from glassguard.influence.receptive_fields import (
        expert_gradients,
        receptive_field,
        share_inside,
        strongest,
    )
    from glassguard.influence.reduction import Places
    from glassguard.influence.settings import Reduction
    from glassguard.influence.watching import Call, Slices

NAMES = {
    "watching": ("Call", "Slices"),
    "quantities": ("Comparative", "Logit", "Quantity", "Softmax", "quantity_named"),
    "distributions": ("Distribution", "InputLine", "LayerLine", "Point"),
    "experts": ("Experts", "class_experts", "find_experts", "heat_maps", "top_neurons"),
    "profiles": ("ImageProfiles", "profiles_of_images"),
    "internal": ("InfluenceProfiles", "InternalInfluence"),
    "gathering": ("Measured",),
    "reduction": ("Places",),
    "settings": ("Reduction",),
    "receptive_fields": ("expert_gradients", "receptive_field", "share_inside", "strongest"),
}
"""The names of each module, which is imported when one is first used: settings need no PyTorch, and
a stage depends on no more modules than it reads."""

__all__ = [
    "Call",
    "Comparative",
    "Distribution",
    "Experts",
    "ImageProfiles",
    "InfluenceProfiles",
    "InputLine",
    "InternalInfluence",
    "LayerLine",
    "Logit",
    "Measured",
    "Places",
    "Point",
    "Quantity",
    "Reduction",
    "Slices",
    "Softmax",
    "class_experts",
    "expert_gradients",
    "find_experts",
    "heat_maps",
    "profiles_of_images",
    "quantity_named",
    "receptive_field",
    "share_inside",
    "strongest",
    "top_neurons",
]


def __getattr__(name: str) -> Any:
    for module, names in NAMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
