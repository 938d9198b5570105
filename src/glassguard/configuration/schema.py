"""Typed schema of the whole configuration.

Every key that ``conf/`` may set stands here with its type, its range and what it means; values
stand in ``conf/`` alone, so nothing here has a default. The
Snakefile validates the composed configuration against :class:`Study` before the first job; each
stage validates the slice that it was handed against the model of that slice.
"""

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _given(value: Any) -> Any:
    """A path as a shell takes it: the tilde of nobody's home is a sign like any other."""
    if value == "":
        raise ValueError("is empty; give a path")
    # Path.expanduser raises where nobody has that name.
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


GivenPath = Annotated[Path, BeforeValidator(_given)]

PIXEL_RANGE = 255.0


def _divisors(value: Any) -> Any:
    given = value if isinstance(value, list | tuple) else [value]
    if len(given) not in (1, 3) or not all(
        isinstance(number, int | float) and 0 < number < math.inf for number in given
    ):
        raise ValueError(f"must be a number above 0, or a list of three (given: {value!r})")
    return tuple(given) if len(given) == 3 else given[0]


Divisors = Annotated[float | tuple[float, float, float], BeforeValidator(_divisors)]
PixelValue = Annotated[float, Field(ge=0.0, le=PIXEL_RANGE)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Colour = tuple[Fraction, Fraction, Fraction]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Threads = Annotated[int, Field(ge=1, le=256)]

Fill = Literal["zero", "mean", "grey", "telea", "navier_stokes"]
ThresholdKind = Literal["value", "quantile"]
MapKind = Literal["guided", "relative"]
Kernel = Annotated[
    Literal[3, 5, 7, 9, 11, 13, 15],
    Field(description="side of the square structuring element; odd, or masks would be shifted"),
]
Convolution = Literal[
    "conv1_1",
    "conv1_2",
    "conv2_1",
    "conv2_2",
    "conv3_1",
    "conv3_2",
    "conv3_3",
    "conv4_1",
    "conv4_2",
    "conv4_3",
    "conv5_1",
    "conv5_2",
    "conv5_3",
]
ChannelReduction = Literal["max_abs", "mean_abs", "max", "sum_abs"]
OccluderShape = Literal["rectangle", "patches"]
Cover = Literal["colour", "texture", "mean", "surroundings"]
Position = Literal["post_relu", "pre_relu"]
ProfileVariant = Literal["raw", "standardised", "unit_standardised"]
Layer = Annotated[str, Field(pattern=r"^(conv(1_[12]|2_[12]|3_[123]|4_[123]|5_[123])|fc[67])$")]
Percentile = Annotated[float, Field(gt=0, lt=100)]
Place = Annotated[int, Field(ge=1, le=16)]
SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

RESERVED_SETS = ("benign", "plain_frames", "random_frames")


class Strict(BaseModel):
    """A section in which an unknown key is an error and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataCommon(Strict):
    """What every source of pictures has."""

    image_size: int = Field(
        ge=32, le=512, multiple_of=32, description="side of an aligned face, pixels"
    )
    validation_fraction: PositiveFraction = Field(
        description="share of each person's pictures that choices are made on"
    )
    test_fraction: PositiveFraction = Field(
        description="share of each person's pictures that nothing is chosen on"
    )
    fold: int | None = Field(
        ge=0,
        description="which of the 1/test_fraction test splits that share no picture (cross-"
        "validation); a random test split when null",
    )

    @model_validator(mode="after")
    def _leaves_training_pictures(self) -> "DataCommon":
        if self.validation_fraction + self.test_fraction > 0.8:
            raise ValueError(
                "validation_fraction + test_fraction must leave at least 0.2 for training"
            )
        return self

    @model_validator(mode="after")
    def _fold_exists(self) -> "DataCommon":
        if self.fold is not None:
            folds = round(1 / self.test_fraction)
            if abs(folds * self.test_fraction - 1) > 1e-6:
                raise ValueError(
                    f"fold: test_fraction must be one part of a whole number, such as 0.2 (5 "
                    f"folds), and is {self.test_fraction:g}"
                )
            if self.fold >= folds:
                raise ValueError(
                    f"fold: {self.fold} is none of the {folds} folds of test_fraction="
                    f"{self.test_fraction:g}; allowed are 0 to {folds - 1} and null"
                )
        return self


class EmbeddedData(DataCommon):
    """Procedurally drawn faces: no download, not real people."""

    source: Literal["embedded"]
    identities: int = Field(ge=4, le=1000)
    images_per_identity: int = Field(ge=8, le=10000)


class PhotographData(DataCommon):
    """What every source of photographs has."""

    source: str
    detector: GivenPath | None = Field(
        description="YuNet ONNX file, or the name of a download; without it faces are aligned by "
        "the crop"
    )
    identities: int | None = Field(
        ge=4, description="keep the people with most pictures; all when null"
    )
    images_per_identity: int | None = Field(
        ge=8, description="at most this many pictures a person; all when null"
    )
    minimum_images: int = Field(ge=5, description="people with fewer usable pictures are left out")
    maximum_pixels: int = Field(
        ge=10_000, description="larger pictures are rejected before decoding"
    )
    duplicate_distance: int = Field(
        ge=0,
        le=16,
        description="Hamming distance of 64-bit perceptual hashes up to which two pictures of a "
        "person are near-duplicates",
    )


class FolderData(PhotographData):
    """A folder of photographs with one sub-folder per person."""

    source: Literal["folder"]
    root: GivenPath | None = Field(description="folder with one sub-folder per person; required")


class LfwPictures(PhotographData):
    """Labeled Faces in the Wild (Huang et al. 2007), as it is read."""

    source: Literal["lfw"]
    root: GivenPath | None = Field(description="folder or archive of LFW; downloaded when null")


class LfwFetch(Strict):
    """How LFW is downloaded, as scikit-learn has it."""

    data_home: GivenPath | None = Field(description="scikit-learn's data folder; its own when null")
    funneled: bool = Field(description="the variant of which in-plane rotation is removed")


class LfwData(LfwPictures):
    """Labeled Faces in the Wild."""

    fetch: LfwFetch


class PubfigPictures(PhotographData):
    """PubFig (Kumar et al. 2009), as it is read."""

    source: Literal["pubfig"]


class PubfigFetch(Strict):
    """How PubFig's photographs are downloaded from where they were found in 2010."""

    list_file: GivenPath | None = Field(description="dev_urls.txt; downloaded when null")
    list_address: str = Field(pattern=r"^https?://.+")
    list_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        description="of the list, given or downloaded; any list is taken when null"
    )
    downloads: GivenPath | None = Field(
        description="folder of photographs that experiments share; one of the experiment when null"
    )
    hosts: int = Field(ge=1, le=256, description="servers asked at a time, each for one file")
    pause: float = Field(ge=0, description="seconds between two requests to a server")
    attempts: int = Field(ge=1, le=20, description="tries for passing failures")
    silence: float = Field(gt=0, description="seconds without a byte: the connection is broken")
    deadline: float = Field(gt=0, description="seconds that one try may take")
    maximum_bytes: int = Field(ge=1, description="longer files are refused")
    give_up: int = Field(
        ge=1, description="failures in a row after which a server is not asked any more"
    )


