"""The convolutions of a small VGG-16, in the files that people store them in."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from glassguard.recognizer.layers import CONVOLUTIONS, filters

FEATURES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
STYLES = ("conv1_1", "conv_1_1", "block1_conv1", "features.0", "0")


def tensors(width: float = 1 / 32, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict:
    """``conv1_1.weight`` to ``conv5_3.bias``."""
    generator = torch.Generator().manual_seed(seed)
    state, inputs = {}, 3
    for name in CONVOLUTIONS:
        outputs = filters(width)[int(name[4]) - 1]
        kernel = torch.randn(outputs, inputs, 3, 3, generator=generator, dtype=torch.float64)
        bias = torch.randn(outputs, generator=generator, dtype=torch.float64)
        state |= {f"{name}.weight": kernel.to(dtype), f"{name}.bias": bias.to(dtype)}
        inputs = outputs
    return state


def called(name: str, style: str, inside: str = "") -> str:
    """How a style calls a tensor; ``inside`` stands before the number of a layer."""
    layer, part = name.split(".")
    block, place = layer[4], layer[6]
    number = FEATURES[CONVOLUTIONS.index(layer)]
    return {
        "conv1_1": f"{layer}.{part}",
        "conv_1_1": f"conv_{block}_{place}.{part}",
        "block1_conv1": f"block{block}_conv{place}.{part}",
        "features.0": f"features.{inside}{number}.{part}",
        "0": f"{number}.{part}",
    }[style]


def renamed(state: Mapping[str, Tensor], style: str, prefix: str = "", inside: str = "") -> dict:
    return {f"{prefix}{called(name, style, inside)}": held for name, held in state.items()}


def write_legacy_pytorch(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path, content: dict) -> None:
    save_file({name: held for name, held in content.items() if isinstance(held, Tensor)}, path)


def hwio(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Arrays in TensorFlow's layout; bfloat16 as two bytes each, as h5py has them."""
    arrays = {}
    for name, held in state.items():
        laid = (held.permute(2, 3, 1, 0) if held.ndim == 4 else held).contiguous()
        brain = held.dtype == torch.bfloat16
        arrays[name] = laid.view(torch.int16).numpy().view("V2") if brain else laid.numpy()
    return arrays


def fill_keras_3(
    file: h5py.File, state: Mapping[str, Tensor], *, inside: str = "", style: str | None = None
) -> None:
    """Groups as Keras 3 writes them; with a style, the layers' names as newer versions do."""
    for name, array in hwio(state).items():
        layer, part = name.split(".")
        number = CONVOLUTIONS.index(layer)
        place = f"{inside}layers/conv2d{f'_{number}' if number else ''}/vars"
        held = file.require_group(place)
        dataset = held.create_dataset("0" if part == "weight" else "1", data=array)
        if array.dtype.kind == "V":
            dataset.attrs["dtype"] = "bfloat16"
        if style is not None:
            held.attrs["name"] = called(name, style).rpartition(".")[0]


def write_keras_3(path: Path, state: Mapping[str, Tensor], **options: str | None) -> None:
    with h5py.File(path, "w") as file:
        fill_keras_3(file, state, **options)
        optimizer = file.create_group("optimizer/vars")
        optimizer["0"] = np.zeros((), np.int64)


def write_dot_keras(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    config: object = None,
    compression: int = zipfile.ZIP_STORED,
    **options: str | None,
) -> None:
    inner = path.with_suffix(".inner")
    write_keras_3(inner, state, **options)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.writestr("config.json", json.dumps(config or {}))
        archive.write(inner, "model.weights.h5")


def write_nested_keras(path: Path, state: Mapping[str, Tensor], style: str) -> None:
    """Keras 2: VGG-16 as one layer of a larger model, followed by a classifier."""
    arrays = {}
    for name, array in hwio(state).items():
        layer, part = called(name, style).rsplit(".", 1)
        arrays[f"{layer}/{'kernel' if part == 'weight' else 'bias'}:0"] = array
    layers = {
        "vgg16": arrays,
        "dense": {"dense/kernel:0": np.ones((4, 2)), "dense/bias:0": np.ones(2)},
        "batch_normalization": {"batch_normalization/moving_mean:0": np.ones(2)},
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for layer, weights in layers.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [name.encode() for name in weights]
            for name, array in weights.items():
                inner[name] = array
