"""VGG-16's thirteen convolutions out of the files that others publish.

Each format has its own names, its own order of axes and of colour channels, and its own idea of
what the pixels should look like; here they become the names and the layout of
:mod:`glassguard.recognizer.network`. The format is told by the content of a file. Files are not
trusted: nothing in them is executed, no link in them is followed out of the file, and every array
is checked by name, shape and kind of number.

Sources of the conventions: ``vgg_face_dag`` (pytorch-mcn), keras-vggface, deepface, MatConvNet's
``vgg_face.mat`` (Parkhi et al. 2015), and torchvision's ImageNet weights.
"""

import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import scipy.io
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.layers import CONVOLUTIONS, FILTERS_PER_BLOCK
from glassguard.recognizer.network_files import READABLE, START, weight_format, why_no_weights
from glassguard.recognizer.pickled_names import unneeded_name
from glassguard.recognizer.weights import (
    check_convolutions,
    described_backbone,
    read_tensors,
    relative_width,
)

Channels = Literal["rgb", "bgr"]

VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)
"""R, G, B of the faces that VGG-Face was trained on, 0-255 (Parkhi et al. 2015)."""
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""torchvision's, there on the scale 0-1."""

TORCHVISION_FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Where the thirteen convolutions stand in torchvision's ``vgg16().features``."""

LARGEST_FILE = 1 << 30
"""Bytes, packed and unpacked; the largest published file, with its dense layers, has 0.6 GB."""
_FIRST_OF_TORCHVISION = f"features.{TORCHVISION_FEATURES[0]}.weight"
LARGEST_KERNEL = 3 * 3 * FILTERS_PER_BLOCK[-1] ** 2
DENSE_LAYERS = 3

_UNNAMED = re.compile(r"(conv|convolution)2d(_\d+)?")


@dataclass(frozen=True)
class PublishedWeights:
    """Convolutions as their file has them, and what it says of their input.

    Attributes:
        format: what kind of file it is, in words.
        tensors: ``conv1_1.weight`` to ``conv5_3.bias``, float32, filters × inputs × 3 × 3; the
            three inputs of ``conv1_1`` in the order of ``channels``.
        width: share of VGG-16's filters in every layer.
        mean: R, G, B means on the 0-255 scale; None where the file does not say.
        scale: divisor after subtraction of the mean; None where the file does not say.
        channels: order of the colours that ``conv1_1`` expects; None where the file does not say.
    """

    format: str
    tensors: dict[str, Tensor]
    width: float
    mean: tuple[float, float, float] | None
    scale: float | None
    channels: Channels | None


def read_published_weights(path: Path) -> PublishedWeights:
    """Read a weight file of any known format.

    Raises:
        InputError: the file is missing, damaged, of another format or of another network, or
            holds code; one line that names the file and the layer.
    """
    start = _first_bytes(path)
    match weight_format(start):
        case "keras":
            return _from_keras(path)
        case "matconvnet":
            return _from_matconvnet(path)
        case "pytorch":
            return _from_pytorch(path)
        case "safetensors":
            return _from_safetensors(path)
    raise InputError(f"{path}: {why_no_weights(start)}; {READABLE}")


def in_rgb(tensors: dict[str, Tensor], channels: Channels) -> dict[str, Tensor]:
    """Convolutions for RGB pictures out of those for ``channels``."""
    if channels == "rgb":
        return tensors
    first = f"{CONVOLUTIONS[0]}.weight"
    return {**tensors, first: tensors[first].flip(1).contiguous()}


def fold_deviation(tensors: dict[str, Tensor], deviation: Iterable[float]) -> dict[str, Tensor]:
    """Convolutions for ``pixels - mean`` out of those for ``(pixels - mean) / deviation``.

    Exact at the border too: padding puts zeros around the normalised picture, and zero divided by
    the deviation is zero.

    Args:
        tensors: the convolutions.
        deviation: standard deviation of each input channel, in the order of ``conv1_1``'s inputs.
    """
    first = f"{CONVOLUTIONS[0]}.weight"
    divisors = torch.tensor(list(deviation), dtype=torch.float64).view(1, 3, 1, 1)
    return {**tensors, first: (tensors[first].double() / divisors).float()}


def _first_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(START)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder and no file; {READABLE}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if size > LARGEST_FILE:
        raise InputError(f"{path}: has {size} bytes; at most {LARGEST_FILE} are read")
    return start