class PubfigData(PubfigPictures):
    """PubFig."""

    fetch: PubfigFetch


class Pubfig83Data(PhotographData):
    """PubFig83 (Pinto et al. 2011)."""

    source: Literal["pubfig83"]
    root: GivenPath | None = Field(description="folder or archive of PubFig83; required")


class CelebaData(PhotographData):
    """CelebA (Liu et al. 2015), aligned and cropped pictures."""

    source: Literal["celeba"]
    root: GivenPath | None = Field(description="img_align_celeba, folder or archive; required")
    people_file: GivenPath | None = Field(
        description="identity_CelebA.txt; looked for in and beside root when null"
    )
    landmarks_file: GivenPath | None = Field(
        description="list_landmarks_align_celeba.txt; looked for in and beside root when null"
    )


Data = EmbeddedData | FolderData | LfwData | PubfigData | Pubfig83Data | CelebaData
"""Where the study's faces come from, told apart by ``source``."""


class Occlusion(Strict):
    """Training-time occlusion of faces (augmentation, never part of an attack)."""

    probability: Fraction = Field(description="share of pictures that are occluded")
    smallest: PositiveFraction = Field(
        description="shortest side of an occluding shape, share of the picture's side"
    )
    largest: PositiveFraction = Field(
        description="longest side of an occluding shape, share of the picture's side"
    )
    shapes: tuple[OccluderShape, ...] = Field(min_length=1)
    covers: tuple[Cover, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_room(self) -> "Occlusion":
        if self.smallest > self.largest:
            raise ValueError(f"smallest {self.smallest:g} must not exceed largest {self.largest:g}")
        return self


class Variation(Strict):
    """Training-time changes of pose and light (augmentation, never part of an attack)."""

    shift: float = Field(
        ge=0, le=0.5, description="largest displacement along either axis, share of the side"
    )
    scale: float = Field(ge=0, lt=1, description="largest relative change of size")
    rotation: float = Field(ge=0, le=180, description="largest angle, degrees")
    light: float = Field(
        ge=0, le=1, description="largest relative change of brightness, contrast and saturation"
    )


class PretrainingStep(Strict):
    """One part of pretraining at one picture size."""

    image_size: int = Field(ge=32, le=512, multiple_of=16)
    epochs: int = Field(ge=1, le=1000)


class TeacherNetwork(Strict):
    """A published embedding network of faces."""

    file: GivenPath = Field(description="ONNX file with its weights inside")
    image_size: int = Field(ge=32, le=512, description="side of the pictures that it expects")
    mean: tuple[float, float, float] = Field(description="R, G, B means on the 0-255 scale")
    scale: tuple[float, float, float] = Field(
        description="divisors after subtraction of the mean, 0-255 scale"
    )
    channels: Literal["rgb", "bgr"]


class Teacher(TeacherNetwork):
    """A network that pretraining is drawn towards (distillation, Hinton et al. 2015)."""

    weight: float = Field(gt=0, description="of 1 - cosine of the two embeddings in the loss")


class Pretraining(Strict):
    """Training of the convolutions on people outside the study."""

    identities: int | None = Field(
        ge=2, description="people in the pool; all of a folder when null"
    )
    images_per_identity: int | None = Field(ge=4)
    minimum_images: int = Field(
        ge=3, description="people of a pool folder with fewer pictures are left out"
    )
    steps: tuple[PretrainingStep, ...] = Field(min_length=1)
    batch_size: int = Field(ge=2)
    optimizer: Literal["sgd", "adamw"] = Field(
        description="gradient descent with Nesterov momentum, or AdamW, which spares normalisation "
        "and biases its decay"
    )
    learning_rate: float = Field(gt=0, description="the largest of the schedule")
    weight_decay: float = Field(ge=0)
    label_smoothing: Fraction
    margin_kind: Literal["cosine", "arc"] = Field(
        description="subtracted from the cosine (CosFace, Wang et al. 2018), or added to the angle "
        "(ArcFace, Deng et al. 2019)"
    )
    margin: float = Field(ge=0, lt=1, description="of the true class; in radians with arc")
    margin_rise: Fraction = Field(
        description="share of all updates in which the margin rises from zero to its full size"
    )
    scale: float = Field(gt=0, description="scale of the cosine logits")
    variation: Variation | None = Field(
        description="how far pose and light of every picture are changed; not at all when null"
    )
    occlusion: Occlusion
    teacher: Teacher | None = Field(description="none when null")
    precision: Literal["float32", "bfloat16"] = Field(
        description="arithmetic of the forward pass; recorded, since it changes the weights",
    )
    accelerator: Literal["cpu", "gpu", "auto"] = Field(
        description="what is trained on; only one CPU repeats itself to the bit"
    )
    devices: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        description="how many of them; auto takes all"
    )
    strategy: Literal["auto", "ddp_spawn"] = Field(
        description="how several devices share the work: ddp_spawn; auto is for one"
    )
    threads: Threads = Field(description="torch threads; fixed, since sums depend on it")

    @model_validator(mode="after")
    def _several_devices_share(self) -> "Pretraining":
        if self.devices != 1 and self.strategy == "auto":
            raise ValueError("devices: more than 1 need strategy=ddp_spawn")
        return self


