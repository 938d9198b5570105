"""Settings of influence profiles and experts."""

from typing import Literal

from pydantic import Field, model_validator

from glassguard.recognizer.settings import Layer, Position, SliceChoice
from glassguard.settings import Colour, Percentile, Place, Strict, Threads

QuantityName = Literal["logit", "comparative", "softmax"]
Reduction = Literal["max", "abs_max", "mean"]


class DistributionOfInterest(Strict):
    """The points that influence is averaged over (Leino et al. 2018, section 2.1)."""

    kind: Literal["point", "input_line", "layer_line"] = Field(
        description="the picture itself; the line from the baseline to it; the line between their "
        "activations at each layer"
    )
    baseline: Colour | None = Field(
        description="R, G, B of the picture that lines start from; when null, a line in a layer's "
        "space starts from no activation"
    )
    steps: int = Field(ge=1, le=1000, description="points on a line")

    @model_validator(mode="after")
    def _line_starts_somewhere(self) -> "DistributionOfInterest":
        if self.kind == "input_line" and self.baseline is None:
            raise ValueError("baseline: null is allowed with kind=point and kind=layer_line only")
        return self


class InfluenceMeasure(Strict):
    """What influence is measured on (Leino et al. 2018)."""

    quantity: QuantityName = Field(
        description="what influence is on: the logit of the predicted class, this minus the "
        "runner-up's, or the softmax probability"
    )
    distribution: DistributionOfInterest
    times_activation: bool = Field(
        description="multiply by the neuron's activation: attribution in place of influence"
    )
    batch_size: int = Field(ge=1, description="pictures computed at a time")
    threads: Threads


class InfluenceProfile(InfluenceMeasure):
    """Influence, one number a filter and place."""

    positions: tuple[Position, ...] = Field(
        min_length=1, description="behind or before the activation"
    )
    slices: SliceChoice = Field(
        default="by_rule",
        description="by_rule: all of VGG-16, and of a deeper network a few of every stage; all; or "
        "a list of names",
    )
    reduction: Reduction = Field(
        description="of a filter's influence over space: maximum, largest magnitude or mean"
    )
    places: tuple[Place, Place] = Field(
        description="rows and columns that space is divided into, each reduced by itself"
    )

    def noted(self) -> dict[str, str | bool | tuple[int, int]]:
        """What a file of profiles says about how they were measured."""
        return {
            "quantity": self.quantity,
            "distribution": self.distribution.kind,
            "times_activation": self.times_activation,
            "reduction": self.reduction,
            "places": self.places,
        }


class Experts(Strict):
    """The neurons of greatest influence, seen back in the pixels (Study I, Figs. 2 to 4)."""

    share: float = Field(gt=0, le=1, description="of a layer's neurons")
    layers: tuple[Layer, ...] | None = Field(
        min_length=1, description="columns of the figures; a few of the network's when null"
    )
    pairs: int = Field(ge=1, le=4, description="attacker-target pairs that the figures show")
    pictures: int = Field(
        ge=1, description="test pictures of each kind that the share inside the glasses is of"
    )
    guided: bool = Field(description="receptive fields by guided backpropagation")
    clip_percentile: Percentile = Field(description="greater values of a receptive field are cut")
    blur: float = Field(
        ge=0, le=0.1, description="of a receptive field: Gaussian, share of the picture's side"
    )
    mask_percentile: Percentile = Field(description="above it a pixel is shown")


class Influence(InfluenceProfile):
    """Internal influence (Leino et al. 2018)."""

    experts: Experts
