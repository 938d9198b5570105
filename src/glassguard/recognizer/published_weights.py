"""VGG-16's thirteen convolutions out of the files that others publish.

Each format has its own names, order of axes, order of colours and range of pixels. Here they get
the names and the layout of :mod:`glassguard.recognizer.network`. A file's content tells its format.
Files are not trusted: nothing in them is executed, no link leads out of the file, and every array
is checked by name, shape and kind of number. :mod:`glassguard.recognizer.preprocessing` settles
how pixels enter the network.
"""

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.keras_weights import (
    ARCHIVED_WEIGHTS,
    KerasWeights,
    archived_keras_weights,
    keras_weights,
)
from glassguard.recognizer.layer_names import TORCHVISION_FEATURES as TORCHVISION_FEATURES
from glassguard.recognizer.layer_names import find_convolutions, is_layer_name, is_plain
from glassguard.recognizer.matconvnet_weights import matconvnet_convolutions
from glassguard.recognizer.network_files import READABLE, START, weight_format, why_no_weights
from glassguard.recognizer.preprocessing import (
    DEEPFACE,
    KERAS_VGGFACE,
    MATCONVNET,
    MATCONVNET_WITHOUT_COLOUR,
    OWN_SAFETENSORS,
    TORCHVISION,
    UNKNOWN,
    VGG_FACE_DAG,
    Preprocessing,
)
from glassguard.recognizer.pytorch_weights import check_pickle, state_dicts
from glassguard.recognizer.weight_arrays import (
    WeightsError,
    damage_named,
    filters_first,
    float_tensor,
    shown,
)
from glassguard.recognizer.weights import (
    METADATA_KEY,
    check_convolutions,
    described_backbone,
    read_tensors,
    relative_width,
)

LARGEST_FILE = 1 << 30
"""Bytes, packed and unpacked; the largest published file has 0.6 GB with its dense layers."""


@dataclass(frozen=True)
class PublishedWeights:
    """Convolutions of a file, and what is known of their input.

    Attributes:
        format: kind of file, in words.
        tensors: ``conv1_1.weight`` to ``conv5_3.bias``, float32, filters × inputs × 3 × 3; the
            three inputs of ``conv1_1`` in the file's own order.
        width: share of VGG-16's filters in every layer.
        stated: what the file says of its input; the mean in the order of ``conv1_1``'s inputs.
        assumed: what is usual in files with such names.
    """

    format: str
    tensors: dict[str, Tensor]
    width: float
    stated: Preprocessing
    assumed: Preprocessing


def read_published_weights(path: Path) -> PublishedWeights:
    """Read a weight file of any known format.

    Raises:
        InputError: the file is missing, damaged, of another format or of another network, or
            holds code; one line that names the file and the layer, or what the file holds.
    """
    try:
        return _read(path)
    except WeightsError as error:
        raise InputError(f"{path}: {error}") from None


def _read(path: Path) -> PublishedWeights:
    start = _first_bytes(path)
    match weight_format(start):
        case "keras":
            return _from_keras(path, keras_weights(path), "HDF5")
        case "matconvnet":
            return _from_matconvnet(path)
        case "zip":
            return _from_zip(path)
        case "pickle":
            check_pickle(path)
            return _from_pytorch(path)
        case "safetensors":
            return _from_safetensors(path)
    raise WeightsError(f"{why_no_weights(start)}; {READABLE}")


def _first_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(START)
    except FileNotFoundError:
        raise WeightsError("no such file") from None
    except IsADirectoryError:
        raise WeightsError(f"is a folder and no file; {READABLE}") from None
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}") from None
    if size > LARGEST_FILE:
        raise WeightsError(f"has {size} bytes; at most {LARGEST_FILE} are read")
    return start


def _checked(
    path: Path,
    tensors: dict[str, Tensor],
    form: str,
    assumed: Preprocessing,
    *,
    width: float | None = None,
    **stated: Any,
) -> PublishedWeights:
    for key, tensor in tensors.items():
        if not (is_plain(tensor) and tensor.is_floating_point()):
            raise WeightsError(f"{key} does not hold plain floating-point numbers")
    width = relative_width(tensors, path) if width is None else width
    checked = check_convolutions(tensors, width=width, path=path)
    for key, tensor in checked.items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{key} holds numbers that are not finite")
    said = Preprocessing(f"{path} ({form})", **stated)
    return PublishedWeights(form, checked, width, said, assumed)