class Backbone(Strict):
    """The thirteen convolutions: pretrained on a pool, or read from a file."""

    width: float = Field(
        gt=0, le=1, description="share of VGG-16's filters; a weights file has its own"
    )
    mean: tuple[PixelValue, PixelValue, PixelValue] | None = Field(
        description="R, G, B means on the 0-255 scale; when null, as the weights file says or as "
        "is usual in such files, and the middle of the scale without weights"
    )
    scale: Divisors | None = Field(
        description="divisor after subtraction of the mean, 0-255 scale, or one each of R, G and "
        "B; when null, as for the mean"
    )
    channels: Literal["rgb", "bgr"] | None = Field(
        description="order of the colours that the weights file's first convolution expects; when "
        "null, as the file says or as is usual in such files"
    )
    weights: GivenPath | None = Field(
        description="weights file, or the name of a download, in place of pretraining"
    )
    pool: GivenPath | None = Field(description="folder of other people for pretraining")
    pretraining: Pretraining

    @model_validator(mode="after")
    def _pixels_are_described(self) -> "Backbone":
        if self.mean is not None and 0 < max(self.mean) <= 1:
            raise ValueError(
                f"backbone.mean: {', '.join(f'{mean:g}' for mean in self.mean)} is on the scale "
                "0-1; give mean and scale on the scale 0-255"
            )
        if self.weights is None and self.channels is not None:
            raise ValueError("backbone.channels: null is all that is allowed without weights")
        if self.weights is None and isinstance(self.scale, tuple):
            raise ValueError("backbone.scale: three numbers are allowed with backbone.weights only")
        return self

    def normalisation(self) -> tuple[tuple[float, float, float], float]:
        """Mean and scale of a backbone that is trained here; pixels lie in [-1, 1] without them.

        Raises:
            ValueError: the scale has several numbers, which only weights from elsewhere may need.
        """
        if isinstance(self.scale, tuple):
            raise ValueError("a network that is trained here has a single scale")
        middle = PIXEL_RANGE / 2
        return self.mean or (middle, middle, middle), self.scale or middle


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


