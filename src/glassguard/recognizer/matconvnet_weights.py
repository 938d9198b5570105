"""VGG-16's convolutions out of MatConvNet's MATLAB 5 files (Parkhi et al. 2015)."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from torch import Tensor

from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.preprocessing import Colour
from glassguard.recognizer.weight_arrays import (
    WeightsError,
    damage_named,
    filters_first,
    float_tensor,
)


def matconvnet_convolutions(
    path: Path, *, at_most: int
) -> tuple[dict[str, Tensor], Colour | None, bool]:
    """The convolutions in a file, and the mean colour that it subtracts.

    Returns:
        The tensors by ``conv1_1.weight`` to ``conv5_3.bias``, float32; the mean in the order of
        ``conv1_1``'s inputs, or None; whether the file has any mean, which may be a picture.

    Raises:
        WeightsError: the file is damaged, unpacks to more than ``at_most`` bytes, or holds another
            network.
    """
    tensors: dict[str, Tensor] = {}
    with damage_named("MatConvNet .mat file"):
        _check_unpacked_size(path, at_most)
        values = scipy.io.loadmat(
            path, variable_names=["net", "layers", "normalization", "meta"], simplify_cells=True
        )
        net = values.get("net", values)
        for layer in net["layers"]:
            name = str(layer.get("name"))
            if layer.get("type") == "bnorm":
                raise WeightsError(f"{name} is a batch normalisation, VGG-16 has none")
            if name in CONVOLUTIONS:
                _check_layout(name, layer)
                older = layer.get("filters"), layer.get("biases")
                kernel, bias = map(np.asarray, layer.get("weights", older))
                # MATLAB drops trailing axes of one element.
                kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))
                tensors[f"{name}.weight"] = filters_first(float_tensor(kernel))
                tensors[f"{name}.bias"] = float_tensor(bias.reshape(-1))
        # The field has moved once.
        described = net.get("normalization", net.get("meta", {}).get("normalization", {}))
        if "averageImage" not in described:
            return tensors, None, False
        return tensors, _one_colour(np.asarray(described["averageImage"], dtype=np.float64)), True


def _one_colour(mean: np.ndarray) -> Colour | None:
    """The colour of a mean picture that has only one."""
    if mean.size == 0 or mean.size % 3 or not np.isfinite(mean).all():
        return None
    colours = mean.reshape(-1, 3)
    first, second, third = colours[0].tolist()
    return (first, second, third) if (colours == colours[0]).all() else None


def _check_unpacked_size(path: Path, at_most: int) -> None:
    """Refuse a MATLAB 5 file whose packed elements are larger than ``at_most`` bytes.

    It keeps nothing that it unpacks: a few bytes may stand for any amount of memory.
    """
    packed_element, block = 15, 1 << 20
    unpacked = 0
    with path.open("rb") as file:
        order = "<" if file.read(128)[126:] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            if kind != packed_element:
                file.seek(length, 1)
                continue
            unpacking = zlib.decompressobj()
            left = length
            while left > 0 and (packed := file.read(min(left, block))):
                left -= len(packed)
                while packed:
                    unpacked += len(unpacking.decompress(packed, block))
                    packed = unpacking.unconsumed_tail
                    if unpacked > at_most:
                        raise WeightsError(f"unpacks to more than {at_most} bytes")


def _check_layout(name: str, layer: dict[str, Any]) -> None:
    for key in ("pad", "stride", "dilate"):
        if key in layer and not (np.asarray(layer[key]) == 1).all():
            raise WeightsError(f"{name} has {key} {np.asarray(layer[key]).tolist()}, VGG-16 has 1")
