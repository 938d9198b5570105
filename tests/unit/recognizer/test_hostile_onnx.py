"""ONNX files that are damaged or meant to harm: each is refused in one line, at once."""

import os
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recognizer.onnx_writing import (
    attribute,
    field,
    model,
    node,
    residual_network,
    tensor,
    value,
    varint,
    write,
)

from glassguard.recognizer.onnx_file import LARGEST_FILE, OnnxError, read_onnx
from glassguard.recognizer.onnx_network import OnnxNetwork

WHOLE = residual_network()
W = np.ones((4, 3, 3, 3), np.float32)
SECONDS = 2.0
BYTES = 200 << 20
"""Of Python's and NumPy's own; PyTorch takes the rest of 500 MB."""


def read(path: Path) -> OnnxNetwork:
    return OnnxNetwork(read_onnx(path))


def refused(path: Path, match: str | None = None) -> str:
    """The one line that refuses a file, within the time."""
    start = time.process_time()
    with pytest.raises(OnnxError, match=match) as caught:
        read(path)
    assert time.process_time() - start < SECONDS
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 700
    return message


def convolving(*weights: bytes, shape: tuple[int, ...] = (), **given: Any) -> bytes:
    """Pictures through one convolution whose weight is ``w``."""
    nodes = [node("Conv", ["pixels", "w"], "made", "conv"), node("Flatten", ["made"], "embedding")]
    return model(nodes, weights, **given)


@pytest.mark.parametrize("share", [one / 64 for one in range(64)])
def test_a_file_that_is_cut_off(share: float, tmp_path: Path) -> None:
    refused(write(tmp_path / "network.onnx", WHOLE[: int(len(WHOLE) * share)]))


@pytest.mark.parametrize("seed", range(120))
def test_damaged_bytes_are_refused_in_one_line_or_harmless(seed: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(seed)
    content = bytearray(WHOLE)
    # Most bytes are weights; the structure lies at the beginning and the end.
    structure = [*range(900), *range(len(content) - 400, len(content))]
    for place in draw.choice(structure, 1 + seed % 4):
        content[place] = int(draw.integers(256))
    path = write(tmp_path / "network.onnx", bytes(content))
    start = time.process_time()
    message = ""
    try:
        read(path)
    except OnnxError as error:
        message = str(error)
    assert "\n" not in message
    assert time.process_time() - start < SECONDS


HUGE = 2**40
SHAPES = [(HUGE,), (2**31, 2**31), (-1, 4), (2**62, 2), (4, 3, 3, 4), (0,), (1,) * 9, (2**63 - 1,)]


@pytest.mark.parametrize("dims", SHAPES)
@pytest.mark.parametrize("external", [False, True])
def test_a_weight_that_claims_another_shape(
    dims: tuple[int, ...], external: bool, tmp_path: Path
) -> None:
    (tmp_path / "beside").write_bytes(W.tobytes())
    where = {"location": "beside"} if external else None
    path = write(tmp_path / "network.onnx", convolving(tensor("w", W, dims=dims, external=where)))
    tracemalloc.start()
    try:
        refused(path)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [0, 2, 3, 6, 8, 10, 11, 16, 99])
def test_numbers_of_another_type(kind: int, tmp_path: Path) -> None:
    path = write(tmp_path / "network.onnx", convolving(tensor("w", W, kind=kind)))
    refused(path, "weight w holds numbers .*; allowed are FLOAT")


