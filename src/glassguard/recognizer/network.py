"""Face recognizers with their preprocessing inside; VGG-16 (Simonyan and Zisserman 2015).

Pixels enter in [0, 1] and the network subtracts the means: every attack and every gradient lives in
pixel space, and no caller can feed wrongly normalised data. Every activation is a module of its own
(``nn.ReLU(inplace=False)``): in place, the gradient at a convolution's output would become the one
after the ReLU; as a function, guided backpropagation would become the plain gradient.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glassguard.recognizer.answers import require_pixels, weights_like
from glassguard.recognizer.layers import (
    CONVOLUTIONS,
    CONVOLUTIONS_PER_BLOCK,
    DENSE,
    DOWNSAMPLING,
    PRE_RELU,
    SLICES,
    filters,
)
from glassguard.recognizer.settings import Channels, Position, SliceChoice

SHOWN = ("conv1_2", "conv2_2", "conv3_2", "conv4_2", "conv5_2", "fc6")
"""Layers of VGG-16 in the experts' figures."""


class Normalisation(nn.Module):
    """Pixels in [0, 1] to the numbers that the convolutions were trained on.

    On the 0-255 scale, the R, G, B ``mean`` is subtracted and the rest divided by ``scale``, one
    number or one each of R, G and B. Then colours are put in the order ``channels``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, mean: Sequence[float], scale: float | Sequence[float], channels: Channels = "rgb"
    ) -> None:
        super().__init__()
        self.channels = channels
        divisors = torch.tensor(scale, dtype=torch.float32)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("scale", divisors.view(1, 3, 1, 1) if divisors.ndim else divisors)

    def forward(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float in [0, 1], RGB, to the same shape."""
        normalised = (pixels * 255.0 - self.mean) / self.scale
        return normalised if self.channels == "rgb" else normalised.flip(1)


def convolutional_layers(
    width: float, *, batch_normalisation: bool = False
) -> OrderedDict[str, nn.Module]:
    """The thirteen convolutions with their activations and pools, by name.

    Args:
        width: share of the published number of filters in every layer.
        batch_normalisation: add one after every convolution, as pretraining does.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for block, (count, outputs) in enumerate(
        zip(CONVOLUTIONS_PER_BLOCK, filters(width), strict=True), start=1
    ):
        for index in range(1, count + 1):
            name = f"{block}_{index}"
            layers[f"conv{name}"] = nn.Conv2d(
                channels, outputs, kernel_size=3, padding=1, bias=not batch_normalisation
            )
            if batch_normalisation:
                layers[f"norm{name}"] = nn.BatchNorm2d(outputs)
            layers[f"relu{name}"] = nn.ReLU(inplace=False)
            channels = outputs
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return layers


class Recognizer(nn.Module, ABC):
    """A frozen network and trained dense layers, with the preprocessing inside.

    Attributes:
        image_size: side of the square input in pixels.
        normalisation: from pixels to what the network was trained on.
        features: the frozen network.
        flatten: from its output to what the dense layers read.
        classifier: the dense layers.
    """

    image_size: int
    normalisation: Normalisation
    features: nn.Module
    flatten: nn.Module
    classifier: nn.Sequential

    def forward(self, pixels: Tensor) -> Tensor:
        """N x 3 x H x W float32 RGB in [0, 1] to N x identities float32 logits."""
        return self.classifier(self.flatten(self.features(self.normalisation(pixels))))

    @abstractmethod
    def slice_modules(
        self, positions: Sequence[Position] = ("post_relu",), chosen: SliceChoice = "by_rule"
    ) -> OrderedDict[str, nn.Module]:
        """The module whose output is each slice, by its name, in the order of the network.

        Args:
            positions: ``post_relu`` slices are the activations' outputs, ``pre_relu`` slices, whose
                names end in :data:`~glassguard.recognizer.layers.PRE_RELU`, their inputs.
            chosen: all slices, a few of every stage of a deep network, or these by name.

        Raises:
            ValueError: the network has no slice of a chosen name.
        """

    @abstractmethod
    def shown_layers(self) -> tuple[str, ...]:
        """Slices that the experts' figures show unless others are asked for."""

    @abstractmethod
    def slice_at(self, place: str | float) -> nn.Module:
        """The module of one slice with space behind an activation.

        Args:
            place: its name, or how deep in the network it lies, from 0 to 1.

        Raises:
            ValueError: the network has no slice of this name.
        """


