"""A network's input: what is configured is used, what is assumed is announced."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from recognizer import weight_files
from recognizer.weight_files import renamed, tensors
from shipped import section
from torch import Tensor

from glassguard.configuration.sections import BackboneSection
from glassguard.errors import InputError
from glassguard.recognizer.weights import BackboneFile, read_backbone, write_backbone
from glassguard.stages import import_backbone

VGG_FACE = (129.1863, 104.7624, 93.5940)
CAFFE = (123.68, 116.779, 103.939)
V1_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
V1_DEVIATION = tuple(255 * deviation for deviation in (0.229, 0.224, 0.225))
FEATURES = tuple(255 * mean for mean in (0.48235, 0.45882, 0.40784))

Input = dict[str, Any]


def torch_file(style: str) -> Callable[[Path], None]:
    return lambda path: torch.save(renamed(tensors(), style), path)


def safetensors_file(style: str) -> Callable[[Path], None]:
    return lambda path: weight_files.write_safetensors(path, renamed(tensors(), style))


def usual(channels: str | None, mean: object, scale: object) -> Input:
    return {"channels": channels, "mean": mean, "scale": scale}


V1 = usual("rgb", V1_MEAN, V1_DEVIATION)
NOTHING = usual(None, None, None)
FILES: dict[str, tuple[Callable[[Path], None], Input]] = {
    "torchvision": (torch_file("features.0"), V1),
    "torchvision as safetensors": (safetensors_file("features.0"), V1),
    "vgg_face_dag": (torch_file("conv1_1"), usual("rgb", VGG_FACE, 1.0)),
    "vgg-face.pytorch": (torch_file("conv_1_1"), NOTHING),
    "numbers": (torch_file("0"), NOTHING),
    "keras.applications": (
        lambda path: weight_files.write_nested_keras(path, tensors(), "block1_conv1"),
        NOTHING,
    ),
    "keras-vggface": (
        lambda path: weight_files.write_nested_keras(path, tensors(), "conv1_1"),
        usual("bgr", VGG_FACE, 1.0),
    ),
    "Keras 3": (lambda path: weight_files.write_dot_keras(path, tensors()), NOTHING),
    "own safetensors": (safetensors_file("conv1_1"), usual("rgb", None, None)),
}
"""Who writes a file, and what is usual in one."""


def imported(path: Path, **said: object) -> BackboneFile:
    config = BackboneSection.model_validate(
        {"seed": 0, "backbone": section("backbone/pretrain", weights=str(path), **said)}
    )
    output = path.with_name("backbone.safetensors")
    metrics = path.with_name("metrics.json")
    import_backbone.run(config, weights=path, backbone=output, metrics=metrics)
    return read_backbone(output)


def answers(backbone: BackboneFile, rgb: Tensor) -> Tensor:
    """What our first convolution says to pixels of 0 to 255."""
    normalised = (rgb - torch.tensor(backbone.mean).view(1, 3, 1, 1)) / backbone.scale
    held = backbone.tensors
    return F.conv2d(
        normalised, held["conv1_1.weight"].double(), held["conv1_1.bias"].double(), padding=1
    )


def expected_answers(expects: Input, rgb: Tensor) -> Tensor:
    """What the file's own first convolution says to them, in its own order of colours."""
    mean, scale = (
        torch.tensor(np.broadcast_to(expects[key], 3).copy(), dtype=torch.float64).view(1, 3, 1, 1)
        for key in ("mean", "scale")
    )
    normalised = (rgb - mean) / scale
    ordered = normalised.flip(1) if expects["channels"] == "bgr" else normalised
    held = tensors(dtype=torch.float64)
    state = {name: tensor.float().double() for name, tensor in held.items()}
    return F.conv2d(ordered, state["conv1_1.weight"], state["conv1_1.bias"], padding=1)


def pixels() -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double() * 255


def check_input(backbone: BackboneFile, expects: Input) -> None:
    ours, theirs = answers(backbone, pixels()), expected_answers(expects, pixels())
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def differ(one: Any, other: Any) -> bool:
    if isinstance(one, str):
        return one != other
    return not np.allclose(one, other)


colours = st.sampled_from([CAFFE, FEATURES, VGG_FACE, V1_MEAN, (0.0, 0.0, 0.0)])
divisors = st.sampled_from([1.0, 127.5, 255.0, V1_DEVIATION, (60.0, 50.0, 40.0)])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(FILES)),
    channels=st.sampled_from([None, "rgb", "bgr"]),
    mean=st.none() | colours,
    scale=st.none() | divisors,
)
@example(kind="torchvision", channels=None, mean=None, scale=None)
@example(kind="torchvision", channels="bgr", mean=CAFFE, scale=1.0)
@example(kind="torchvision", channels="rgb", mean=FEATURES, scale=1.0)
@example(kind="torchvision", channels=None, mean=FEATURES, scale=1.0)
@example(kind="torchvision", channels="bgr", mean=None, scale=None)
@example(kind="numbers", channels="rgb", mean=V1_MEAN, scale=V1_DEVIATION)
@example(kind="keras-vggface", channels="rgb", mean=CAFFE, scale=1.0)
@example(kind="keras-vggface", channels=None, mean=CAFFE, scale=1.0)
def test_what_is_given_is_used_and_the_rest_is_assumed_or_asked_for(
    tmp_path, kind, channels, mean, scale
):
    write, convention = FILES[kind]
    path = tmp_path / "weights"
    write(path)
    said = {"channels": channels, "mean": mean, "scale": scale}
    absent = [key for key, value in said.items() if value is None]
    denied = any(
        value is not None and convention[key] is not None and differ(value, convention[key])
        for key, value in said.items()
    )
    wanted = [
        key
        for key in absent
        if convention[key] is None or (denied and (key != "channels" or convention[key] == "bgr"))
    ]
    if wanted:
        with pytest.raises(InputError) as caught:
            imported(path, **said)
        keys = ", ".join(f"backbone.{key}" for key in wanted)
        assert str(caught.value).startswith(f"{keys}: required, since {path} (")
        return
    backbone = imported(path, **said)
    check_input(backbone, {key: convention[key] if key in absent else said[key] for key in said})
    recorded = json.loads((tmp_path / "metrics.json").read_text())
    assert recorded["input_assumed"] == (", ".join(absent) or "nothing")


