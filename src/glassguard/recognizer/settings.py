"""Settings of the network: its convolutions and what they are trained on."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from glassguard.settings import (
    PIXEL_RANGE,
    Fraction,
    GivenPath,
    PixelValue,
    PositiveFraction,
    Strict,
    Threads,
)


def _divisors(value: Any) -> Any:
    given = value if isinstance(value, list | tuple) else [value]
    possible = [isinstance(one, int | float) and 0 < one < math.inf for one in given]
    if len(given) not in (1, 3) or not all(possible):
        raise ValueError(f"must be a number above 0, or a list of three (given: {value!r})")
    return tuple(given) if len(given) == 3 else given[0]


Divisors = Annotated[float | tuple[float, float, float], BeforeValidator(_divisors)]

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

OccluderShape = Literal["rectangle", "patches"]
Cover = Literal["colour", "texture", "mean", "surroundings"]
Position = Literal["post_relu", "pre_relu"]
Channels = Literal["rgb", "bgr"]
Margin = Literal["cosine", "arc"]
Accelerator = Literal["cpu", "gpu", "auto"]
Strategy = Literal["auto", "ddp_spawn"]
ShippedNetwork = Literal["drawn_faces"]

NetworkKind = Literal["vgg16", "onnx"]

Layer = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]
"""Name of a slice behind the activation: of VGG-16's layers, or as an ONNX file has it."""
Depth = Annotated[float, Field(ge=0, le=1)]
SliceChoice = Literal["by_rule", "all"] | tuple[Layer, ...]


class Occlusion(Strict):
    """Training-time occlusion of faces (augmentation, never part of an attack)."""

    probability: Fraction = Field(description="share of pictures that are occluded")
    smallest: PositiveFraction = Field(description="shortest side of a shape, share of the side")
    largest: PositiveFraction = Field(description="longest side of a shape, share of the side")
    shapes: tuple[OccluderShape, ...] = Field(min_length=1, description="drawn from these")
    covers: tuple[Cover, ...] = Field(min_length=1, description="what a shape shows: one of these")

    @model_validator(mode="after")
    def _has_room(self) -> "Occlusion":
        if self.smallest > self.largest:
            raise ValueError(f"smallest {self.smallest:g} must not exceed largest {self.largest:g}")
        return self


class Variation(Strict):
    """Training-time changes of pose and light (augmentation, never part of an attack)."""

    shift: float = Field(ge=0, le=0.5, description="largest shift on an axis, share of the side")
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
    scale: tuple[float, float, float] = Field(description="divisors after it, 0-255 scale")
    channels: Channels = Field(description="order of the colours that it expects")


class Teacher(TeacherNetwork):
    """A network that pretraining is drawn towards (distillation, Hinton et al. 2015)."""

    weight: float = Field(gt=0, description="of 1 - cosine of the two embeddings in the loss")


class Pretraining(Strict):
    """Training of the convolutions on people outside the study."""

    identities: int | None = Field(ge=2, description="people in the pool; null: all of a folder")
    images_per_identity: int | None = Field(
        ge=4, description="pictures of a person, at most; null: all of a folder"
    )
    minimum_images: int = Field(ge=3, description="people with fewer in a pool folder are left out")
    steps: tuple[PretrainingStep, ...] = Field(min_length=1)
    batch_size: int = Field(ge=2, description="pictures in an update")
    optimizer: Literal["sgd", "adamw"] = Field(
        description="gradient descent with Nesterov momentum, or AdamW, which does not decay "
        "normalisation and biases"
    )
    learning_rate: float = Field(gt=0, description="highest of the schedule")
    weight_decay: float = Field(ge=0, description="the optimizer's")
    label_smoothing: Fraction = Field(description="share of the target spread over all people")
    margin_kind: Margin = Field(
        description="subtracted from the cosine (CosFace, Wang et al. 2018), or added to the angle "
        "(ArcFace, Deng et al. 2019)"
    )
    margin: float = Field(ge=0, lt=1, description="of the true class; in radians with arc")
    margin_rise: Fraction = Field(
        description="share of all updates in which the margin rises to it"
    )
    scale: float = Field(gt=0, description="scale of the cosine logits")
    variation: Variation | None = Field(description="changes of pose and light; none when null")
    occlusion: Occlusion
    teacher: Teacher | None = Field(description="none when null")
    precision: Literal["float32", "bfloat16"] = Field(
        description="arithmetic of the forward pass; recorded, since it changes the weights"
    )
    accelerator: Accelerator = Field(description="only one CPU repeats itself to the bit")
    devices: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(description="auto: all")
    strategy: Strategy = Field(description="several devices share the work by ddp_spawn")
    threads: Threads = Field(description="torch threads; fixed, since sums depend on it")

    @model_validator(mode="after")
    def _several_devices_share(self) -> "Pretraining":
        if self.devices != 1 and self.strategy == "auto":
            raise ValueError("devices: more than 1 need strategy=ddp_spawn")
        return self


