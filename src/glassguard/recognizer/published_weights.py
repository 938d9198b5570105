"""VGG-16's thirteen convolutions out of the files that others publish.

Each format has its own names, its own order of axes and of colour channels, and its own idea of
what the pixels should look like; here they become the names and the layout of
:mod:`glassguard.recognizer.network`. The format is told by the content of a file. Hardly any file
says how pixels enter its network; where its names are those of a well-known publication, what that
publication does is reported as an assumption, apart from what the file says. Files are not
trusted: nothing in them is executed, no link in them is followed out of the file, and every array
is checked by name, shape and kind of number.

Sources of the conventions: ``vgg_face_dag`` (pytorch-mcn), keras-vggface, deepface, MatConvNet's
``vgg_face.mat`` (Parkhi et al. 2015), and torchvision's ImageNet weights.
"""

import io
import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.keras_weights import (
    ARCHIVED_WEIGHTS,
    KerasWeights,
    archived_keras_weights,
    keras_weights,
)
from glassguard.recognizer.layer_names import (
    TORCHVISION_FEATURES as TORCHVISION_FEATURES,
)
from glassguard.recognizer.layer_names import find_convolutions, is_layer_name, is_plain
from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.matconvnet_weights import matconvnet_convolutions
from glassguard.recognizer.network_files import READABLE, START, weight_format, why_no_weights
from glassguard.recognizer.pytorch_weights import check_pickle, state_dicts
from glassguard.recognizer.settings import Channels
from glassguard.recognizer.weight_arrays import (
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

Colour = tuple[float, float, float]

VGG_FACE_MEAN = (129.1863, 104.7624, 93.5940)
"""R, G, B of the faces that VGG-Face was trained on, 0-255 (Parkhi et al. 2015)."""
IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""torchvision's, there on the scale 0-1."""

LARGEST_FILE = 1 << 30
"""Bytes, packed and unpacked; the largest published file, with its dense layers, has 0.6 GB."""


@dataclass(frozen=True)
class Convention:
    """How a publisher feeds the networks of a kind of file, which do not say so themselves.

    Attributes:
        of: whose convention it is, for messages.
        channels: order of the colours that ``conv1_1`` expects; None where it is not known.
        mean: R, G, B means on the 0-255 scale; None where they are not known.
        scale: divisor after subtraction of the mean, or one each of R, G and B.
    """

    of: str
    channels: Channels | None
    mean: Colour | None
    scale: float | Colour | None


TORCHVISION = Convention("torchvision's IMAGENET1K_V1", "rgb", IMAGENET_MEAN, IMAGENET_DEVIATION)
VGG_FACE_DAG = Convention("vgg_face_dag.pth", "rgb", VGG_FACE_MEAN, 1.0)
KERAS_VGGFACE = Convention("keras-vggface", "bgr", VGG_FACE_MEAN, 1.0)
DEEPFACE = Convention("deepface", None, VGG_FACE_MEAN, 1.0)
MATCONVNET = Convention("MatConvNet's vgg_face.mat", "rgb", VGG_FACE_MEAN, 1.0)
# A mean picture stands in the file and is of no use here.
MATCONVNET_WITHOUT_COLOUR = Convention("MatConvNet", "rgb", None, None)
OWN_SAFETENSORS = Convention("glassguard's own files", "rgb", None, None)
UNKNOWN = Convention("nobody", None, None, None)


@dataclass(frozen=True)
class PublishedWeights:
    """Convolutions as their file has them, and what is known of their input.

    Attributes:
        format: what kind of file it is, in words.
        tensors: ``conv1_1.weight`` to ``conv5_3.bias``, float32, filters × inputs × 3 × 3; the
            three inputs of ``conv1_1`` in the order that the file has them in.
        width: share of VGG-16's filters in every layer.
        mean: means on the 0-255 scale, in the order of ``conv1_1``'s inputs; None where the file
            does not say.
        scale: divisor after subtraction of the mean; None where the file does not say.
        channels: order of the colours that ``conv1_1`` expects; None where the file does not say.
        assumed: what is usual in files with such names, for all that the file does not say.
    """

    format: str
    tensors: dict[str, Tensor]
    width: float
    mean: Colour | None
    scale: float | None
    channels: Channels | None
    assumed: Convention


def read_published_weights(path: Path) -> PublishedWeights:
    """Read a weight file of any known format.

    Raises:
        InputError: the file is missing, damaged, of another format or of another network, or
            holds code; one line that names the file and the layer, or says what the file holds.
    """
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
    assumed: Convention,
    *,
    width: float | None = None,
    mean: Colour | None = None,
    scale: float | None = None,
    channels: Channels | None = None,
) -> PublishedWeights:
    for key, tensor in tensors.items():
        if not (is_plain(tensor) and tensor.is_floating_point()):
            raise InputError(f"{path}: {key} does not hold plain floating-point numbers")
    width = relative_width(tensors, path) if width is None else width
    checked = check_convolutions(tensors, width=width, path=path)
    for key, tensor in checked.items():
        if not tensor.isfinite().all():
            raise InputError(f"{path}: {key} holds numbers that are not finite")
    return PublishedWeights(form, checked, width, mean, scale, channels, assumed)


