"""Internal influence (Leino et al. 2018) and guided backpropagation (Springenberg et al. 2014).

What a notebook needs, by one import; ``docs/influence.md`` is a worked example on a small network.
Guided backpropagation keeps its module's name, :mod:`glassguard.influence.guided_backpropagation`.
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

MODULES = {
    "Call": "watching",
    "Comparative": "quantities",
    "Distribution": "distributions",
    "Experts": "experts",
    "ImageProfiles": "profiles",
    "InfluenceProfiles": "internal",
    "InputLine": "distributions",
    "InternalInfluence": "internal",
    "LayerLine": "distributions",
    "Logit": "quantities",
    "Measured": "gathering",
    "Places": "reduction",
    "Point": "distributions",
    "Quantity": "quantities",
    "Reduction": "settings",
    "Slices": "watching",
    "Softmax": "quantities",
    "class_experts": "experts",
    "expert_gradients": "receptive_fields",
    "find_experts": "experts",
    "heat_maps": "experts",
    "profiles_of_images": "profiles",
    "quantity_named": "quantities",
    "receptive_field": "receptive_fields",
    "share_inside": "receptive_fields",
    "strongest": "receptive_fields",
    "top_neurons": "experts",
}
"""The module of each name. It is imported when it is first asked for: settings need no PyTorch, and
a stage depends on the modules that it reads and on no others."""

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
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)
