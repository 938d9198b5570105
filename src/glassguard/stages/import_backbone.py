"""Take the frozen network from a file in place of pretraining."""

import sys
from pathlib import Path

from glassguard.configuration.sections import BackboneSection
from glassguard.configuration.sources import file_digest
from glassguard.errors import InputError
from glassguard.files.formats import write_json
from glassguard.recognizer.onnx_file import OnnxError, read_onnx
from glassguard.recognizer.onnx_network import OnnxNetwork
from glassguard.recognizer.onnx_preprocessing import check_input
from glassguard.recognizer.preprocessing import (
    Preprocessing,
    assumption,
    backbone_for_rgb,
    settled,
)
from glassguard.recognizer.published_weights import read_published_weights
from glassguard.recognizer.settings import Backbone
from glassguard.recognizer.weights import EmbeddingBackbone, write_backbone
from glassguard.stages.paths import OutputPath


def run(
    config: BackboneSection, *, weights: Path, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    """Check a VGG-16's convolutions, or the network of an ONNX file, and write it as a backbone.

    Standard error and the metrics say what is assumed of the network's input.
    """
    if config.backbone.network == "onnx":
        return _import_onnx(config.backbone, weights, backbone, metrics)
    read = read_published_weights(weights)
    expected, assumed = settled(config.backbone, read.stated, read.assumed)
    write_backbone(backbone, backbone_for_rgb(read.tensors, read.width, expected))
    origin = read.format
    if assumed:
        origin += f"; assumed, as in {read.assumed.of}: {expected.described(assumed)}"
        print(assumption(expected, assumed, read.assumed), file=sys.stderr)
    described: dict[str, float | int | str] = {
        "backbone": f"read from {weights.name} ({origin})",
        "sha256": file_digest(weights),
        "input": expected.described(),
        "input_assumed": ", ".join(assumed) or "nothing",
    }
    write_json(described, metrics)
    return described


def _import_onnx(
    settings: Backbone, weights: Path, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    mean, scale, channels = settings.mean, settings.scale, settings.channels
    if mean is None or scale is None or channels is None:
        raise InputError("backbone.mean, scale and channels: required with backbone.network=onnx")
    try:
        graph = read_onnx(weights)
        check_input(graph, image_size=graph.image_size or 0, mean=mean, scale=scale)
        if graph.image_size is not None:
            OnnxNetwork(graph)
    except OnnxError as error:
        raise InputError(f"backbone.weights: {weights}: {error}") from None
    write_backbone(backbone, EmbeddingBackbone(graph, mean, scale, channels))
    own = Preprocessing(str(weights), channels, mean, scale)
    described: dict[str, float | int | str] = {
        "backbone": f"read from {weights.name} (ONNX, {len(graph.nodes)} nodes)",
        "sha256": file_digest(weights),
        "input": own.described(),
        "input_assumed": "nothing",
    }
    write_json(described, metrics)
    return described
