"""Typed schema of the whole configuration.

Every key that ``conf/`` may set stands here with its type, its range and what it means. The
Snakefile validates the composed configuration against :class:`Study` before the first job; each
stage validates the slice that it was handed against the model of that slice.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Colour = tuple[Fraction, Fraction, Fraction]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Threads = Annotated[int, Field(ge=1, le=256)]

Fill = Literal["zero", "mean", "grey", "telea", "navier_stokes"]
ThresholdKind = Literal["value", "quantile"]
ChannelReduction = Literal["max_abs", "mean_abs", "max", "sum_abs"]
Shape = Literal["rectangle", "patches"]
Cover = Literal["colour", "texture", "mean", "surroundings"]
Position = Literal["post_relu", "pre_relu"]
ProfileVariant = Literal["raw", "standardised", "unit_standardised"]
SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

RESERVED_SETS = ("benign", "plain_frames", "random_frames")


class Strict(BaseModel):
    """A section in which an unknown key is an error and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataCommon(Strict):
    """What every source of pictures has."""

    image_size: int = Field(
        96, ge=32, le=512, multiple_of=32, description="side of an aligned face, pixels"
    )
    validation_fraction: PositiveFraction = Field(
        0.16, description="share of each person's pictures that choices are made on"
    )
    test_fraction: PositiveFraction = Field(
        0.20, description="share of each person's pictures that nothing is chosen on"
    )

    @model_validator(mode="after")
    def _leaves_training_pictures(self) -> "DataCommon":
        if self.validation_fraction + self.test_fraction > 0.8:
            raise ValueError(
                "validation_fraction + test_fraction must leave at least 0.2 for training"
            )
        return self


class EmbeddedData(DataCommon):
    """Procedurally drawn faces: no download, not real people."""

    source: Literal["embedded"]
    identities: int = Field(30, ge=4, le=1000)
    images_per_identity: int = Field(77, ge=8, le=10000)


class FolderData(DataCommon):
    """A folder of photographs with one sub-folder per person."""

    source: Literal["folder"]
    root: Path | None = Field(None, description="folder with one sub-folder per person; required")
    detector: Path | None = Field(
        None, description="YuNet ONNX file; without it faces are aligned by the crop"
    )
    identities: int | None = Field(
        None, ge=4, description="keep the people with most pictures; all when null"
    )
    images_per_identity: int | None = Field(
        None, ge=8, description="at most this many pictures a person; all when null"
    )
    minimum_images: int = Field(
        10, ge=5, description="people with fewer usable pictures are left out"
    )
    maximum_pixels: int = Field(
        50_000_000, ge=10_000, description="larger pictures are rejected before decoding"
    )
    duplicate_distance: int = Field(
        4,
        ge=0,
        le=16,
        description="Hamming distance of 64-bit perceptual hashes up to which two pictures of a "
        "person are near-duplicates",
    )


class Occlusion(Strict):
    """Training-time occlusion of faces (augmentation, never part of an attack)."""

    probability: Fraction = Field(0.5, description="share of pictures that are occluded")
    smallest: PositiveFraction = Field(
        0.1, description="shortest side of an occluding shape, share of the picture's side"
    )
    largest: PositiveFraction = Field(
        0.4, description="longest side of an occluding shape, share of the picture's side"
    )
    shapes: tuple[Shape, ...] = Field(("rectangle", "patches"), min_length=1)
    covers: tuple[Cover, ...] = Field(("colour", "texture", "mean", "surroundings"), min_length=1)


class PretrainingStep(Strict):
    """One part of pretraining at one picture size."""

    image_size: int = Field(ge=32, le=512, multiple_of=16)
    epochs: int = Field(ge=1, le=1000)