def _from_safetensors(path: Path) -> PublishedWeights:
    tensors, metadata = read_tensors(path)
    if "normalisation.mean" in tensors and METADATA_KEY in metadata:
        raise WeightsError(
            "is a whole recognizer that glassguard wrote; give the backbone.safetensors "
            "that it was trained on"
        )
    found = find_convolutions("a safetensors file", {"": tensors})
    described = described_backbone(metadata) if found.style == "conv1_1" else None
    if described is not None:
        width, mean, scale = described
        stated = {"channels": "rgb", "mean": mean, "scale": scale}
        form = "safetensors of glassguard's own"
        return _checked(path, found.tensors, form, UNKNOWN, width=width, **stated)
    assumed = {"features.0": TORCHVISION, "conv1_1": OWN_SAFETENSORS}.get(found.style, UNKNOWN)
    return _checked(path, found.tensors, f"safetensors, first layer {found.called}", assumed)


def _from_pytorch(path: Path) -> PublishedWeights:
    form = "PyTorch state dict"
    found = find_convolutions(f"a {form}", state_dicts(path, at_most=LARGEST_FILE))
    assumed = {"features.0": TORCHVISION, "conv1_1": VGG_FACE_DAG}.get(found.style, UNKNOWN)
    return _checked(path, found.tensors, f"{form}, first layer {found.called}", assumed)


def _from_zip(path: Path) -> PublishedWeights:
    with damage_named("PyTorch file, nor .keras or .npz"), zipfile.ZipFile(path) as packed:
        names = [member.filename for member in packed.infolist()]
    if ARCHIVED_WEIGHTS in names:
        return _from_keras(path, archived_keras_weights(path, at_most=LARGEST_FILE), ".keras")
    if names and all(name.endswith(".npy") for name in names):
        return _from_npz(path)
    if any(name.endswith("/constants.pkl") for name in names):
        classes = [name.partition("/code/")[2] for name in names if name.endswith(".py")]
        raise WeightsError(
            f"is a TorchScript archive, which holds code ({shown(classes)}): load "
            "it with torch.jit.load and save its state_dict()"
        )
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return _from_pytorch(path)
    raise WeightsError(f"is a ZIP archive of other files ({shown(names) or 'none'}); {READABLE}")


def _from_npz(path: Path) -> PublishedWeights:
    tensors: dict[str, Tensor] = {}
    with damage_named("NumPy .npz file"), zipfile.ZipFile(path) as packed:
        members = {member.filename.removesuffix(".npy"): member for member in packed.infolist()}
        layers = [name for name in members if is_layer_name(name)]
        # Check before unpacking: a few compressed bytes may stand for any amount of memory.
        if sum(members[name].file_size for name in layers) > LARGEST_FILE:
            raise WeightsError(f"unpacks to more than {LARGEST_FILE} bytes")
        for name in layers:
            tensors[name] = _array(packed.read(members[name]))
    found = find_convolutions("a NumPy .npz file", {"": tensors}, names=list(members))
    kernels = [name for name in found.tensors if name.endswith(".weight")]
    shapes = [tuple(found.tensors[name].shape) for name in kernels]
    # No VGG-16 has three filters in every layer, so only one order of axes fits.
    if all(shape[:2] == (3, 3) for shape in shapes) and any(s[2:] != (3, 3) for s in shapes):
        for name in kernels:
            found.tensors[name] = filters_first(found.tensors[name])
    return _checked(path, found.tensors, f"NumPy .npz, first layer {found.called}", UNKNOWN)


def _array(content: bytes) -> Tensor:
    file = io.BytesIO(content)
    header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(file)]
    shape, _, kind = header(file)
    # A short array may claim to be a long one.
    if math.prod(shape) * kind.itemsize > len(content):
        raise ValueError(f"an array of shape {shape} is cut off")
    file.seek(0)
    return float_tensor(np.lib.format.read_array(file, allow_pickle=False))


def _from_keras(path: Path, read: KerasWeights, kind: str) -> PublishedWeights:
    form = f"Keras{' 3' if read.keras_3 else ''} {kind}"
    found = find_convolutions(f"a {form} file", {"": read.tensors})
    assumed = UNKNOWN
    if not read.keras_3:
        if read.by_order:
            assumed = DEEPFACE if read.dense else UNKNOWN
        elif found.style == "conv1_1":
            assumed = KERAS_VGGFACE
    form += " without layer names" if read.by_order else f", first layer {found.called}"
    return _checked(path, found.tensors, form, assumed)


def _from_matconvnet(path: Path) -> PublishedWeights:
    tensors, mean, with_mean = matconvnet_convolutions(path, at_most=LARGEST_FILE)
    assumed = MATCONVNET_WITHOUT_COLOUR if with_mean and mean is None else MATCONVNET
    return _checked(path, tensors, "MatConvNet .mat", assumed, mean=mean)
