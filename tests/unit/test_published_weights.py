"""Weight files of every published format, written here, against a plain reference network."""

import io
import json
import pickle
import tarfile
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from shipped import section
from torch import Tensor, nn

from glassguard.configuration.sections import BackboneSection
from glassguard.errors import InputError
from glassguard.recognizer import pickled_names, published_weights
from glassguard.recognizer.layers import CONVOLUTIONS, CONVOLUTIONS_PER_BLOCK, filters
from glassguard.recognizer.network import Normalisation, convolutional_layers
from glassguard.recognizer.published_weights import in_rgb, read_published_weights
from glassguard.recognizer.weights import BackboneFile, read_backbone, write_backbone
from glassguard.stages import import_backbone

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


def normalised_as_published(name: str, rgb: np.ndarray) -> Tensor:
    """What each format's publisher does to pixels (N × 3 × H × W, R, G, B, 0-255)."""
    if name == "vgg16-397923af.pth":
        mean = np.array([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
        deviation = np.array([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
        return torch.from_numpy((rgb / 255 - mean) / deviation)
    return torch.from_numpy(rgb - VGG_FACE.reshape(1, 3, 1, 1))


def reference_activations(kernels: Kernels, normalised: Tensor) -> list[Tensor]:
    """Every rectified convolution of VGG-16 in float64, written out."""
    values, seen = normalised.double(), []
    for block, count in enumerate(CONVOLUTIONS_PER_BLOCK, start=1):
        for index in range(1, count + 1):
            kernel, bias = (torch.from_numpy(a).double() for a in kernels[f"conv{block}_{index}"])
            values = F.conv2d(F.pad(values, (1, 1, 1, 1)), kernel, bias).clamp(min=0)
            seen.append(values)
        values = F.max_pool2d(values, kernel_size=2, stride=2)
    return seen


def our_activations(backbone: BackboneFile, rgb: np.ndarray) -> list[Tensor]:
    features = nn.Sequential(convolutional_layers(backbone.width))
    features.load_state_dict(backbone.tensors)
    # Double arithmetic leaves nothing but the float32 of the weights to differ.
    values = Normalisation(backbone.mean, backbone.scale).double()(torch.from_numpy(rgb) / 255)
    seen = []
    with torch.inference_mode():
        for layer in features.double():
            values = layer(values)
            if isinstance(layer, nn.ReLU):
                seen.append(values)
    return seen


def imported(path: Path, folder: Path, **changes: object) -> BackboneFile:
    whole = section("backbone/pretrain", weights=str(path), **changes)
    config = BackboneSection.model_validate({"seed": 0, "backbone": whole})
    output = folder / "backbone.safetensors"
    import_backbone.run(config, weights=path, backbone=output, metrics=folder / "metrics.json")
    return read_backbone(output)


SAID = {
    "ours.safetensors": {"mean": VGG_FACE.tolist(), "scale": 1.0},
    "vgg_face_weights.h5": {"mean": None, "scale": None, "channels": "rgb"},
}


def said(name: str) -> dict[str, object]:
    """What must be said about a file that does not say it itself."""
    return SAID.get(name, {"mean": None, "scale": None})


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_gives_the_activations_of_the_published_network(name, tmp_path):
    kernels = random_kernels()
    WRITERS[name](tmp_path / name, kernels)
    backbone = imported(tmp_path / name, tmp_path, **said(name))
    assert backbone.width == WIDTH
    # A known picture: red above, blue at the bottom right, the rest noise, and not symmetric.
    rgb = np.random.default_rng(1).uniform(0, 255, (2, 3, 48, 32))
    rgb[0, :, :16] = np.array([255, 0, 0]).reshape(3, 1, 1)
    rgb[0, :, 30:, 20:] = np.array([0, 0, 255]).reshape(3, 1, 1)
    expected = reference_activations(kernels, normalised_as_published(name, rgb))
    for layer, ours, theirs in zip(
        CONVOLUTIONS, our_activations(backbone, rgb), expected, strict=True
    ):
        assert ours.shape == theirs.shape
        scale = theirs.abs().max()
        assert scale > 0.01, layer
        assert (ours - theirs).abs().max() < 1e-5 * scale, layer
    recorded = json.loads((tmp_path / "metrics.json").read_text())
    assert name in recorded["backbone"]
    assert len(recorded["sha256"]) == 64


def test_the_published_width_in_single_precision(tmp_path):
    kernels = random_kernels(width=1.0)
    path = tmp_path / "rcmalli_vggface_tf_notop_vgg16.h5"
    write_keras_no_top(path, kernels)
    backbone = imported(path, tmp_path)
    assert backbone.width == 1.0
    assert sum(tensor.numel() for tensor in backbone.tensors.values()) == 14_714_688
    rgb = np.random.default_rng(1).uniform(0, 255, (1, 3, 32, 32))
    features = nn.Sequential(convolutional_layers(1.0))
    features.load_state_dict(backbone.tensors)
    pixels = torch.from_numpy(rgb / 255).float()
    with torch.inference_mode():
        ours = features[:-1](Normalisation(backbone.mean, backbone.scale)(pixels))
    theirs = reference_activations(kernels, normalised_as_published(path.name, rgb))[-1]
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def test_first_layers_of_rgb_and_bgr_files_agree_after_flipping(tmp_path):
    kernels = random_kernels()
    write_vgg_face_dag(tmp_path / "rgb.pth", kernels)
    write_keras_no_top(tmp_path / "bgr.h5", kernels)
    rgb = read_published_weights(tmp_path / "rgb.pth")
    bgr = read_published_weights(tmp_path / "bgr.h5")
    assert (rgb.assumed.channels, bgr.assumed.channels) == ("rgb", "bgr")
    first = "conv1_1.weight"
    assert not torch.equal(rgb.tensors[first], bgr.tensors[first])
    assert torch.equal(rgb.tensors[first], bgr.tensors[first].flip(1))
    assert torch.equal(in_rgb(bgr.tensors, "bgr")[first], rgb.tensors[first])
    assert in_rgb(rgb.tensors, "rgb") is rgb.tensors


def test_a_detector_of_red_sees_red_whatever_the_order_in_the_file(tmp_path):
    kernels = random_kernels()
    kernel, bias = kernels["conv1_1"]
    kernel[0], bias[0] = 0.0, 0.0
    kernel[0, 0, 1, 1] = 1.0
    rgb = np.zeros((3, 3, 32, 32))
    for colour in range(3):
        rgb[colour, colour] = 255
    for name in ("vgg_face_dag.pth", "rcmalli_vggface_tf_vgg16.h5", "vgg_face.mat"):
        WRITERS[name](tmp_path / name, kernels)
        backbone = imported(tmp_path / name, tmp_path)
        seen = our_activations(backbone, rgb)[0][:, 0, 5, 5]
        assert seen.tolist() == pytest.approx([255 - VGG_FACE[0], 0, 0], abs=1e-4)


def test_layers_step_by_one_and_pools_halve():
    layers = convolutional_layers(WIDTH).values()
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            assert (layer.stride, layer.padding, layer.dilation) == ((1, 1), (1, 1), (1, 1))
            assert layer.padding_mode == "zeros"
        if isinstance(layer, nn.MaxPool2d):
            assert (layer.kernel_size, layer.stride, layer.padding) == (2, 2, 0)


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_published_weights(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", WRITERS)
def test_a_wrong_shape_and_a_missing_layer_are_named(name, tmp_path):
    kernels = random_kernels()
    kernel, bias = kernels["conv3_2"]
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel[:, 1:], bias)})
    assert "conv3_2.weight has shape" in refusal(tmp_path / name)
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel, bias[1:])})
    assert "conv3_2.bias has shape" in refusal(tmp_path / name)
    WRITERS[name](tmp_path / name, {**kernels, "conv3_2": (kernel * np.nan, bias)})
    assert "conv3_2.weight holds numbers that are not finite" in refusal(tmp_path / name)
    del kernels["conv3_2"]
    WRITERS[name](tmp_path / name, kernels)
    named = "conv1_1 is missing" if name == "vgg_face_weights.h5" else "conv3_2.weight is missing"
    assert named in refusal(tmp_path / name)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    WRITERS[name](tmp_path / name, random_kernels())
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    assert "not a" in refusal(tmp_path / name) or "conv5_3" in refusal(tmp_path / name)


