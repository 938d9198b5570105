"""Networks as safetensors files: no pickle, every shape checked by name."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from glassguard.errors import InputError
from glassguard.recognizer.embedding_recognizer import EmbeddingRecognizer
from glassguard.recognizer.graph_files import described_graph, graph_of, graph_tensors
from glassguard.recognizer.layers import CONVOLUTIONS, FILTERS_PER_BLOCK
from glassguard.recognizer.network import (
    FaceRecognizer,
    Recognizer,
    channels_last,
    convolutional_layers,
)
from glassguard.recognizer.onnx_file import Graph
from glassguard.recognizer.settings import Channels

METADATA_KEY = "glassguard"
LARGEST_WIDTH = 1.0
"""As in the configuration."""


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file and its metadata.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from None


def relative_width(tensors: dict[str, Tensor], path: Path) -> float:
    """Share of VGG-16's filters in the first convolution of a weight file.

    Raises:
        InputError: there is no such convolution, or it has more filters than VGG-16's.
    """
    first = tensors.get(f"{CONVOLUTIONS[0]}.weight")
    if first is None or first.ndim != 4 or not 1 <= len(first) <= FILTERS_PER_BLOCK[0]:
        raise InputError(
            f"{path}: {CONVOLUTIONS[0]}.weight must be there, of shape (filters, 3, 3, 3) with at "
            f"most {FILTERS_PER_BLOCK[0]} filters"
        )
    return len(first) / FILTERS_PER_BLOCK[0]


def check_convolutions(
    tensors: dict[str, Tensor], *, width: float, path: Path
) -> dict[str, Tensor]:
    """``conv1_1.weight`` to ``conv5_3.bias`` of a weight file, float32, in this order.

    Raises:
        InputError: a convolution is missing, or its shape is not that of a VGG-16 of ``width``.
    """
    checked: dict[str, Tensor] = {}
    layers = convolutional_layers(width)
    for name in CONVOLUTIONS:
        for part, expected in layers[name].state_dict().items():
            key = f"{name}.{part}"
            if key not in tensors:
                whole = f"a VGG-16 has {CONVOLUTIONS[0]} to {CONVOLUTIONS[-1]}"
                raise InputError(f"{path}: {key} is missing; {whole}")
            if tensors[key].shape != expected.shape:
                raise InputError(
                    f"{path}: {key} has shape {tuple(tensors[key].shape)}, "
                    f"a VGG-16 of width {width:g} has {tuple(expected.shape)}"
                )
            checked[key] = tensors[key].to(torch.float32).contiguous()
    return checked


@dataclass(frozen=True)
class BackboneFile:
    """The convolutions of a backbone and what their input must look like.

    Attributes:
        tensors: ``conv1_1.weight`` to ``conv5_3.bias``, float32.
        width: share of VGG-16's filters in every layer.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean.
    """

    tensors: dict[str, Tensor]
    width: float
    mean: tuple[float, float, float]
    scale: float


@dataclass(frozen=True)
class EmbeddingBackbone:
    """An embedding network and what its input must look like.

    Attributes:
        graph: the network.
        mean: R, G, B means on the 0-255 scale.
        scale: divisor after subtraction of the mean, or one each of R, G and B.
        channels: order of the colours that the network expects.
    """

    graph: Graph
    mean: tuple[float, float, float]
    scale: float | tuple[float, float, float]
    channels: Channels


def write_backbone(path: Path, backbone: BackboneFile | EmbeddingBackbone) -> None:
    """Write a backbone; the same backbone gives the same bytes."""
    described: dict[str, object] = {"mean": backbone.mean, "scale": backbone.scale}
    if isinstance(backbone, EmbeddingBackbone):
        described |= {"channels": backbone.channels, "graph": described_graph(backbone.graph)}
        _write(path, graph_tensors(backbone.graph), described)
    else:
        _write(path, backbone.tensors, described | {"width": backbone.width})


def read_backbone(path: Path) -> BackboneFile | EmbeddingBackbone:
    """Read what :func:`write_backbone` wrote.

    Raises:
        InputError: the file is missing or no backbone of ours.
    """
    tensors, metadata = read_tensors(path)
    embedding = _embedding_backbone(tensors, metadata)
    if embedding is not None:
        return embedding
    described = described_backbone(metadata)
    if described is None:
        raise InputError(f"{path}: not a backbone that glassguard wrote: no width, mean and scale")
    return BackboneFile(check_convolutions(tensors, width=described[0], path=path), *described)


def _embedding_backbone(
    tensors: dict[str, Tensor], metadata: dict[str, str]
) -> EmbeddingBackbone | None:
    """The embedding network of a file; None where it holds none."""
    try:
        described = json.loads(metadata[METADATA_KEY])
        graph = graph_of(tensors, described["graph"])
        red, green, blue = (float(value) for value in described["mean"])
        scale, channels = described["scale"], described["channels"]
    except (KeyError, TypeError, ValueError):
        return None
    divisors = tuple(scale) if isinstance(scale, list) else float(scale)
    return EmbeddingBackbone(graph, (red, green, blue), divisors, channels)


def described_backbone(
    metadata: dict[str, str],
) -> tuple[float, tuple[float, float, float], float] | None:
    """Width, mean and scale as :func:`write_backbone` stores them; None if no network has such."""
    try:
        described = json.loads(metadata[METADATA_KEY])
        red, green, blue = (float(value) for value in described["mean"])
        width, scale = float(described["width"]), float(described["scale"])
    except (KeyError, ValueError, TypeError):
        return None
    finite = all(math.isfinite(value) for value in (red, green, blue, scale))
    possible = finite and scale > 0 and 0 < width <= LARGEST_WIDTH
    return (width, (red, green, blue), scale) if possible else None


def write_recognizer(path: Path, network: Recognizer, identities: list[str]) -> None:
    """Write a whole recognizer with the names of its classes, in the order of its logits."""
    described: dict[str, object] = {"identities": identities, "image_size": network.image_size}
    tensors = network.state_dict()
    if isinstance(network, EmbeddingRecognizer):
        # The graph's constants are its weights.
        tensors = {key: value for key, value in tensors.items() if not key.startswith("features.")}
        tensors |= graph_tensors(network.features.graph)
        channels, graph = network.normalisation.channels, described_graph(network.features.graph)
        described |= {"channels": channels, "graph": graph}
    elif isinstance(network, FaceRecognizer):
        described["width"] = network.width
    _write(path, tensors, described)


def _write(path: Path, tensors: dict[str, Tensor], described: dict[str, object]) -> None:
    # One entry: safetensors writes several in no fixed order, and files are compared by bytes.
    metadata = {METADATA_KEY: json.dumps(described, sort_keys=True)}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)


def read_recognizer(path: Path) -> tuple[Recognizer, list[str]]:
    """A recognizer and the names of its classes in the order of its logits.

    The network is in evaluation mode, channels last, without gradients of its weights.

    Raises:
        InputError: the file is missing or no recognizer of ours.
    """
    tensors, metadata = read_tensors(path)
    try:
        described = json.loads(metadata[METADATA_KEY])
        identities = described["identities"]
        read = _read_embedding if "graph" in described else _read_vgg16
        network = read(tensors, described)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: not a recognizer that glassguard wrote: {str(error).splitlines()[0]}"
        ) from None
    network.requires_grad_(False).eval()
    return channels_last(network), identities


def _read_vgg16(tensors: dict[str, Tensor], described: dict[str, Any]) -> Recognizer:
    network = FaceRecognizer(
        identities=len(described["identities"]),
        image_size=described["image_size"],
        width=described["width"],
        hidden=tensors["classifier.fc6.weight"].shape[0],
        mean=tensors["normalisation.mean"].flatten().tolist(),
        scale=tensors["normalisation.scale"].item(),
    )
    network.load_state_dict(tensors)
    return network


def _read_embedding(tensors: dict[str, Tensor], described: dict[str, Any]) -> Recognizer:
    scale = tensors["normalisation.scale"]
    network = EmbeddingRecognizer(
        graph_of(tensors, described["graph"]),
        identities=len(described["identities"]),
        image_size=described["image_size"],
        hidden=tensors["classifier.fc1.weight"].shape[0],
        mean=tensors["normalisation.mean"].flatten().tolist(),
        scale=scale.flatten().tolist() if scale.ndim else scale.item(),
        channels=described["channels"],
    )
    classifier = {
        key.removeprefix("classifier."): tensor
        for key, tensor in tensors.items()
        if key.startswith("classifier.")
    }
    network.classifier.load_state_dict(classifier)
    return network
