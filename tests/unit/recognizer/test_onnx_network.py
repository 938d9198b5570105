"""Networks of ONNX files against onnxruntime, PyTorch's own layers and finite differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from recognizer.onnx_writing import model, node, residual_network, tensor, write

from glassguard.recognizer.onnx_file import read_onnx
from glassguard.recognizer.onnx_network import OnnxNetwork
from glassguard.recognizer.onnx_operators import OPERATORS

SIDE = 32
SHARED = Path(__file__).resolve().parents[4] / "shared"
MOBILEFACENET = SHARED / "weights" / "mobilefacenet" / "MobileFaceNet.onnx"


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network_of(content: bytes, folder: Path) -> OnnxNetwork:
    return OnnxNetwork(read_onnx(write(folder / "network.onnx", content)))


def flat(operator: bytes, weights: dict[str, np.ndarray], **given: Any) -> bytes:
    """One operator from ``pixels`` to ``made``, flattened to an embedding."""
    nodes = [operator, node("Flatten", ["made"], "embedding", axis=1)]
    return model(nodes, weights, side=SIDE, **given)


Case = tuple[bytes, dict[str, np.ndarray], Callable[[torch.Tensor], torch.Tensor]]

W = drawn(4, 3, 3, 3)
GROUPED = drawn(6, 1, 3, 3)
BIAS, SCALE, MEAN, VARIANCE = drawn(4), drawn(3, seed=1), drawn(3, seed=2), drawn(3, seed=3) ** 2
SLOPES = np.array([0.1, 0.2, -0.3], np.float32).reshape(3, 1, 1)
DENSE = drawn(7, 3)
t = torch.from_numpy


def spatial(operator: str, **attributes: Any) -> bytes:
    return node(operator, ["pixels"], "made", **attributes)


CASES: dict[str, Case] = {
    "Conv": (
        node("Conv", ["pixels", "w", "b"], "made", pads=[1, 2, 1, 2], strides=[2, 1]),
        {"w": W, "b": BIAS},
        lambda x: F.conv2d(x, t(W), t(BIAS), stride=(2, 1), padding=(1, 2)),
    ),
    "Conv, dilated": (
        node("Conv", ["pixels", "w"], "made", dilations=[2, 3], kernel_shape=[3, 3]),
        {"w": W},
        lambda x: F.conv2d(x, t(W), dilation=(2, 3)),
    ),
    "Conv, grouped, uneven pads": (
        node("Conv", ["pixels", "w"], "made", group=3, pads=[0, 1, 2, 3]),
        {"w": GROUPED},
        lambda x: F.conv2d(F.pad(x, (1, 3, 0, 2)), t(GROUPED), groups=3),
    ),
    "Conv, same": (
        node("Conv", ["pixels", "w"], "made", auto_pad="SAME_UPPER", strides=[2, 2]),
        {"w": W},
        lambda x: F.conv2d(F.pad(x, (0, 1, 0, 1)), t(W), stride=2),
    ),
    "BatchNormalization": (
        node("BatchNormalization", ["pixels", "s", "o", "m", "v"], "made", epsilon=1e-3),
        {"s": SCALE, "o": drawn(3, seed=4), "m": MEAN, "v": VARIANCE},
        lambda x: F.batch_norm(x, t(MEAN), t(VARIANCE), t(SCALE), t(drawn(3, seed=4)), eps=1e-3),
    ),
    "Relu": (spatial("Relu"), {}, torch.relu),
    "Sigmoid": (spatial("Sigmoid"), {}, torch.sigmoid),
    "LeakyRelu": (spatial("LeakyRelu", alpha=0.2), {}, lambda x: F.leaky_relu(x, 0.2)),
    "PRelu": (
        node("PRelu", ["pixels", "p"], "made"),
        {"p": SLOPES},
        lambda x: torch.where(x > 0, x, x * t(SLOPES)),
    ),
    "Clip": (
        node("Clip", ["pixels", "low", "high"], "made"),
        {"low": np.float32(0).reshape(()), "high": np.float32(0.5).reshape(())},
        lambda x: x.clamp(0, 0.5),
    ),
    "Clip, one bound": (
        node("Clip", ["pixels", "", "high"], "made"),
        {"high": np.float32(0.5).reshape(())},
        lambda x: x.clamp_max(0.5),
    ),
    "Add": (node("Add", ["pixels", "c"], "made"), {"c": SLOPES}, lambda x: x + t(SLOPES)),
    "Sub": (node("Sub", ["c", "pixels"], "made"), {"c": SLOPES}, lambda x: t(SLOPES) - x),
    "Mul": (node("Mul", ["pixels", "pixels"], "made"), {}, lambda x: x * x),
    "Div": (
        node("Div", ["pixels", "c"], "made"),
        {"c": np.array([2.5], np.float32)},
        lambda x: x / 2.5,
    ),
    "MaxPool": (
        spatial("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        {},
        lambda x: F.max_pool2d(x, 3, 2, 1),
    ),
    "AveragePool": (
        spatial("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        {},
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    ),
    "GlobalAveragePool": (
        spatial("GlobalAveragePool"),
        {},
        lambda x: x.mean(dim=(2, 3), keepdim=True),
    ),
    "ReduceMean": (
        node("ReduceMean", ["pixels", "axes"], "made", keepdims=0),
        {"axes": np.array([2, -1])},
        lambda x: x.mean(dim=(2, 3)),
    ),
    "Concat": (
        node("Concat", ["pixels", "pixels"], "made", axis=1),
        {},
        lambda x: torch.cat([x, x], 1),
    ),
    "Dropout": (spatial("Dropout"), {}, lambda x: x),
    "Identity": (spatial("Identity"), {}, lambda x: x),
    "LpNormalization": (
        spatial("LpNormalization", axis=1, p=2),
        {},
        lambda x: F.normalize(x, dim=1),
    ),
    "Reshape": (
        node("Reshape", ["pixels", "shape"], "made"),
        {"shape": np.array([0, 6, -1])},
        lambda x: x.reshape(len(x), 6, -1),
    ),
}
BEHIND_A_MEAN: dict[str, Case] = {
    "Flatten": (node("Flatten", ["mean"], "embedding"), {}, lambda x: x),
    "Squeeze": (
        node("Squeeze", ["mean", "axes"], "embedding"),
        {"axes": np.array([2, 3])},
        lambda x: x,
    ),
    "Gemm": (
        node("Gemm", ["flat", "w", "b"], "embedding", alpha=0.5, beta=2.0, transB=1),
        {"w": DENSE, "b": drawn(7)},
        lambda x: 0.5 * x @ t(DENSE).T + 2 * t(drawn(7)),
    ),
    "MatMul": (
        node("MatMul", ["flat", "w"], "embedding"),
        {"w": np.ascontiguousarray(DENSE.T)},
        lambda x: x @ t(DENSE).T,
    ),
}


def behind_a_mean(operator: bytes, weights: dict[str, np.ndarray]) -> bytes:
    nodes = [node("GlobalAveragePool", ["pixels"], "mean"), node("Flatten", ["mean"], "flat")]
    return model([*nodes, operator], weights, side=SIDE)


FILES = {
    **{name: (flat(made, weights), expected) for name, (made, weights, expected) in CASES.items()},
    **{
        name: (
            behind_a_mean(made, weights),
            lambda x, after=expected: after(x.mean(dim=(2, 3))),
        )
        for name, (made, weights, expected) in BEHIND_A_MEAN.items()
    },
}


def test_every_operator_has_a_case() -> None:
    assert {name.split(",")[0] for name in FILES} == OPERATORS.keys()


@pytest.mark.parametrize("name", FILES)
def test_an_operator_is_that_of_pytorch(name: str, tmp_path: Path) -> None:
    content, expected = FILES[name]
    pixels = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    found = network_of(content, tmp_path)(pixels)
    torch.testing.assert_close(found, expected(pixels).flatten(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_an_operator_is_that_of_onnxruntime(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    content, _ = FILES[name]
    pixels = drawn(3, 3, SIDE, SIDE)
    network = network_of(content, tmp_path)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"pixels": pixels})
    np.testing.assert_allclose(
        network(t(pixels)).numpy(), expected.reshape(3, -1), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("activation", ["Relu", "PRelu", "LeakyRelu", "Clip", "Sigmoid"])
def test_a_residual_network_and_its_gradient(activation: str, tmp_path: Path) -> None:
    network = network_of(residual_network(activation), tmp_path)
    pixels = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(tmp_path / "network.onnx"))
    (expected,) = session.run(None, {"pixels": pixels.numpy()})
    torch.testing.assert_close(network(pixels), t(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["Relu", "PRelu", "LeakyRelu", "Clip", "Sigmoid"])
def test_gradients_are_finite_differences(activation: str, tmp_path: Path) -> None:
    network = network_of(residual_network(activation), tmp_path).double()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(2, 3, SIDE, SIDE, dtype=torch.float64, generator=generator)
    way = torch.randn(pixels.shape, dtype=torch.float64, generator=generator)
    weights = torch.randn(2, 5, dtype=torch.float64, generator=generator)

    def total(moved: torch.Tensor) -> torch.Tensor:
        return (network(moved) * weights).sum()

    leaf = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    step = 1e-7
    difference = (total(pixels + step * way) - total(pixels - step * way)) / (2 * step)
    torch.testing.assert_close((gradient * way).sum(), difference, rtol=1e-5, atol=1e-8)


def test_a_batch_that_the_file_fixes_is_free(tmp_path: Path) -> None:
    shape = np.array([1, -1])
    nodes = [node("Reshape", ["pixels", "shape"], "embedding")]
    content = model(nodes, {"shape": shape}, batch=1)
    pixels = torch.rand(5, 3, SIDE, SIDE)
    assert torch.equal(network_of(content, tmp_path)(pixels), pixels.flatten(1))


def test_weights_next_to_the_file_are_read(tmp_path: Path) -> None:
    weight = drawn(4, 3, 3, 3)
    (tmp_path / "weights.data").write_bytes(b"skipped!" + weight.tobytes())
    external = {"location": "weights.data", "offset": "8", "length": str(weight.nbytes)}
    content = flat(
        node("Conv", ["pixels", "w"], "made"),
        [tensor("w", weight, external=external)],  # type: ignore[arg-type]
    )
    pixels = torch.rand(1, 3, SIDE, SIDE)
    expected = F.conv2d(pixels, t(weight)).flatten(1)
    torch.testing.assert_close(network_of(content, tmp_path)(pixels), expected)


def test_a_network_stays_in_evaluation_mode_and_frozen(tmp_path: Path) -> None:
    network = network_of(residual_network(), tmp_path).train()
    assert not any(module.training for module in network.modules())
    assert not any(one.requires_grad for one in network.parameters())


@pytest.mark.skipif(not MOBILEFACENET.exists(), reason="no such file on this machine")
def test_mobilefacenet_is_that_of_onnxruntime() -> None:
    runtime = pytest.importorskip("onnxruntime")
    network = OnnxNetwork(read_onnx(MOBILEFACENET))
    session = runtime.InferenceSession(str(MOBILEFACENET), providers=["CPUExecutionProvider"])
    pixels = drawn(3, 3, 112, 112)
    rows = [session.run(None, {"input0": pixels[[one]]})[0] for one in range(3)]
    expected = np.concatenate(rows)
    error = np.abs(network(t(pixels)).numpy() - expected).max() / np.abs(expected).max()
    assert error < 1e-5