def _checked(
    path: Path,
    tensors: dict[str, Tensor],
    form: str,
    *,
    width: float | None = None,
    mean: tuple[float, float, float] | None,
    scale: float | None,
    channels: Channels | None,
) -> PublishedWeights:
    for key, tensor in tensors.items():
        plain = type(tensor) in (Tensor, torch.nn.Parameter) and not tensor.is_nested
        stored = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not (plain and stored and tensor.is_floating_point()):
            raise InputError(f"{path}: {key} does not hold plain floating-point numbers")
    width = relative_width(tensors, path) if width is None else width
    checked = check_convolutions(tensors, width=width, path=path)
    for key, tensor in checked.items():
        if not tensor.isfinite().all():
            raise InputError(f"{path}: {key} holds numbers that are not finite")
    return PublishedWeights(form, checked, width, mean, scale, channels)


def _from_safetensors(path: Path) -> PublishedWeights:
    tensors, metadata = read_tensors(path)
    if _FIRST_OF_TORCHVISION in tensors:
        return _from_torchvision(path, tensors)
    wanted = _named_as_here(path, tensors)
    # Without a description the width is read off the first layer.
    width, mean, scale = described_backbone(metadata) or (None, None, None)
    return _checked(
        path, wanted, "safetensors", width=width, mean=mean, scale=scale, channels="rgb"
    )


def _from_pytorch(path: Path) -> PublishedWeights:
    with _damage_named(path, "PyTorch file"):
        _check_packed_size(path)
    # A hostile file may make the reader fail in any way; it is refused all the same.
    try:
        named = unneeded_name(path)
        state = {} if named else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        detail = "it holds code or objects" if "weights_only" in str(error) else "it is damaged"
        raise InputError(f"{path}: not a PyTorch file of nothing but tensors: {detail}") from None
    if named:
        raise InputError(
            f"{path}: not a PyTorch file of nothing but tensors: it holds code or objects ({named})"
        )
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise InputError(f"{path}: not a state dict: must map names to tensors")
    # What DataParallel writes.
    tensors = {
        key.removeprefix("module."): value
        for key, value in state.items()
        if isinstance(value, Tensor)
    }
    if _FIRST_OF_TORCHVISION in tensors:
        return _from_torchvision(path, tensors)
    wanted = _named_as_here(path, tensors)
    form = "PyTorch state dict of VGG-Face"
    return _checked(path, wanted, form, mean=VGG_FACE_MEAN, scale=1.0, channels="rgb")