@pytest.mark.parametrize(
    "location",
    [
        *("../secret", "/etc/hostname", "sub/../../secret", "a/b", "..", ".", "", "C:\\secret"),
        *("\0", "..\\secret", "link", "pipe", "missing", "folder", "file:///etc/hostname"),
    ],
)
def test_weights_elsewhere(location: str, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "network"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.write_bytes(W.tobytes())
    (folder / "link").symlink_to(secret)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    path = write(
        folder / "network.onnx", convolving(tensor("w", W, external={"location": location}))
    )
    opened: list[Path] = []
    real = Path.open

    def watched(self: Path, *given: Any, **named: Any) -> Any:
        opened.append(self)
        return real(self, *given, **named)

    monkeypatch.setattr(Path, "open", watched)
    refused(path, "weight w lies in")
    assert all(one.resolve() == path for one in opened)


@pytest.mark.parametrize(
    "entries",
    [
        *({"offset": "-1"}, {"offset": "x"}, {"offset": "9" * 30}, {"offset": "400"}),
        *({"length": "10"}, {"length": "-1"}),
    ],
)
def test_places_outside_the_file_beside(entries: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "beside").write_bytes(W.tobytes())
    external = {"location": "beside"} | entries
    path = write(tmp_path / "network.onnx", convolving(tensor("w", W, external=external)))
    refused(path, "weight w ")


def through(*nodes: bytes, **given: Any) -> bytes:
    return model(list(nodes), given.pop("weights", ()), **given)


FLATTEN = node("Flatten", ["made"], "embedding")
GRAPHS: dict[str, tuple[bytes, str]] = {
    "a circle": (
        through(node("Relu", ["b"], "a", "one"), node("Relu", ["a"], "b", "two"), FLATTEN),
        r"node one \(Relu\) reads b, which node two \(Relu\) makes in a circle or after it",
    ),
    "out of order": (
        through(node("Flatten", ["made"], "embedding", "last"), node("Relu", ["pixels"], "made")),
        "node last .* reads made, which node .* after it",
    ),
    "of itself": (
        through(node("Add", ["pixels", "made"], "made", "loop"), FLATTEN),
        "node loop .* reads made",
    ),
    "nothing makes it": (
        through(node("Add", ["pixels", "ghost"], "made"), FLATTEN),
        "reads ghost, which nothing makes",
    ),
    "made twice": (
        through(node("Relu", ["pixels"], "made"), node("Relu", ["pixels"], "made"), FLATTEN),
        "makes made, which is there already",
    ),
    "no output": (through(node("Relu", ["pixels"], "made")), "no node makes its output"),
    "an unknown operator": (
        through(node("Einsum", ["pixels"], "made", "here"), FLATTEN),
        r"node here \(Einsum\): no such operator is read",
    ),
    "another domain": (
        through(node("Relu", ["pixels"], "made", "here", domain="evil.ops"), FLATTEN),
        "node here .* is of domain evil.ops",
    ),
    "an unknown attribute": (
        through(node("Relu", ["pixels"], "made", leak=1), FLATTEN),
        "has attribute leak",
    ),
    "too many inputs": (through(node("Relu", ["pixels"] * 3, "made"), FLATTEN), "has 3 inputs"),
    "functions": (through(FLATTEN, further=field(25, field(1, "f"))), "functions of its own"),
    "an old opset": (through(FLATTEN, opset=5), "of version 5; allowed are 7"),
    "a far opset": (through(FLATTEN, opset=999), "of version 999"),
    "no picture": (through(FLATTEN, inputs=[value("pixels", [1, 128])]), "is 1 x 128"),
    "colours last": (
        through(FLATTEN, inputs=[value("pixels", [1, 32, 32, 3])]),
        "is 1 x 32 x 32 x 3; allowed is N x 3 x side x side",
    ),
    "a giant picture": (through(FLATTEN, side=2**40), "with a side of 32 to 512"),
    "whole numbers in": (
        through(FLATTEN, inputs=[value("pixels", [1, 3, 32, 32], 7)]),
        "takes no float32",
    ),
    "two inputs": (
        through(FLATTEN, inputs=[value(name, [1, 3, 32, 32]) for name in ("pixels", "more")]),
        "2 inputs and 1 outputs",
    ),
    "no graph": (field(8, field(1, "") + field(2, 18)), "holds no graph"),
    "no opset": (field(7, b""), "names no version"),
    "a giant stride": (
        through(
            node("MaxPool", ["pixels"], "made", kernel_shape=[1, 1], strides=[2**40, 1]), FLATTEN
        ),
        "strides must be 2 whole numbers from 1 to 1024",
    ),
    "giant pads": (
        through(
            node("AveragePool", ["pixels"], "made", kernel_shape=[1, 1], pads=[2**33] * 4), FLATTEN
        ),
        "pads must be 4 whole numbers",
    ),
    "pads that blow up": (
        through(
            *(
                node(
                    "MaxPool",
                    ["pixels" if one == 0 else f"m{one}"],
                    f"m{one + 1}" if one < 5 else "made",
                    kernel_shape=[1, 1],
                    pads=[1024] * 4,
                )
                for one in range(6)
            ),
            FLATTEN,
        ),
        "would make .* of a picture; allowed are 1 to",
    ),
    "a kernel larger than the picture": (
        through(node("MaxPool", ["pixels"], "made", kernel_shape=[99, 99]), FLATTEN),
        "its kernel is larger than 32 x 32 pixels",
    ),
    "a shape of nothing": (
        through(
            node("Reshape", ["pixels", "s"], "embedding"), weights={"s": np.array([0, -1, -1])}
        ),
        "is no shape",
    ),
    "a shape that mixes pictures": (
        through(node("Reshape", ["pixels", "s"], "embedding"), weights={"s": np.array([7, -1])}),
        "must start with the number of pictures",
    ),
    "a shape that does not fit": (
        through(node("Reshape", ["pixels", "s"], "embedding"), weights={"s": np.array([0, 77])}),
        "has no shape",
    ),
    "weights that do not fit": (
        convolving(tensor("w", np.ones((4, 5, 3, 3), np.float32))),
        "weights of 4 x 5 x 3 x 3 in 1 groups do not fit 3 channels",
    ),
    "not finite": (convolving(tensor("w", W * np.inf)), "holds numbers that are not finite"),
    "a negative variance": (
        through(
            node("BatchNormalization", ["pixels", *"smov"], "made"),
            FLATTEN,
            weights={name: np.array([1, 1, -1], np.float32) for name in "smov"},
        ),
        "negative variance",
    ),
    "training": (
        through(
            node("BatchNormalization", ["pixels", *"smov"], "made", training_mode=1),
            FLATTEN,
            weights={name: np.ones(3, np.float32) for name in "smov"},
        ),
        "training_mode=1 is not supported",
    ),
    "a constant of several pictures": (
        through(
            node("Add", ["pixels", "c"], "made"),
            FLATTEN,
            weights={"c": np.ones((2, 3, 1, 1), np.float32)},
        ),
        "a constant of 2 x 3 x 1 x 1",
    ),
    "bounds that leave nothing": (
        through(
            node("Clip", ["pixels", "l", "h"], "made"),
            FLATTEN,
            weights={"l": np.float32(3).reshape(()), "h": np.float32(1).reshape(())},
        ),
        "leave nothing between",
    ),
    "a weight twice": (convolving(tensor("w", W), tensor("w", W)), "holds w twice"),
    "a long name": (through(node("Relu", ["x" * 999], "made"), FLATTEN), "more than 300 letters"),
    "a name that is no text": (
        through(field(1, b"\xff\xfe") + field(2, "made") + field(4, "Relu"), FLATTEN),
        "no text",
    ),
    "an attribute with a graph": (
        through(
            node("If", ["pixels"], "made") + field(5, field(1, "then_branch") + field(20, 5)),
            FLATTEN,
        ),
        "of a kind that is not read",
    ),
    "an attribute that is not finite": (
        through(node("LeakyRelu", ["pixels"], "made", alpha=float("nan")), FLATTEN),
        "alpha is not finite",
    ),
    "an attribute twice": (
        through(
            node("LeakyRelu", ["pixels"], "made", alpha=0.1) + field(5, attribute("alpha", 0.2)),
            FLATTEN,
        ),
        "has alpha twice",
    ),
    "a huge embedding": (
        through(node("Flatten", ["pixels"], "embedding"), side=512),
        "an embedding",
    ),
    "many nodes": (
        through(
            *(
                node("Relu", ["pixels" if one == 0 else f"n{one}"], f"n{one + 1}")
                for one in range(5000)
            ),
            node("Flatten", ["n5000"], "embedding"),
        ),
        "allowed are 4096",
    ),
    "very many empty nodes": (through(*[b""] * 500_000), "more than 200000 parts"),
    "very many small numbers": (
        convolving(field(1, 1) + field(2, 7) + field(8, "w") + field(7, b"\1" * 1_000_000)),
        "more than 200000 parts",
    ),
    "a number without end": (varint(3 << 3) + b"\xff" * 30, "damaged"),
    "messages in messages": (field(7, b"".join([field(1, field(5, b""))] * 10)), "version"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_is_no_network(name: str, tmp_path: Path) -> None:
    content, match = GRAPHS[name]
    refused(write(tmp_path / "network.onnx", content), match)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    tracemalloc.start()
    try:
        refused(path, "at most")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_no_file_or_another_file(tmp_path: Path) -> None:
    refused(tmp_path / "missing.onnx", "no such file")
    refused(tmp_path, "is a folder")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no such file")
    refused(write(tmp_path / "page", b"<!doctype html><html>"), "is a web page")
    refused(write(tmp_path / "lfs", b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS")
    refused(write(tmp_path / "zip", b"PK\x03\x04" + bytes(100)), "ONNX model is wanted")
    refused(write(tmp_path / "empty", b""), "is empty")
