"""Settings of attacks and of their benign controls."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from glassguard.attack.shape_settings import Shape
from glassguard.settings import Colour, PositiveFraction, Strict, Threads

Goal = Literal["impersonation", "dodging"]
Direction = Literal["scaled", "sign"]
LossName = Literal["cross_entropy", "logit_margin", "label_logit"]
OptimiserName = Literal["momentum", "sign_of_momentum", "adam"]
FurtherStart = Literal["noise", "face"]


class NamedPair(Strict):
    """An attacker and a target, by the names of the folders of their pictures."""

    attacker: str
    target: str


class Transformations(Strict):
    """What happens to worn glasses: how far circumstances range, each drawn evenly.

    0, or quality 100, leaves a kind out.
    """

    shift: float = Field(
        ge=0, le=0.5, description="of the frame on the face, as a share of the picture's side"
    )
    rotation: float = Field(ge=0, le=90, description="of the frame on the face, in degrees")
    scale: float = Field(ge=0, le=0.5, description="of the frame on the face, as a share of it")
    perspective: float = Field(
        ge=0, le=0.5, description="how much nearer one edge of the frame is than its middle"
    )
    print_colour: float = Field(
        ge=0, le=0.5, description="of gain and offset of R, G and B of the frame"
    )
    brightness: float = Field(ge=0, le=0.5, description="added to a picture in [0, 1]")
    contrast: float = Field(ge=0, le=0.9, description="change of differences from mid-grey")
    blur: float = Field(ge=0, le=2, description="largest standard deviation in pixels")
    resolution: float = Field(
        ge=0, le=0.9, description="share of the picture's side that is lost, at most"
    )
    noise: float = Field(ge=0, le=0.5, description="largest change of a value in [0, 1]")
    alignment: float = Field(
        ge=0,
        le=0.2,
        description="of the picture, frame and all: shift as a share of the side, scale, radians",
    )
    jpeg: int = Field(ge=1, le=100, description="lowest quality of the compressed picture")


class GradientSteps(Strict):
    """Normalised gradient steps with momentum; they have no parameters of their own."""

    implementation: ClassVar = "glassguard.attack.masked_pixels:MaskedPixelAttack"
    name: Literal["gradient_steps"] = Field(description="how the pixels are optimised")


class ExpectationOverTransformation(Strict):
    """Gradient steps on pictures under random circumstances (Athalye et al. 2018)."""

    implementation: ClassVar = "glassguard.attack.robust:RobustAttack"
    name: Literal["expectation_over_transformation"]
    transformations: Transformations
    samples: int = Field(ge=1, le=64, description="circumstances a step")
    checks: int = Field(ge=1, le=1000, description="circumstances that the best iterate is kept by")
    check_every: int = Field(ge=1, description="steps from one check to the next")


class CosineSimilarity(Strict):
    """Gradient steps on the embedding's similarity to enrolled people; no parameters of its own."""

    implementation: ClassVar = "glassguard.attack.cosine:CosineAttack"
    name: Literal["cosine_similarity"]


Algorithm = Annotated[
    GradientSteps | ExpectationOverTransformation | CosineSimilarity, Field(discriminator="name")
]
"""How pixels are optimised, by ``name``. All other keys are arguments of ``implementation``."""