def _check_packed_size(path: Path) -> None:
    """Refuse a ZIP file that PyTorch did not write: it packs nothing, whatever that unpacks to."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise InputError(f"{path}: not a PyTorch file: its members are compressed")
    if sum(member.file_size for member in members) > LARGEST_FILE:
        raise InputError(f"{path}: not a PyTorch file: its members are larger than itself")


def _named_as_here(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    named = {key: value for key, value in tensors.items() if key.split(".")[0] in CONVOLUTIONS}
    if tensors and not named:
        raise InputError(
            f"{path}: no layer is called {CONVOLUTIONS[0]}, nor features.0 as in torchvision; its "
            f"first are {', '.join(list(tensors)[:3])}"
        )
    return named


def _from_torchvision(path: Path, tensors: dict[str, Tensor]) -> PublishedWeights:
    named = {
        f"{name}.{part}": tensors[f"features.{number}.{part}"]
        for name, number in zip(CONVOLUTIONS, TORCHVISION_FEATURES, strict=True)
        for part in ("weight", "bias")
        if f"features.{number}.{part}" in tensors
    }
    form = "torchvision state dict of ImageNet"
    read = _checked(path, named, form, mean=IMAGENET_MEAN, scale=1.0, channels="rgb")
    return replace(read, tensors=fold_deviation(read.tensors, IMAGENET_DEVIATION))


def _from_keras(path: Path) -> PublishedWeights:
    with _damage_named(path, "Keras HDF5 file"), h5py.File(path, "r") as file:
        group = file
        if "model_weights" in file:
            group = _member(path, file, "model_weights")
            _check_keras_layout(path, file)
        if "layer_names" not in group.attrs:
            raise InputError(f"{path}: no Keras weights: the attribute layer_names is missing")
        layers = dict(_keras_layers(path, group))
        named = any(name in CONVOLUTIONS for name in layers)
        if not named:
            layers = _by_order(path, layers)
        tensors = {
            key: tensor
            for name in CONVOLUTIONS
            if name in layers
            for key, tensor in _keras_tensors(path, name, layers[name])
        }
    form = "Keras HDF5 of VGG-Face" if named else "Keras HDF5 of VGG-Face without layer names"
    # The unnamed file's channel order is stated nowhere.
    channels: Channels | None = "bgr" if named else None
    return _checked(path, tensors, form, mean=VGG_FACE_MEAN, scale=1.0, channels=channels)


def _keras_layers(path: Path, group: h5py.Group) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    """Name and weights of every layer that has a kernel with two spatial axes, in order."""
    for name in _texts(group.attrs["layer_names"]):
        layer = _member(path, group, name)
        weights = [
            _member(path, layer, weight) for weight in _texts(layer.attrs.get("weight_names", []))
        ]
        if weights and isinstance(weights[0], h5py.Dataset) and weights[0].ndim == 4:
            yield name, weights


def _by_order(path: Path, layers: dict[str, list[h5py.Dataset]]) -> dict[str, list[h5py.Dataset]]:
    """Layers with Keras's own names, named by their order; dense layers may be convolutions."""
    unnamed = all(_UNNAMED.fullmatch(name) for name in layers)
    if not unnamed or len(layers) not in (len(CONVOLUTIONS), len(CONVOLUTIONS) + DENSE_LAYERS):
        raise InputError(
            f"{path}: {CONVOLUTIONS[0]} is missing, and its {len(layers)} convolutions "
            f"({', '.join(list(layers)[:3])} ...) are not the {len(CONVOLUTIONS)} of a VGG-16 with "
            f"or without {DENSE_LAYERS} dense layers"
        )
    return dict(zip(CONVOLUTIONS, layers.values(), strict=False))


def _keras_tensors(
    path: Path, name: str, weights: list[h5py.Dataset]
) -> Iterator[tuple[str, Tensor]]:
    if len(weights) != 2:
        raise InputError(
            f"{path}: {name} has {len(weights)} arrays; a kernel and a bias are wanted"
        )
    for part, dataset in zip(("weight", "bias"), weights, strict=True):
        # Checked before reading: a few compressed bytes may stand for any amount of memory.
        if dataset.size > LARGEST_KERNEL or dataset.dtype.kind != "f":
            raise InputError(
                f"{path}: {name}.{part} has shape {dataset.shape} of {dataset.dtype}, which is "
                "none of VGG-16's"
            )
        # A chunk is unpacked as a whole, however little of it the array needs.
        if dataset.chunks is not None and math.prod(dataset.chunks) > LARGEST_KERNEL:
            raise InputError(
                f"{path}: {name}.{part} is stored in chunks of shape {dataset.chunks}; at most "
                f"{LARGEST_KERNEL} numbers each are read"
            )
        array = np.asarray(dataset[()], dtype=np.float32)
        yield f"{name}.{part}", _filters_first(array) if part == "weight" else _tensor(array)


def _check_keras_layout(path: Path, file: h5py.File) -> None:
    """Refuse a whole model whose convolutions step, spread or pad otherwise than VGG-16's."""
    if "model_config" not in file.attrs:
        return
    described = json.loads(_texts([file.attrs["model_config"]])[0])["config"]
    convolutions = 0
    before: dict[str, Any] = {}
    # Keras before 2.2.3 wrote a Sequential model as the list of its layers alone.
    for layer in described if isinstance(described, list) else described["layers"]:
        settings = layer["config"]
        if layer["class_name"] in ("Conv2D", "Convolution2D"):
            convolutions += 1
            for key in ("strides", "dilation_rate"):
                if any(step != 1 for step in settings.get(key, [1])):
                    raise InputError(
                        f"{path}: {settings.get('name')} has {key} {settings[key]}, VGG-16 has 1"
                    )
            # Dense layers that are written as convolutions follow, and pad nothing.
            if convolutions <= len(CONVOLUTIONS):
                _check_keras_padding(path, settings, before)
        before = layer