class Code:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_not_run(form, tmp_path):
    made = tmp_path / "made"
    content = {**state_dict(random_kernels()), "conv1_1.weight": Code(made)}
    path = tmp_path / "vgg_face_dag.pth"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    assert "code or objects (__builtin__.getattr)" in refusal(path)
    assert not made.exists()


class Bytes:
    """A gigabyte of zeros when it is unpickled, which PyTorch allows."""

    def __reduce__(self) -> tuple:
        return bytearray, (1 << 30,)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_takes_memory_by_name_is_not_loaded(form, tmp_path):
    path = tmp_path / "vgg_face_dag.pth"
    content = {**state_dict(random_kernels()), "other": Bytes()}
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    tracemalloc.start()
    try:
        assert "code or objects (__builtin__.bytearray)" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_checkpoint_with_parameters_is_read(form, tmp_path):
    path = tmp_path / "checkpoint.pth"
    state = {
        f"module.{key}": nn.Parameter(value) for key, value in state_dict(random_kernels()).items()
    }
    content = {"epoch": 3, "state_dict": OrderedDict(state), "shape": torch.Size([3, 2])}
    torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    read = read_published_weights(path)
    assert torch.equal(read.tensors["conv5_3.bias"], state["module.conv5_3.bias"])


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_an_endless_description_of_tensors_is_refused(form, tmp_path, monkeypatch):
    path = tmp_path / "vgg_face_dag.pth"
    torch.save(state_dict(random_kernels()), path, _use_new_zipfile_serialization=form == "zip")
    read_published_weights(path)
    monkeypatch.setattr(pickled_names, "LONGEST_PICKLE", 200)
    assert "it is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V 1", "Torch7"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600), "-v7"),
        (b"\x1f\x8b\x08 packed", "unpack it"),
        (b"\x0a\x03VGG caffe", "no known weight file"),
    ],
)
def test_other_files_are_refused_with_what_is_readable(content, says, tmp_path):
    path = tmp_path / "vgg_face_dag.pth"
    path.write_bytes(content)
    message = refusal(path)
    assert says in message
    assert "readable are safetensors, PyTorch" in message


