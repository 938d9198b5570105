"""Take the convolutions from a weight file in place of pretraining."""

import hashlib
from pathlib import Path

from glassguard.configuration.slices import BackboneSlice
from glassguard.recognizer.weights import (
    BackboneFile,
    check_convolutions,
    read_tensors,
    relative_width,
    write_backbone,
)
from glassguard.stages.files import write_json


def run(
    config: BackboneSlice, *, weights: Path, backbone: Path, metrics: Path
) -> dict[str, float | int | str]:
    """Check the thirteen convolutions by name and shape and write them as a backbone."""
    settings = config.backbone
    tensors, _ = read_tensors(weights)
    width = relative_width(tensors, weights)
    checked = check_convolutions(tensors, width=width, path=weights)
    write_backbone(backbone, BackboneFile(checked, width, settings.mean, settings.scale))
    described: dict[str, float | int | str] = {
        "backbone": f"read from {weights.name}",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    write_json(described, metrics)
    return described
