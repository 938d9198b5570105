"""Finds VGG-16's thirteen convolutions by the names of the tensors in a weight file.

Training code wraps networks in many ways, and every wrapping adds a prefix to the names of their
layers. Only the end of a name counts; tensors with the same prefix in the same mapping belong
together.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.weight_arrays import WeightsError, shown

Style = Literal["conv1_1", "conv_1_1", "block1_conv1", "features.0", "0"]
"""Name of the first convolution in a file."""

TORCHVISION_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Indices of the thirteen convolutions in torchvision's ``vgg16().features``."""

# Prefixes that DataParallel and torch.compile add to the names of a module that they wrap.
_WRAPPED = r"(?:(?:module|_orig_mod)\.)*"
_NAME = re.compile(
    r"(?P<prefix>(?:.*?[./])??)"
    r"(?:(?P<conv>conv(?P<under>_?))(?P<block>[1-9])_(?P<place>[1-9])"
    r"|block(?P<keras_block>[1-9])_conv(?P<keras_place>[1-9])"
    rf"|(?P<features>features[._]{_WRAPPED})?(?P<number>[0-9]{{1,3}}))"
    rf"[./_]{_WRAPPED}(?:(?P<weight>weights?|kernel|w)|bias|biases|b)(?::0)?",
    re.IGNORECASE,
)
_NORMALISED = re.compile(
    r"(?:features[._])?(?:module\.)?([0-9]+)\.running_mean|.*[1-5]_[1-9].*(?:running|moving)_mean",
    re.IGNORECASE,
)
_LONGEST_NAME = 300
_NUMBERS = dict(zip(TORCHVISION_FEATURES, CONVOLUTIONS, strict=True))
_KEYS = tuple(f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias"))
_FIRST = _KEYS[0]


@dataclass
class Convolutions:
    """The tensors of one network in a file.

    Attributes:
        style: the file's name of the first convolution.
        called: full name of the first convolution's kernel, with its mapping.
        tensors: by ``conv1_1.weight`` to ``conv5_3.bias``, as the file has them.
        further: names of kernels between them, which VGG-16 does not have.
    """

    style: Style
    called: str = ""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    further: list[str] = field(default_factory=list)

    def is_whole(self) -> bool:
        """Whether no tensor is missing."""
        return self.tensors.keys() >= set(_KEYS)


def is_layer_name(name: str) -> bool:
    """Whether a tensor's name ends like that of one of VGG-16's convolutions."""
    return _match(name) is not None


def find_convolutions(
    form: str, mappings: Mapping[str, Mapping[str, Tensor]], names: Sequence[str] = ()
) -> Convolutions:
    """The convolutions of the one VGG-16 in a file; some may be missing.

    Args:
        form: kind of file, for messages.
        mappings: tensors by name, by the place of their mapping in the file.
        names: what else the file names, for messages.

    Raises:
        WeightsError: there is none, there are several with different weights, or it has layers
            between the convolutions that VGG-16 does not have.
    """
    found: dict[tuple[str, str, Style], Convolutions] = {}
    for place, tensors in mappings.items():
        for name, tensor in tensors.items():
            _add(found, place, name, tensor)
    candidates = [
        (place, prefix, group)
        for (place, prefix, style), group in found.items()
        if _FIRST in group.tensors
        and group.tensors[_FIRST].ndim == 4
        # Any sequence of layers has numbers.
        and (style != "0" or group.is_whole())
    ]
    whole = [one for one in candidates if one[2].is_whole()]
    if not candidates:
        held = [f"{place}{name}" for place, tensors in mappings.items() for name in tensors]
        first = shown(held or names)
        raise WeightsError(
            f"{form} in which no layer is called {CONVOLUTIONS[0]}, nor features.0 as in "
            f"torchvision; {f'its first are {first}' if first else 'it holds no tensors'}"
        )
    place, prefix, chosen = (whole or candidates)[0]
    for _, _, other in whole[1:]:
        if not all(_equal(chosen.tensors[key], other.tensors[key]) for key in _KEYS):
            raise WeightsError(
                f"{form} of several networks with different weights ({chosen.called} and "
                f"{other.called}); save the one that is meant alone"
            )
    if chosen.further:
        raise WeightsError(
            f"{chosen.further[0]} lies between its convolutions, a VGG-16 has no such layer"
        )
    for name in (*mappings[place], *names):
        normalised = _NORMALISED.fullmatch(name.removeprefix(prefix)[:_LONGEST_NAME])
        if normalised and int(normalised[1] or 0) <= TORCHVISION_FEATURES[-1]:
            raise WeightsError(
                f"{shown([name])} belongs to a batch normalisation, which a VGG-16 does "
                "not have; fold it into the convolutions"
            )
    return chosen


def _match(name: str) -> re.Match[str] | None:
    return _NAME.fullmatch(name) if len(name) <= _LONGEST_NAME else None


def _add(
    found: dict[tuple[str, str, Style], Convolutions],
    place: str,
    name: str,
    tensor: Tensor,
) -> None:
    match = _match(name)
    if match is None:
        return
    full = shown([f"{place}{name}"])
    style: Style
    inside = True
    if match["number"]:
        style = "features.0" if match["features"] else "0"
        layer = _NUMBERS.get(int(match["number"]), "")
        inside = int(match["number"]) <= TORCHVISION_FEATURES[-1]
    elif match["conv"]:
        style = "conv_1_1" if match["under"] else "conv1_1"
        layer = f"conv{match['block']}_{match['place']}"
    else:
        style = "block1_conv1"
        layer = f"conv{match['keras_block']}_{match['keras_place']}"
    group = found.setdefault((place, match["prefix"], style), Convolutions(style))
    if layer not in CONVOLUTIONS:
        # Anything may follow the convolutions: dense layers, or those of an object detector.
        if inside and layer[4:5] <= CONVOLUTIONS[-1][4] and tensor.ndim == 4:
            group.further.append(full)
        return
    key = f"{layer}.{'weight' if match['weight'] else 'bias'}"
    if key in group.tensors and not _equal(group.tensors[key], tensor):
        raise WeightsError(f"holds {key} twice, the second time as {full}")
    group.tensors[key] = tensor
    if key == _FIRST:
        group.called = full


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is dense, in main memory, and of no subclass."""
    plain = type(tensor) in (Tensor, torch.nn.Parameter) and not tensor.is_nested
    return plain and tensor.layout == torch.strided and tensor.device.type == "cpu"


def _equal(one: Tensor, other: Tensor) -> bool:
    return is_plain(one) and is_plain(other) and one.dtype == other.dtype and one.equal(other)
