"""Internal influence (Leino et al. 2018) and guided backpropagation (Springenberg et al. 2014).

What a notebook needs, by one import; ``docs/influence.md`` is a worked example on a small network.
Guided backpropagation keeps its module's name, :mod:`glassguard.influence.guided_backpropagation`.
"""

from glassguard.influence.distributions import Distribution, InputLine, LayerLine, Point
from glassguard.influence.experts import (
    Experts,
    class_experts,
    find_experts,
    heat_maps,
    top_neurons,
)
from glassguard.influence.internal import (
    Call,
    InfluenceProfiles,
    InternalInfluence,
    Measured,
    Places,
    Reduction,
    Slices,
)
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
