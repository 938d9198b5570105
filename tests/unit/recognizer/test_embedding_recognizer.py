"""Recognizers on the embedding network of an ONNX file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from captum.attr import LayerGradientXActivation
from recognizer.onnx_writing import model, node, residual_network, write
from torch import nn

from glassguard.configuration.sections import BackboneSection, RecognizerSection
from glassguard.errors import InputError
from glassguard.influence import InternalInfluence
from glassguard.influence.guided_backpropagation import guided_backpropagation
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.onnx_file import Graph, OnnxError, read_onnx
from glassguard.recognizer.weights import (
    EmbeddingBackbone,
    read_backbone,
    read_recognizer,
    write_backbone,
    write_recognizer,
)

SIDE = 32
MEAN, SCALE = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)


def graph_of(folder: Path, content: bytes) -> Graph:
    return read_onnx(write(folder / "network.onnx", content))


def recognizer(graph: Graph, channels: str = "rgb", **changes: object) -> EmbeddingRecognizer:
    torch.manual_seed(0)
    given = {"mean": MEAN, "scale": SCALE, "image_size": SIDE} | changes
    network = EmbeddingRecognizer(graph, identities=4, hidden=8, channels=channels, **given)  # type: ignore[arg-type]
    return network.requires_grad_(False).eval()


def pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_pixels_enter_as_the_settings_say(channels: str, tmp_path: Path) -> None:
    network = recognizer(graph_of(tmp_path, residual_network()), channels)
    given = pixels()
    normalised = torch.stack(
        [(255 * given[:, one] - MEAN[one]) / SCALE[one] for one in range(3)], dim=1
    )
    order = [0, 1, 2] if channels == "rgb" else [2, 1, 0]
    embedding = network.features(normalised[:, order])
    expected = network.classifier(5**0.5 * F.normalize(embedding, dim=1))
    torch.testing.assert_close(network(given), expected, rtol=1e-4, atol=1e-5)


def test_a_recognizer_and_a_backbone_are_written_and_read(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, residual_network("Clip"))
    network = recognizer(graph, "bgr")
    path = tmp_path / "recognizer.safetensors"
    write_recognizer(path, network, ["a", "b", "c", "d"])
    again, people = read_recognizer(path)
    assert people == ["a", "b", "c", "d"]
    torch.testing.assert_close(again(pixels()), network(pixels()))
    assert list(again.slice_modules()) == list(network.slice_modules())
    first, second = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    write_backbone(first, EmbeddingBackbone(graph, MEAN, SCALE, "bgr"))
    backbone = read_backbone(first)
    write_backbone(second, backbone)
    assert first.read_bytes() == second.read_bytes()
    assert isinstance(backbone, EmbeddingBackbone)
    assert backbone.graph.nodes == graph.nodes


def test_slices_have_the_names_of_the_file(tmp_path: Path) -> None:
    network = recognizer(graph_of(tmp_path, residual_network()))
    names = ["block.act1", "block.Conv", "block.act2", "down.Conv", "fc1", "fc2"]
    # An addition lies between block.Conv and its activation, a pool behind down.Conv's norm.
    assert list(network.slice_modules()) == names
    before = [f"{name}_pre_relu" for name in ("block.act1", "block.act2", "fc1", "fc2")]
    assert list(network.slice_modules(("post_relu", "pre_relu"))) == names + before
    chosen = network.slice_modules(("post_relu", "pre_relu"), ("fc1", "block.act2"))
    assert list(chosen) == ["block.act2", "fc1", "block.act2_pre_relu", "fc1_pre_relu"]
    with pytest.raises(ValueError, match=r"no slice 'conv1_1'; there are block\.act1, "):
        network.slice_modules(chosen=("conv1_1",))


def deep_network(layers: int) -> bytes:
    """Activations at 32 pixels, and half as many at 16."""
    nodes, given = [], "pixels"
    for one in range(layers):
        nodes.append(node("Relu", [given], f"r{one}", f"r{one}"))
        nodes.append(node("Conv", [f"r{one}", "w"], f"c{one}", f"c{one}", pads=[1] * 4))
        given = f"c{one}"
        if one == 2 * layers // 3 - 1:
            nodes.append(node("MaxPool", [given], "m", kernel_shape=[2, 2], strides=[2, 2]))
            given = "m"
    nodes.append(node("Flatten", [given], "embedding"))
    weight = np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32)
    return model(nodes, {"w": weight / 5})


def test_a_deep_network_has_a_few_slices_of_every_stage(tmp_path: Path) -> None:
    network = recognizer(graph_of(tmp_path, deep_network(30)))
    # The first activation reads the pictures: it has nothing before it. c29 has none behind it.
    stages = ["r7", "r14", "c19", "r23", "r27", "c29"]
    assert list(network.slice_modules()) == [*stages, "fc1", "fc2"]
    assert len(network.slice_modules(chosen="all")) > 30
    assert network.slice_at(0.0) is network.features.module(network.features.steps[2])
    assert set(network.shown_layers()) <= set(network.slice_modules(chosen="all"))


@pytest.mark.parametrize("activation", ["Relu", "PRelu", "LeakyRelu", "Clip"])
def test_influence_of_a_residual_block_is_captums(activation: str, tmp_path: Path) -> None:
    network = recognizer(graph_of(tmp_path, residual_network(activation)))
    slices, given = network.slice_modules(("post_relu", "pre_relu")), pixels(3)
    found = InternalInfluence(network, slices).profiles(given)
    classes = network(given).argmax(1)
    modules = list(slices.values())
    peer = LayerGradientXActivation(network, modules, multiply_by_inputs=False)
    for name, gradient in zip(slices, peer.attribute(given, target=classes), strict=True):
        expected = gradient.amax(dim=(2, 3)) if gradient.ndim == 4 else gradient
        torch.testing.assert_close(found.profiles[name], expected.detach(), rtol=1e-5, atol=1e-8)


class Guided(torch.autograd.Function):
    """The rule by hand: positive gradients pass where the slope is one."""

    @staticmethod
    def forward(ctx, values, output, slope_is_one):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(slope_is_one)
        return output.clone()

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        (slope_is_one,) = ctx.saved_tensors
        return gradient.clamp_min(0) * slope_is_one, None, None


class ByHand(nn.Module):
    """An activation under the rule."""

    def __init__(self, activation: nn.Module, ceiling: float) -> None:
        super().__init__()
        self.activation, self.ceiling = [activation], ceiling

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        one = (values > 0) & (values < self.ceiling)
        return Guided.apply(values, self.activation[0](values).detach(), one)


@pytest.mark.parametrize(
    ("make", "ceiling"),
    [
        (nn.ReLU6, 6.0),
        (lambda: nn.Hardtanh(0.0, 0.4), 0.4),
        (lambda: nn.PReLU(5, 0.3), np.inf),
        (lambda: nn.LeakyReLU(0.2), np.inf),
    ],
)
def test_piecewise_linear_activations_are_guided_as_a_relu(make, ceiling: float) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 5, 3), make(), nn.Conv2d(5, 5, 3), make(), nn.Flatten()]
    network = nn.Sequential(*parts, nn.Linear(5 * 28 * 28, 4)).eval()
    by_hand = nn.Sequential(
        *(
            ByHand(part, ceiling)
            if isinstance(part, nn.Hardtanh | nn.PReLU | nn.LeakyReLU)
            else part
            for part in network
        )
    ).eval()
    given, classes = pixels() * 3, torch.tensor([1, 2])
    leaf = given.clone().requires_grad_()
    (expected,) = torch.autograd.grad(by_hand(leaf)[[0, 1], classes].sum(), leaf)
    found = guided_backpropagation(network, given, classes)
    torch.testing.assert_close(found, expected)
    assert not torch.equal(found, torch.zeros_like(found))


def test_smooth_activations_are_refused_by_name(tmp_path: Path) -> None:
    network = recognizer(graph_of(tmp_path, residual_network("Sigmoid")))
    message = "EmbeddingRecognizer runs nn.Sigmoid, for which guided backpropagation has no rule"
    with pytest.raises(ValueError, match=message):
        guided_backpropagation(network, pixels())


def normalising_itself() -> bytes:
    nodes = [
        node("Sub", ["pixels", "mean"], "moved", "centre"),
        node("Conv", ["moved", "w"], "made", "conv"),
        node("Relu", ["made"], "seen"),
        node("Flatten", ["seen"], "embedding"),
    ]
    weights = {"mean": np.float32(127.5).reshape(1), "w": np.ones((4, 3, 9, 9), np.float32)}
    return model(nodes, weights, side=SIDE)


def test_a_network_that_normalises_itself_is_not_normalised_again(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, normalising_itself())
    with pytest.raises(OnnxError, match=r"normalises its input itself \(node centre \(Sub\)\)"):
        recognizer(graph)
    assert recognizer(graph, mean=(0, 0, 0), scale=1.0)(pixels()).shape == (2, 4)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match=r"pictures of 32 pixels .* allowed is data\.image_size=32"):
        recognizer(graph_of(tmp_path, residual_network()), image_size=64)


def test_from_a_file_to_a_trained_recognizer(tmp_path: Path) -> None:
    """The stages import_backbone and recognizer on pictures of one colour a person."""
    from glassguard.configuration.compose import compose_study
    from glassguard.stages import import_backbone
    from glassguard.stages import recognizer as recognizer_stage

    conf = Path(__file__).parents[3] / "conf"
    study = compose_study(conf, "smoke", [])
    backbone = study.backbone.model_dump() | {
        "network": "onnx",
        "weights": write(tmp_path / "network.onnx", residual_network()),
        "mean": MEAN,
        "scale": SCALE,
        "channels": "rgb",
    }
    section = BackboneSection.model_validate({"seed": 0, "backbone": backbone})
    files = {name: tmp_path / f"{name}.json" for name in ("metrics", "recognizer_metrics")}
    frozen = tmp_path / "backbone.safetensors"
    import_backbone.run(
        section, weights=backbone["weights"], backbone=frozen, metrics=files["metrics"]
    )
    assert "ONNX" in json.loads(files["metrics"].read_text())["backbone"]

    draw = np.random.default_rng(0)
    facts = "source,sha256,width,height,left_eye_x,left_eye_y,right_eye_x,right_eye_y,aligned_by"
    rows, images = [f"image_id,identity,split,{facts}"], []
    for person in range(3):
        colour = np.roll((220, 40, 40), person)
        for number in range(8):
            split = ("train", "train", "train", "train", "val", "val", "test", "test")[number]
            rows.append(f"p{person}_{number},p{person},{split},made,0,32,32,10,12,21,12,crop")
            images.append(np.clip(colour + draw.integers(-20, 20, (SIDE, SIDE, 3)), 0, 255))
    np.save(tmp_path / "images.npy", np.array(images, dtype=np.uint8))
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    # A random network puts two of the colours close together: enough steps to tell them apart.
    training = {"hidden": 64, "epochs": 40, "batch_size": 4, "learning_rate": 0.01}
    copies = {"masked_copies": 0, "occluded_copies": 0}
    settings = study.recognizer.model_dump() | training | copies
    found = recognizer_stage.run(
        RecognizerSection.model_validate({"seed": 0, "recognizer": settings}),
        images=tmp_path / "images.npy",
        manifest=manifest,
        backbone=frozen,
        backbone_metrics=files["metrics"],
        recognizer=tmp_path / "recognizer.safetensors",
        metrics=files["recognizer_metrics"],
        predictions=tmp_path / "predictions.csv",
        history=tmp_path / "history.csv",
    )
    assert found["test_accuracy"] == 1.0
    wrong = np.zeros((24, 64, 64, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", wrong)
    with pytest.raises(InputError, match=r"data\.image_size=32"):
        recognizer_stage.run(
            RecognizerSection.model_validate({"seed": 0, "recognizer": settings}),
            images=tmp_path / "images.npy",
            manifest=manifest,
            backbone=frozen,
            backbone_metrics=files["metrics"],
            recognizer=tmp_path / "recognizer.safetensors",
            metrics=files["recognizer_metrics"],
            predictions=tmp_path / "predictions.csv",
            history=tmp_path / "history.csv",
        )