def test_other_pytorch_files_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save([torch.zeros(2)], path)
    assert "not a state dict" in refusal(path)
    torch.save({"encoder.0.weight": torch.zeros(2)}, path)
    assert "no layer is called conv1_1, nor features.0" in refusal(path)
    assert "encoder.0.weight" in refusal(path)
    numbers = state_dict(random_kernels())
    torch.save({**numbers, "conv2_1.bias": numbers["conv2_1.bias"].int()}, path)
    assert "conv2_1.bias does not hold plain floating-point" in refusal(path)
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    assert "no known weight file" in refusal(path)


def test_missing_and_huge_files_are_refused(tmp_path, monkeypatch):
    assert "no such file" in refusal(tmp_path / "absent.pth")
    assert "is a folder and no file" in refusal(tmp_path)
    write_safetensors(tmp_path / "w.safetensors", random_kernels())
    monkeypatch.setattr(published_weights, "LARGEST_FILE", 100)
    assert "at most 100 are read" in refusal(tmp_path / "w.safetensors")


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
        ("valid", [2, 2], "conv1_1 has padding valid behind zeros of [2, 2]"),
        ("same", [1, 1], "conv1_1 has padding same behind zeros of [1, 1]"),
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


@pytest.mark.parametrize("key", ["pad", "stride", "dilate"])
def test_a_matconvnet_model_of_another_layout_is_refused(key, tmp_path):
    layers = matconvnet_layers(random_kernels(), weights=True, **{key: [2.0, 2.0]})
    scipy.io.savemat(tmp_path / "vgg.mat", {"net": {"layers": layers}})
    assert f"conv1_1 has {key} [2.0, 2.0], VGG-16 has 1" in refusal(tmp_path / "vgg.mat")


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["pictures"] = np.zeros(3)
    assert "layer_names is missing" in refusal(path)
    kernels = {f"block{name[4:]}": arrays for name, arrays in random_kernels().items()}
    with h5py.File(path, "w") as file:
        fill_keras(file, keras_layers(kernels))
    assert "conv1_1 is missing" in refusal(path)