class Pretraining(Strict):
    """Training of the convolutions on people outside the study."""

    identities: int | None = Field(
        150, ge=2, description="people in the pool; all of a folder when null"
    )
    images_per_identity: int | None = Field(40, ge=4)
    minimum_images: int = Field(
        4, ge=4, description="people of a pool folder with fewer pictures are left out"
    )
    steps: tuple[PretrainingStep, ...] = Field(min_length=1)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(0.05, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: Fraction = 0.0
    margin: float = Field(
        0.2, ge=0, lt=1, description="additive cosine margin (CosFace, Wang et al. 2018)"
    )
    scale: float = Field(24.0, gt=0, description="scale of the cosine logits")
    occlusion: Occlusion = Occlusion()
    precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="arithmetic of the forward pass; recorded, since it changes the weights",
    )
    threads: Threads = Field(2, description="torch threads; fixed, since sums depend on it")


class Backbone(Strict):
    """The thirteen convolutions: pretrained on a pool, or read from a file."""

    width: float = Field(
        0.25, gt=0, le=1, description="share of VGG-16's filters; a weights file has its own"
    )
    mean: tuple[float, float, float] = Field(
        (127.5, 127.5, 127.5), description="R, G, B means on the 0-255 scale"
    )
    scale: float = Field(
        127.5, gt=0, description="divisor after subtraction of the mean, 0-255 scale"
    )
    weights: Path | None = Field(None, description="safetensors file in place of pretraining")
    pool: Path | None = Field(None, description="folder of other people for pretraining")
    pretraining: Pretraining


class Recognizer(Strict):
    """The fully connected layers on frozen features."""

    hidden: int = Field(256, ge=8, le=4096, description="neurons in fc6 and fc7")
    epochs: int = Field(45, ge=1, le=1000)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    flipped_copies: bool = Field(True, description="train on mirrored pictures as well")
    occluded_copies: int = Field(
        0, ge=0, le=20, description="occluded copies of every training picture"
    )
    occlusion: Occlusion = Occlusion()
    threads: Threads = 1


class GlassesAttack(Strict):
    """Adversarial eyeglasses (Sharif et al. 2016; blog 2019)."""

    kind: Literal["glasses"]
    goal: Literal["impersonation", "dodging"] = "impersonation"
    targets: int = Field(12, ge=1, description="people who are impersonated")
    attackers_per_target: int = Field(2, ge=1)
    validation_images: int = Field(
        8, ge=1, description="attacked validation pictures per pair, at most"
    )
    test_images: int = Field(15, ge=1, description="attacked test pictures per pair, at most")
    initial_colour: Colour = Field(
        (1.0, 1.0, 0.0), description="R, G, B of the frame before the first step"
    )
    step: float = Field(20.0, gt=0, le=255, description="step length on the 0-255 scale")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.4
    iterations: int = Field(300, ge=1)
    confidence: PositiveFraction = Field(
        0.95, description="target confidence at which an image is done"
    )
    dodging_confidence: PositiveFraction = Field(
        0.01, description="true-class confidence at which dodging is done"
    )
    total_variation: float = Field(0.0, ge=0, description="weight of the frame's total variation")
    non_printability: float = Field(0.0, ge=0, description="weight of the non-printability score")
    printable_colours: tuple[Colour, ...] = Field(min_length=1)
    jpeg_quality: int = Field(
        90, ge=1, le=100, description="quality of the JPEG round trip reported beside"
    )
    batch_size: int = Field(32, ge=1)
    threads: Threads = 1


class Controls(Strict):
    """Honest wearers: benign pictures with frames that are not adversarial."""

    images: int = Field(450, ge=1, description="test pictures that are given frames, at most")
    validation_images: int = Field(
        390, ge=1, description="validation pictures that are given frames, at most"
    )
    colour: Colour = Field(
        (1.0, 1.0, 0.0), description="R, G, B of plain frames: the attack's initial colour"
    )
    threads: Threads = 1