class Recognizer(Strict):
    """The fully connected layers on frozen features."""

    hidden: int = Field(ge=8, le=4096, description="neurons in fc6 and fc7")
    epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    dropout: Annotated[float, Field(ge=0, lt=1)]
    flipped_copies: bool = Field(description="train on mirrored pictures as well")
    occluded_copies: int = Field(
        ge=0, le=20, description="occluded copies of every training picture"
    )
    occlusion: Occlusion
    masked_copies: int = Field(
        ge=0,
        le=20,
        description="copies of every training picture, masked by the saliency that it has for a "
        "recognizer which is trained without them first",
    )
    copy_masks: CopyMasks
    threads: Threads


class NamedPair(Strict):
    """Somebody who is to be taken for somebody else, by the names of the pictures' folders."""

    attacker: str
    target: str


class WornShape(Strict):
    """Eyeglasses, which sit where eyes are, or the whole picture."""

    kind: Literal["glasses", "whole"]


class PlacedShape(Strict):
    """An accessory at a place of its own, in units of the distance between the eyes."""

    kind: Literal["sticker", "patch", "band"] = Field(
        description="an ellipse, a rectangle, a headband"
    )
    x: float = Field(ge=-3, le=3, description="centre, rightwards from midway between the eyes")
    y: float = Field(ge=-3, le=3, description="centre, downwards from midway between the eyes")
    width: float = Field(gt=0, le=6)
    height: float = Field(gt=0, le=6)


Shape = WornShape | PlacedShape
"""Which pixels of a face an attack may change, told apart by ``kind``."""


class AccessoryAttack(Strict):
    """Adversarial eyeglasses (Sharif et al. 2016; blog 2019), or another accessory that way."""

    shape: Shape = Field(discriminator="kind")
    goal: Literal["impersonation", "dodging"]
    targets: int = Field(ge=1, description="people who are impersonated")
    attackers_per_target: int = Field(ge=1)
    named_pairs: tuple[NamedPair, ...] = Field(description="pairs beside those that are drawn")
    validation_images: int = Field(
        ge=1, description="attacked validation pictures per pair, at most"
    )
    test_images: int = Field(ge=1, description="attacked test pictures per pair, at most")
    initial_colour: Colour | None = Field(
        description="R, G, B of the accessory before the first step; the picture's own when null"
    )
    direction: Literal["scaled", "sign"] = Field(
        description="the gradient divided by its largest entry, or its sign"
    )
    largest_change: float | None = Field(
        ge=1,
        le=255,
        description="how far a colour value may move from the picture's own, in whole levels of "
        "0-255 (2.5 allows 2); anywhere when null",
    )
    step: float = Field(gt=0, le=255, description="step length on the 0-255 scale")
    momentum: Annotated[float, Field(ge=0, lt=1)]
    iterations: int = Field(ge=1)
    confidence: PositiveFraction = Field(description="target confidence at which an image is done")
    dodging_confidence: PositiveFraction = Field(
        description="true-class confidence at which dodging is done"
    )
    total_variation: float = Field(ge=0, description="weight of the frame's total variation")
    non_printability: float = Field(ge=0, description="weight of the non-printability score")
    printable_colours: tuple[Colour, ...] = Field(min_length=1)
    jpeg_quality: int = Field(
        ge=1, le=100, description="quality of the JPEG round trip reported beside"
    )
    batch_size: int = Field(ge=1)
    threads: Threads

    @model_validator(mode="after")
    def _change_is_bounded_from_the_picture(self) -> "AccessoryAttack":
        if self.initial_colour is not None and self.largest_change is not None:
            raise ValueError(
                "largest_change is allowed with initial_colour=null only: a colour is a change"
            )
        return self


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
    colour: Colour = Field(description="R, G, B of plain frames: the attack's initial colour")
    threads: Threads


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

    quantity: Literal["logit", "comparative", "softmax"]
    distribution: DistributionOfInterest
    times_activation: bool = Field(
        description="multiply by the neuron's activation: attribution in place of influence"
    )
    batch_size: int = Field(ge=1)
    threads: Threads


