"""VGG-16's convolutions out of Keras files: HDF5 of Keras 1 and 2, ``.weights.h5``, ``.keras``.

Keras 1 and 2 list their layers in the attribute ``layer_names``, and each layer's arrays in
``weight_names``. Keras 3 has one group per layer, named by the layer's class and number, with its
arrays in ``vars/0``, ``vars/1``, …; ``.keras`` is a ZIP archive of such a file and a description in
JSON. No link leads out of a file.
"""

import json
import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from glassguard.recognizer.layer_names import is_layer_name
from glassguard.recognizer.layers import CONVOLUTIONS
from glassguard.recognizer.weight_arrays import (
    DESCRIPTION,
    LARGEST_KERNEL,
    WeightsError,
    damage_named,
    filters_first,
    float_tensor,
    shown,
)

DENSE_LAYERS = 3
ARCHIVED_WEIGHTS = "model.weights.h5"
"""Member of a ``.keras`` archive that holds the arrays."""

_DEFAULT_NAME = re.compile(r"(?:conv|convolution)2d(?:_(\d+))?")


@dataclass
class _Model:
    """The convolutions of one model in a file, in order; a model may be a layer of another."""

    kernels: dict[str, list[h5py.Dataset]] = field(default_factory=dict)
    normalised: str | None = None
    dense: bool = False


@dataclass(frozen=True)
class KerasWeights:
    """What a Keras file holds.

    Attributes:
        tensors: by the layers' names (``conv1_1.weight``, ``block1_conv1.bias``), float32, in
            PyTorch's layout.
        by_order: the file names its layers by their class; here they are named by their order.
        dense: convolutions after the thirteen, in a file without names.
        keras_3: Keras 3 wrote the file.
    """

    tensors: dict[str, Tensor]
    by_order: bool
    dense: int
    keras_3: bool


def keras_weights(path: Path) -> KerasWeights:
    """Read an HDF5 file.

    Raises:
        WeightsError: it is damaged, or holds no network with the layout of VGG-16.
    """
    with damage_named("Keras HDF5 file"), h5py.File(path, "r") as file:
        return _read(file)


def archived_keras_weights(path: Path, *, at_most: int) -> KerasWeights:
    """Read a ``.keras`` archive.

    Raises:
        WeightsError: as :func:`keras_weights`, or it unpacks to more than ``at_most`` bytes.
    """
    with (
        damage_named(".keras archive"),
        zipfile.ZipFile(path) as archive,
        tempfile.TemporaryFile() as unpacked,
    ):
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        if sizes[ARCHIVED_WEIGHTS] > at_most or sizes.get("config.json", 0) > DESCRIPTION:
            raise WeightsError(f"unpacks to more than {at_most} bytes")
        if "config.json" in sizes:
            _check_layout(json.loads(archive.read("config.json")))
        with archive.open(ARCHIVED_WEIGHTS) as packed:
            shutil.copyfileobj(packed, unpacked)
        with h5py.File(unpacked, "r") as file:
            return _read(file)


def _read(file: h5py.File) -> KerasWeights:
    group = file
    if "model_weights" in file:
        group = _member(file, "model_weights")
        if "theano" in _texts([file.attrs.get("backend", "")]):
            raise WeightsError(
                "written by Keras on Theano, which flips its kernels; save it again with "
                "Keras on TensorFlow"
            )
        if "model_config" in file.attrs:
            _check_layout(json.loads(_texts([file.attrs["model_config"]])[0]))
    keras_3 = "layer_names" not in group.attrs
    models = _models_of_keras_3(file) if keras_3 else _models(group)
    if keras_3 and not models:
        raise WeightsError(
            f"no Keras weights: the attribute layer_names is missing, and so are groups "
            f"called vars; it holds {shown(file) or 'nothing'}"
        )
    return _weights(models, keras_3=keras_3)


