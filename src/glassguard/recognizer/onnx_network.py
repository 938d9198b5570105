"""A network of an ONNX file as modules of PyTorch, one for each node."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassguard.recognizer.layers import PRE_RELU, SLICES
from glassguard.recognizer.onnx_file import Graph, Node, OnnxError
from glassguard.recognizer.onnx_operands import Operands, Shape, shown
from glassguard.recognizer.onnx_operators import module_of

ACTIVATIONS = ("Relu", "Clip", "PRelu", "LeakyRelu")
"""Piecewise linear ones, whose outputs are slices."""
MOST_NUMBERS = 1 << 24
"""Of one picture in one tensor: VGG-16 has a fifth of it at 224 pixels."""
MOST_NODES = 4096
MOST_DIMENSIONS = 1 << 16
LONGEST_SLICE = 80
RESERVED = (
    *("fc1", "fc2", "ids", "identities", "prediction", "confidence", "quantity", "distribution"),
    *("times_activation", "reduction", "places"),
)
"""Slices of the dense layers that follow, and what files of profiles hold beside slices."""


@dataclass(frozen=True)
class Step:
    """A node of the network and what it gives.

    Attributes:
        node: the node.
        slice: its name as a slice: letters, digits and ``_.-`` of the node's name.
        shape: of its output for one picture.
        inputs: names of the tensors that it reads and that depend on the pictures, in its order.
    """

    node: Node
    slice: str
    shape: Shape
    inputs: tuple[str, ...]

    @property
    def output(self) -> str:
        """Name of the tensor that it makes."""
        return self.node.outputs[0]


class OnnxNetwork(nn.Module):
    """A frozen network that maps N x 3 x side x side pictures to N x D embeddings.

    It is always in evaluation mode. Weights are not trained. Any number of pictures is taken, also
    where the file fixes one.

    Args:
        graph: from :func:`glassguard.recognizer.onnx_file.read_onnx`.
        image_size: side of the pictures, pixels; that of the graph when None.

    Attributes:
        steps: the nodes in the order of their computation.
        image_size: side of the pictures, pixels.
        dimensions: D.

    Raises:
        OnnxError: an operator is not supported or shapes do not fit; names the node.
    """

    def __init__(self, graph: Graph, image_size: int | None = None) -> None:
        super().__init__()
        if graph.image_size is None and image_size is None:
            raise OnnxError("it leaves the size of its pictures open: a size is required")
        self.graph = graph
        self.image_size = graph.image_size or int(image_size or 0)
        constants = {name: torch.from_numpy(one) for name, one in graph.constants.items()}
        self.steps, modules = _build(graph, constants, self.image_size)
        self._names = [
            re.sub(r"\W", "_", f"{place}_{step.slice}") for place, step in enumerate(self.steps)
        ]
        for name, module in zip(self._names, modules, strict=True):
            self.add_module(name, module)
        self._last_use = {
            name: place for place, step in enumerate(self.steps) for name in step.inputs
        }
        final = next(step for step in self.steps if step.output == graph.output)
        self.dimensions = math.prod(final.shape)
        if self.dimensions > MOST_DIMENSIONS:
            raise OnnxError(
                f"its output {graph.output} has {self.dimensions} numbers a picture; allowed are "
                f"{MOST_DIMENSIONS}: an embedding"
            )
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "OnnxNetwork":
        """Stay in evaluation mode, whatever is asked for: the network is frozen."""
        return super().train(False)

    def module(self, step: Step) -> nn.Module:
        """The module whose output is that of a step."""
        return self.get_submodule(self._names[self.steps.index(step)])

    def forward(self, pictures: Tensor) -> Tensor:
        """N x 3 x side x side, as the file's network expects them, to N x D."""
        known = {self.graph.input: pictures}
        for place, (step, name) in enumerate(zip(self.steps, self._names, strict=True)):
            known[step.output] = self._modules[name](*(known[one] for one in step.inputs))  # type: ignore[misc]
            for one in {*step.inputs}:
                if self._last_use[one] == place and one != self.graph.output:
                    del known[one]
        return known[self.graph.output].flatten(1)


def _build(
    graph: Graph, constants: Mapping[str, Tensor], side: int
) -> tuple[tuple[Step, ...], list[nn.Module]]:
    """The steps of a graph and their modules; no picture is computed."""
    if len(graph.nodes) > MOST_NODES:
        raise OnnxError(f"it has {len(graph.nodes)} nodes; allowed are {MOST_NODES}")
    batches = frozenset({0, -1, 1} if graph.batch is None else {0, -1, 1, graph.batch})
    shapes: dict[str, Shape] = {graph.input: (1, 3, side, side)}
    steps: list[Step] = []
    modules: list[nn.Module] = []
    taken = {*SLICES, *RESERVED}
    for node in graph.nodes:
        inputs = tuple(name for name in node.inputs if name in shapes)
        known = {name: shapes[name] for name in inputs}
        module, shape = module_of(Operands(node, constants, known, batches))
        if len(shape) < 2 or shape[0] != 1 or not 0 < math.prod(shape) <= MOST_NUMBERS:
            raise OnnxError(
                f"{node} would make {shown(shape)} of a picture; allowed are 1 to {MOST_NUMBERS} "
                "numbers"
            )
        shapes[node.outputs[0]] = shape
        steps.append(Step(node, _slice_name(node, taken), shape[1:], inputs))
        modules.append(module)
    return tuple(steps), modules


def _slice_name(node: Node, taken: set[str]) -> str:
    name = re.sub(r"[^\w.-]+", ".", node.name, flags=re.ASCII).strip(".")[-LONGEST_SLICE:]
    name = name or node.operator
    # One of VGG-16's would get its number in Study I.
    while name in taken or name.removesuffix(PRE_RELU) in taken:
        name += "_"
    taken.add(name)
    return name
