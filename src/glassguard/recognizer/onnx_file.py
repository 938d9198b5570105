"""Networks of ONNX files: nodes and constants, read without executing or trusting anything.

ONNX files are Protocol Buffers messages (github.com/onnx/onnx, ``onnx.proto``). Converters to
PyTorch need torchvision and run what a file says; here a file is checked first: its size, every
declared shape against the bytes that are there, the order of its nodes, and that weights in other
files lie next to it. :mod:`glassguard.recognizer.onnx_network` makes a network of the result.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassguard.recognizer.network_files import START, why_no_onnx
from glassguard.recognizer.protocol_buffers import Budget, Message, MessageError

LARGEST_FILE = 288 << 20
"""Bytes of the file, and of all weights; the largest published face network has 249 MiB."""
OPSETS = range(7, 28)
"""Versions of ONNX's operators. Older ones broadcast by attributes."""
OWN_DOMAINS = ("", "ai.onnx")
SIDES = range(32, 513)
"""Pixels of a side of the input, as for pictures."""
LONGEST_NAME = 300
MOST_AXES = 6

# TensorProto.DataType.
FLOAT, INT64, BOOL = 1, 7, 9
TYPES: dict[int, np.dtype[Any]] = {
    FLOAT: np.dtype("<f4"),
    INT64: np.dtype("<i8"),
    BOOL: np.dtype("?"),
}
TYPE_NAMES = (
    *("UNDEFINED", "FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING"),
    *("BOOL", "FLOAT16", "DOUBLE"),
)
EXTERNAL = 1

Attribute = int | float | str | list[int] | list[float]
Constant = NDArray[np.float32] | NDArray[np.int64] | NDArray[np.bool_]


class OnnxError(ValueError):
    """The file is no network that is read here; one line says why."""


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        operator: ONNX's name of it.
        name: the file's name of it, or of its output where it has none.
        inputs: names of tensors; empty where an optional one is left out.
        outputs: names of tensors.
        attributes: by name.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def __str__(self) -> str:
        return f"node {self.name} ({self.operator})"