def _from_safetensors(path: Path) -> PublishedWeights:
    tensors, metadata = read_tensors(path)
    if "normalisation.mean" in tensors and METADATA_KEY in metadata:
        raise InputError(
            f"{path}: is a whole recognizer that glassguard wrote; give the backbone.safetensors "
            "that it was trained on"
        )
    found = find_convolutions(path, "a safetensors file", {"": tensors})
    described = described_backbone(metadata) if found.style == "conv1_1" else None
    if described is not None:
        width, mean, scale = described
        return _checked(
            path,
            found.tensors,
            "safetensors of glassguard's own",
            UNKNOWN,
            width=width,
            mean=mean,
            scale=scale,
            channels="rgb",
        )
    assumed = {"features.0": TORCHVISION, "conv1_1": OWN_SAFETENSORS}.get(found.style, UNKNOWN)
    return _checked(path, found.tensors, f"safetensors, first layer {found.called}", assumed)


def _from_pytorch(path: Path) -> PublishedWeights:
    form = "PyTorch state dict"
    found = find_convolutions(path, f"a {form}", state_dicts(path, at_most=LARGEST_FILE))
    assumed = {"features.0": TORCHVISION, "conv1_1": VGG_FACE_DAG}.get(found.style, UNKNOWN)
    return _checked(path, found.tensors, f"{form}, first layer {found.called}", assumed)


def _from_zip(path: Path) -> PublishedWeights:
    with damage_named(path, "PyTorch file, nor .keras or .npz"), zipfile.ZipFile(path) as packed:
        names = [member.filename for member in packed.infolist()]
    if ARCHIVED_WEIGHTS in names:
        return _from_keras(path, archived_keras_weights(path, at_most=LARGEST_FILE), ".keras")
    if names and all(name.endswith(".npy") for name in names):
        return _from_npz(path)
    if any(name.endswith("/constants.pkl") for name in names):
        classes = [name.partition("/code/")[2] for name in names if name.endswith(".py")]
        raise InputError(
            f"{path}: is a TorchScript archive, which holds code ({shown(classes)}): load "
            "it with torch.jit.load and save its state_dict()"
        )
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return _from_pytorch(path)
    raise InputError(
        f"{path}: is a ZIP archive of other files ({shown(names) or 'none'}); {READABLE}"
    )


def _from_npz(path: Path) -> PublishedWeights:
    tensors: dict[str, Tensor] = {}
    with damage_named(path, "NumPy .npz file"), zipfile.ZipFile(path) as packed:
        members = {member.filename.removesuffix(".npy"): member for member in packed.infolist()}
        layers = [name for name in members if is_layer_name(name)]
        # Checked before unpacking: a few compressed bytes may stand for any amount of memory.
        if sum(members[name].file_size for name in layers) > LARGEST_FILE:
            raise InputError(f"{path}: unpacks to more than {LARGEST_FILE} bytes")
        for name in layers:
            tensors[name] = _array(packed.read(members[name]))
    found = find_convolutions(path, "a NumPy .npz file", {"": tensors}, names=list(members))
    kernels = [name for name in found.tensors if name.endswith(".weight")]
    shapes = [tuple(found.tensors[name].shape) for name in kernels]
    # No VGG-16 has three filters in all of its layers: only one of both orders of axes fits.
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
    # A short array may say that it is a long one.
    if math.prod(shape) * kind.itemsize > len(content):
        raise ValueError(f"an array of shape {shape} is cut off")
    file.seek(0)
    return float_tensor(np.lib.format.read_array(file, allow_pickle=False))


def _from_keras(path: Path, read: KerasWeights, kind: str) -> PublishedWeights:
    form = f"Keras{' 3' if read.keras_3 else ''} {kind}"
    found = find_convolutions(path, f"a {form} file", {"": read.tensors})
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
