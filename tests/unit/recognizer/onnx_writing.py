"""Writes ONNX files field by field, whole or damaged; numbers of fields are those of onnx.proto."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

FLOAT, INT64 = 1, 7
TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64, np.dtype(bool): 9}
TYPES |= {np.dtype(np.float16): 10, np.dtype(np.float64): 11, np.dtype(np.int32): 6}


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while True:
        found.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(found)


def field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(
    name: str,
    array: np.ndarray,
    *,
    dims: Sequence[int] | None = None,
    kind: int | None = None,
    raw: bytes | None = None,
    external: dict[str, str] | None = None,
) -> bytes:
    """A ``TensorProto``; the keywords make it claim something else than it holds."""
    content = b"".join(field(1, size) for size in (array.shape if dims is None else dims))
    content += field(2, TYPES[array.dtype] if kind is None else kind) + field(8, name)
    if external is None:
        return content + field(9, array.tobytes() if raw is None else raw)
    entries = (field(1, key) + field(2, value) for key, value in external.items())
    return content + field(14, 1) + b"".join(field(13, entry) for entry in entries)


def attribute(name: str, value: Any) -> bytes:
    start = field(1, name)
    if isinstance(value, np.ndarray):
        return start + field(5, tensor("", value)) + field(20, 4)
    if isinstance(value, float):
        return start + field(2, value) + field(20, 1)
    if isinstance(value, int):
        return start + field(3, value) + field(20, 2)
    if isinstance(value, str):
        return start + field(4, value) + field(20, 3)
    return start + b"".join(field(8, one) for one in value) + field(20, 7)


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str] | str,
    name: str = "",
    *,
    domain: str = "",
    **attributes: Any,
) -> bytes:
    """A ``NodeProto``."""
    outputs = [outputs] if isinstance(outputs, str) else outputs
    content = b"".join(field(1, one) for one in inputs) + b"".join(field(2, one) for one in outputs)
    content += field(3, name or f"{operator} of {outputs[0]}") + field(4, operator)
    content += b"".join(field(5, attribute(key, value)) for key, value in attributes.items())
    return content + field(7, domain)


def value(name: str, shape: Sequence[int | str | None], kind: int = FLOAT) -> bytes:
    """A ``ValueInfoProto``."""
    sizes = b"".join(
        field(1, field(2, one or "N") if one is None or isinstance(one, str) else field(1, one))
        for one in shape
    )
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, sizes)))


def model(
    nodes: Sequence[bytes],
    weights: dict[str, np.ndarray] | Sequence[bytes] = (),
    *,
    side: int | None = 32,
    batch: int | None = None,
    opset: int = 18,
    inputs: Sequence[bytes] | None = None,
    outputs: Sequence[bytes] | None = None,
    further: bytes = b"",
) -> bytes:
    """A ``ModelProto`` from pictures ``pixels`` to ``embedding``."""
    if isinstance(weights, dict):
        weights = [tensor(name, array) for name, array in weights.items()]
    inputs = [value("pixels", [batch, 3, side, side])] if inputs is None else inputs
    outputs = [value("embedding", [batch, None])] if outputs is None else outputs
    graph = b"".join(
        field(number, one)
        for number, many in ((1, nodes), (5, weights), (11, inputs), (12, outputs))
        for one in many
    )
    start = field(1, 8) + field(8, field(1, "") + field(2, opset))
    return start + field(7, field(2, "graph") + graph) + further


def residual_network(
    activation: str = "PRelu", *, side: int = 32, seed: int = 0, **arguments: Any
) -> bytes:
    """A small network with the operators of InsightFace's: a residual block, then a dense layer."""
    draw = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.3) -> np.ndarray:
        return (scale * draw.standard_normal(shape)).astype(np.float32)

    weights = {
        "first": normal(6, 3, 3, 3),
        "shift": normal(6),
        "second": normal(6, 6, 3, 3),
        "third": normal(8, 6, 3, 3),
        "scale": 1 + normal(8),
        "offset": normal(8),
        "mean": normal(8),
        "variance": 1 + normal(8) ** 2,
        "dense": normal(5, 8 * (side // 8) ** 2),
        "bias": normal(5),
        **{f"slope{one}": 0.25 + normal(6, 1, 1, scale=0.05) for one in (1, 2)},
        "zero": np.zeros((), np.float32),
        "six": np.full((), 6, np.float32),
    }
    further = {"PRelu": "slope", "Clip": "bounds"}.get(activation, "")

    def activated(given: str, made: str, number: int) -> bytes:
        inputs = [given]
        inputs += [f"slope{number}"] if further == "slope" else []
        inputs += ["zero", "six"] if further == "bounds" else []
        return node(activation, inputs, made, f"/block/act{number}")

    used = {"slope": ("zero", "six"), "bounds": ("slope1", "slope2")}
    unused = used.get(further, ("zero", "six", "slope1", "slope2"))
    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["pixels", "first", "shift"], "a", "/stem/Conv", strides=[2, 2], **three),
        activated("a", "b", 1),
        node("Conv", ["b", "second"], "c", "/block/Conv", **three),
        node("Add", ["b", "c"], "d", "/block/Add"),
        activated("d", "e", 2),
        node("Conv", ["e", "third"], "f", "/down/Conv", strides=[2, 2], **three),
        node("BatchNormalization", ["f", "scale", "offset", "mean", "variance"], "g", "/down/Norm"),
        node("MaxPool", ["g"], "h", "/down/Pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["h"], "i", "/Flatten"),
        node("Gemm", ["i", "dense", "bias"], "embedding", "/Gemm", transB=1),
    ]
    kept = {name: array for name, array in weights.items() if name not in unused}
    return model(nodes, kept, side=side, **arguments)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