@dataclass(frozen=True)
class Graph:
    """A network that maps one picture or more to one embedding each.

    Attributes:
        nodes: in the order of their computation; only those that the output depends on.
        constants: weights and shapes by name: float32, int64 or bool.
        input: name of the pictures' tensor.
        output: name of the embeddings' tensor.
        image_size: side of the pictures, pixels; None where the file leaves it open.
        batch: number of pictures that the file fixes; None where it leaves it open.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Constant]
    input: str
    output: str
    image_size: int | None
    batch: int | None


def read_onnx(path: Path) -> Graph:
    """Read a network.

    Raises:
        OnnxError: the file is missing, too large, damaged, or no network with one input of colour
            pictures and one output; a tensor is not what it claims, or lies in a file elsewhere.
    """
    try:
        if not path.is_file():
            raise OnnxError("is a folder and no file" if path.is_dir() else "no such file")
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise OnnxError(f"has {size} bytes; at most {LARGEST_FILE} are read")
        content = memoryview(path.read_bytes())
    except OSError as error:
        raise OnnxError(f"cannot be read: {error.strerror}") from None
    reason = why_no_onnx(bytes(content[:START]))
    if reason is not None:
        raise OnnxError(f"{reason}; an ONNX model is wanted")
    try:
        return _graph(Message(content, Budget()), path)
    except MessageError as error:
        raise OnnxError(f"not an ONNX model that can be read: it {error}") from None


def _graph(model: Message, path: Path) -> Graph:
    opsets = {one.text(1): one.integer(2) for one in model.messages(8)}
    version = next((opsets[domain] for domain in OWN_DOMAINS if domain in opsets), None)
    if version is None:
        raise OnnxError("not an ONNX model: it names no version of ONNX's operators")
    if version not in OPSETS:
        raise OnnxError(
            f"its operators are of version {version}; allowed are {OPSETS[0]} to {OPSETS[-1]}"
        )
    if 25 in model:
        raise OnnxError("it defines functions of its own; allowed are ONNX's operators")
    graph = model.message(7)
    if graph is None:
        raise OnnxError("not an ONNX model: it holds no graph")
    if 15 in graph:
        raise OnnxError("it holds sparse weights; allowed are dense ones")
    constants: dict[str, Constant] = {}
    room = _Room(path)
    for tensor in graph.messages(5):
        name = _named(tensor.text(8), "a weight")
        if name in constants:
            raise OnnxError(f"it holds {name} twice")
        constants[name] = room.array(tensor, name)
    messages = list(graph.messages(1))
    nodes = [_node(one) for one in messages]
    for node, message in zip(nodes, messages, strict=True):
        if node.operator == "Constant" and len(node.outputs) == 1:
            constants[node.outputs[0]] = _constant(node, message, room)
    nodes = [node for node in nodes if node.operator != "Constant"]
    inputs = [one for one in graph.messages(11) if one.text(1) not in constants]
    outputs = list(graph.messages(12))
    if len(inputs) != 1 or len(outputs) != 1:
        raise OnnxError(
            f"it has {len(inputs)} inputs and {len(outputs)} outputs; allowed is one of each, "
            "pictures and embeddings"
        )
    source = _named(inputs[0].text(1), "its input")
    target = _named(outputs[0].text(1), "its output")
    batch, side = _pictures(inputs[0], source)
    used = _ordered(nodes, {source, *constants}, target)
    wanted = {name for node in used for name in node.inputs}
    kept = {name: value for name, value in constants.items() if name in wanted}
    return Graph(used, kept, source, target, side, batch)


def _pictures(value: Message, name: str) -> tuple[int | None, int | None]:
    """Number and side of the pictures that an input takes; None where it leaves them open."""
    kind = value.message(2)
    tensor = kind and kind.message(1)
    shape = tensor and tensor.message(2)
    if tensor is None or shape is None or tensor.integer(1) != FLOAT:
        raise OnnxError(f"its input {name} has no shape, or takes no float32 numbers")
    sizes = [one.integer(1) or None for one in shape.messages(1)]
    shown = " x ".join("?" if one is None else str(one) for one in sizes)
    wanted = "N x 3 x side x side"
    if len(sizes) != 4 or sizes[1] != 3 or sizes[2] != sizes[3]:
        raise OnnxError(f"its input {name} is {shown}; allowed is {wanted}, colours first")
    batch, _, side, _ = sizes
    if (side is not None and side not in SIDES) or (batch is not None and batch < 1):
        raise OnnxError(
            f"its input {name} is {shown}; allowed is {wanted} with a side of {SIDES[0]} to "
            f"{SIDES[-1]} pixels"
        )
    return batch, side


def _ordered(nodes: Iterable[Node], known: set[str], target: str) -> tuple[Node, ...]:
    """The nodes that a tensor depends on, checked: each reads what is known before it."""
    made_by: dict[str, Node] = {}
    nodes = list(nodes)
    for node in nodes:
        for name in filter(None, node.outputs):
            if name in known or name in made_by:
                raise OnnxError(f"{node} makes {name}, which is there already")
            made_by[name] = node
    made = set(known)
    for node in nodes:
        for name in filter(None, node.inputs):
            if name not in made:
                later = made_by.get(name)
                why = f"{later} makes in a circle or after it" if later else "nothing makes"
                raise OnnxError(f"{node} reads {name}, which {why}")
        made.update(node.outputs)
    needed, used = {target}, []
    for node in reversed(nodes):
        if needed & set(node.outputs):
            used.append(node)
            needed |= set(node.inputs)
    if target not in made_by:
        raise OnnxError(f"no node makes its output {target}")
    return tuple(reversed(used))


def _node(message: Message) -> Node:
    outputs, operator = tuple(message.texts(2)), message.text(4)
    first = next(filter(None, outputs), "")
    name = _named(message.text(3) or first, "a node")
    if not first:
        raise OnnxError(f"node {name} ({operator}) has no output")
    for text in (*message.texts(1), *outputs, operator):
        if len(text) > LONGEST_NAME:
            raise OnnxError(f"node {name}: {text[:60]}… has more than {LONGEST_NAME} letters")
    domain = message.text(7)
    if domain not in OWN_DOMAINS:
        raise OnnxError(
            f"node {name} ({operator}) is of domain {domain[:60]}; allowed are ONNX's own operators"
        )
    attributes: dict[str, Attribute] = {}
    for one in message.messages(5):
        key = one.text(1)
        if key in attributes:
            raise OnnxError(f"node {name} ({operator}) has {key[:60]} twice")
        attributes[key] = _attribute(one, f"node {name} ({operator})", key)
    return Node(operator, name, tuple(message.texts(1)), outputs, attributes)


def _attribute(message: Message, node: str, key: str) -> Attribute:
    kind = message.integer(20)
    values: dict[int, Any] = {
        1: lambda: message.single(2) if 2 in message else 0.0,
        2: lambda: message.integer(3),
        3: lambda: message.text(4),
        4: lambda: "tensor",
        6: lambda: np.frombuffer(message.floats(7), dtype="<f4").tolist(),
        7: lambda: message.integers(8),
    }
    if kind not in values or len(key) > LONGEST_NAME:
        raise OnnxError(f"{node}: attribute {key[:60]} is of a kind that is not read")
    value: Attribute = values[kind]()
    if isinstance(value, float) and not math.isfinite(value):
        raise OnnxError(f"{node}: attribute {key} is not finite")
    return value


def _constant(node: Node, message: Message, room: "_Room") -> Constant:
    """What a ``Constant`` node holds."""
    ((key, value),) = node.attributes.items() if len(node.attributes) == 1 else (("", 0),)
    if key == "value":
        for attribute in message.messages(5):
            tensor = attribute.message(5)
            if tensor is not None:
                return room.array(tensor, node.outputs[0])
    if key in ("value_float", "value_floats"):
        return np.array(value, dtype=np.float32)
    if key in ("value_int", "value_ints"):
        return np.array(value, dtype=np.int64)
    raise OnnxError(f"{node} holds neither a tensor nor numbers")


class _Room:
    """Reads tensors; all of them together stay within the limit.

    Args:
        path: the ONNX file, next to which others may lie.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = LARGEST_FILE

    def array(self, tensor: Message, name: str) -> Constant:
        """The numbers of a ``TensorProto``, in memory of their own."""
        kind, dims = tensor.integer(2), tensor.integers(1)
        dtype = TYPES.get(kind)
        if dtype is None:
            known = 0 < kind < len(TYPE_NAMES)
            called = TYPE_NAMES[kind] if known else f"of type {kind}"
            raise OnnxError(
                f"weight {name} holds numbers {called}; allowed are FLOAT for weights, INT64 and "
                "BOOL for shapes and switches"
            )
        if len(dims) > MOST_AXES or any(one < 0 for one in dims):
            raise OnnxError(f"weight {name} has shape {_shape(dims)}, which no tensor has")
        size = math.prod(dims) * dtype.itemsize
        if size > self._left:
            raise OnnxError(
                f"weight {name} of shape {_shape(dims)} does not fit: all weights have at most "
                f"{LARGEST_FILE} bytes"
            )
        self._left -= size
        content: memoryview | bytes
        if tensor.integer(14) == EXTERNAL:
            content = self._external(tensor, name, size)
        elif 9 in tensor:
            content = tensor.contents(9)[-1]
        elif kind == FLOAT:
            content = tensor.floats(4)
        else:
            numbers = tensor.integers(7 if kind == INT64 else 5)
            content = np.array(numbers, dtype=dtype).tobytes()
        if len(content) != size:
            raise OnnxError(
                f"weight {name} of shape {_shape(dims)} needs {size} bytes and has {len(content)}"
            )
        array = np.frombuffer(content, dtype=dtype).reshape(dims).copy()
        if kind == FLOAT and not np.isfinite(array).all():
            raise OnnxError(f"weight {name} holds numbers that are not finite")
        return array

    def _external(self, tensor: Message, name: str, size: int) -> bytes:
        """Bytes in another file of the same folder."""
        entries = {one.text(1): one.text(2) for one in tensor.messages(13)}
        location = entries.get("location", "")
        start, length = entries.get("offset", "0"), entries.get("length", str(size))
        if not re.fullmatch(r"[0-9]{1,15}", start) or length != str(size):
            raise OnnxError(
                f"weight {name} needs {size} bytes of another file and names {length[:20]} from "
                f"{start[:20]} on"
            )
        plain = location not in ("", ".", "..") and not set(location) & {"/", "\\", "\0", ":"}
        file = self._path.parent / location if plain else self._path
        folder = self._path.parent.resolve()
        if not plain or file.resolve().parent != folder:
            raise OnnxError(
                f"weight {name} lies in {location[:60]!r}; allowed is a file in the folder of the "
                "ONNX file"
            )
        if not file.is_file():
            raise OnnxError(f"weight {name} lies in {location[:60]}, which is not there")
        with file.open("rb") as content:
            content.seek(int(start))
            return content.read(size)


def _named(name: str, what: str) -> str:
    if not name or len(name) > LONGEST_NAME:
        raise OnnxError(f"{what} has no name, or one of more than {LONGEST_NAME} letters")
    return name


def _shape(dims: list[int]) -> str:
    return " x ".join(map(str, dims[:MOST_AXES])) or "one number"
