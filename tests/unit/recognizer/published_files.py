"""Weight files in the formats that others publish, with one set of kernels in each."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.layers import CONVOLUTIONS, filters
from glassguard.recognizer.published_weights import read_published_weights

VGG_FACE = np.array([129.1863, 104.7624, 93.5940])


WIDTH = 1 / 16


Kernels = dict[str, tuple[np.ndarray, np.ndarray]]
"""Kernel (filters × R, G, B or inputs × height × width) and bias by the name of the layer."""


def random_kernels(width: float = WIDTH, seed: int = 0) -> Kernels:
    generator = np.random.default_rng(seed)
    kernels, inputs = {}, 3
    for name in CONVOLUTIONS:
        outputs = filters(width)[int(name[4]) - 1]
        shape = (outputs, inputs, 3, 3)
        kernel = generator.normal(0, (2 / (9 * inputs)) ** 0.5, shape).astype(np.float32)
        kernels[name] = kernel, generator.normal(0, 0.1, outputs).astype(np.float32)
        inputs = outputs
    return kernels


def dense_layers(kernels: Kernels) -> Kernels:
    """Three dense layers as PyTorch has them, in the style of VGG-16 and small."""
    sizes = [len(kernels["conv5_3"][1]) * 49, 6, 5, 4]
    return {
        f"fc{number}": (np.ones((after, before), np.float32), np.ones(after, np.float32))
        for number, before, after in zip((6, 7, 8), sizes, sizes[1:], strict=False)
    }


def state_dict(kernels: Kernels) -> dict[str, Tensor]:
    return {
        f"{name}.{part}": torch.from_numpy(np.ascontiguousarray(array))
        for name, arrays in kernels.items()
        for part, array in zip(("weight", "bias"), arrays, strict=True)
    }


def write_safetensors(path: Path, kernels: Kernels) -> None:
    save_file(state_dict(kernels), path)


def write_vgg_face_dag(path: Path, kernels: Kernels) -> None:
    torch.save(state_dict(kernels | dense_layers(kernels)), path)


def write_legacy_vgg_face_dag(path: Path, kernels: Kernels) -> None:
    tensors = state_dict(kernels | dense_layers(kernels))
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def write_torchvision(path: Path, kernels: Kernels) -> None:
    features = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    names = dict(zip(CONVOLUTIONS, features, strict=True))
    named = {f"features.{names[name]}": arrays for name, arrays in kernels.items()}
    dense = zip((0, 3, 6), dense_layers(kernels).values(), strict=True)
    torch.save(state_dict(named | {f"classifier.{n}": arrays for n, arrays in dense}), path)


def hwio(kernel: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))


def in_bgr(kernels: Kernels) -> Kernels:
    kernel, bias = kernels["conv1_1"]
    return {**kernels, "conv1_1": (kernel[:, ::-1], bias)}


def fill_keras(group: h5py.Group, layers: list[tuple[str, tuple[np.ndarray, ...]]]) -> None:
    group.attrs["layer_names"] = np.array([name.encode() for name, _ in layers])
    for name, arrays in layers:
        layer = group.create_group(name)
        names = [f"{name}/{part}:0" for part in ("kernel", "bias")[: len(arrays)]]
        layer.attrs["weight_names"] = np.array([weight.encode() for weight in names])
        for weight, array in zip(names, arrays, strict=True):
            layer.create_dataset(weight, data=array)


def keras_layers(kernels: Kernels) -> list[tuple[str, tuple[np.ndarray, ...]]]:
    layers: list[tuple[str, tuple[np.ndarray, ...]]] = [("input_1", ())]
    for name, (kernel, bias) in kernels.items():
        layers.append((name, (hwio(kernel), bias)))
        if name in ("conv1_2", "conv2_2"):
            layers.append((f"pool{name[4]}", ()))
    return layers


def write_keras_no_top(path: Path, kernels: Kernels) -> None:
    with h5py.File(path, "w") as file:
        fill_keras(file, keras_layers(in_bgr(kernels)))


def write_keras_top(path: Path, kernels: Kernels) -> None:
    dense = [(name, (kernel.T, bias)) for name, (kernel, bias) in dense_layers(kernels).items()]
    configuration = {
        "config": {
            "layers": [
                {
                    "class_name": "Conv2D",
                    "config": {
                        "name": name,
                        "strides": [1, 1],
                        "dilation_rate": [1, 1],
                        "padding": "same",
                    },
                }
                for name in CONVOLUTIONS
            ]
        }
    }
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(configuration)
        fill_keras(file.create_group("model_weights"), keras_layers(in_bgr(kernels)) + dense)


def write_deepface(path: Path, kernels: Kernels) -> None:
    layers: list[tuple[str, tuple[np.ndarray, ...]]] = []
    for number, (kernel, bias) in enumerate(kernels.values(), start=1):
        layers.append((f"zero_padding2d_{number}", ()))
        layers.append((f"conv2d_{number}", (hwio(kernel), bias)))
    side = 7
    for number, (kernel, bias) in enumerate(dense_layers(kernels).values(), start=14):
        spatial = kernel.reshape(len(bias), -1, side, side)
        layers.append((f"conv2d_{number}", (hwio(spatial), bias)))
        side = 1
    with h5py.File(path, "w") as file:
        fill_keras(file, layers)


def matconvnet_layers(kernels: Kernels, *, weights: bool, **changes: object) -> np.ndarray:
    layers = []
    for name, (kernel, bias) in kernels.items():
        layer = {"name": name, "type": "conv", "pad": [1.0] * 4, "stride": [1.0, 1.0], **changes}
        if weights:
            cell = np.empty((1, 2), object)
            cell[0, 0], cell[0, 1] = hwio(kernel), bias[:, None]
            layer["weights"] = cell
        else:
            layer |= {"filters": hwio(kernel), "biases": bias[None]}
        layers += [layer, {"name": f"relu{name[4:]}", "type": "relu"}]
    cells = np.empty((1, len(layers)), object)
    cells[0] = layers
    return cells


def write_matconvnet(path: Path, kernels: Kernels) -> None:
    mean = {"averageImage": np.broadcast_to(VGG_FACE, (4, 4, 3))}
    net = {"layers": matconvnet_layers(kernels, weights=True), "meta": {"normalization": mean}}
    scipy.io.savemat(path, {"net": net}, do_compression=True)


def write_early_matconvnet(path: Path, kernels: Kernels) -> None:
    scipy.io.savemat(path, {"layers": matconvnet_layers(kernels, weights=False)})


WRITERS: dict[str, Callable[[Path, Kernels], None]] = {
    "ours.safetensors": write_safetensors,
    "vgg_face_dag.pth": write_vgg_face_dag,
    "legacy_vgg_face_dag.pth": write_legacy_vgg_face_dag,
    "vgg16-397923af.pth": write_torchvision,
    "rcmalli_vggface_tf_notop_vgg16.h5": write_keras_no_top,
    "rcmalli_vggface_tf_vgg16.h5": write_keras_top,
    "vgg_face_weights.h5": write_deepface,
    "vgg_face.mat": write_matconvnet,
    "early_vgg_face.mat": write_early_matconvnet,
}


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_published_weights(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message