class Backbone(Strict):
    """The frozen network: VGG-16's convolutions, shipped, pretrained or read, or an ONNX file's."""

    network: NetworkKind = Field(
        default="vgg16",
        description="vgg16, as in the studies, or onnx: the embedding network of an ONNX file",
    )
    width: float = Field(gt=0, le=1, description="share of VGG-16's filters, without weights")
    mean: tuple[PixelValue, PixelValue, PixelValue] | None = Field(
        description="R, G, B means on the 0-255 scale; when null, as the weights file says or as "
        "is usual in such files, and the middle of the scale without weights"
    )
    scale: Divisors | None = Field(
        description="divisor after subtraction of the mean, 0-255 scale, or one each of R, G and "
        "B; when null, as for the mean"
    )
    channels: Channels | None = Field(
        description="order of the colours that the weights file's first convolution expects; when "
        "null, as the file says or as is usual in such files"
    )
    shipped: ShippedNetwork | None = Field(
        description="network that comes with the package, instead of pretraining"
    )
    weights: GivenPath | None = Field(
        description="weights file, or the name of a download, instead of pretraining"
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
        if self.network == "onnx":
            self._onnx_is_described()
        if self.weights is None and isinstance(self.scale, tuple):
            raise ValueError("backbone.scale: three numbers are allowed with backbone.weights only")
        return self

    def _onnx_is_described(self) -> None:
        if self.weights is None:
            raise ValueError(
                "backbone.weights: an ONNX file is required with backbone.network=onnx"
            )
        missing = [key for key in ("mean", "scale", "channels") if getattr(self, key) is None]
        if missing:
            keys = ", ".join(f"backbone.{key}" for key in missing)
            raise ValueError(
                f"{keys}: required with backbone.network=onnx, since no ONNX file says it; allowed "
                "are the values of backbone=mobilefacenet, arcface or sface, or your own"
            )

    def normalisation(self) -> tuple[tuple[float, float, float], float]:
        """Mean and single scale of a backbone that is trained here; by default to [-1, 1]."""
        if isinstance(self.scale, tuple):
            raise ValueError("a network that is trained here has a single scale")
        middle = PIXEL_RANGE / 2
        return self.mean or (middle, middle, middle), self.scale or middle


class DenseLayers(Strict):
    """The fully connected layers on frozen features."""

    hidden: int = Field(ge=8, le=4096, description="neurons in fc6 and fc7")
    epochs: int = Field(ge=1, le=1000, description="passes over the training pictures")
    batch_size: int = Field(ge=1, description="pictures in an update")
    learning_rate: float = Field(gt=0, description="highest of the schedule")
    weight_decay: float = Field(ge=0, description="the optimizer's")
    dropout: float = Field(ge=0, lt=1, description="share of neurons switched off in training")
    flipped_copies: bool = Field(description="train on mirrored pictures as well")
    occluded_copies: int = Field(ge=0, le=20, description="of every training picture")
    occlusion: Occlusion
    masked_copies: int = Field(
        ge=0,
        le=20,
        description="of every training picture, masked by its saliency for a recognizer that is "
        "first trained without them",
    )
    framed_copies: int = Field(
        ge=0, le=20, description="of every training picture, with honest frames on the face"
    )
    threads: Threads = Field(
        description="torch threads of the convolutions; the dense layers train on one"
    )
