"""Keras files: which links, sizes and layouts are refused, and which are read."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from recognizer.published_files import (
    fill_keras,
    keras_layers,
    random_kernels,
    refusal,
    write_keras_no_top,
    write_keras_top,
)

from glassguard.recognizer.published_weights import read_published_weights


def test_links_out_of_an_hdf5_file_are_not_followed(tmp_path):
    write_keras_no_top(tmp_path / "other.h5", random_kernels())
    path = tmp_path / "weights.h5"
    for link in (h5py.ExternalLink("other.h5", "conv1_1"), h5py.SoftLink("/conv1_2")):
        write_keras_no_top(path, random_kernels())
        with h5py.File(path, "a") as file:
            del file["conv1_1"]
            file["conv1_1"] = link
        assert "conv1_1 is a link to elsewhere" in refusal(path)
    (tmp_path / "raw").write_bytes(bytes(4 * 4 * 27))
    write_keras_no_top(path, random_kernels())
    with h5py.File(path, "a") as file:
        del file["conv1_1/conv1_1/kernel:0"]
        file.create_dataset(
            "conv1_1/conv1_1/kernel:0",
            (3, 3, 3, 4),
            "float32",
            external=[(str(tmp_path / "raw"), 0, 4 * 4 * 27)],
        )
    assert "conv1_1/kernel:0 is a link to elsewhere" in refusal(path)


def test_arrays_that_would_not_fit_into_memory_are_not_read(tmp_path):
    path = tmp_path / "weights.h5"
    write_keras_no_top(path, random_kernels())
    with h5py.File(path, "a") as file:
        del file["conv4_1/conv4_1/kernel:0"]
        shape = (3, 3, 1 << 20, 1 << 20)
        file.create_dataset("conv4_1/conv4_1/kernel:0", shape, "float32", chunks=(3, 3, 8, 8))
    assert "conv4_1.weight has shape (3, 3, 1048576, 1048576)" in refusal(path)


def test_chunks_that_would_not_fit_into_memory_are_not_unpacked(tmp_path):
    path = tmp_path / "weights.h5"
    write_keras_no_top(path, random_kernels())
    with h5py.File(path, "a") as file:
        kernel = file["conv1_1/conv1_1/kernel:0"][()]
        del file["conv1_1/conv1_1/kernel:0"]
        file.create_dataset(
            "conv1_1/conv1_1/kernel:0",
            kernel.shape,
            "float32",
            chunks=(3, 3, 3, 8_000_000),
            maxshape=(3, 3, 3, None),
            compression="gzip",
        )
    assert "conv1_1.weight is stored in chunks of shape (3, 3, 3, 8000000)" in refusal(path)


@pytest.mark.parametrize(("key", "value"), [("strides", [2, 2]), ("dilation_rate", [2, 2])])
def test_a_keras_model_of_another_layout_is_refused(key, value, tmp_path):
    path = tmp_path / "model.h5"
    write_keras_top(path, random_kernels())
    with h5py.File(path, "a") as file:
        described = json.loads(file.attrs["model_config"])
        described["config"]["layers"][6]["config"][key] = value
        file.attrs["model_config"] = json.dumps(described)
    assert f"conv3_3 has {key} [2, 2], VGG-16 has 1" in refusal(path)


def pad_keras(path: Path, padding: str, apart: object = None, key: str = "padding") -> None:
    """Describe a model's convolutions with other padding, and three dense ones after them."""
    with h5py.File(path, "a") as file:
        described = json.loads(file.attrs["model_config"])
        layers = []
        for layer in described["config"]["layers"]:
            del layer["config"]["padding"]
            layer["config"][key] = padding
            if apart is not None:
                zeros = {"name": "zeros", "padding": apart}
                layers.append({"class_name": "ZeroPadding2D", "config": zeros})
            layers.append(layer)
        for name in ("fc6", "fc7", "fc8"):
            dense = {"name": name, "padding": "valid"}
            layers.append({"class_name": "Conv2D", "config": dense})
        described["config"]["layers"] = layers
        file.attrs["model_config"] = json.dumps(described)


@pytest.mark.parametrize(
    ("padding", "apart", "key"),
    [
        ("same", None, "padding"),
        ("same", None, "border_mode"),
        ("valid", [[1, 1], [1, 1]], "padding"),
        ("valid", [1, 1], "border_mode"),
    ],
)
def test_a_keras_model_that_pads_as_vgg_does_is_read(padding, apart, key, tmp_path):
    path = tmp_path / "model.h5"
    write_keras_top(path, random_kernels())
    expected = read_published_weights(path).tensors
    pad_keras(path, padding, apart, key)
    read = read_published_weights(path).tensors
    assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("padding", "apart", "said"),
    [
        ("valid", None, "conv1_1 has padding valid, VGG-16 has same"),
        ("valid", [2, 2], "conv1_1 has padding valid after zeros of [2, 2]"),
        ("same", [1, 1], "conv1_1 has padding same after zeros of [1, 1]"),
        ("causal", None, "conv1_1 has padding causal"),
    ],
)
def test_a_keras_model_that_pads_otherwise_is_refused(padding, apart, said, tmp_path):
    path = tmp_path / "model.h5"
    write_keras_top(path, random_kernels())
    pad_keras(path, padding, apart)
    assert said in refusal(path)


def test_an_early_keras_model_that_is_a_list_of_layers_is_read(tmp_path):
    path = tmp_path / "model.h5"
    write_keras_top(path, random_kernels())
    expected = read_published_weights(path).tensors
    with h5py.File(path, "a") as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
    read = read_published_weights(path).tensors
    assert all(torch.equal(read[key], tensor) for key, tensor in expected.items())
    layers[6]["config"]["strides"] = [2, 2]
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
    assert "conv3_3 has strides [2, 2], VGG-16 has 1" in refusal(path)


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["pictures"] = np.zeros(3)
    assert "layer_names is missing" in refusal(path)
    kernels = {f"block{name[4:]}": arrays for name, arrays in random_kernels().items()}
    with h5py.File(path, "w") as file:
        fill_keras(file, keras_layers(kernels))
    assert "conv1_1 is missing" in refusal(path)