class InfluenceProfile(InfluenceMeasure):
    """Influence, one number a filter and place."""

    positions: tuple[Position, ...] = Field(
        min_length=1, description="behind or before the activation"
    )
    reduction: Literal["max", "abs_max", "mean"]
    places: tuple[Place, Place] = Field(
        description="rows and columns that space is divided into, each reduced by itself"
    )


class Experts(Strict):
    """The neurons of greatest influence, seen back in the pixels (Study I, Figs. 2 to 4)."""

    share: float = Field(gt=0, le=1, description="of a layer's neurons")
    layers: tuple[Layer, ...] = Field(min_length=1, description="columns of the figures")
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


class Masking(Strict):
    """Masks under which a decision must hold (agreement before and after masking)."""

    map: MapKind
    mu: tuple[PositiveFraction, ...] = Field(
        min_length=1, description="thresholds; the masks' answers are averaged"
    )
    mu_as: ThresholdKind
    n: int = Field(ge=0, le=100)
    phi: int = Field(ge=0)
    fill: Fill


class Squeezing(Strict):
    """Feature squeezing (Xu et al. 2018)."""

    bits: int = Field(ge=1, le=7, description="bits of a channel that are left")
    median: Literal[3, 5, 7] = Field(description="side of the median's window")


class Baselines(Strict):
    """Detectors that influence is compared with."""

    squeezing: Squeezing
    neighbours: int = Field(ge=2, description="of local intrinsic dimensionality (Ma et al. 2018)")
    batch_size: int = Field(ge=1)


class DetectorSweep(Strict):
    """Settings of the classifier that are compared at the chosen slice."""

    alpha: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    max_iter: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)


class Detector(Strict):
    """Linear detectors of one person each (Study I, section 3)."""

    alpha: float = Field(gt=0, description="SGDClassifier's regularisation")
    max_iter: int = Field(ge=1)
    variants: tuple[ProfileVariant, ...] = Field(min_length=1)
    seeds: int = Field(ge=1, description="seeds of the classifier")
    sweep_seeds: int = Field(ge=1, description="seeds of the classifier while slices are compared")
    minimum_benign_target: Fraction = Field(
        description="least acceptance of a person's own validation pictures in a preferred slice",
    )
    minimum_benign_other: Fraction = Field(
        description="least rejection of others' validation pictures in a preferred slice",
    )
    target_acceptance: PositiveFraction = Field(
        description="share of the target's validation pictures that the tuned threshold accepts",
    )
    sweep: DetectorSweep
    combined_slices: int = Field(
        ge=2, description="best slices whose profiles are joined for one detector"
    )
    masking: Masking
    baselines: Baselines
    bootstrap: int = Field(ge=10)
    threads: Threads


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

    method: Literal["grid", "random", "bayesian"] = Field(
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


class PublishedFile(Strict):
    """A file to download, as whoever downloads it has to know it."""

    file: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name in the folder of downloads"
    )
    url: str = Field(pattern=r"^https?://\S+$")
    sha256: str | None = Field(
        pattern=r"^[0-9a-f]{8,64}$",
        description="digest of the file, or its first characters as far as published; when null, "
        "that of the first download is kept beside it and every later download must have the same",
    )
    maximum_bytes: int = Field(ge=1, description="longer files are refused")


class Download(PublishedFile):
    """A published file that a study may use."""

    key: Literal["backbone.weights", "data.detector"] = Field(
        description="the key that may ask for it by its name"
    )