class Influence(Strict):
    """Internal influence (Leino et al. 2018)."""

    quantity: Literal["logit", "comparative", "softmax"] = "logit"
    positions: tuple[Position, ...] = Field(
        ("post_relu", "pre_relu"), min_length=1, description="behind or before the activation"
    )
    reduction: Literal["max", "abs_max", "mean"] = "max"
    batch_size: int = Field(32, ge=1)
    threads: Threads = 1


class Detector(Strict):
    """Linear detectors of one person each (Study I, section 3)."""

    alpha: float = Field(0.005, gt=0, description="SGDClassifier's regularisation")
    max_iter: int = Field(500, ge=1)
    variants: tuple[ProfileVariant, ...] = Field(min_length=1)
    seeds: int = Field(10, ge=1, description="seeds of the classifier")
    sweep_seeds: int = Field(
        3, ge=1, description="seeds of the classifier while slices are compared"
    )
    minimum_benign_target: Fraction = Field(
        0.8,
        description="least acceptance of a person's own validation pictures in a preferred slice",
    )
    minimum_benign_other: Fraction = Field(
        0.97,
        description="least rejection of others' validation pictures in a preferred slice",
    )
    target_acceptance: PositiveFraction = Field(
        0.9,
        description="share of the target's validation pictures that the tuned threshold accepts",
    )
    bootstrap: int = Field(1000, ge=10)
    threads: Threads = 1


class Grid(Strict):
    """Parameters of the saliency mask that are searched (blog 2019)."""

    mu_as: tuple[ThresholdKind, ...] = Field(min_length=1)
    mu: tuple[PositiveFraction, ...] = Field(min_length=1)
    n: tuple[Annotated[int, Field(ge=0, le=100)], ...] = Field(min_length=1)
    phi: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    fill: tuple[Fill, ...] = Field(min_length=1)
    images: int | None = Field(
        None, ge=1, description="attacked validation pictures used, at most; all when null"
    )
    shards: int = Field(4, ge=1, le=10000)


class SourceSetting(Strict):
    """The combination that Study S found, reported beside the best one."""

    mu: PositiveFraction = 0.98
    mu_as: ThresholdKind = "quantile"
    n: int = Field(8, ge=0)
    phi: int = Field(80, ge=0)
    fill: Fill = "zero"


class Saliency(Strict):
    """Saliency mask (Hayes 2018; blog 2019)."""

    channel_reduction: ChannelReduction = "max_abs"
    kernel: Literal[3, 5, 7, 9, 11, 13, 15] = Field(
        3, description="side of the square structuring element; odd, or masks would be shifted"
    )
    grid: Grid
    source_setting: SourceSetting = SourceSetting()
    confidence_threshold: PositiveFraction = 0.8
    batch_size: int = Field(64, ge=1)
    threads: Threads = 1


class Tracking(Strict):
    """MLflow: where the records of the stages are upserted."""

    enabled: bool = True
    uri: str = Field("sqlite:///results/mlflow/mlflow.db", pattern=r"^(sqlite:///|https?://).+")
    artifacts: Path = Path("results/mlflow/artifacts")


class Study(Strict):
    """The whole resolved configuration."""

    experiment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    seed: Seed = 0
    data: EmbeddedData | FolderData = Field(discriminator="source")
    backbone: Backbone
    recognizer: Recognizer
    attack_shards: int = Field(4, ge=1, le=10000)
    attacks: dict[SetName, GlassesAttack] = Field(min_length=1)
    controls: Controls = Controls()
    influence: Influence
    detector: Detector
    saliency: Saliency
    tracking: Tracking

    @model_validator(mode="after")
    def _sections_agree(self) -> "Study":
        if isinstance(self.data, FolderData) and self.data.root is None:
            raise ValueError(
                "data.root is required with data.source=folder: a folder, a sub-folder per person"
            )
        for name in RESERVED_SETS:
            if name in self.attacks:
                raise ValueError(f"attacks.{name}: the name is taken by a set of benign pictures")
        if self.backbone.weights is not None and self.backbone.pool is not None:
            raise ValueError("backbone.weights and backbone.pool exclude each other: give one")
        return self
