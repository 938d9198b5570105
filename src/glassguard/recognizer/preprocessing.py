"""How pixels enter a network: what its weight file says, what is configured, and what is usual.

Hardly any weight file says it. Names like those of a well-known publication suggest what that
publication does: ``vgg_face_dag`` (pytorch-mcn), keras-vggface, deepface, MatConvNet's
``vgg_face.mat`` (Parkhi et al. 2015), or torchvision's ImageNet weights. That is an assumption,
and is kept apart from what the file says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.settings import Backbone, Channels
from glassguard.recognizer.weights import BackboneFile

Colour = tuple[float, float, float]

VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)
"""R, G, B of the faces that VGG-Face was trained on, 0-255 (Parkhi et al. 2015)."""
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""torchvision's, there on the scale 0-1."""

_ALLOWED = {
    "channels": "rgb, bgr",
    "mean": "three numbers on the scale 0-255, of red, green and blue",
    "scale": "a number above 0, by which pixels on the scale 0-255 less the mean are divided, or "
    "one each of red, green and blue",
}
_FIRST = f"{CONVOLUTIONS[0]}.weight"


@dataclass(frozen=True)
class Preprocessing:
    """What happens to pixels before ``conv1_1``; None where that is not known.

    Attributes:
        of: who does it, for messages.
        channels: order of the colours that ``conv1_1`` expects.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean, or one each of R, G and B.
    """

    of: str
    channels: Channels | None = None
    mean: Colour | None = None
    scale: float | Colour | None = None

    def described(self, keys: Iterable[str] = _ALLOWED) -> str:
        """Names and values in one line."""
        return "; ".join(f"{key} {_shown(getattr(self, key))}" for key in keys)


TORCHVISION = Preprocessing("torchvision's IMAGENET1K_V1", "rgb", IMAGENET_MEAN, IMAGENET_DEVIATION)
VGG_FACE_DAG = Preprocessing("vgg_face_dag.pth", "rgb", VGG_FACE_MEAN, 1.0)
KERAS_VGGFACE = Preprocessing("keras-vggface", "bgr", VGG_FACE_MEAN, 1.0)
DEEPFACE = Preprocessing("deepface", None, VGG_FACE_MEAN, 1.0)
MATCONVNET = Preprocessing("MatConvNet's vgg_face.mat", "rgb", VGG_FACE_MEAN, 1.0)
# The file holds a mean picture, which is of no use here.
MATCONVNET_WITHOUT_COLOUR = Preprocessing("MatConvNet", "rgb")
OWN_SAFETENSORS = Preprocessing("glassguard's own files", "rgb")
UNKNOWN = Preprocessing("nobody")


def settled(
    given: Backbone, stated: Preprocessing, usual: Preprocessing
) -> tuple[Preprocessing, list[str]]:
    """How pixels enter a network: as its file says, else as configured, else as usual.

    Args:
        given: the ``backbone`` section of the configuration.
        stated: what the file says; its mean in the order of ``conv1_1``'s inputs.
        usual: what is usual in files with such names.

    Returns:
        All three settings, and the names of those that are assumed.

    Raises:
        InputError: the file contradicts the configuration, or nobody says what is needed.
    """
    if (given.channels or usual.channels) == "bgr" and stated.mean is not None:
        stated = replace(stated, mean=stated.mean[::-1])
    known: dict[str, Any] = {}
    denied = []
    for key in _ALLOWED:
        value, said, common = (getattr(one, key) for one in (given, stated, usual))
        if None not in (value, said) and not _same(value, said):
            raise InputError(
                f"backbone.{key}: {_shown(value)} is not what {stated.of} expects; allowed are "
                f"{_shown(said)} and null (as the file says)"
            )
        known[key] = value if said is None else said
        if said is None and None not in (value, common) and not _same(value, common):
            denied.append(key)
    assumed = [key for key, value in known.items() if value is None]
    # If one setting departs from a convention, its numbers mean nothing. Nor does its order of
    # colours, unless it is RGB, the order of the pictures here.
    missing = [
        key
        for key in assumed
        if getattr(usual, key) is None
        or (denied and (key != "channels" or usual.channels != "rgb"))
    ]
    if missing:
        reason = f"{stated.of} does not say what it expects"
        if all(getattr(usual, key) is not None for key in missing):
            departs = f"backbone.{denied[0]}={_shown(getattr(given, denied[0]))}"
            reason += f", and {departs} is not that of {usual.of}"
        allowed = "; ".join(
            _ALLOWED[key] if len(missing) == 1 else f"{key}: {_ALLOWED[key]}" for key in missing
        )
        raise InputError(f"{_keys(missing)}: required, since {reason}; allowed: {allowed}")
    known |= {key: getattr(usual, key) for key in assumed}
    return Preprocessing(stated.of, **known), assumed


def assumption(preprocessing: Preprocessing, assumed: Sequence[str], usual: Preprocessing) -> str:
    """One line that says what is assumed and how to say otherwise; see :func:`settled`."""
    *others, last = (f"backbone.{key}" for key in assumed)
    return (
        f"{preprocessing.of} does not say how pixels enter its network. Assumed, as in "
        f"{usual.of}: {preprocessing.described(assumed)}. If its network expects something else, "
        f"give {' and '.join(filter(None, [', '.join(others), last]))} (docs/weights.md)."
    )


def backbone_for_rgb(
    tensors: dict[str, Tensor], width: float, expected: Preprocessing
) -> BackboneFile:
    """A backbone for RGB pictures and a single scale out of weights that expect another input.

    Args:
        tensors: ``conv1_1.weight`` to ``conv5_3.bias``.
        width: share of VGG-16's filters in every layer.
        expected: the input, complete.
    """
    mean, scale = expected.mean, expected.scale
    if expected.channels is None or mean is None or scale is None:
        raise ValueError(f"the input of {expected.of} is not known")
    tensors = in_rgb(tensors, expected.channels)
    if isinstance(scale, tuple):
        tensors, scale = fold_deviation(tensors, scale), 1.0
    return BackboneFile(tensors, width, mean, scale)


def in_rgb(tensors: dict[str, Tensor], channels: Channels) -> dict[str, Tensor]:
    """Convolutions for RGB pictures out of those for ``channels``."""
    if channels == "rgb":
        return tensors
    return {**tensors, _FIRST: tensors[_FIRST].flip(1).contiguous()}


def fold_deviation(tensors: dict[str, Tensor], deviation: Iterable[float]) -> dict[str, Tensor]:
    """Convolutions for ``pixels - mean`` out of those for ``(pixels - mean) / deviation``.

    This is exact at the border too: padding puts zeros around the normalised picture, and zero
    divided by the deviation is zero.

    Args:
        tensors: the convolutions.
        deviation: standard deviation of each input channel, in the order of ``conv1_1``'s inputs.
    """
    divisors = torch.tensor(list(deviation), dtype=torch.float64).view(1, 3, 1, 1)
    return {**tensors, _FIRST: (tensors[_FIRST].double() / divisors).float()}


def _keys(names: Sequence[str]) -> str:
    return ", ".join(f"backbone.{name}" for name in names)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return one == other
    return np.allclose(one, other, rtol=0, atol=1e-3)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(f"{number:g}" for number in np.atleast_1d(value))