def _without_braces(folder: Path) -> Path:
    if set("{}") & set(str(folder)):
        raise ValueError(f"{folder}: holds a brace, which Snakemake takes for a wildcard")
    return folder


class Downloads(Strict):
    """Published files by the name under which other sections may ask for them."""

    folder: Annotated[GivenPath, AfterValidator(_without_braces)] = Field(
        description="where they are kept, for all experiments"
    )
    files: dict[SetName, Download]


class Tracking(Strict):
    """MLflow: where the records of the stages are upserted."""

    enabled: bool
    uri: str = Field(pattern=r"^(sqlite:///|https?://).+")
    artifacts: GivenPath


class Costs(Strict):
    """What jobs cost that are split, measured (:mod:`glassguard.configuration.costs`)."""

    seconds_per_mask: float = Field(
        gt=0, description="one point of the mask grid on one picture, at 96 px and half width"
    )
    seconds_per_attacked_picture: float = Field(gt=0, description="at 96 px and half width")
    seconds_per_pretraining_picture: float = Field(
        gt=0, description="one epoch, forwards and backwards, at 96 px and half width"
    )
    pool_pictures: int = Field(ge=1, description="assumed of a pool that is not counted yet")
    shard_minutes: float = Field(gt=0, description="work of a shard, at most")
    least_shards: int = Field(ge=1, le=10000)
    headroom: float = Field(ge=1, description="time asked for, over that expected")
    least_minutes: int = Field(ge=1)


class Study(Strict):
    """The whole resolved configuration."""

    experiment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    seed: Seed
    downloads: Downloads
    data: Data = Field(discriminator="source")
    backbone: Backbone
    recognizer: Recognizer
    costs: Costs
    attack_shards: int | None = Field(ge=1, le=10000, description="jobs; by their cost when null")
    attacks: dict[SetName, AccessoryAttack] = Field(min_length=1)
    controls: Controls
    influence: Influence
    detector: Detector
    saliency: Saliency
    tracking: Tracking

    @model_validator(mode="after")
    def _downloads_keep_apart(self) -> "Study":
        names = [download.file for download in self.downloads.files.values()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"downloads.files: two of them are called {name}")
        return self

    @model_validator(mode="after")
    def _drawn_people_are_enough(self) -> "Study":
        if not isinstance(self.data, EmbeddedData):
            return self
        pretraining = self.backbone.pretraining
        if pretraining.identities is None or pretraining.images_per_identity is None:
            raise ValueError(
                "backbone.pretraining.identities and images_per_identity must be numbers with "
                "data.source=embedded: people are drawn without end"
            )
        for name, attack in self.attacks.items():
            if attack.targets > self.data.identities:
                raise ValueError(
                    f"attacks.{name}.targets: {attack.targets} exceeds data.identities="
                    f"{self.data.identities}"
                )
            if attack.attackers_per_target >= self.data.identities:
                raise ValueError(
                    f"attacks.{name}.attackers_per_target: {attack.attackers_per_target} must be "
                    f"below data.identities={self.data.identities}"
                )
        return self

    @model_validator(mode="after")
    def _classes_are_enough(self) -> "Study":
        people = self.data.identities
        for key, classes in (
            ("saliency.top_classes", self.saliency.top_classes),
            ("recognizer.copy_masks.top_classes", self.recognizer.copy_masks.top_classes),
        ):
            if people is not None and classes > people:
                raise ValueError(f"{key}: {classes} exceeds data.identities={people}")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> "Study":
        if isinstance(self.data, FolderData) and self.data.root is None:
            raise ValueError(
                "data.root is required with data.source=folder: a folder, a sub-folder per person"
            )
        if isinstance(self.data, Pubfig83Data | CelebaData) and self.data.root is None:
            raise ValueError(
                f"data.root is required with data.source={self.data.source}: the folder or archive "
                "as it was published"
            )
        for name in RESERVED_SETS:
            if name in self.attacks:
                raise ValueError(f"attacks.{name}: the name is taken by a set of benign pictures")
        if isinstance(self.data, EmbeddedData) and self.backbone.pool is not None:
            raise ValueError(
                "backbone.pool needs photographs, for example data.source=folder: for drawn people "
                "the pool is drawn as well"
            )
        if self.backbone.weights is not None and self.backbone.pool is not None:
            raise ValueError("backbone.weights and backbone.pool exclude each other: give one")
        return self