def test_an_assumption_is_announced_with_what_to_say_otherwise(tmp_path, capsys):
    path = tmp_path / "vgg16.pth"
    torch.save({"state_dict": renamed(tensors(), "features.0", "model.")}, path)
    imported(path)
    line = capsys.readouterr().err
    assert line.startswith(
        f"{path} (PyTorch state dict, first layer state_dict: model.features.0.weight)"
    )
    assert line.count("\n") == 1
    assumed = "channels rgb; mean 123.675, 116.28, 103.53; scale 58.395, 57.12, 57.375"
    assert f"Assumed, as in torchvision's IMAGENET1K_V1: {assumed}. If" in line
    assert "give backbone.channels, backbone.mean and backbone.scale" in line
    recorded = json.loads((tmp_path / "metrics.json").read_text())
    assert recorded["input"] == assumed
    # The report says what the convolutions were.
    assert f"assumed, as in torchvision's IMAGENET1K_V1: {assumed})" in recorded["backbone"]
    imported(path, channels="rgb", mean=FEATURES, scale=1.0)
    assert capsys.readouterr().err == ""
    recorded = json.loads((tmp_path / "metrics.json").read_text())
    assert recorded["input"] == "channels rgb; mean 122.999, 116.999, 103.999; scale 1"
    assert "assumed" not in recorded["backbone"]


def test_a_denied_convention_is_named_where_it_leaves_something_open(tmp_path):
    path = tmp_path / "vgg16.pth"
    torch.save(renamed(tensors(), "features.0"), path)
    with pytest.raises(
        InputError,
        match=r"backbone\.mean, backbone\.scale: required, .* backbone\.channels=bgr is not that "
        r"of torchvision's IMAGENET1K_V1; allowed: mean: three numbers",
    ):
        imported(path, channels="bgr")
    with pytest.raises(InputError, match=r"backbone\.scale: required, .*; allowed: a number above"):
        imported(path, mean=FEATURES)


def write_matconvnet(path: Path, mean: tuple[float, float, float] | None) -> None:
    layers = np.empty((1, 13), object)
    arrays = list(weight_files.hwio(tensors()).values())
    for place, name in enumerate(list(tensors())[::2]):
        cell = np.empty((1, 2), object)
        cell[0, 0], cell[0, 1] = arrays[2 * place], arrays[2 * place + 1]
        layers[0, place] = {"name": name.removesuffix(".weight"), "type": "conv", "weights": cell}
    net: dict[str, object] = {"layers": layers}
    if mean is not None:
        net["meta"] = {"normalization": {"averageImage": np.broadcast_to(mean, (4, 4, 3))}}
    scipy.io.savemat(path, {"net": net})


def test_a_mean_that_stands_in_the_file_is_in_the_order_of_its_colours(tmp_path):
    path = tmp_path / "vgg.mat"
    write_matconvnet(path, (1.0, 2.0, 3.0))
    check_input(imported(path), usual("rgb", (1.0, 2.0, 3.0), 1.0))
    check_input(imported(path, channels="bgr", scale=2.0), usual("bgr", (3.0, 2.0, 1.0), 2.0))
    check_input(imported(path, mean=[1.0, 2.0, 3.0]), usual("rgb", (1.0, 2.0, 3.0), 1.0))
    with pytest.raises(InputError, match=r"backbone\.mean: 1, 2, 4 is not what .* allowed are 1, "):
        imported(path, mean=[1.0, 2.0, 4.0])
    write_matconvnet(path, None)
    check_input(imported(path), usual("rgb", VGG_FACE, 1.0))
    check_input(imported(path, channels="bgr", mean=CAFFE, scale=1), usual("bgr", CAFFE, 1.0))


def test_our_own_file_states_its_input_and_is_copied_to_the_bit(tmp_path, capsys):
    path = tmp_path / "ours"
    write_backbone(path, BackboneFile(tensors(), 1 / 32, (1.0, 2.0, 3.0), 4.0))
    assert imported(path, scale=[4, 4, 4]).scale == 4.0
    assert path.with_name("backbone.safetensors").read_bytes() == path.read_bytes()
    assert capsys.readouterr().err == ""
