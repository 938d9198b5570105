"""Settings of saliency maps, of the search over masks and of how masks are judged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from glassguard.recognizer.settings import Convolution
from glassguard.settings import Fraction, PositiveFraction, Strict, Threads

Fill = Literal["zero", "mean", "grey", "telea", "navier_stokes"]


ThresholdKind = Literal["value", "quantile"]


MapKind = Literal["guided", "relative"]


Kernel = Annotated[
    Literal[3, 5, 7, 9, 11, 13, 15],
    Field(description="side of the square structuring element; odd, or masks would be shifted"),
]


ChannelReduction = Literal["max_abs", "mean_abs", "max", "sum_abs"]

SamplingMethod = Literal["random", "bayesian"]


class RelativeMap(Strict):
    """Evidence for a decision, relative to how sensitive it is to the pixels."""

    slice: Convolution = Field(description="whose activations are taken for evidence")
    blur: float = Field(
        ge=0,
        le=0.2,
        description="standard deviation of the Gaussian over the sensitivity, as a share of the "
        "picture's side",
    )
    floor: float = Field(
        gt=0, le=10, description="added to the sensitivity, as a share of its mean in the picture"
    )


class Explanation(Strict):
    """What saliency maps of either kind are made with."""

    top_classes: int = Field(
        ge=1, description="classes whose guided gradients are added up, the likeliest first"
    )
    channel_reduction: ChannelReduction
    relative: RelativeMap


class CopyMasks(Explanation):
    """How training pictures are masked; what has several values is drawn for each picture.

    Nothing is taken from the section ``saliency``: whoever tries other masks there asks about the
    same network.
    """

    map: MapKind
    kernel: Kernel
    mu: tuple[PositiveFraction, PositiveFraction] = Field(
        description="smallest and largest quantile of the map"
    )
    n: tuple[Annotated[int, Field(ge=0, le=100)], ...] = Field(min_length=1)
    phi: int = Field(ge=0)
    fill: tuple[Fill, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _quantiles_rise(self) -> "CopyMasks":
        if self.mu[0] > self.mu[1]:
            raise ValueError(f"mu: {self.mu[0]:g} must not exceed {self.mu[1]:g}")
        return self


class Grid(Strict):
    """Parameters of the saliency mask that are searched (blog 2019)."""

    map: tuple[MapKind, ...] = Field(
        min_length=1,
        description="guided backpropagation, evidence relative to sensitivity, or both",
    )
    mu_as: tuple[ThresholdKind, ...] = Field(min_length=1)
    mu: tuple[PositiveFraction, ...] = Field(min_length=1)
    n: tuple[Annotated[int, Field(ge=0, le=100)], ...] = Field(min_length=1)
    phi: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    fill: tuple[Fill, ...] = Field(min_length=1)
    images: int | None = Field(
        ge=1, description="attacked validation pictures used, at most; all when null"
    )
    shards: int | None = Field(ge=1, le=10000, description="jobs; by their cost when null")


class Search(Strict):
    """Which points of the grid are tried."""

    method: Literal["grid"] | SamplingMethod = Field(
        description="every point, or as many trials drawn at random or by what was found so far"
    )
    trials: int = Field(ge=1, description="draws of a random or Bayesian search")


class SourceSetting(Strict):
    """The combination that Study S found, reported beside the best one."""

    map: Literal["guided"]
    mu: PositiveFraction
    mu_as: ThresholdKind
    n: int = Field(ge=0, le=100)
    phi: int = Field(ge=0)
    fill: Fill


class MaskBasics(Strict):
    """What searching masks and judging them have in common."""

    kernel: Kernel
    source_setting: SourceSetting
    batch_size: int = Field(ge=1)
    threads: Threads


class MaskSearch(MaskBasics):
    """How the best mask is found."""

    grid: Grid
    search: Search

    @model_validator(mode="after")
    def _bayesian_search_sees_all_pictures(self) -> "MaskSearch":
        if self.search.method == "bayesian" and self.grid.shards not in (None, 1):
            raise ValueError(
                f"grid.shards: {self.grid.shards} must be 1 or null with search.method=bayesian: "
                "every trial depends on the one before, on all pictures"
            )
        return self


class MaskJudgement(MaskBasics):
    """What the best mask is measured by."""

    confidence_threshold: PositiveFraction
    largest_clean_loss: Fraction = Field(
        description="share of clean validation pictures that the working point may reject, and "
        "by how much an affordable mask may lower the mean confidence in them"
    )


class Saliency(MaskSearch, MaskJudgement, Explanation):
    """Saliency mask (Hayes 2018; blog 2019)."""
