"""Settings of saliency maps, of the search over masks and of how masks are judged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from glassguard.recognizer.settings import Depth, Layer
from glassguard.settings import Fraction, PositiveFraction, Strict, Threads

Fill = Literal["zero", "mean", "grey", "telea", "navier_stokes"]
ThresholdKind = Literal["value", "quantile"]
MapKind = Literal["guided", "relative"]
ChannelReduction = Literal["max_abs", "mean_abs", "max", "sum_abs"]
SamplingMethod = Literal["random", "bayesian"]
ONE_JOB = ("racing", "bayesian")
"""Ways to search that look at all pictures at once."""
Kernel = Annotated[
    Literal[3, 5, 7, 9, 11, 13, 15],
    Field(description="side of the square structuring element; odd, or masks would be shifted"),
]
THRESHOLD = "whether mu is a value of the map or a quantile"
DILATIONS = "number of dilations, and then of erosions"
AREA = "smallest area in pixels; smaller contours are dropped"
FILL = "what masked pixels are replaced by"
Dilations = Annotated[int, Field(ge=0, le=100, description=DILATIONS)]
Area = Annotated[int, Field(ge=0, description=AREA)]


class RelativeMap(Strict):
    """Evidence for a decision, relative to how sensitive it is to the pixels."""

    slice: Depth | Layer = Field(
        description="whose activations are taken for evidence: how deep in the network it lies, "
        "from 0 for the first to 1 for the last of its layers with space, or its name"
    )
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
    """Parameters of both kinds of saliency map."""

    top_classes: int = Field(
        ge=1, description="classes whose guided gradients are added up, the likeliest first"
    )
    channel_reduction: ChannelReduction = Field(
        description="how guided backpropagation combines the colours: the largest or mean "
        "magnitude, the largest value, or the sum of magnitudes"
    )
    relative: RelativeMap


class CopyMasks(Explanation):
    """How training pictures are masked; a key with several values is drawn for each picture.

    Nothing comes from the section ``saliency``, so other masks there leave the network as it is.
    """

    map: MapKind = Field(description="kind of saliency map that masks are cut from")
    kernel: Kernel
    mu: tuple[PositiveFraction, PositiveFraction] = Field(
        description="smallest and largest quantile of the map"
    )
    n: tuple[Dilations, ...] = Field(min_length=1, description=DILATIONS)
    phi: Area
    fill: tuple[Fill, ...] = Field(min_length=1, description=FILL)

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
    mu_as: tuple[ThresholdKind, ...] = Field(min_length=1, description=THRESHOLD)
    mu: tuple[PositiveFraction, ...] = Field(min_length=1, description="thresholds of the map")
    n: tuple[Dilations, ...] = Field(min_length=1, description=DILATIONS)
    phi: tuple[Area, ...] = Field(min_length=1, description=AREA)
    fill: tuple[Fill, ...] = Field(min_length=1, description=FILL)
    images: int | None = Field(
        ge=1, description="attacked validation pictures used, at most; all when null"
    )
    shards: int | None = Field(ge=1, le=10000, description="jobs; by their cost when null")


class Search(Strict):
    """Which points of the grid are tried."""

    method: Literal["grid", "racing"] | SamplingMethod = Field(
        description="every point on every picture; the same winners from fewer passes; or trials "
        "drawn at random or from what was found so far"
    )
    trials: int = Field(ge=1, description="draws of a random or Bayesian search")


class SourceSetting(Strict):
    """The combination that Study S found, reported with the best one."""

    map: Literal["guided"] = Field(description="guided backpropagation")
    mu: PositiveFraction = Field(description="threshold of the map")
    mu_as: ThresholdKind = Field(description=THRESHOLD)
    n: Dilations
    phi: Area
    fill: Fill = Field(description=FILL)


class MaskBasics(Strict):
    """Settings that the search for masks and their evaluation share."""

    kernel: Kernel
    source_setting: SourceSetting
    batch_size: int = Field(ge=1, description="pictures masked at a time")
    threads: Threads


class MaskSearch(MaskBasics):
    """How the best mask is found."""

    grid: Grid
    search: Search

    @model_validator(mode="after")
    def _one_job_where_pictures_depend_on_each_other(self) -> "MaskSearch":
        method = self.search.method
        if method in ONE_JOB and self.grid.shards not in (None, 1):
            raise ValueError(
                f"grid.shards: {self.grid.shards} must be 1 or null with search.method={method}: "
                "what is tried next depends on what was found before, on all pictures"
            )
        return self


class MaskJudgement(MaskBasics):
    """How the best mask is evaluated."""

    confidence_threshold: PositiveFraction = Field(
        description="below it the system rejects a picture"
    )
    largest_clean_loss: Fraction = Field(
        description="share of clean validation pictures that the working point may reject, and "
        "by how much an affordable mask may lower the mean confidence in them"
    )


class Saliency(MaskSearch, MaskJudgement, Explanation):
    """Saliency mask (Hayes 2018; blog 2019)."""