def test_a_mean_picture_is_left_to_the_configuration(tmp_path):
    picture = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
    path = tmp_path / "vgg.mat"
    net = {
        "layers": matconvnet_layers(random_kernels(), weights=True),
        "normalization": {"averageImage": picture},
    }
    scipy.io.savemat(path, {"net": net})
    assert read_published_weights(path).mean is None
    with pytest.raises(InputError, match=r"backbone\.mean, backbone\.scale: required"):
        imported(path, tmp_path)
    assert imported(path, tmp_path, mean=[1.0, 2.0, 3.0], scale=1.0).mean == (1.0, 2.0, 3.0)


def test_our_own_backbones_say_what_they_expect(tmp_path):
    tensors = state_dict(random_kernels(width=0.3))
    path = tmp_path / "ours.safetensors"
    write_backbone(path, BackboneFile(tensors, 0.3, (1.0, 2.0, 3.0), 4.0))
    read = imported(path, tmp_path)
    assert (read.width, read.mean, read.scale) == (0.3, (1.0, 2.0, 3.0), 4.0)
    recorded = json.loads((tmp_path / "metrics.json").read_text())
    assert recorded["input_assumed"] == "nothing"
    for contradiction in ({"mean": [1.0, 2.0, 4.0]}, {"scale": 5.0}, {"channels": "bgr"}):
        (key,) = contradiction
        with pytest.raises(InputError, match=rf"backbone\.{key}: .* and null \(as the file says"):
            imported(path, tmp_path, **contradiction)
    write_safetensors(path, random_kernels())
    with pytest.raises(InputError, match=r"backbone\.mean, backbone\.scale: required"):
        imported(path, tmp_path)


def test_a_wrapped_state_dict_is_unwrapped(tmp_path):
    numbers = state_dict(random_kernels())
    torch.save(numbers, tmp_path / "plain.pth")
    parallel = {f"module.{key}": tensor for key, tensor in numbers.items()}
    torch.save({"epoch": 3, "state_dict": parallel}, tmp_path / "wrapped.pth")
    plain, wrapped = (
        read_published_weights(tmp_path / name) for name in ("plain.pth", "wrapped.pth")
    )
    assert wrapped.assumed == plain.assumed
    for key, tensor in plain.tensors.items():
        assert torch.equal(wrapped.tensors[key], tensor)


def test_torchvision_weights_are_the_same_in_safetensors(tmp_path):
    write_torchvision(tmp_path / "vgg16.pth", random_kernels())
    stored = torch.load(tmp_path / "vgg16.pth", weights_only=True)
    save_file(stored, tmp_path / "vgg16.safetensors")
    one, other = (
        read_published_weights(tmp_path / f"vgg16.{ending}") for ending in ("pth", "safetensors")
    )
    assert one.assumed == other.assumed
    for key, tensor in one.tensors.items():
        assert torch.equal(other.tensors[key], tensor)


def test_tensors_without_plain_numbers_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    numbers = state_dict(random_kernels())
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    for strange in (torch.empty(4, device="meta"), nested):
        torch.save({**numbers, "conv1_1.bias": strange}, path)
        assert "conv1_1.bias does not hold plain floating-point" in refusal(path) or (
            "holds code or objects" in refusal(path)
        )


def test_files_that_unpack_to_much_more_are_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(published_weights, "LARGEST_FILE", 1 << 20)
    path = tmp_path / "weights.pth"
    torch.save({"conv1_1.weight": torch.zeros(1 << 20)}, tmp_path / "honest.pth")
    with (
        zipfile.ZipFile(tmp_path / "honest.pth") as honest,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in honest.namelist():
            packed.writestr(member, honest.read(member))
    assert path.stat().st_size < 100_000
    assert "its members are compressed" in refusal(path)
    # The end of the directory is there, the directory is not.
    content = (tmp_path / "honest.pth").read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    path.write_bytes(content[:directory] + bytes(4) + content[directory + 4 :])
    with monkeypatch.context() as large:
        large.setattr(published_weights, "LARGEST_FILE", 1 << 30)
        assert "not a readable PyTorch file" in refusal(path)
    bomb = tmp_path / "vgg_face.mat"
    scipy.io.savemat(bomb, {"net": np.zeros(1 << 20)}, do_compression=True)
    assert bomb.stat().st_size < 100_000
    assert "unpacks to more than 1048576 bytes" in refusal(bomb)