def _weights(models: dict[str, _Model], *, keras_3: bool) -> KerasWeights:
    named = [model for model in models.values() if any(map(_is_known, model.kernels))]
    names = [f"{place}{name}" for place, model in models.items() for name in model.kernels]
    if len(named) > 1:
        raise WeightsError(f"holds several networks ({shown(names)} ...); save one")
    dense = 0
    if named:
        (model,) = named
        kernels = {name: held for name, held in model.kernels.items() if _is_known(name)}
    else:
        model = _only_vgg16(list(models.values()), names)
        kernels = dict(zip(CONVOLUTIONS, model.kernels.values(), strict=False))
        dense = len(model.kernels) - len(kernels)
    if model.normalised is not None:
        raise WeightsError(
            f"{shown([model.normalised])} is a batch normalisation, which a VGG-16 does "
            "not have; fold it into the convolutions"
        )
    tensors = {
        key: tensor for name, arrays in kernels.items() for key, tensor in _tensors(name, arrays)
    }
    return KerasWeights(tensors, not named, dense, keras_3)


def _is_known(layer: str) -> bool:
    return is_layer_name(f"{layer}.weight")


def _only_vgg16(models: list[_Model], names: list[str]) -> _Model:
    """The model with Keras's default names whose kernels can only be a VGG-16's.

    Its dense layers may be written as convolutions.
    """
    counts = (len(CONVOLUTIONS), len(CONVOLUTIONS) + DENSE_LAYERS)
    fitting = [
        model
        for model in models
        if len(model.kernels) in counts
        and all(_DEFAULT_NAME.fullmatch(name) for name in model.kernels)
    ]
    if len(fitting) != 1:
        raise WeightsError(
            f"{CONVOLUTIONS[0]} is missing, and its {len(names)} convolutions "
            f"({shown(names)} ...) are not the {len(CONVOLUTIONS)} of a VGG-16 with "
            f"or without {DENSE_LAYERS} dense layers"
        )
    return fitting[0]


def _models(group: h5py.Group) -> dict[str, _Model]:
    """The layers of Keras 1 and 2, in order; a layer that is a model has several."""
    models: dict[str, _Model] = {}
    for layer_name in _texts(group.attrs["layer_names"]):
        layer = _member(group, layer_name)
        owned: dict[str, dict[str, Any]] = {}
        for weight in _texts(layer.attrs.get("weight_names", [])):
            owner = weight.rpartition("/")[0]
            owned.setdefault(owner, {})[weight] = _member(layer, weight)
        for owner, weights in owned.items():
            nested = len(owned) > 1
            model = models.setdefault(f"{layer_name}: " if nested else "", _Model())
            name = owner.rpartition("/")[2] if nested else layer_name
            arrays = list(weights.values())
            axes = arrays[0].ndim if isinstance(arrays[0], h5py.Dataset) else 0
            if axes == 4:
                model.kernels[name] = arrays
            elif any("_mean" in weight for weight in weights) and not model.dense:
                model.normalised = name
            elif axes == 2:
                model.dense = True
    return models


def _models_of_keras_3(file: h5py.File) -> dict[str, _Model]:
    """The layers of Keras 3, ordered by the number in the name of their group."""
    groups: list[str] = []

    def visit(name: str, held: Any) -> None:
        if isinstance(held, h5py.Group) and name.endswith("/vars"):
            groups.append(name.removesuffix("/vars"))

    file.visititems(visit)
    models: dict[str, _Model] = {}
    for place in sorted(groups, key=_number):
        container, _, called = place.rpartition("/")
        held = _member(file, f"{place}/vars")
        arrays = [_member(held, key) for key in sorted(held)]
        model = models.setdefault(f"{container}/", _Model())
        if called.startswith("batch_normalization"):
            model.normalised = place
        elif arrays and isinstance(arrays[0], h5py.Dataset) and arrays[0].ndim == 4:
            # Newer versions store the layer's name in the model.
            (name,) = _texts([held.attrs.get("name", called)])
            model.kernels[name if _is_known(name) else called] = arrays
    return models


def _number(place: str) -> tuple[str, int]:
    """Container and number, so that ``conv2d_10`` follows ``conv2d_9``."""
    digits = re.search(r"_(\d+)$", place)
    return place.rpartition("/")[0], int(digits[1]) if digits else 0


