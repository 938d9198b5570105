"""Settings of detectors and of the detectors that they are compared with."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from glassguard.saliency.settings import Fill, MapKind, ThresholdKind
from glassguard.settings import Fraction, PositiveFraction, Strict, Threads

ProfileVariant = Literal["raw", "standardised", "unit_standardised"]
Variant = Literal[ProfileVariant, "quadratic"]


class Masking(Strict):
    """Masks under which a decision must hold (agreement before and after masking)."""

    map: MapKind = Field(description="kind of saliency map that masks are cut from")
    mu: tuple[PositiveFraction, ...] = Field(
        min_length=1, description="thresholds; the masks' answers are averaged"
    )
    mu_as: ThresholdKind = Field(description="whether mu is a value of the map or a quantile")
    n: int = Field(ge=0, le=100, description="number of dilations, and then of erosions")
    phi: int = Field(ge=0, description="smallest area in pixels; smaller contours are dropped")
    fill: Fill = Field(description="what masked pixels are replaced by")


class PixelDetector(Strict):
    """A detector that scores the pixels; its keys are arguments of ``implementation``.

    Attributes:
        implementation: module and class.
        array: name of its scores in the file of baselines.
        detector: its name in tables.
    """

    implementation: ClassVar[str]
    array: ClassVar[str]
    detector: ClassVar[str]


class Squeezing(PixelDetector):
    """Feature squeezing (Xu et al. 2018)."""

    implementation: ClassVar = "glassguard.detection.feature_squeezing:FeatureSqueezing"
    array: ClassVar = "squeezed"
    detector: ClassVar = "feature_squeezing"
    bits: int = Field(ge=1, le=7, description="bits of a channel that are left")
    median: Literal[3, 5, 7] = Field(description="side of the median's window")


class Baselines(Strict):
    """Detectors that influence is compared with."""

    squeezing: Squeezing
    neighbours: int = Field(ge=2, description="of local intrinsic dimensionality (Ma et al. 2018)")
    batch_size: int = Field(ge=1, description="pictures computed at a time")


PIXEL_DETECTORS: tuple[type[PixelDetector], ...] = tuple(
    field.annotation
    for field in Baselines.model_fields.values()
    if isinstance(field.annotation, type) and issubclass(field.annotation, PixelDetector)
)
"""All detectors that score the pixels, in the order of :class:`Baselines`."""


class DetectorSweep(Strict):
    """Settings of the classifier that are compared at the chosen slice."""

    alpha: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="values of alpha"
    )
    max_iter: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, description="values of max_iter"
    )


class DetectorBasics(Strict):
    """Settings that fitting and measuring detectors share."""

    minimum_benign_target: Fraction = Field(
        description="least acceptance of a person's own validation pictures in a preferred slice",
    )
    minimum_benign_other: Fraction = Field(
        description="least rejection of others' validation pictures in a preferred slice",
    )
    threads: Threads


class DetectorFit(DetectorBasics):
    """How detectors are fitted and chosen."""

    alpha: float = Field(gt=0, description="SGDClassifier's regularisation")
    max_iter: int = Field(ge=1, description="passes over the profiles, at most")
    variants: tuple[ProfileVariant, ...] = Field(min_length=1)
    seeds: int = Field(ge=1, description="seeds of the classifier")
    sweep_seeds: int = Field(ge=1, description="seeds of the classifier while slices are compared")
    target_acceptance: PositiveFraction = Field(
        description="share of the target's validation pictures that the tuned threshold accepts",
    )
    sweep: DetectorSweep
    combined_slices: int = Field(
        ge=2, description="best slices whose profiles are joined for one detector"
    )
    baselines: Baselines


class DetectorJudgement(DetectorBasics):
    """How detectors are measured."""

    bootstrap: int = Field(ge=10, description="resamples behind the interval of an AUC")


class Detector(DetectorFit, DetectorJudgement):
    """Linear detectors of one person each (Study I, section 3)."""

    masking: Masking
