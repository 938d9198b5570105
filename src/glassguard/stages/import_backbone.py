"""Take the convolutions from a weight file in place of pretraining."""

import sys
from pathlib import Path

from glassguard.configuration.sections import BackboneSection
from glassguard.configuration.sources import file_digest
from glassguard.files.formats import write_json
from glassguard.recognizer.preprocessing import assumption, backbone_for_rgb, settled
from glassguard.recognizer.published_weights import read_published_weights
from glassguard.recognizer.weights import write_backbone
from glassguard.stages.paths import OutputPath


def run(
    config: BackboneSection, *, weights: Path, backbone: OutputPath, metrics: OutputPath
) -> dict[str, float | int | str]:
    """Check the thirteen convolutions by name and shape and write them as a backbone.

    Standard error and the metrics say what is assumed of the network's input.
    """
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
