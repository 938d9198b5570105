"""The graph of an embedding network as tensors and plain values, for our own safetensors files."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from glassguard.recognizer.onnx_file import Graph, Node

PREFIX = "constants."
"""Of the names of a graph's constants among a file's tensors."""


def graph_tensors(graph: Graph) -> dict[str, Tensor]:
    """The constants of a graph by their names in a file."""
    return {PREFIX + name: torch.from_numpy(value) for name, value in graph.constants.items()}


def described_graph(graph: Graph) -> dict[str, Any]:
    """Everything else of a graph, as JSON has it."""
    return {
        "nodes": [asdict(node) | {"attributes": dict(node.attributes)} for node in graph.nodes],
        "input": graph.input,
        "output": graph.output,
        "image_size": graph.image_size,
        "batch": graph.batch,
    }


def graph_of(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> Graph:
    """The graph of a file (``KeyError`` or ``TypeError`` where the description lacks something)."""
    nodes = tuple(
        Node(
            node["operator"],
            node["name"],
            tuple(node["inputs"]),
            tuple(node["outputs"]),
            dict(node["attributes"]),
        )
        for node in described["nodes"]
    )
    constants = {
        name.removeprefix(PREFIX): tensor.numpy()
        for name, tensor in tensors.items()
        if name.startswith(PREFIX)
    }
    parts = (described[key] for key in ("input", "output", "image_size", "batch"))
    return Graph(nodes, constants, *parts)