def _check_keras_padding(path: Path, settings: dict[str, Any], before: dict[str, Any]) -> None:
    """Refuse a 3×3 convolution that does not get one row of zeros on every side.

    Args:
        path: the file, for the message.
        settings: the convolution's.
        before: description of the layer before it: some networks pad in a layer of its own.
    """
    # Keras 1 had another name for it.
    padding = settings.get("padding", settings.get("border_mode"))
    if padding is None:
        return
    apart = None
    if before.get("class_name") == "ZeroPadding2D":
        apart = before["config"]["padding"]
    padded_apart = apart is not None and bool((np.asarray(apart) == 1).all())
    if (padding, apart) == ("same", None) or (padding == "valid" and padded_apart):
        return
    raise InputError(
        f"{path}: {settings.get('name')} has padding {padding}"
        f"{'' if apart is None else f' behind zeros of {apart}'}, VGG-16 has same, or valid behind "
        "one row of zeros (ZeroPadding2D)"
    )


def _from_matconvnet(path: Path) -> PublishedWeights:
    tensors: dict[str, Tensor] = {}
    with _damage_named(path, "MatConvNet .mat file"):
        _check_unpacked_size(path)
        values = scipy.io.loadmat(
            path, variable_names=["net", "layers", "normalization", "meta"], simplify_cells=True
        )
        net = values.get("net", values)
        for layer in net["layers"]:
            name = str(layer.get("name"))
            if name in CONVOLUTIONS:
                _check_matconvnet_layout(path, name, layer)
                kernel, bias = layer["weights"] if "weights" in layer else (
                    layer["filters"], layer["biases"]
                )  # fmt: skip
                kernel = np.asarray(kernel)
                # MATLAB has no trailing axes of one element.
                kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))
                tensors[f"{name}.weight"] = _filters_first(kernel)
                tensors[f"{name}.bias"] = _tensor(np.asarray(bias).reshape(-1))
        mean = _average_colour(net)
    scale = None if mean is None else 1.0
    return _checked(path, tensors, "MatConvNet .mat", mean=mean, scale=scale, channels="rgb")


def _check_unpacked_size(path: Path) -> None:
    """Refuse a MATLAB 5 file whose packed elements are larger than :data:`LARGEST_FILE`.

    Nothing that is unpacked is kept: a few bytes may stand for any amount of memory.
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
                    if unpacked > LARGEST_FILE:
                        raise InputError(f"{path}: unpacks to more than {LARGEST_FILE} bytes")


def _check_matconvnet_layout(path: Path, name: str, layer: dict[str, Any]) -> None:
    for key in ("pad", "stride", "dilate"):
        if key in layer and not (np.asarray(layer[key]) == 1).all():
            raise InputError(
                f"{path}: {name} has {key} {np.asarray(layer[key]).tolist()}, VGG-16 has 1"
            )


def _average_colour(net: dict[str, Any]) -> tuple[float, float, float] | None:
    """The mean that is subtracted, where it is one colour; the field's place has changed once."""
    described = net.get("normalization", net.get("meta", {}).get("normalization", {}))
    colours = np.asarray(described.get("averageImage", VGG_FACE_MEAN), dtype=np.float64)
    if colours.size == 0 or colours.size % 3 or np.ptp(colours.reshape(-1, 3), axis=0).max() > 0:
        return None
    red, green, blue = colours.reshape(-1, 3)[0]
    return float(red), float(green), float(blue)


@contextmanager
def _damage_named(path: Path, kind: str) -> Iterator[None]:
    # A hostile file may make the reader fail in any way; it is refused all the same.
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: not a readable {kind}: {detail}") from None


def _member(path: Path, group: h5py.Group, name: str) -> Any:
    """A group or dataset below ``group`` that lies in this very file."""
    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise InputError(f"{path}: {name} is missing")
        if isinstance(link, h5py.HardLink):
            group = group[part]
        if not isinstance(link, h5py.HardLink) or (
            isinstance(group, h5py.Dataset) and (group.external or group.is_virtual)
        ):
            raise InputError(f"{path}: {name} is a link to elsewhere, which is not followed")
    return group


def _texts(values: Iterable[Any]) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _filters_first(kernel: NDArray[Any]) -> Tensor:
    """Height × width × inputs × filters to filters × inputs × height × width."""
    return _tensor(kernel.transpose(3, 2, 0, 1))


def _tensor(array: NDArray[Any]) -> Tensor:
    if array.dtype.kind != "f":
        raise ValueError(f"{array.dtype} where floating-point numbers are wanted")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