class AccessoryAttack(Strict):
    """Adversarial eyeglasses (Sharif et al. 2016; blog 2019), or another accessory."""

    algorithm: Algorithm
    shape: Shape = Field(discriminator="kind")
    goal: Goal = Field(description="to be taken for the target, or not to be taken for oneself")
    targets: int = Field(ge=1, description="people who are impersonated")
    attackers_per_target: int = Field(ge=1, description="people who impersonate a target")
    named_pairs: tuple[NamedPair, ...] = Field(description="pairs to add to those that are drawn")
    validation_images: int = Field(
        ge=0,
        description="attacked validation pictures per pair, at most; with 0, which is not allowed "
        "of the first attack, no mask is tuned on the attack",
    )
    test_images: int = Field(ge=1, description="attacked test pictures per pair, at most")
    initial_colour: Colour | None = Field(
        description="R, G, B of the accessory before the first step; the picture's own when null"
    )
    loss: LossName = Field(description="what lowers while an impersonation comes nearer")
    optimiser: OptimiserName = Field(
        description="the direction with momentum; the sign of gathered gradients, with momentum "
        "as their decay; or Adam"
    )
    direction: Direction = Field(
        description="the gradient divided by its largest entry, or its sign; of the optimiser "
        "momentum"
    )
    texture_block: int = Field(
        ge=1, le=64, description="side in pixels of the squares that change as one"
    )
    restarts: tuple[FurtherStart, ...] = Field(
        description="what further attempts at unfinished pictures start from"
    )
    patience: int | None = Field(
        ge=1, description="steps without gain that end an attempt; no limit when null"
    )
    largest_change: float | None = Field(
        ge=1,
        le=255,
        description="how far a colour value may move from the picture's own, in whole levels of "
        "0-255 (2.5 allows 2); anywhere when null",
    )
    step: float = Field(gt=0, le=255, description="step length on the 0-255 scale")
    momentum: float = Field(ge=0, lt=1, description="share of the last step that is kept")
    iterations: int = Field(ge=1, description="steps on a picture, at most")
    confidence: PositiveFraction = Field(
        description="target confidence at which an image is done; of cosine_similarity, similarity"
    )
    dodging_confidence: PositiveFraction = Field(
        description="true-class confidence at which dodging is done; of cosine_similarity, "
        "similarity"
    )
    total_variation: float = Field(ge=0, description="weight of the frame's total variation")
    non_printability: float = Field(ge=0, description="weight of the non-printability score")
    printable_colours: tuple[Colour, ...] = Field(min_length=1)
    jpeg_quality: int = Field(
        ge=1, le=100, description="quality of the JPEG round trip, of which success is reported too"
    )
    batch_size: int = Field(ge=1, description="pictures attacked at a time")
    threads: Threads

    @model_validator(mode="after")
    def _change_is_bounded_from_the_picture(self) -> "AccessoryAttack":
        if self.initial_colour is not None and self.largest_change is not None:
            raise ValueError(
                "largest_change is allowed with initial_colour=null only: a colour is a change"
            )
        return self

    @model_validator(mode="after")
    def _starts_stay_within_the_change(self) -> "AccessoryAttack":
        if "noise" in self.restarts and self.largest_change is not None:
            raise ValueError("restarts from noise are allowed with largest_change=null only")
        return self

    @model_validator(mode="after")
    def _blocks_take_scaled_steps(self) -> "AccessoryAttack":
        if self.texture_block > 1 and (self.optimiser, self.direction) != ("momentum", "scaled"):
            raise ValueError(
                "texture_block above 1 is allowed with optimiser=momentum and direction=scaled only"
            )
        return self


class Robustness(Strict):
    """Circumstances in which attacked pictures are tried that no attack saw."""

    transformations: Transformations
    pictures: int = Field(ge=1, description="test pictures of an attack, at most")
    placements: int = Field(ge=1, description="circumstances a picture, of all kinds together")
    placements_per_kind: int = Field(
        ge=1, description="circumstances a picture, of each kind alone"
    )
    threads: Threads


class Controls(Strict):
    """Honest wearers: benign pictures with frames that are not adversarial."""

    images: int = Field(ge=1, description="test pictures that are given frames, at most")
    validation_images: int = Field(
        ge=1, description="validation pictures that are given frames, at most"
    )
    training_images: int = Field(
        ge=1,
        description="training pictures that are given frames, at most; for detectors alone",
    )
    colour: Colour = Field(
        description="R, G, B of plain frames; null in conf/ is the first attack's initial colour"
    )
    threads: Threads

    @field_validator("colour", mode="before")
    @classmethod
    def _is_known(cls, colour: object) -> object:
        if colour is None:
            raise ValueError("give R, G, B: the first attack has no initial_colour to be taken")
        return colour