def _tensors(name: str, weights: list[h5py.Dataset]) -> Iterator[tuple[str, Tensor]]:
    if len(weights) != 2:
        raise WeightsError(f"{name} has {len(weights)} arrays; a kernel and a bias are wanted")
    for part, dataset in zip(("weight", "bias"), weights, strict=True):
        # h5py has no bfloat16: Keras 3 stores two bytes each and marks them.
        brain = dataset.dtype.itemsize == 2 and dataset.attrs.get("dtype") == "bfloat16"
        # Check before reading: a few compressed bytes may stand for any amount of memory.
        if dataset.size > LARGEST_KERNEL or not (dataset.dtype.kind == "f" or brain):
            held = f"{dataset.shape} of {dataset.dtype}"
            raise WeightsError(f"{name}.{part} has shape {held}, which is none of VGG-16's")
        if part == "weight" and dataset.shape[2:] == (3, 3) != dataset.shape[:2]:
            raise WeightsError(
                f"{name}.weight has shape {dataset.shape}, filters first, as Theano had "
                "it: its kernels are flipped as well, and are not read"
            )
        # HDF5 unpacks whole chunks, however little of one the array needs.
        if dataset.chunks is not None and math.prod(dataset.chunks) > LARGEST_KERNEL:
            raise WeightsError(
                f"{name}.{part} is stored in chunks of shape {dataset.chunks}; at most "
                f"{LARGEST_KERNEL} numbers each are read"
            )
        array = np.asarray(dataset[()])
        if brain:
            tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).float()
        else:
            tensor = float_tensor(array)
        yield f"{name}.{part}", filters_first(tensor) if part == "weight" else tensor


def _check_layout(model: dict[str, Any]) -> None:
    """Refuse a model whose convolutions have other strides, dilations or padding than VGG-16's."""
    convolutions = 0
    before: dict[str, Any] = {}
    for layer in _described_layers(model):
        settings = layer["config"]
        if layer["class_name"] in ("Conv2D", "Convolution2D"):
            convolutions += 1
            name = shown([str(settings.get("name"))])
            for key in ("strides", "dilation_rate"):
                if any(step != 1 for step in settings.get(key, [1])):
                    raise WeightsError(f"{name} has {key} {settings[key]}, VGG-16 has 1")
            # Dense layers written as convolutions follow; they have no padding.
            if convolutions <= len(CONVOLUTIONS):
                _check_padding(name, settings, before)
        before = layer


def _described_layers(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All layers of a description in order, including those of nested models."""
    described = model.get("config", {})
    # Keras before 2.2.3 wrote a Sequential model as a bare list of its layers.
    for layer in described if isinstance(described, list) else described.get("layers", []):
        if isinstance(layer["config"], list) or "layers" in layer["config"]:
            yield from _described_layers(layer)
        else:
            yield layer


def _check_padding(name: str, settings: dict[str, Any], before: dict[str, Any]) -> None:
    """Refuse a 3×3 convolution without one row of zeros on every side.

    Some networks pad in a layer of its own, ``before`` the convolution.
    """
    # Keras 1 called it border_mode.
    padding = settings.get("padding", settings.get("border_mode"))
    zeros = None
    if before.get("class_name") == "ZeroPadding2D":
        zeros = before["config"]["padding"]
    by_layer = zeros is not None and bool((np.asarray(zeros) == 1).all())
    if padding is None or (padding, zeros) == ("same", None) or (padding == "valid" and by_layer):
        return
    after = "" if zeros is None else f" after zeros of {zeros}"
    raise WeightsError(
        f"{name} has padding {padding}{after}, VGG-16 has same, or valid after one row of zeros "
        "(ZeroPadding2D)"
    )


def _member(group: h5py.Group, name: str) -> Any:
    """A group or dataset below ``group`` in this file itself."""
    for part in filter(None, name.split("/")):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise WeightsError(f"{shown([name])} is missing")
        if isinstance(link, h5py.HardLink):
            group = group[part]
        if not isinstance(link, h5py.HardLink) or (
            isinstance(group, h5py.Dataset) and (group.external or group.is_virtual)
        ):
            raise WeightsError(f"{shown([name])} is a link to elsewhere, which is not followed")
    return group


def _texts(values: Iterable[Any]) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
