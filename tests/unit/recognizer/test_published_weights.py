"""Published weight files give the activations of a plain reference network."""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F
from recognizer.published_files import (
    VGG_FACE,
    WIDTH,
    WRITERS,
    Kernels,
    matconvnet_layers,
    random_kernels,
    state_dict,
    write_keras_no_top,
    write_safetensors,
    write_torchvision,
    write_vgg_face_dag,
)
from safetensors.torch import save_file
from shipped import section
from torch import Tensor, nn

from glassguard.configuration.sections import BackboneSection
from glassguard.errors import InputError
from glassguard.recognizer.layers import CONVOLUTIONS, CONVOLUTIONS_PER_BLOCK
from glassguard.recognizer.network import Normalisation, convolutional_layers
from glassguard.recognizer.preprocessing import in_rgb
from glassguard.recognizer.published_weights import read_published_weights
from glassguard.recognizer.weights import BackboneFile, read_backbone, write_backbone
from glassguard.stages import import_backbone


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


def test_a_mean_picture_is_left_to_the_configuration(tmp_path):
    picture = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
    path = tmp_path / "vgg.mat"
    net = {
        "layers": matconvnet_layers(random_kernels(), weights=True),
        "normalization": {"averageImage": picture},
    }
    scipy.io.savemat(path, {"net": net})
    assert read_published_weights(path).stated.mean is None
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