class FaceRecognizer(Recognizer):
    """VGG-16: frozen convolutions and three trained dense layers.

    Args:
        identities: number of people, i.e. of logits.
        image_size: side of the square input in pixels, a multiple of 32.
        width: share of VGG-16's filters in every convolution.
        hidden: neurons in fc6 and fc7.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean.
        dropout: share of dropped neurons after fc6 and fc7 in training.

    Raises:
        ValueError: ``image_size`` is no multiple of 32.
    """

    def __init__(
        self,
        *,
        identities: int,
        image_size: int,
        width: float,
        hidden: int,
        mean: Sequence[float],
        scale: float,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if image_size % DOWNSAMPLING:
            raise ValueError(f"image_size must be a multiple of {DOWNSAMPLING}: {image_size}")
        self.image_size = image_size
        self.width = width
        self.normalisation = Normalisation(mean, scale)
        self.features = nn.Sequential(convolutional_layers(width))
        self.flatten = nn.Flatten()
        side = image_size // DOWNSAMPLING
        self.classifier = nn.Sequential(
            OrderedDict(
                fc6=nn.Linear(filters(width)[-1] * side * side, hidden),
                relu6=nn.ReLU(inplace=False),
                dropout6=nn.Dropout(dropout),
                fc7=nn.Linear(hidden, hidden),
                relu7=nn.ReLU(inplace=False),
                dropout7=nn.Dropout(dropout),
                fc8=nn.Linear(hidden, identities),
            )
        )

    def slice_modules(
        self, positions: Sequence[Position] = ("post_relu",), chosen: SliceChoice = "by_rule"
    ) -> OrderedDict[str, nn.Module]:
        """See :class:`Recognizer`; names are those in :data:`SLICES`, and the rule takes all."""
        modules: OrderedDict[str, nn.Module] = OrderedDict()
        for name in SLICES:
            layer = name.removesuffix(PRE_RELU)
            part = self.classifier if layer in DENSE else self.features
            if name != layer and "pre_relu" in positions:
                modules[name] = getattr(part, layer)
            elif name == layer and "post_relu" in positions:
                modules[name] = getattr(part, layer.replace("conv", "relu").replace("fc", "relu"))
        return modules if isinstance(chosen, str) else named_slices(modules, chosen)

    def shown_layers(self) -> tuple[str, ...]:
        """See :class:`Recognizer`."""
        return SHOWN

    def slice_at(self, place: str | float) -> nn.Module:
        """See :class:`Recognizer`."""
        name = place if isinstance(place, str) else CONVOLUTIONS[at_depth(place, len(CONVOLUTIONS))]
        return self.slice_modules(chosen=(name,))[name]


def named_slices(
    modules: OrderedDict[str, nn.Module], chosen: Sequence[str]
) -> OrderedDict[str, nn.Module]:
    """The slices of these layers, before and behind the activation (``ValueError``: no such)."""
    layers = [name.removesuffix(PRE_RELU) for name in modules]
    for name in chosen:
        if name not in layers:
            raise ValueError(f"no slice {name!r}; there are {', '.join(dict.fromkeys(layers))}")
    return OrderedDict(
        (name, module)
        for (name, module), layer in zip(modules.items(), layers, strict=True)
        if layer in chosen
    )


def at_depth(share: float, count: int) -> int:
    """Index of the layer at a share of the depth of ``count``, 0 for the first, 1 for the last."""
    return round(share * (count - 1))


Network = TypeVar("Network", bound=nn.Module)


def channels_last(network: Network) -> Network:
    """The network with its weights laid out channels last: convolutions on a CPU run faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def pixels_for(network: nn.Module, images: NDArray[np.uint8]) -> Tensor:
    """N x 3 x H x W pixels in [0, 1] of a network's number type, on its device.

    Args:
        network: see :func:`~glassguard.recognizer.answers.weights_like`; without weights, pixels
            are float32 in main memory.
        images: N x H x W x 3 uint8 RGB; may be memory-mapped, and is copied.

    Raises:
        ValueError: the pictures are of another type or shape, or the network has no memory.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            "pictures are uint8, N x height x width x 3: "
            f"{images.dtype}, {' x '.join(map(str, images.shape))}"
        )
    # A memory-mapped file may be read-only, which torch cannot use.
    pixels = to_pixels(torch.from_numpy(np.array(images)))
    return pixels.to(weights_like(network, pixels))


def to_pixels(images: Tensor) -> Tensor:
    """N x H x W x 3 uint8 RGB to N x 3 x H x W float32 in [0, 1], channels last in memory.

    Raises:
        ValueError: the pictures are of another number type.
    """
    if images.dtype != torch.uint8:
        raise ValueError(f"pictures are uint8: {images.dtype}")
    pixels = images.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
    return pixels.contiguous(memory_format=torch.channels_last)


def to_images(pixels: Tensor) -> Tensor:
    """N x 3 x H x W float in [0, 1] to N x H x W x 3 uint8 RGB, rounded to the nearest level.

    Raises:
        ValueError: see :func:`~glassguard.recognizer.answers.require_pixels`.
    """
    levels = require_pixels(pixels).mul(255.0).round_()
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
